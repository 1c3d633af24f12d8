"""Drivers of devices behind ASCOM Alpaca servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from toros.config.hardware import Device as Settings
from toros.devices.alpaca.camera import AlpacaCamera
from toros.devices.alpaca.cover import AlpacaCover
from toros.devices.alpaca.dome import AlpacaDome
from toros.devices.alpaca.filter_wheel import AlpacaFilterWheel
from toros.devices.alpaca.focuser import AlpacaFocuser
from toros.devices.alpaca.mount import AlpacaMount
from toros.devices.alpaca.observing_conditions import AlpacaObservingConditions
from toros.devices.alpaca.safety_monitor import AlpacaSafetyMonitor
from toros.devices.protocols import Device

if TYPE_CHECKING:
    from toros.devices import protocols

    # Each driver satisfies its Protocol.
    _dome: type[protocols.Dome] = AlpacaDome
    _mount: type[protocols.Mount] = AlpacaMount
    _camera: type[protocols.Camera] = AlpacaCamera
    _filter_wheel: type[protocols.FilterWheel] = AlpacaFilterWheel
    _focuser: type[protocols.Focuser] = AlpacaFocuser
    _cover: type[protocols.Cover] = AlpacaCover
    _safety_monitor: type[protocols.SafetyMonitor] = AlpacaSafetyMonitor
    _observing_conditions: type[protocols.ObservingConditions] = AlpacaObservingConditions

DRIVERS: Mapping[str, Callable[[Settings], Device]] = {
    "dome": AlpacaDome,
    "mount": AlpacaMount,
    "camera": AlpacaCamera,
    "filter_wheel": AlpacaFilterWheel,
    "focuser": AlpacaFocuser,
    "cover": AlpacaCover,
    "safety_monitor": AlpacaSafetyMonitor,
    "observing_conditions": AlpacaObservingConditions,
}
"""The driver of each kind of device."""

__all__ = [
    "DRIVERS",
    "AlpacaCamera",
    "AlpacaCover",
    "AlpacaDome",
    "AlpacaFilterWheel",
    "AlpacaFocuser",
    "AlpacaMount",
    "AlpacaObservingConditions",
    "AlpacaSafetyMonitor",
    "open_alpaca",
]


def open_alpaca(kind: str, settings: Settings) -> Device:
    """Make the driver of a device; no connection is opened yet.

    Parameters
    ----------
    kind : str
        One of `DRIVERS`.
    settings : toros.config.hardware.Device
        Of a device whose Driver is alpaca.
    """
    if kind not in DRIVERS:
        raise ValueError(f"no kind of device {kind!r}; expected one of {', '.join(DRIVERS)}")
    return DRIVERS[kind](settings)
