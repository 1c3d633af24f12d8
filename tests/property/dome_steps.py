"""A dome's control loop without threads: it works in steps, at a time of its own."""

from __future__ import annotations

import queue
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from tests.unit.dome.devices import MemoryDome, MemoryMount, late
from toros.devices.protocols import ShutterState
from toros.dome.hands import Call, Crew, Hand, Poller
from toros.dome.journal import Journal, Scribe, Written
from toros.dome.memory import Memory, Remembered
from toros.errors import TorosError

T = TypeVar("T")

STEP_S = 0.2
_SCRIBE = Scribe()


class Hangs(BaseException):
    """A call that does not come back yet; nothing that catches errors is to catch it.

    Parameters
    ----------
    rest : callable, optional
        What is left of it once it was sent: it is on its way, and nobody can take it back.
    """

    def __init__(self, rest: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.rest = rest


class StepHand(Hand):
    """Makes its calls when `work` is called; one that hangs ends when it no longer does."""

    begun = 0
    begun_s = 0.0
    on_its_way: Callable[[], None] | None = None
    """The rest of a command that was sent and hangs."""

    def begin(self, what: str, call: Callable[[], None]) -> Call:
        self.begun += 1
        self.begun_s = self._now()
        return super().begin(what, call)

    def work(self) -> None:
        kept: list[tuple[Call, Callable[[], None]]] = []
        while True:
            try:
                begun, call = self._work.get_nowait()
            except queue.Empty:
                break
            if kept:
                kept.append((begun, call))
                continue
            try:
                self.carry_out(begun, call)
            except Hangs as hang:
                kept.append((begun, hang.rest or call))
                self.on_its_way = hang.rest
        if not kept:
            self.on_its_way = None
        for item in kept:
            self._work.put(item)


class StepPoller(Poller[T]):
    """Asks when `ask` is called."""

    running = False

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def ask(self) -> None:
        with suppress(Hangs):
            super().ask()


class StepCrew(Crew):
    """Hands and pollers that work when the test says so, at the test's time."""

    def __init__(self, moment: list[float]) -> None:
        super().__init__(lambda: moment[0])
        self.hands: list[StepHand] = []
        self.pollers: list[StepPoller[Any]] = []

    def hand(self, name: str) -> Hand:
        self.hands.append(StepHand(name, self.now))
        return self.hands[-1]

    def poller(self, name: str, read: Callable[[], T], period_s: float) -> Poller[T]:
        made: StepPoller[T] = StepPoller(name, read, period_s, self.now)
        self.pollers.append(made)
        return made

    def wait(self, happens: Any, timeout_s: float) -> bool:
        self.work()
        return bool(happens.is_set())

    def work(self) -> None:
        for hand in self.hands:
            hand.work()

    def ask(self) -> None:
        for poller in self.pollers:
            if poller.running:
                poller.ask()

    def pending(self, name: str) -> bool:
        """Whether a call of such a hand is under way."""
        return any(not hand.free for hand in self.hands if hand.name.startswith(name))

    def on_their_way(self) -> list[Callable[[], None]]:
        """Return what is left of the commands that were sent and hang."""
        return [hand.on_its_way for hand in self.hands if hand.on_its_way is not None]


class StepDome(MemoryDome):
    """A dome with faults, which keeps a record of what it was told while it moved.

    It is judged when a command is sent. One that hangs arrives later, whatever moves by then,
    and even when the daemon that has sent it is gone.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(travel_s=5.0, speed=20.0, now=now)
        self.hung: set[str] = set()
        self.lost: set[str] = set()
        self.wrongs: list[str] = []
        self.opens_sent = 0
        self.orphans: list[Callable[[], None]] = []
        self.closed_s = now()

    def look(self) -> None:
        """Note that it is closed, if so; take what daemons that are gone have sent."""
        if self.fraction() <= 0.0:
            self.closed_s = self.now()
        orphans, self.orphans = self.orphans, []
        for orphan in orphans:
            try:
                with suppress(TorosError):
                    orphan()
            except Hangs:
                self.orphans.append(orphan)

    def _call(self, what: str, *, move: bool = True) -> None:
        name = what.split(maxsplit=1)[0]
        if name in self.hung:
            raise Hangs
        super()._call(what, move=move)

    def _arrive(self, name: str, command: Callable[[], None]) -> None:
        try:
            command()
        except Hangs:
            raise Hangs(lambda: self._arrive(name, command)) from None
        if name in self.lost:
            raise late()

    def open_shutter(self) -> None:
        self.opens_sent += 1
        if 0.0 < self.fraction() < 1.0:
            self.wrongs.append("told to open while the shutter moves")
        self._arrive("open_shutter", super().open_shutter)

    def close_shutter(self) -> None:
        self._arrive("close_shutter", super().close_shutter)

    def slew_to_azimuth(self, azimuth: float) -> None:
        if self.now() - self.turned_s < 18.0 and self.azimuth_now() != self.target_deg:
            self.wrongs.append("told to turn while it turns")
        turn = super().slew_to_azimuth
        self._arrive("slew_to_azimuth", lambda: turn(azimuth))

    def azimuth_now(self) -> float:
        return super()._azimuth()


class StepMount(MemoryMount):
    """A mount whose calls may hang."""

    hung = False

    def connected(self) -> bool:
        if self.hung:
            raise Hangs
        return True


class NoJournal(Journal):
    """Keeps nothing."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"), _SCRIBE)

    def write(self, entry: Any) -> Written:
        done = Written()
        done.end()
        return done


class StepMemory(Memory):
    """Outlasts restarts without a disk."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"), _SCRIBE)
        self.kept = Remembered()

    def load(self) -> Remembered:
        return self.kept

    def save(self, remembered: Remembered) -> Written:
        self.kept = remembered
        done = Written()
        done.end()
        return done


__all__ = ["STEP_S", "NoJournal", "ShutterState", "StepCrew", "StepDome", "StepMemory", "StepMount"]
