"""The telescope as a daemon: ``toros-telescope``."""

from __future__ import annotations

import hashlib
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from toros import clock
from toros.clock import Clock
from toros.config import Device, Settings
from toros.database.exposures import TakenExposures
from toros.database.messages import Messages
from toros.database.session import Database
from toros.frontdesk.outbox import Outbox, front_desks, web
from toros.frontdesk.process import Daemon, Terms, command
from toros.logs import LogHandle
from toros.simulation.hardware import open_device
from toros.telescope.aiming import Aiming
from toros.telescope.backlog import Backlog
from toros.telescope.calibrating import Calibrator
from toros.telescope.camera_work import CameraWork
from toros.telescope.control import Control
from toros.telescope.cooling import Cooling
from toros.telescope.dome_link import DomeLink, Roof
from toros.telescope.engine import Engine
from toros.telescope.exposures import ExposureStore
from toros.telescope.focusing import Focusing
from toros.telescope.hardware import Devices, Hardware
from toros.telescope.memory import Memory
from toros.telescope.observing import Observer
from toros.telescope.parts import Parts
from toros.telescope.planner import Planner
from toros.telescope.record import NightRecord
from toros.telescope.recovery import Recovery
from toros.telescope.replanning import Replanning
from toros.telescope.requests import Resources, registry
from toros.telescope.target_queue import TargetQueue
from toros.telescope.targets import TargetBook
from toros.telescope.telling import Telling

log = logging.getLogger(__name__)

_ORDERS_AT_A_TIME = 6
_SILENCE_LIMIT_S = 90.0


def terms(settings: Settings) -> Terms:
    """Check the telescope's settings and say what its worker needs.

    Raises
    ------
    ConfigurationError
    """
    rehearsal = settings.rehearsal
    ticking = clock.of_rehearsal(rehearsal.anchor, rehearsal.start, rehearsal.rate)
    planner = Planner(settings, ticking)
    return Terms(
        orders_at_a_time=_ORDERS_AT_A_TIME,
        stop_timeout_s=settings.telescope.stop_timeout_s,
        reserve_bytes=int(settings.telescope.free_space_reserve_mb * 1e6),
        resources=partial(_resources, settings, ticking, planner),
        silence_limit_s=_SILENCE_LIMIT_S,
    )


@contextmanager
def _resources(
    settings: Settings, ticking: Clock, planner: Planner, _log: LogHandle, database: Database
) -> Iterator[Resources]:
    telescope = settings.telescope
    dome = DomeLink(settings.service("dome").http, _holder(settings))
    parts, book, outbox = assemble(settings, ticking, database, dome, planner)
    engine = None
    parts.targets.on_news = parts.replanning.want
    if telescope.stage > 1:
        engine = Engine(parts, Recovery(parts, database, book))
        parts.targets.on_news = lambda: _news(parts, engine)
        engine.start()
    resources = Resources(parts, engine, book, planner, outbox)
    try:
        yield resources
    finally:
        if engine is not None and not engine.stop(telescope.stop_timeout_s):
            log.warning("the telescope did not come to an end in time")
        resources.close()


def _news(parts: Parts, engine: Engine) -> None:
    """Have new targets seen at once, and the night planned anew."""
    parts.replanning.want()
    engine.wake()


def _holder(settings: Settings) -> str:
    """Name the holder of the lease: the same after a restart, and no other telescope's."""
    text = f"{socket.gethostname()}:{settings.state_folder}"
    return f"telescope-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def assemble(
    settings: Settings,
    ticking: Clock,
    database: Database,
    dome: Roof,
    planner: Planner | None = None,
) -> tuple[Parts, TargetBook, Outbox]:
    """Put a telescope's parts together; nothing is begun.

    Parameters
    ----------
    settings : Settings
    ticking : Clock
    database : Database
    dome : Roof
        The way to the dome.
    planner : Planner, optional
    """
    outbox = Outbox(
        Messages(database, "telescope", clock.REAL),
        {
            "front_desk": front_desks("telescope", lambda name: settings.service(name).http),
            "web": web("telescope"),
        },
    )
    book = TargetBook(database, ticking)
    planner = planner or Planner(settings, ticking)
    telescope = settings.telescope
    taken = TakenExposures(database, ticking)
    assert telescope.exposures_folder is not None
    store = ExposureStore(
        telescope.exposures_folder,
        taken,
        reserve_bytes=int(telescope.free_space_reserve_mb * 1e6),
        rules=settings.preprocessor.header_rules,
        frame_limit_mpixel=settings.preprocessor.sources.frame_limit_mpixel,
    )
    backlog = Backlog(database)
    memory = Memory(settings.state_folder / "telescope-memory.json", telescope.stage)
    control = Control(dome)
    devices = _devices(settings, ticking)
    hardware = Hardware(devices, telescope.filters, ticking, control.pulse, control.beat)
    camera = CameraWork(hardware, store, settings, ticking, lambda: dome.view.azimuth_deg)
    telling = Telling(outbox, settings, store, taken)
    targets = TargetQueue(book, planner, backlog, ticking, telling.target, store.folder)
    observer = Observer(settings, planner.site, hardware, camera, control, targets, ticking)
    cooling = Cooling(settings, hardware, ticking)
    observer.is_cool = cooling.is_done
    if telescope.pointing.solve:
        observer.correct = Aiming(settings, hardware, camera, observer)
    record = NightRecord(backlog, ticking, memory, telling.night)
    parts = Parts(
        settings=settings,
        clock=ticking,
        planner=planner,
        hardware=hardware,
        camera=camera,
        control=control,
        dome=dome,
        observer=observer,
        calibrator=Calibrator(settings, hardware, camera, observer, ticking),
        focusing=Focusing(settings, hardware, camera, observer),
        targets=targets,
        replanning=Replanning(planner, targets, record, camera, ticking),
        record=record,
        telling=telling,
        backlog=backlog,
        store=store,
        memory=memory,
        cooling=cooling,
    )
    return parts, book, outbox


def _devices(settings: Settings, ticking: Clock) -> Devices:
    telescope = settings.telescope
    if telescope.stage == 1:
        return Devices()

    def opened(kind: str, chosen: Device) -> Any:
        return open_device(kind, chosen, settings, ticking)

    return Devices(
        mount=opened("mount", telescope.mount),
        camera=opened("camera", telescope.camera),
        wheel=opened("filter_wheel", telescope.filter_wheel),
        focuser=opened("focuser", telescope.focuser),
        cover=opened("cover", telescope.cover),
    )


main = command(Daemon(registry, terms))

if __name__ == "__main__":
    main()
