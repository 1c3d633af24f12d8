"""A telescope and a dome of real parts in one process, at accelerated time, that can be killed."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from tests.property.dome_steps import NoJournal, StepMemory
from tests.unit.telescope.night_parts import SITE, settings_in
from tests.unit.telescope.observing import prepared
from toros import clock
from toros.clock import SimulatedClock
from toros.config import Settings
from toros.config.enclosure import Dome as DomeSettings
from toros.database.orders import Orders
from toros.database.session import Database
from toros.devices.protocols import Horizontal
from toros.dome import report
from toros.dome.controller import Controller, Parts
from toros.dome.ledger import Ledger
from toros.dome.opening import Opening
from toros.errors import DatabaseUnavailable, DeviceUnreachable, DomeNotOpen, TorosError
from toros.frontdesk import common
from toros.frontdesk.access import Access
from toros.frontdesk.desk import FrontDesk
from toros.frontdesk.server import Caller
from toros.frontdesk.worker import Worker
from toros.simulation.observatory import World
from toros.simulation.observatory.settings import WorldSettings
from toros.sky.almanac import Night
from toros.telescope import scheduling
from toros.telescope.daemon import assemble
from toros.telescope.dome_link import DomeView
from toros.telescope.engine import Engine
from toros.telescope.planner import Planner
from toros.telescope.recovery import Recovery
from toros.telescope.requests import Resources, registry
from toros.telescope.scheduling import Plan
from toros.telescope.targets import TargetRow
from toros.workorders.dome import CloseDome

RATE = 500.0
LEASE_S = 2.0
"""Of the dome's lease, shorter than a configuration may have it [real s]."""
SAFE_S = 0.2
"""How long the weather has to be good before the dome may be opened [real s]."""
HOLDER = "telescope"
_RENEW_S = 0.1
_HANG_S = 0.3
ME = Caller(None, "127.0.0.1")
HARDWARE = WorldSettings(
    shape=(32, 32), mount_speed_deg_s=8.0, dome_speed_deg_s=8.0, faintest_v_mag=8.0
)


class Killed(BaseException):
    """The process is dead; nothing that catches errors is to catch it."""


class Life:
    """Whether a process lives: once it is dead it reaches neither devices nor database."""

    dead = False

    def check(self) -> None:
        if self.dead:
            raise Killed


class MortalClock(SimulatedClock):
    """The time of one process; each device asks it for the time of whatever it does."""

    def __init__(self, like: SimulatedClock, life: Life) -> None:
        super().__init__(like.anchor, like.start, like.rate)
        self._life = life

    def now(self) -> datetime:
        self._life.check()
        return super().now()

    def monotonic(self) -> float:
        self._life.check()
        return super().monotonic()


class MortalDatabase(Database):
    """The database as one process sees it; it may be away, and a dead process commits nothing."""

    def __init__(self, url: str, life: Life, is_away: Callable[[], bool]) -> None:
        super().__init__(url)
        self._life, self._is_away = life, is_away

    @contextmanager
    def reading(self) -> Iterator[Session]:
        self._reach()
        with super().reading() as session:
            yield session
            self._life.check()

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Session]:
        self._reach()
        with super().writing(durable=durable) as session:
            yield session
            session.flush()
            self._reach()

    def _reach(self) -> None:
        self._life.check()
        if self._is_away():
            self.trouble = "it is away"
            raise DatabaseUnavailable(self.trouble)


class WorldSky:
    """The weather's verdict, out of the world's weather."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._bad_s = time.monotonic() - SAFE_S
        self._good = True

    def look(self) -> WorldSky:
        self.known = self._world.faults.active("safety_monitor", "stale") is None
        self.safe = self.known and self._world.weather().safe
        if not self.safe:
            self._bad_s = time.monotonic()
        self.may_open = self.safe and time.monotonic() - self._bad_s >= SAFE_S
        self.reasons = () if self.may_open else ("the weather",)
        return self

    def plain(self) -> dict[str, object]:
        return {"known": self.known, "safe": self.safe, "reasons": list(self.reasons)}

    known = safe = may_open = False
    reasons: tuple[str, ...] = ()


class DomeSide:
    """The dome's control loop, which can be killed and started anew."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._memory = StepMemory()
        self._settings = DomeSettings(
            shutter_timeout_s=2.0, turn_timeout_s=3.0, park_timeout_s=2.0
        ).model_copy(update={"lease_s": LEASE_S})
        self.start()

    def start(self) -> None:
        life = self._life = Life()
        ticking = self._world.clock
        assert isinstance(ticking, SimulatedClock)
        mine = World(self._world.folder, MortalClock(ticking, life), SITE)
        dome, mount = mine.dome(_HANG_S), mine.mount(_HANG_S)  # connected when they are used
        sky = WorldSky(mine)
        self.controller = Controller(
            self._settings,
            Parts(
                dome=dome, mount=mount, verdict=sky.look, outside=lambda: None, clock=mine.clock,
                ledger=Ledger(NoJournal()), memory=self._memory,
            ),
        )  # fmt: skip
        self.controller.start()

    @property
    def dead(self) -> bool:
        return self._life.dead

    def kill(self) -> None:
        """End it as kill -9 would."""
        self._life.dead = True
        controller = self.controller
        controller._ending.set()
        controller.watch.stop()
        controller._window.stop()
        controller._thread.join(5.0)
        assert not controller._thread.is_alive()


class Link:
    """The telescope's way to the dome (`toros.telescope.dome_link.Roof`), without a network."""

    def __init__(self, side: DomeSide, life: Life, is_away: Callable[[], bool]) -> None:
        self._side, self._life, self._is_away = side, life, is_away
        self._openings: list[Opening] = []
        self._last = -1e9
        self._orders = 0
        self.wants_lease: bool | None = None
        self.view = DomeView()

    def is_due(self) -> bool:
        self._life.check()
        return time.monotonic() - self._last >= _RENEW_S

    def renew(self, pointing: Horizontal | None, *, now: bool = False) -> DomeView:
        self._life.check()
        if not now and not self.is_due():
            return self.view
        self._last = time.monotonic()
        try:
            self.view = self._renewed(pointing)
        except TorosError as error:
            self.view = DomeView(reasons=(error.message,), heard_at=time.monotonic())
        return self.view

    def _renewed(self, pointing: Horizontal | None) -> DomeView:
        with self._reached() as controller:
            if self.wants_lease is not None:
                where = pointing if self.wants_lease else None
                controller.rights.renew(
                    HOLDER,
                    controller.now(),
                    None if self.wants_lease else 0.0,
                    None if where is None else where.altitude_deg,
                    None if where is None else where.azimuth_deg % 360.0 % 360.0,
                )
            return _view(report.state(controller))

    @contextmanager
    def _reached(self) -> Iterator[Controller]:
        """Reach the dome's daemon, if it lives and the way to it is there."""
        self._life.check()
        if self._is_away() or self._side.dead:
            raise DeviceUnreachable("the dome is away")
        try:
            yield self._side.controller
        except Killed:
            self._life.check()
            raise DeviceUnreachable("the dome has died in the midst of a call") from None

    def open(self) -> str:
        try:
            with self._reached() as controller:
                self._openings.append(controller.open(HOLDER, for_lease=True))
        except TorosError as error:
            raise DomeNotOpen(error.message) from error
        return str(len(self._openings) - 1)

    def close(self) -> None:
        self._life.check()
        self.wants_lease = False
        self._orders += 1
        order = CloseDome(id=f"{id(self)}-{self._orders}", holder=HOLDER)
        with suppress(TorosError), self._reached() as controller:
            controller.close(order, "")

    def outcome(self, order_id: str) -> tuple[str, str]:
        self._life.check()
        opening = self._openings[int(order_id)]
        if not opening.done.is_set():
            return "running", ""
        error = opening.error
        return ("done", "") if error is None else ("failed", error.message)


def _view(told: dict[str, Any]) -> DomeView:
    weather = told["weather"]
    return DomeView(
        shutter=str(told["shutter"] or "unknown"),
        azimuth_deg=told["azimuth"],
        turning=bool(told["slewing"]),
        safe=weather["safe"],
        may_open=_may_open(told),
        mode=told["mode"],
        fault=told["error"],
        reasons=tuple(told["not_open_because"]),
        heard_at=time.monotonic(),
    )


def _may_open(told: dict[str, Any]) -> bool:
    return told["weather"]["reasons"] == [] and told["outside_window"] is None


class QuickPlanner(Planner):
    """Plans the night with a search that is cut short: it is not what is tested here."""

    def plan_night(self, rows: Sequence[TargetRow], night: Night) -> Plan:
        targets = [self.target(row) for row in rows]
        return scheduling.plan(
            targets, self.site, self._clock.now(), night.end, self.constraints, self.slew,
            iterations=5,
        )  # fmt: skip


class TelescopeSide:
    """The telescope's daemon: front desk, worker, engine; all real but the network."""

    def __init__(self, scene: Scene) -> None:
        self.life = Life()
        self.clock = MortalClock(scene.clock, self.life)
        self.database = MortalDatabase(scene.url, self.life, lambda: scene.database_away)
        self.roof = Link(scene.dome, self.life, lambda: scene.link_away)
        settings = scene.settings
        self.parts, self.book, outbox = assemble(
            settings, self.clock, self.database, self.roof, QuickPlanner(settings, self.clock)
        )
        self.engine = Engine(self.parts, Recovery(self.parts, self.database, self.book))
        self.parts.targets.on_news = self._news
        self.resources = Resources(self.parts, self.engine, self.book, self.parts.planner, outbox)
        orders = Orders(self.database, "telescope", "test", clock.REAL)
        self.worker = Worker(registry, settings, orders, self.resources, 6)
        self.desk = FrontDesk(
            registry, common.registry, settings, orders, Access(()), clock.REAL, self.worker.wake, 0
        )
        self.desk.resources = self.resources
        self.engine.start()
        self.desk.database_is_ready = False
        self._started: list[object] = []
        self.begin()

    def _news(self) -> None:
        self.parts.replanning.want()
        self.engine.wake()

    def begin(self) -> None:
        """Take up the database if it is there, as the daemon's main thread does."""
        if self.desk.database_is_ready:
            return
        try:
            self.database.probe()
            if not self._started:
                # The outbox is left out: nobody listens.
                self.parts.store.start()
                self.parts.backlog.start()
                self.parts.targets.start()
                self.parts.replanning.start()
                self.parts.ready.set()
                self.engine.wake()
                self._started.append(True)
            self.worker.start()
        except DatabaseUnavailable:
            return
        self.desk.database_is_ready = True

    def stop(self) -> None:
        """End in order, as SIGTERM would."""
        self.desk.stopping.set()
        assert self.worker.stop(10.0)
        assert self.engine.stop(20.0)
        self._end()

    def kill(self) -> None:
        """End it as kill -9 would: what it was at does not go on."""
        self.life.dead = True
        self.parts.control.stopping.set()
        self.engine.wake()
        self.worker.stop(0.0)  # its threads die at the next thing they do
        self.engine._thread.join(5.0)
        assert not self.engine._thread.is_alive()
        self._end()

    def _end(self) -> None:
        if self._started:
            self.parts.replanning.stop()
            self.parts.targets.stop()
            self.parts.backlog.stop(0.0 if self.life.dead else 2.0)
            self.parts.store.close()
        self.database.close()


class Scene:
    """The observatory and its two daemons.

    Parameters
    ----------
    folder : Path
    template : Path
        An empty database with all tables.
    start : datetime
        Of the simulated time.
    stage : int
    """

    def __init__(self, folder: Path, template: Path, start: datetime, stage: int) -> None:
        self.folder = folder
        self.clock = SimulatedClock(datetime.now(UTC), start, RATE)
        self.settings: Settings = settings_in(folder, self.clock, Stage=stage, **_TIMEOUTS)
        shutil.copy(template, folder / "toros.db")
        self.url = f"sqlite:///{folder / 'toros.db'}"
        self.world = World(folder / "simulation", self.clock, SITE, HARDWARE)
        self.world.set_weather(safe=True)
        self.database_away = self.link_away = False
        self.dome = DomeSide(self.world)
        self.telescope: TelescopeSide | None = TelescopeSide(self)
        self.reader = Database(self.url)

    def start(self) -> None:
        assert self.telescope is None
        self.telescope = TelescopeSide(self)

    def end(self) -> None:
        if self.telescope is not None:
            self.telescope.kill()
        self.dome.kill()
        self.reader.close()


_SIMULATED = {"Driver": "simulated", "Timeout (s)": _HANG_S}
_TIMEOUTS = dict.fromkeys(("Mount", "Camera", "Filter Wheel", "Focuser", "Cover"), _SIMULATED)


def template_in(folder: Path) -> Path:
    """Make an empty database with all tables, to be copied."""
    path = folder / "template.db"
    database = prepared(f"sqlite:///{path}")
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


def quiet_threads() -> Callable[[], None]:
    """Let killed threads die without a word; return what undoes that."""
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if not isinstance(arguments.exc_value, Killed):
            before(arguments)

    threading.excepthook = hook

    def undo() -> None:
        for thread in threading.enumerate():  # the last to notice their death are the workers
            if thread.name.startswith(("worker-", "monitor")):
                thread.join(5.0)
        threading.excepthook = before

    return undo
