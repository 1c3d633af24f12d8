"""What the tests of exposures have in common."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np

from toros.database import messages, observing, schema
from toros.database.models import Base
from toros.database.session import Database
from toros.devices.protocols import RawFrame
from toros.images.circumstances import Circumstances

NIGHT = "2026-06-10"
TABLES = (observing, messages)


def prepared(url: str) -> Database:
    """Return a database with all tables."""
    database = Database(url)
    schema.prepare(database)
    Base.metadata.create_all(database.engine)  # what a migration has made already stays
    return database


def frame(level: int = 1000, shape: tuple[int, int] = (20, 30)) -> RawFrame:
    rng = np.random.default_rng(level)
    data = rng.integers(level, level + 100, shape, dtype=np.uint16)
    return RawFrame(data=data, start=None, exposure_time_s=None)


def known(**changes: object) -> Circumstances:
    values: dict[str, object] = {
        "exposure_type": "light",
        "start_utc": datetime(2026, 6, 11, 1, 2, 3, 456789, tzinfo=UTC),
        "exposure_time_s": 30.0,
        "night": date(2026, 6, 10),
        "target_name": "NGC 4993",
        "filter": "R",
        "order_id": "o-1",
        "instrument": "camera",
        "temperature_c": -20.0,
    }
    return Circumstances(**{**values, **changes})  # type: ignore[arg-type]
