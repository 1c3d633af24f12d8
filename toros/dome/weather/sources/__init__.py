"""What can tell of the weather, one file per kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from pydantic import ValidationError

from toros.clock import Clock
from toros.config import Settings
from toros.config.enclosure import WeatherSource
from toros.config.hardware import Device as DeviceSettings
from toros.devices import protocols
from toros.dome.weather.observation import Source
from toros.dome.weather.sources.conditions import ConditionsSource
from toros.dome.weather.sources.file import FileSource
from toros.dome.weather.sources.monitor import MonitorSource
from toros.dome.weather.sources.simulated import SimulatedSource
from toros.dome.weather.sources.url import UrlSource
from toros.errors import ConfigurationError

OpenDevice = Callable[[str, DeviceSettings, Settings, Clock], protocols.Device | None]
"""How a device of a kind is had: `toros.simulation.hardware.open_device`."""


def make_sources(
    settings: Settings, clock: Clock, open_device: OpenDevice | None = None
) -> list[Source]:
    """Make the sources that the configuration names; none is asked yet.

    Devices are opened by the thread that reads them, so that one that hangs or fails, or an
    address that is none, holds up nobody: its source is unknown, and so the weather unsafe.

    Parameters
    ----------
    settings : Settings
        All of them: the simulated devices need more than the dome's weather.
    clock : Clock
        What the stations' times are compared with.
    open_device : callable, optional
        By default `toros.simulation.hardware.open_device`.
    """
    if open_device is None:
        from toros.simulation import hardware

        open_device = hardware.open_device
    return [_make(source, settings, clock, open_device) for source in settings.dome.weather.sources]


def _make(source: WeatherSource, whole: Settings, clock: Clock, open_device: OpenDevice) -> Source:
    if source.kind == "file":
        return FileSource(source, clock)
    if source.kind == "url":
        return UrlSource(source, clock)

    def opener(kind: str) -> Callable[[], protocols.Device | None]:
        return lambda: open_device(kind, _device_settings(source), whole, clock)

    monitor = cast(Callable[[], protocols.SafetyMonitor | None], opener("safety_monitor"))
    conditions = cast(
        Callable[[], protocols.ObservingConditions | None], opener("observing_conditions")
    )
    if source.kind == "safety_monitor":
        return MonitorSource(source, monitor)
    if source.kind == "observing_conditions":
        return ConditionsSource(source, conditions)
    return SimulatedSource(source, monitor, conditions, clock.rate)


def _device_settings(source: WeatherSource) -> DeviceSettings:
    if source.kind == "simulated":
        return DeviceSettings(driver="simulated", timeout_s=source.timeout_s)
    try:
        return DeviceSettings(
            driver="alpaca",
            address=source.address,
            device_number=source.device_number,
            timeout_s=source.timeout_s,
        )
    except ValidationError:
        raise ConfigurationError(
            f"Dome / Weather / Sources / {source.name} / Address: {source.address!r} is no "
            "address; expected a host and its port, such as 127.0.0.1:11111"
        ) from None
