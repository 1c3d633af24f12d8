"""The exposures that the telescope took, in the database: recorded once, found again."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from toros.clock import Clock
from toros.database.batches import ExposureRow
from toros.database.models import Exposure
from toros.database.observing import TakenExposure, Target
from toros.database.session import Database
from toros.images import FrameFacts
from toros.images.headers import Origin

log = logging.getLogger(__name__)

NOT_IN_REPOSITORY = ""
"""The path of an exposure that the preprocessor has not brought in yet."""

_DESCRIPTION = tuple(name for name in ExposureRow.__dataclass_fields__ if name != "id")


@dataclass(frozen=True)
class TakenRow:
    """An exposure that the telescope took, as it was when it was read."""

    night: str
    sequence: int
    name: str
    sha256: str
    size_bytes: int
    order_id: str | None
    target_id: int | None


class TakenExposures:
    """The telescope's exposures in the database.

    Every method is one unit of work and raises DatabaseUnavailable or DiskFull
    where the database is away or its disk full.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def record(self, row: ExposureRow, origin: Origin) -> None:
        """Record an exposure, once however often it is told.

        One that the preprocessor has brought in already keeps the row that it has: its path
        is the repository's. One that is new here has the path `NOT_IN_REPOSITORY`, by which
        the preprocessor knows that it has to copy the file.
        """
        try:
            self._record(row, origin)
        except IntegrityError:  # the preprocessor registered the same bytes just now
            self._record(row, origin)

    def _record(self, row: ExposureRow, origin: Origin) -> None:
        with self.database.writing() as session:
            exposure = session.scalar(select(Exposure).where(Exposure.sha256 == row.sha256))
            if exposure is None:
                values = {name: getattr(row, name) for name in _DESCRIPTION}
                exposure = Exposure(**values, received=self.clock.now())
                session.add(exposure)
                session.flush()
            if session.get(TakenExposure, exposure.id) is None and _is_free(session, origin):
                target = origin.target_id
                known = target is not None and session.get(Target, target) is not None
                session.add(
                    TakenExposure(
                        exposure_id=exposure.id,
                        night=origin.night,
                        sequence=origin.sequence,
                        order_id=origin.order_id,
                        target_id=target if known else None,
                    )
                )

    def sequences(self, night: str) -> set[int]:
        """Return the numbers of a night's exposures that are recorded."""
        with self.database.reading() as session:
            return set(
                session.scalars(select(TakenExposure.sequence).where(TakenExposure.night == night))
            )

    def last_sequence(self, night: str) -> int:
        """Return the highest number of a night's exposures that are recorded, or 0."""
        with self.database.reading() as session:
            found = session.scalar(
                select(func.max(TakenExposure.sequence)).where(TakenExposure.night == night)
            )
            return found or 0

    def find(self, *, night: str | None = None, order_id: str | None = None) -> list[TakenRow]:
        """Return the exposures of a night, of an order, or of an order in a night, as taken."""
        query = (
            select(TakenExposure, Exposure)
            .join(Exposure, Exposure.id == TakenExposure.exposure_id)
            .order_by(TakenExposure.night, TakenExposure.sequence)
        )
        if night is not None:
            query = query.where(TakenExposure.night == night)
        if order_id is not None:
            query = query.where(TakenExposure.order_id == order_id)
        with self.database.reading() as session:
            return [
                TakenRow(
                    night=taken.night,
                    sequence=taken.sequence,
                    name=PurePosixPath(exposure.name).name,
                    sha256=exposure.sha256,
                    size_bytes=exposure.size_bytes,
                    order_id=taken.order_id,
                    target_id=taken.target_id,
                )
                for taken, exposure in session.execute(query)
            ]


def _is_free(session: Session, origin: Origin) -> bool:
    taken = session.scalar(
        select(TakenExposure.exposure_id).where(
            TakenExposure.night == origin.night, TakenExposure.sequence == origin.sequence
        )
    )
    if taken is not None:
        log.error(
            "night %s has two exposures number %d: the later one counts as nobody's",
            origin.night,
            origin.sequence,
        )
    return taken is None


def bare_row(name: str, sha256: str, size_bytes: int) -> ExposureRow:
    """Describe a file of which only name, size and checksum are known."""
    return ExposureRow(
        sha256=sha256,
        path=NOT_IN_REPOSITORY,
        name=name,
        size_bytes=size_bytes,
        exposure_type="unknown",
        exposure_time=None,
        npix1=None,
        npix2=None,
        filter=None,
        temperature=None,
        start=None,
        instrument=None,
        facts=None,
        quarantine_reason=None,
    )


def described(bare: ExposureRow, facts: FrameFacts | None, reason: str | None) -> ExposureRow:
    """Complete an exposure by what its header says, or by why it cannot be used."""
    if facts is None:
        return replace(bare, exposure_type="unknown", facts=None, quarantine_reason=reason)
    return replace(
        bare,
        exposure_type=facts.frame_type,
        exposure_time=facts.exposure_time_s,
        npix1=facts.shape[1],
        npix2=facts.shape[0],
        filter=facts.filter,
        temperature=facts.temperature_c,
        start=facts.start_utc,
        instrument=facts.instrument,
        facts=plain_facts(facts),
        quarantine_reason=None,
    )


def plain_facts(facts: FrameFacts) -> dict[str, Any]:
    """Write facts as the database gives them back."""
    return {
        key: value.isoformat()
        if isinstance(value, datetime)
        else list(value)
        if isinstance(value, tuple)
        else value
        for key, value in asdict(facts).items()
    }
