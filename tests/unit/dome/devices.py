"""A dome, a mount and a weather in memory, in real time, with faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from toros.devices.protocols import Horizontal, PierSide, Pointing, ShutterState
from toros.errors import DeviceFault, DeviceNotConnected, DeviceTimeout


class MemoryDome:
    """A dome whose shutter takes `travel_s`, and whose azimuth turns at `speed` deg/s."""

    name = "dome in memory"
    can_turn = True
    can_park = True

    def __init__(
        self,
        *,
        opened: bool = False,
        travel_s: float = 0.3,
        speed: float = 400.0,
        now: Callable[[], float] = time.monotonic,
    ):
        self.now = now
        self.travel_s = travel_s
        self.speed = speed
        self.calls: list[tuple[float, str]] = []
        self.lock = threading.Lock()
        self.is_connected = True
        self.fail: dict[str, list[Exception]] = {}
        self.hang: dict[str, threading.Event] = {}
        self.stuck_at: float | None = None
        self.error = False
        self.azimuth_deg = 10.0
        self.target_deg = 10.0
        self.turned_s = 0.0
        self.lies_at_park = False
        self.opening_s = self.closing_s = 0.0
        self.moves_to = "open" if opened else "closed"
        self.moved_to: list[str] = []
        self.moved_s = -1e9
        self.from_open = 1.0 if opened else 0.0

    def times(self, what: str) -> list[float]:
        return [moment for moment, call in self.calls if call.startswith(what)]

    def _call(self, what: str, *, move: bool = True) -> None:
        if move:
            self.calls.append((self.now(), what))
        if (event := self.hang.get(what.split(maxsplit=1)[0])) is not None:
            event.wait(30.0)
        if failures := self.fail.get(what.split(maxsplit=1)[0]):
            raise failures.pop(0)
        if not self.is_connected and what not in ("connect", "connected"):
            raise DeviceNotConnected("the dome is not connected")

    def connect(self) -> None:
        self._call("connect")
        self.is_connected = True

    def disconnect(self) -> None:
        self.is_connected = False

    def connected(self) -> bool:
        self._call("connected", move=False)
        return self.is_connected

    def fraction(self) -> float:
        """How far it is open, 0 to 1."""
        gone = (self.now() - self.moved_s) / self.travel_s
        if self.stuck_at is not None:
            return self.stuck_at
        if self.moves_to == "open":
            return min(1.0, self.from_open + gone)
        if self.moves_to == "closed":
            return max(0.0, self.from_open - gone)
        return self.from_open

    def shutter(self) -> ShutterState:
        self._call("shutter", move=False)
        with self.lock:
            if self.error:
                return ShutterState.ERROR
            at = self.fraction()
            if self.moves_to == "open":
                return ShutterState.OPEN if at >= 1.0 else ShutterState.OPENING
            if self.moves_to == "closed":
                return ShutterState.CLOSED if at <= 0.0 else ShutterState.CLOSING
            return ShutterState.ERROR if 0.0 < at < 1.0 else ShutterState.OPEN

    def _move(self, to: str) -> None:
        with self.lock:
            self.from_open, self.moves_to, self.moved_s = self.fraction(), to, self.now()
            self.moved_to.append(to)

    def open_shutter(self) -> None:
        self._call("open_shutter")
        self._move("open")

    def close_shutter(self) -> None:
        self._call("close_shutter")
        self._move("closed")

    def azimuth(self) -> float | None:
        self._call("azimuth", move=False)
        return self._azimuth()

    def _azimuth(self) -> float:
        gone = (self.now() - self.turned_s) * self.speed
        off = (self.target_deg - self.azimuth_deg + 180) % 360 - 180
        if gone >= abs(off):
            return self.target_deg
        return (self.azimuth_deg + (gone if off > 0 else -gone)) % 360

    def slewing(self) -> bool:
        self._call("slewing", move=False)
        return self._azimuth() != self.target_deg

    def at_park(self) -> bool:
        self._call("at_park", move=False)
        return not self.lies_at_park and self._azimuth() == 0.0

    def slew_to_azimuth(self, azimuth: float) -> None:
        self._call(f"slew_to_azimuth {azimuth:.1f}")
        self.azimuth_deg = self._azimuth()
        self.target_deg, self.turned_s = azimuth, self.now()

    def park(self) -> None:
        self._call("park")
        self.azimuth_deg = self._azimuth()
        self.target_deg, self.turned_s = 0.0, self.now()

    def abort(self) -> None:
        self._call("abort")
        self.azimuth_deg = self.target_deg = self._azimuth()
        self._move("stopped" if 0.0 < self.fraction() < 1.0 else self.moves_to)


class MemoryMount:
    """A mount that parks in `park_s`, or never."""

    name = "mount in memory"

    def __init__(
        self, park_s: float | None = 0.3, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.now = now
        self.park_s = park_s
        self.parked_at_s: float | None = None
        self.calls: list[tuple[float, str]] = []

    def connect(self) -> None:
        pass

    def disconnect(self) -> None:
        pass

    def connected(self) -> bool:
        return True

    def at_park(self) -> bool:
        return self.parked_at_s is not None and self.now() >= self.parked_at_s

    def park(self) -> None:
        self.calls.append((self.now(), "park"))
        if self.park_s is None:
            raise DeviceFault("the mount does not park")
        self.parked_at_s = self.now() + self.park_s

    def slewing(self) -> bool:
        return self.parked_at_s is not None and not self.at_park()

    def pointing(self) -> Pointing:
        return Pointing(0.0, 0.0)

    def horizontal(self) -> Horizontal:
        return Horizontal(45.0, 0.0)

    def pier_side(self) -> PierSide:
        return PierSide.UNKNOWN

    def slew_to(self, target: Pointing) -> None:
        del target

    def sync_to(self, where: Pointing) -> None:
        del where

    def tracking(self) -> bool:
        return False

    def set_tracking(self, on: bool) -> None:
        del on

    def unpark(self) -> None:
        self.parked_at_s = None

    def abort(self) -> None:
        pass


@dataclass
class Sky:
    """The weather's verdict."""

    known: bool = True
    safe: bool = True
    may_open: bool = True
    reasons: tuple[str, ...] = ()

    def plain(self) -> dict[str, object]:
        return {"known": self.known, "safe": self.safe, "reasons": list(self.reasons)}

    def turn_bad(self, reason: str = "rain") -> float:
        self.safe = self.may_open = False
        self.reasons = (reason,)
        return time.monotonic()


@dataclass
class Sun:
    """Why it is not night."""

    reason: str | None = None
    asked: list[float] = field(default_factory=list)

    def outside(self) -> str | None:
        return self.reason


def late() -> DeviceTimeout:
    return DeviceTimeout("it did not answer in time")
