"""A safety monitor: one word, safe or not."""

from __future__ import annotations

from collections.abc import Callable

from toros.config.enclosure import WeatherSource
from toros.devices.protocols import Reading, SafetyMonitor
from toros.dome.weather.observation import SAFE, Observation
from toros.dome.weather.sources.opened import Opened
from toros.errors import DeviceNonsense


class MonitorSource:
    """Reads a safety monitor.

    Parameters
    ----------
    settings : WeatherSource
    opener : callable
        Returns the device.
    """

    period_s = 1.0

    def __init__(self, settings: WeatherSource, opener: Callable[[], SafetyMonitor | None]) -> None:
        self.name = settings.name
        self.age_limit_s = settings.age_limit_s
        self._device = Opened(settings.name, opener)

    def read(self) -> Observation:
        """Ask for the word.

        Raises
        ------
        DeviceError
        """
        safe = self._device.ask(lambda device: device.is_safe())
        if not isinstance(safe, bool):
            raise DeviceNonsense(f"{self.name}: is_safe is {safe!r}; expected true or false")
        return Observation({SAFE: Reading(float(safe), 0.0)})
