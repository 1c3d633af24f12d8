"""The weather of a rehearsal: the simulated observatory's monitor and station in one."""

from __future__ import annotations

from collections.abc import Callable

from toros.config.enclosure import WeatherSource
from toros.devices.protocols import ObservingConditions, SafetyMonitor
from toros.dome.weather.observation import Observation
from toros.dome.weather.sources.conditions import ConditionsSource
from toros.dome.weather.sources.monitor import MonitorSource


class SimulatedSource:
    """Reads the simulated safety monitor and the simulated observing conditions.

    Parameters
    ----------
    settings : WeatherSource
    monitor, conditions : callable
        Return the devices.
    rate : float
        Simulated seconds in a real second; the faster, the more often it is read.
    """

    def __init__(
        self,
        settings: WeatherSource,
        monitor: Callable[[], SafetyMonitor | None],
        conditions: Callable[[], ObservingConditions | None],
        rate: float,
    ) -> None:
        self.name = settings.name
        self.age_limit_s = settings.age_limit_s
        self.period_s = min(1.0, max(0.1, 1.0 / rate))
        self._monitor = MonitorSource(settings, monitor)
        self._conditions = ConditionsSource(settings, conditions)

    def read(self) -> Observation:
        """Ask both.

        Raises
        ------
        DeviceError
        """
        word, told = self._monitor.read(), self._conditions.read()
        return Observation({**told.values, **word.values}, told.problems)
