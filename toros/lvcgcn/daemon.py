"""The alert robot as a daemon: ``toros-lvcgcn``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from toros import clock
from toros.clock import Clock
from toros.config import Settings
from toros.database.alerts import Alerts
from toros.database.messages import Messages
from toros.database.session import Database
from toros.frontdesk.outbox import Outbox
from toros.frontdesk.process import Daemon, Terms, command
from toros.logs import LogHandle
from toros.lvcgcn.catalogues import CatalogueInUse
from toros.lvcgcn.maps import Maps
from toros.lvcgcn.observatories import observatories_of
from toros.lvcgcn.picture import Pictures
from toros.lvcgcn.reception.archive import Archive
from toros.lvcgcn.reception.reception import Reception
from toros.lvcgcn.relay import SERVICE, Relay, carriers
from toros.lvcgcn.requests import Resources, registry
from toros.lvcgcn.robot import Robot
from toros.lvcgcn.tidying import Tidying
from toros.lvcgcn.warming import warm_up

log = logging.getLogger(__name__)

_ORDERS_AT_A_TIME = 2
_RESERVE_BYTES = 100_000_000


def terms(settings: Settings) -> Terms:
    """Check the alert robot's settings and say what its worker needs."""
    rehearsal = settings.rehearsal
    ticking = clock.of_rehearsal(rehearsal.anchor, rehearsal.start, rehearsal.rate)
    return Terms(
        orders_at_a_time=_ORDERS_AT_A_TIME,
        stop_timeout_s=settings.lvcgcn.stop_timeout_s,
        reserve_bytes=_RESERVE_BYTES,
        resources=partial(_resources, settings, ticking),
    )


@contextmanager
def _resources(
    settings: Settings, ticking: Clock, _log: LogHandle, database: Database
) -> Iterator[Resources]:
    shared = assemble(settings, ticking, database)
    if not shared.observatories:
        log.warning(
            "no targets can be made: the configuration gives no place of an observatory, neither "
            "under Observatory nor under Other Observatories"
        )
    # Before there is a database: what comes meanwhile is archived, and handled later.
    shared.reception.start()
    threading.Thread(
        target=warm_up, args=(shared.catalogue, shared.observatories, ticking), daemon=True
    ).start()
    try:
        yield shared
    finally:
        shared.close()


def assemble(settings: Settings, ticking: Clock, database: Database) -> Resources:
    """Put a robot's parts together; nothing is begun."""
    observatories = observatories_of(settings)
    folder = settings.state_folder / "alerts"
    archive = Archive(folder, clock.REAL)
    pictures = Pictures()
    outbox = Outbox(
        Messages(database, SERVICE, clock.REAL), carriers(settings, observatories, pictures.of)
    )
    alerts = Alerts(database, ticking)
    relay = Relay(settings, observatories, outbox)
    section = settings.lvcgcn
    assert section.galaxies.catalogue is not None
    catalogue = CatalogueInUse(section.galaxies.catalogue, folder / "packaged", ticking)
    robot = Robot(
        settings, archive, alerts, relay, catalogue, Maps(section.sky_maps), observatories,
        ticking, pictures.want,
    )  # fmt: skip
    tidying = Tidying(archive.folder, alerts, section.mock_days_kept, ticking)
    reception = Reception(section, archive, clock.REAL, robot.wake)
    return Resources(
        settings, ticking, database, observatories, alerts, outbox, relay, reception, robot,
        pictures, catalogue, tidying,
    )  # fmt: skip


main = command(Daemon(registry, terms))

if __name__ == "__main__":
    main()
