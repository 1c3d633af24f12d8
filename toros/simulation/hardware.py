"""How a configured device is had: the Alpaca driver, the simulated one, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toros.clock import Clock
from toros.config import Settings
from toros.config.hardware import Device as DeviceSettings
from toros.devices import protocols
from toros.simulation.frames import SITE_HEIGHT_M, SITE_LATITUDE_DEG, SITE_LONGITUDE_DEG
from toros.simulation.observatory.world import World
from toros.sky.site import Site

_SIMULATED: Mapping[str, Callable[[World, float], protocols.Device]] = {
    "dome": World.dome,
    "mount": World.mount,
    "camera": World.camera,
    "filter_wheel": World.filter_wheel,
    "focuser": World.focuser,
    "cover": World.cover,
    "safety_monitor": World.safety_monitor,
    "observing_conditions": World.observing_conditions,
}
KINDS = tuple(_SIMULATED)
"""The kinds of devices."""


def open_device(
    kind: str, settings: DeviceSettings, whole: Settings, clock: Clock
) -> protocols.Device | None:
    """Return a device as it is configured; it is not connected yet.

    Parameters
    ----------
    kind : str
        One of `KINDS`; the device satisfies that Protocol of `toros.devices.protocols`.
    settings : toros.config.hardware.Device
        Of this device.
    whole : Settings
        For the rehearsal's folder and the observatory's place.
    clock : Clock
        What simulated devices go by.

    Returns
    -------
    Device or None
        None where there is no such device.

    Raises
    ------
    ConfigurationError
        The rehearsal's folder cannot be used.
    ValueError
        There is no such kind.
    """
    if kind not in _SIMULATED:
        raise ValueError(f"kind {kind!r}: it must be one of {', '.join(KINDS)}")
    if settings.driver == "none":
        return None
    if settings.driver == "alpaca":
        from toros.devices.alpaca import open_alpaca

        return open_alpaca(kind, settings)
    return _SIMULATED[kind](open_world(whole, clock), settings.timeout_s)


def open_world(whole: Settings, clock: Clock) -> World:
    """Return the simulated observatory of a configuration.

    Parameters
    ----------
    whole : Settings
        Without an observatory's place it stands where the package's simulated frames are taken.
    clock : Clock

    Raises
    ------
    ConfigurationError
        The rehearsal's folder cannot be used.
    """
    return World(rehearsal_folder(whole), clock, _site(whole))


def rehearsal_folder(whole: Settings) -> Path:
    """Return the folder of the simulated observatory."""
    return whole.rehearsal.folder or whole.state_folder / "simulation"


def _site(whole: Settings) -> Site:
    place = whole.observatory
    if place.longitude_deg is None or place.latitude_deg is None:
        return Site(SITE_LONGITUDE_DEG, SITE_LATITUDE_DEG, SITE_HEIGHT_M)
    return Site(place.longitude_deg, place.latitude_deg, place.height_m or 0.0)


if TYPE_CHECKING:

    def _satisfies(
        world: World,
    ) -> tuple[
        protocols.Dome,
        protocols.Mount,
        protocols.Camera,
        protocols.FilterWheel,
        protocols.Focuser,
        protocols.Cover,
        protocols.SafetyMonitor,
        protocols.ObservingConditions,
    ]:
        """Let the type checker hold the devices against their Protocols."""
        return (
            world.dome(),
            world.mount(),
            world.camera(),
            world.filter_wheel(),
            world.focuser(),
            world.cover(),
            world.safety_monitor(),
            world.observing_conditions(),
        )
