"""Observatories that the contract is held against: one class for each implementation.

A rig opens devices, sets what no device can set (the weather), and knows what the hardware
itself says, behind the driver's back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from tests.system.observatory import AlpacaObservatory
from toros.clock import SimulatedClock
from toros.config.hardware import Device
from toros.devices.alpaca import open_alpaca
from toros.devices.protocols import Pointing, ShutterState

KINDS = (
    "dome",
    "mount",
    "camera",
    "filter_wheel",
    "focuser",
    "cover",
    "safety_monitor",
    "observing_conditions",
)


class Rig(Protocol):
    """What the contract's tests need of an observatory."""

    target: Pointing
    """Somewhere high in the sky."""

    def open(self, kind: str) -> Any:
        """Open a device; it is not connected yet."""

    def shutter(self) -> ShutterState:
        """Return what the shutter itself is."""

    def set_safe(self, safe: bool) -> None:
        """Set the safety monitor's word."""

    def set_weather(self, **quantities: float) -> None:
        """Set what the weather station measures."""


class AlpacaRig:
    """The Alpaca simulators behind our drivers.

    Parameters
    ----------
    observatory : AlpacaObservatory
    address : str, optional
        Where the drivers call; by default the observatory itself.
    """

    def __init__(self, observatory: AlpacaObservatory, address: str | None = None) -> None:
        self.observatory = observatory
        self.address = address or observatory.address
        self.target = Pointing(*observatory.places[0])

    def settings(self, timeout_s: float = 5.0, retries: int = 2) -> Device:
        """Return the settings of any device, all of which have the number 0."""
        return Device(driver="alpaca", address=self.address, timeout_s=timeout_s, retries=retries)

    def open(self, kind: str, **settings: Any) -> Any:
        """Open a device; it is not connected yet."""
        return open_alpaca(kind, self.settings(**settings))

    def shutter(self) -> ShutterState:
        """Return what the shutter itself is."""
        return tuple(ShutterState)[self.observatory.get("dome/0/shutterstatus")]

    def set_safe(self, safe: bool) -> None:
        """Set the safety monitor's word."""
        self.observatory.put("safetymonitor/0/issafe", IsSafe=safe)

    def set_weather(self, **quantities: float) -> None:
        """Set what the weather station measures."""
        names = {"humidity": "Humidity", "wind_speed": "WindSpeed"}
        for quantity, value in quantities.items():
            name = names[quantity]
            self.observatory.put(f"observingconditions/0/{name.lower()}", **{name: value})


class SimulatedRig:
    """The package's own simulated observatory, a hundred times faster than life."""

    def __init__(self, folder: Path) -> None:
        from toros.simulation.observatory.world import World

        night = datetime(2026, 6, 10, 4, 0, tzinfo=UTC)
        clock = SimulatedClock(datetime.now(UTC), night, rate=100.0)
        self.world = World(folder, clock, (-67.33, -24.63, 4637.0))
        self.target = Pointing(260.0, -30.0)

    def open(self, kind: str) -> Any:
        """Open a device; it is not connected yet."""
        return getattr(self.world, kind)()

    def shutter(self) -> ShutterState:
        """Return what the shutter itself is."""
        dome = self.world.dome()
        dome.connect()
        return dome.shutter()

    def set_safe(self, safe: bool) -> None:
        """Set the safety monitor's word."""
        self.world.set_weather(safe=safe)

    def set_weather(self, **quantities: float) -> None:
        """Set what the weather station measures."""
        self.world.set_weather(**quantities)


def eventually(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait until something holds; fail when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)
