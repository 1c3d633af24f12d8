"""``toros devices``: which Alpaca devices there are, and whether the configured ones answer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import click

from toros.cli.output import (
    DONE,
    REFUSED,
    complain,
    config_option,
    exits,
    json_option,
    tell_json,
    tell_table,
)
from toros.clock import of_rehearsal
from toros.config import Settings, load
from toros.config.enclosure import WeatherSource
from toros.config.hardware import Device
from toros.devices import protocols
from toros.devices.discovery import FoundServer, describe_servers, find_servers
from toros.errors import DeviceError, DeviceLacks, TorosError


@click.group(name="devices", invoke_without_command=True)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 60),
    default=2.0,
    show_default=True,
    help="How long answers are awaited (s).",
)
@json_option
@click.pass_context
@exits
def devices_group(context: click.Context, timeout_s: float, as_json: bool) -> None:
    """Find Alpaca servers on the network, and list their devices.

    The settings want an address and a number; both are shown here. What is not found may still
    be reached: discovery stays within the local networks, and a firewall may stop it.
    """
    if context.invoked_subcommand is not None:
        return
    servers = describe_servers(find_servers(timeout_s), timeout_s)
    if as_json:
        tell_json([_server(server) for server in servers])
        return
    rows = [
        (server.address, server.name, device.device_type, device.number, device.name)
        for server in servers
        for device in server.devices
    ]
    if rows:
        tell_table(("address", "server", "type", "number", "name"), rows)
    for server in servers:
        if server.problem is not None or not server.devices:
            complain(f"{server.address}: {server.problem or 'it has no devices'}")
    if not servers:
        complain(f"no Alpaca server answered within {timeout_s:g} s")


def _server(server: FoundServer) -> dict[str, Any]:
    return {
        "address": server.address,
        "name": server.name,
        "problem": server.problem,
        "devices": [
            {
                "type": device.device_type,
                "number": device.number,
                "name": device.name,
                "unique_id": device.unique_id,
            }
            for device in server.devices
        ],
    }


class Configured(NamedTuple):
    """A device that the settings name."""

    setting: str
    """Where they do."""
    kind: str
    device: Device


class Checked(NamedTuple):
    """What a configured device said."""

    configured: Configured
    state: str
    """In plain words; empty where it failed."""
    error: str


@devices_group.command()
@config_option
@json_option
@exits
def check(configuration: Path, as_json: bool) -> None:
    """Try each configured device, and tell its state or what is wrong.

    Nothing is moved. A device that was not connected is connected for the question and let go
    again. The exit code is 1 when one fails; weather that is unsafe is no failure.
    """
    settings = load(configuration)
    found = configured_devices(settings)
    with ThreadPoolExecutor(max_workers=max(1, len(found))) as pool:
        checked = list(pool.map(lambda entry: _try(entry, settings), found))
    if as_json:
        tell_json([_entry(entry) for entry in checked])
    elif checked:
        tell_table(
            ("setting", "device", "state"),
            [(e.configured.setting, _where(e.configured), e.state or "FAILS") for e in checked],
        )
        for entry in checked:
            if entry.error:
                complain(f"{entry.configured.setting}: {entry.error}")
    if not found:
        complain(f"{configuration} names no device: each Driver is none")
    sys.exit(REFUSED if any(entry.error for entry in checked) else DONE)


def configured_devices(settings: Settings) -> list[Configured]:
    """List the devices that the settings name; those whose Driver is none are left out."""
    dome, telescope = settings.dome, settings.telescope
    named = [
        Configured("Dome / Device", "dome", dome.device),
        Configured("Dome / Mount", "mount", dome.mount),
        *[
            Configured(f"Dome / Weather / {source.name}", *_of_source(source))
            for source in dome.weather.sources
            if source.kind in ("safety_monitor", "observing_conditions", "simulated")
        ],
        Configured("Telescope / Mount", "mount", telescope.mount),
        Configured("Telescope / Camera", "camera", telescope.camera),
        Configured("Telescope / Filter Wheel", "filter_wheel", telescope.filter_wheel),
        Configured("Telescope / Focuser", "focuser", telescope.focuser),
        Configured("Telescope / Cover", "cover", telescope.cover),
    ]
    return [entry for entry in named if entry.device.driver != "none"]


def _of_source(source: WeatherSource) -> tuple[str, Device]:
    if source.kind == "simulated":
        return "observing_conditions", Device(driver="simulated", timeout_s=source.timeout_s)
    device = Device(
        driver="alpaca",
        address=source.address,
        device_number=source.device_number,
        timeout_s=source.timeout_s,
    )
    return source.kind, device


def _try(entry: Configured, settings: Settings) -> Checked:
    try:
        device = _open(entry, settings)
        was_connected = device.connected()
        device.connect()
        try:
            return Checked(entry, _STATES[entry.kind](device), "")
        finally:
            if not was_connected:
                device.disconnect()
    except TorosError as error:
        return Checked(entry, "", error.message)


def _open(entry: Configured, settings: Settings) -> Any:
    from toros.simulation.hardware import open_device

    rehearsal = settings.rehearsal
    clock = of_rehearsal(rehearsal.anchor, rehearsal.start, rehearsal.rate)
    return open_device(entry.kind, entry.device, settings, clock)


def _entry(entry: Checked) -> dict[str, Any]:
    device = entry.configured.device
    return {
        "setting": entry.configured.setting,
        "kind": entry.configured.kind,
        "driver": device.driver,
        "address": device.address,
        "number": device.device_number,
        "ok": not entry.error,
        "state": entry.state or None,
        "error": entry.error or None,
    }


def _where(entry: Configured) -> str:
    device = entry.device
    return "simulated" if device.address is None else f"{device.address}/{device.device_number}"


def _dome(dome: protocols.Dome) -> str:
    try:
        shutter = f"shutter {dome.shutter()}"
    except DeviceLacks:
        shutter = "no shutter"
    azimuth = dome.azimuth()
    place = "azimuth unknown" if azimuth is None else f"azimuth {azimuth:.1f} deg"
    return _words(shutter, place, dome.slewing() and "moving", dome.at_park() and "parked")


def _mount(mount: protocols.Mount) -> str:
    ra, dec = mount.pointing()
    altitude, azimuth = mount.horizontal()
    return _words(
        f"RA {ra:.4f} Dec {dec:+.4f} deg (ICRS)",
        f"altitude {altitude:.1f} azimuth {azimuth:.1f} deg",
        mount.slewing() and "slewing",
        mount.tracking() and "tracking",
        mount.at_park() and "parked",
    )


def _camera(camera: protocols.Camera) -> str:
    facts, temperature = camera.facts(), camera.temperature()
    ny, nx = facts.shape
    cold = "" if temperature is None else f"{temperature:.1f} deg C"
    return _words(f"{facts.name}", f"{nx} x {ny} pixels", str(camera.state()), cold)


def _filter_wheel(wheel: protocols.FilterWheel) -> str:
    names, position = wheel.filters(), wheel.position()
    if position is None:
        at = "turning"
    elif position < len(names):
        at = f"at {names[position]}"
    else:
        raise DeviceError(f"{wheel.name}: position {position}, but only {len(names)} filters")
    return _words(at, f"filters {', '.join(names)}")


def _focuser(focuser: protocols.Focuser) -> str:
    place = f"at {focuser.position()} of {focuser.max_position} steps"
    return _words(place, focuser.moving() and "moving")


def _cover(cover: protocols.Cover) -> str:
    return _words(f"cover {cover.cover()}", f"lamp {cover.lamp()}")


def _safety_monitor(monitor: protocols.SafetyMonitor) -> str:
    return "safe" if monitor.is_safe() else "unsafe"


def _observing_conditions(station: protocols.ObservingConditions) -> str:
    readings = station.read()
    oldest = max(reading.age_s for reading in readings.values())
    said = [
        f"{quantity.replace('_', ' ')} {reading.value:g} {protocols.QUANTITIES[quantity]}"
        for quantity, reading in readings.items()
    ]
    return _words(*said, f"up to {oldest:.0f} s old")


def _words(*words: str | bool) -> str:
    return ", ".join(word for word in words if isinstance(word, str) and word)


_STATES: Mapping[str, Callable[[Any], str]] = {
    "dome": _dome,
    "mount": _mount,
    "camera": _camera,
    "filter_wheel": _filter_wheel,
    "focuser": _focuser,
    "cover": _cover,
    "safety_monitor": _safety_monitor,
    "observing_conditions": _observing_conditions,
}
