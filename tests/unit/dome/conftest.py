"""A control loop over devices in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.dome.devices import MemoryDome, MemoryMount, Sky, Sun
from toros import clock
from toros.config.enclosure import Dome
from toros.devices.protocols import ShutterState
from toros.dome.controller import Controller, Parts
from toros.dome.journal import Journal, Scribe
from toros.dome.ledger import Ledger
from toros.dome.memory import Memory


def until(happens: Callable[[], object], timeout_s: float = 10.0) -> object:
    """Wait for what is bound to come."""
    deadline = time.monotonic() + timeout_s
    while not (come := happens()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return come


class Bench:
    """A controller and all that it works with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dome = MemoryDome()
        self.mount: MemoryMount | None = None
        self.sky, self.sun = Sky(), Sun()
        self.settings = Dome(shutter_timeout_s=3.0, turn_timeout_s=3.0)
        self.forbidden: str | None = None
        self.controllers: list[Controller] = []
        self.started_s = 0.0

    def change(self, **settings: Any) -> None:
        """Change settings, out of their bounds if need be: a lease of a second."""
        self.settings = self.settings.model_copy(update=settings)

    def start(self) -> Controller:
        scribe = Scribe()
        self.journal = Journal(self.folder / "journal.jsonl", scribe)
        parts = Parts(
            dome=self.dome,
            mount=self.mount,
            verdict=lambda: self.sky,
            outside=self.sun.outside,
            clock=clock.REAL,
            ledger=Ledger(self.journal),
            memory=Memory(self.folder / "mode.json", scribe),
        )
        controller = Controller(self.settings, parts, self.forbidden)
        self.controllers.append(controller)
        self.started_s = time.monotonic()
        controller.start()
        until(lambda: controller.watch.shutter.reading or self.dome.hang.get("shutter"))
        until(lambda: controller.watch.body.reading or self.dome.hang or self.dome.fail)
        return controller

    def crash(self) -> None:
        """End the last controller as kill -9 would: nothing is closed."""
        controller = self.controllers[-1]
        controller._ending.set()
        controller._thread.join(5.0)
        controller.watch.stop()
        controller._window.stop()

    def opened(self) -> Controller:
        """Start, and open for the lease of the night."""
        controller = self.start()
        self.renew()
        opening = controller.open("night", for_lease=True)
        assert opening.done.wait(5.0)
        assert opening.error is None
        return controller

    def renew(self, holder: str = "night", azimuth_deg: float | None = None) -> None:
        controller = self.controllers[-1]
        from toros.clock import boot_time

        controller.rights.renew(holder, boot_time(), None, 45.0, azimuth_deg)

    def is_closed(self) -> bool:
        return self.dome.shutter() is ShutterState.CLOSED

    def until_closed(self, timeout_s: float = 10.0) -> None:
        until(self.is_closed, timeout_s)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for event in made.dome.hang.values():
        event.set()
    made.dome.hang.clear()
    for controller in made.controllers:
        controller._ending.set()
        controller.watch.stop()
        controller._window.stop()
