"""A telescope of simulated devices in one process, for the tests of its night."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.unit.telescope.observing import prepared
from toros import config
from toros.clock import SimulatedClock
from toros.config import Settings
from toros.database.messages import Messages
from toros.database.models import WorkOrder
from toros.database.session import Database
from toros.devices.protocols import Horizontal, ShutterState
from toros.errors import DomeNotOpen
from toros.frontdesk.outbox import Outbox
from toros.simulation.observatory import World
from toros.sky.observability import LocalSky
from toros.sky.site import Site
from toros.telescope.daemon import assemble
from toros.telescope.dome_link import DomeView
from toros.telescope.engine import Engine
from toros.telescope.parts import Parts
from toros.telescope.recovery import Recovery
from toros.telescope.targets import TargetBook, TargetRow
from toros.workorders.telescope import Observation

SITE = Site(-67.33, -24.63, 4637.0)
DARK = datetime(2026, 6, 11, 2, 0, tzinfo=UTC)
"""In mid-night."""


class Roof:
    """A dome's daemon in few lines: the simulated dome, opened and closed at once by request."""

    def __init__(self, world: World) -> None:
        self._dome = world.dome()
        self._dome.connect()
        self.wants_lease: bool | None = None
        self.safe = True
        self.view = DomeView()
        self._last = 0.0

    def is_due(self) -> bool:
        return time.monotonic() - self._last > 0.02

    def renew(self, pointing: Horizontal | None, *, now: bool = False) -> DomeView:
        self._last = time.monotonic()
        shutter = self._dome.shutter()
        if not (self.safe and self.wants_lease) and shutter is ShutterState.OPEN:
            self._dome.close_shutter()
        elif pointing is not None and shutter is ShutterState.OPEN and not self._dome.slewing():
            off = abs(((self._dome.azimuth() or 0.0) - pointing.azimuth_deg + 180) % 360 - 180)
            if off > 2.0:
                self._dome.slew_to_azimuth(pointing.azimuth_deg % 360.0)
        self.view = DomeView(
            shutter=str(self._dome.shutter()),
            azimuth_deg=self._dome.azimuth(),
            turning=self._dome.slewing(),
            safe=self.safe,
            may_open=self.safe,
            mode="automatic",
            reasons=() if self.safe else ("clouds",),
            heard_at=time.monotonic(),
        )
        return self.view

    def open(self) -> str:
        if not self.safe:
            raise DomeNotOpen("clouds")
        self._dome.open_shutter()
        return "opening"

    def close(self) -> None:
        self.wants_lease = False
        self._dome.close_shutter()

    def outcome(self, order_id: str) -> tuple[str, str]:
        return "running", order_id


class Patience:
    """An order that waits for its target."""

    def __init__(self) -> None:
        self.cancelled = False
        self.result: dict[str, Any] | None = None
        self.error: Exception | None = None
        self.notes: list[float] = []

    def finish(self, result: dict[str, Any]) -> None:
        self.result = result

    def fail(self, error: Exception, result: dict[str, Any] | None = None) -> None:
        self.error, self.result = error, result

    def note(self, fraction: float, text: str) -> None:
        self.notes.append(fraction)

    @property
    def ended(self) -> bool:
        return self.result is not None or self.error is not None


@dataclass
class Observatory:
    """What a test works with."""

    world: World
    database: Database
    parts: Parts
    book: TargetBook
    roof: Roof
    engine: Engine
    messages: Messages
    outbox: Outbox

    def wait(self, is_so: Callable[[], object], what: str, limit_s: float = 15.0) -> None:
        deadline = time.monotonic() + limit_s
        while not is_so():
            state = self.parts.record
            assert time.monotonic() < deadline, f"{what}: {state.state}: {state.message}"
            time.sleep(0.01)

    def wait_for_state(self, *states: str) -> None:
        self.wait(lambda: self.parts.record.state in states, f"waited for {states}")

    def parked(self) -> bool:
        mount = self.world.mount()
        mount.connect()
        return mount.at_park()

    def high_ra(self) -> float:
        """Return the right ascension of what has just passed the meridian [deg]."""
        sky = LocalSky(SITE, self.parts.clock.now())
        sidereal = float(sky.hour_angle(sky.place([0.0], [0.0]))[0, 0]) * 15.0
        return (sidereal - 5.0) % 360.0

    def order(self, number: int, **changes: Any) -> tuple[TargetRow, Patience]:
        """Enter a target that is high now, and let an order wait for it."""
        values: dict[str, Any] = {
            "ra": (self.high_ra() - number % 20) % 360.0,
            "dec": -30.0,
            "target": f"field {number}",
            "filter": "R",
            "exposure_time": 20.0,
            "number_of_exposures": 2,
        }
        row = enter(self.database, self.book, number, **{**values, **changes})
        waits = Patience()
        assert row.work_order_id is not None
        self.parts.targets.expect(row.work_order_id, waits)
        return row, waits


def enter(database: Database, book: TargetBook, number: int, **values: Any) -> TargetRow:
    """Enter the target of an order, with the order's own row."""
    order = Observation.model_validate(
        {"request": "observation", "ra": 10.0, "dec": -30.0, **values}
    )
    with database.writing() as session:
        found = session.get(WorkOrder, number)
        if found is None:
            session.add(
                WorkOrder(
                    id=number, service="telescope", user="me", order_id=f"o-{number}",
                    request="observation", content={}, content_sha256="", receipt={},
                    priority=5.0, state="running", received=datetime.now(UTC),
                )
            )  # fmt: skip
    return book.add_observation(order, number, f"o-{number}", "me", 5.0)


def settings_in(folder: Path, clock: SimulatedClock, **telescope: Any) -> Settings:
    """Write and read a configuration of simulated devices."""
    simulated = {"Driver": "simulated"}
    document = {
        "Observatory": {
            "Name": "Test", "Longitude (deg)": SITE.longitude_deg,
            "Latitude (deg)": SITE.latitude_deg, "Height (m)": SITE.height_m,
        },
        "State Folder": str(folder / "state"),

        "Dome": {"Device": simulated},
        "Telescope": {
            "Stage": 3,
            **dict.fromkeys(("Mount", "Camera", "Filter Wheel", "Focuser", "Cover"), simulated),
            "Free Space Reserve (MB)": 0,
            "Calibration": {"Biases": 1, "Darks": 1, "Flats": 0},
            **telescope,
        },
        "Rehearsal": {
            "Anchor": clock.anchor.isoformat(), "Start": clock.start.isoformat(),
            "Rate": clock.rate, "Folder": str(folder / "simulation"),
        },
    }  # fmt: skip
    path = folder / "toros.conf.yaml"
    path.write_text(json.dumps(document), "utf-8")  # JSON is YAML
    return config.load(path, "telescope")


@contextmanager
def observatory(
    folder: Path,
    *,
    start: datetime = DARK,
    rate: float = 120.0,
    begin: bool = True,
    **telescope: Any,
) -> Iterator[Observatory]:
    """Run a telescope; its daemon's parts, without a front desk."""
    clock = SimulatedClock(datetime.now(UTC), start, rate)
    settings = settings_in(folder, clock, **telescope)
    database = prepared(f"sqlite:///{folder / 'toros.db'}")
    world = World(folder / "simulation", clock, SITE)
    roof = Roof(world)
    parts, book, outbox = assemble(settings, clock, database, roof)
    engine = Engine(parts, Recovery(parts, database, book))
    parts.targets.on_news = engine.wake
    parts.store.start()
    parts.backlog.start()
    parts.targets.start()
    parts.ready.set()
    made = Observatory(world, database, parts, book, roof, engine, outbox.messages, outbox)
    if begin:
        engine.start()
    try:
        yield made
    finally:
        if begin:
            assert engine.stop(30.0)
        parts.targets.stop()
        parts.replanning.stop()
        parts.backlog.stop(5.0)
        outbox.stop(1.0)
        parts.store.close()
        database.close()


def hours(number: float) -> timedelta:
    """Return a number of hours."""
    return timedelta(hours=number)
