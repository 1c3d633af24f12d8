"""Observing conditions: a weather station behind Alpaca."""

from __future__ import annotations

from collections.abc import Callable

from toros.config.enclosure import WeatherSource
from toros.devices.protocols import QUANTITIES, ObservingConditions
from toros.dome.weather.observation import Observation, checked
from toros.dome.weather.sources.opened import Opened


class ConditionsSource:
    """Reads observing conditions.

    Parameters
    ----------
    settings : WeatherSource
    opener : callable
        Returns the device.
    """

    period_s = 1.0

    def __init__(
        self, settings: WeatherSource, opener: Callable[[], ObservingConditions | None]
    ) -> None:
        self.name = settings.name
        self.age_limit_s = settings.age_limit_s
        self._device = Opened(settings.name, opener)

    def read(self) -> Observation:
        """Ask for all quantities.

        Raises
        ------
        DeviceError
        """
        told = self._device.ask(lambda device: device.read())
        return checked({name: told[name] for name in QUANTITIES if name in told}, {})
