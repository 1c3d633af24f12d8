"""A command to open that hangs or is lost is sent once: what it has done is seen by the shutter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.dome.conftest import until
from tests.unit.dome.devices import Sky, Sun
from toros import clock
from toros.clock import SimulatedClock
from toros.config.enclosure import Dome
from toros.devices.protocols import ShutterState
from toros.dome.controller import Controller, Parts
from toros.dome.journal import Journal, Scribe
from toros.dome.ledger import Ledger
from toros.dome.memory import Memory
from toros.errors import DomeBusy
from toros.simulation.observatory import World
from toros.simulation.observatory.dome import SimulatedDome
from toros.simulation.observatory.settings import WorldSettings

_TIMEOUT_S = 0.8
_QUIET_S = 2.0


class CountedDome(SimulatedDome):
    """Counts the commands to open, whatever becomes of them."""

    opens = 0

    def open_shutter(self) -> None:
        self.opens += 1
        super().open_shutter()


class Room:
    """A controller over the simulated dome, in real time."""

    def __init__(self, folder: Path) -> None:
        start = datetime(2026, 6, 11, 2, 0, tzinfo=UTC)
        ticking = SimulatedClock(datetime.now(UTC), start, 1.0)
        hardware = WorldSettings(shutter_s=1.2, dome_turns=False)
        self.world = World(folder / "world", ticking, (-67.33, -24.63, 4637.0), hardware)
        self.dome = CountedDome(self.world, _TIMEOUT_S)
        self.dome.connect()
        scribe = Scribe()
        self.controller = Controller(
            Dome(shutter_timeout_s=4.0),
            Parts(
                dome=self.dome,
                mount=None,
                verdict=Sky,
                outside=Sun().outside,
                clock=clock.REAL,
                ledger=Ledger(Journal(folder / "journal.jsonl", scribe)),
                memory=Memory(folder / "mode.json", scribe),
            ),
        )
        self.controller.start()
        until(lambda: self.controller.watch.shutter.reading)
        until(lambda: self.controller.situation(self.controller.now()).outside_known)

    def renew(self) -> None:
        self.controller.rights.renew("night", self.controller.now(), None, None, None)

    def open(self) -> Any:
        self.renew()
        return self.controller.open("night", for_lease=True)

    def night_goes_on(self, seconds: float) -> None:
        """Let time pass in which the night keeps its lease."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.renew()
            time.sleep(0.1)

    def shutter(self) -> ShutterState:
        return self.world.dome_file.read().shutter_state(self.world.clock.monotonic())


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.world.clear_faults()
    made.controller._ending.set()
    made.controller.watch.stop()
    made.controller._window.stop()


def test_an_answer_that_comes_late_opens_once_and_it_stays_open(room: Room):
    room.world.set_fault("dome", "hangs", calls=["open_shutter"], seconds=0.6)
    opening = room.open()
    with pytest.raises(DomeBusy):
        room.open()
    room.night_goes_on(_QUIET_S)
    assert opening.done.is_set()
    assert opening.error is None
    assert room.shutter() is ShutterState.OPEN
    assert room.dome.opens == 1


@pytest.mark.parametrize(
    ("fault", "parameters"),
    [
        ("hangs", {"seconds": 60.0}),
        ("drops", {"carried_out": True}),
        ("drops", {"carried_out": False}),
        ("fails", {}),
    ],
    ids=["no answer in time", "the answer is lost", "the command is lost", "refused"],
)
def test_a_command_without_a_good_answer_closes_and_is_not_sent_again(
    room: Room, fault: str, parameters: dict[str, Any]
):
    room.world.set_fault("dome", fault, calls=["open_shutter"], **parameters)
    opening = room.open()
    until(opening.done.is_set, 4.0)
    assert opening.error is not None
    room.world.clear_faults()
    room.night_goes_on(_QUIET_S)
    assert room.shutter() is ShutterState.CLOSED
    assert room.dome.opens == 1


def test_a_shutter_that_is_moved_while_the_command_hangs_is_told_nothing_twice(room: Room):
    room.world.set_fault("dome", "hangs", calls=["open_shutter"], seconds=1.2, endless=True)
    opening = room.open()
    room.night_goes_on(0.5)
    by_hand = room.world.dome()
    by_hand.connect()
    by_hand.close_shutter()  # a person at the dome
    until(opening.done.is_set, 6.0)
    room.world.clear_faults()
    room.night_goes_on(_QUIET_S)
    until(lambda: room.shutter() is ShutterState.CLOSED)
    assert room.dome.opens == 1
