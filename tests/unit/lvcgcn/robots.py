"""A whole robot in this process: real archive, database and files; its outbox does not send."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from toros import config
from toros.clock import SimulatedClock
from toros.database import schema
from toros.database.session import Database
from toros.lvcgcn.daemon import assemble
from toros.lvcgcn.requests import Resources
from toros.simulation.notices import make_notice
from toros.simulation.sky_maps import make_sky_map

DETECTED = datetime(2026, 6, 11, 0, 12, 44, tzinfo=UTC)
MACON = {"Longitude (deg)": -67.33, "Latitude (deg)": -24.62, "Height (m)": 4637}
NORTH = {"Longitude (deg)": -97.57, "Latitude (deg)": 25.99, "Height (m)": 17}
EVENT = "S260611a"


def make_robot(
    folder: Path,
    packaged: Path,
    *,
    now: datetime = DETECTED + timedelta(minutes=5),
    **section: Any,
) -> Resources:
    """Make a robot of two observatories whose time is `now`.

    All share the packaged catalogue, which takes a second to make.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "State Folder": str(folder / "state"),
        "Logging": {"File": str(folder / "log" / "toros.log")},
        "Observatory": {"Name": "Macon", **MACON},
        "Other Observatories": [
            {"Name": "North", **NORTH, "Telescope Service HTTP": "http://127.0.0.1:9"}
        ],
        "Lvcgcn": section,
    }
    path = folder / "toros.conf.yaml"
    path.write_text(yaml.safe_dump(settings))
    loaded = config.load(path, "lvcgcn", environ={})
    (folder / "state" / "alerts").mkdir(parents=True, exist_ok=True)
    packaged.mkdir(exist_ok=True)
    (folder / "state" / "alerts" / "packaged").symlink_to(packaged)
    database = Database(loaded.database_url())
    schema.prepare(database)
    return assemble(loaded, SimulatedClock(datetime.now(UTC), now, 1.0), database)


def sky_map(area_deg2: float = 60.0, seed: int = 1) -> bytes:
    """Make a sky map around NGC 4993."""
    return make_sky_map(
        197.4487, -23.3838, 41.0, area_deg2, seed=seed, tiles=4000, event=EVENT, detected=DETECTED
    )


def notice(
    kind: Any = "PRELIMINARY",
    after_s: float = 30.0,
    content: bytes | None = None,
    event: str = EVENT,
    **more: Any,
) -> bytes:
    """Make a notice issued so long after the event."""
    if content is None and kind != "RETRACTION":
        content = sky_map()
    return make_notice(
        event, kind, DETECTED + timedelta(seconds=after_s), DETECTED, content, **more
    )


def messages_of(robot: Resources, event: str, revision: int) -> list[dict[str, Any]]:
    """Return what was recorded to be sent."""
    return robot.outbox.messages.tell(f"{event}-{revision}")
