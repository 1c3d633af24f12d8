"""File batches, their exposures, the runs over them and what those made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from toros.clock import Clock
from toros.database.models import (
    Combination,
    Exposure,
    FileBatch,
    FileBatchExposure,
    StepRun,
    combination_combination,
    combination_exposure,
)
from toros.database.session import Database
from toros.errors import FileBatchNotFound

T = TypeVar("T")


@dataclass(frozen=True)
class BatchRow:
    """A file batch as it was when it was read."""

    id: int
    url: str
    folder: str
    run: int
    run_inputs_sha256: str | None
    run_marker: str | None
    run_result: dict[str, Any] | None
    status_code: int | None
    message: str
    left_out: tuple[Any, ...]


@dataclass(frozen=True)
class ExposureRow:
    """A raw file: where it is, what it is. Times in UTC, the path below the repository."""

    sha256: str
    path: str
    name: str
    size_bytes: int
    exposure_type: str
    exposure_time: float | None
    npix1: int | None
    npix2: int | None
    filter: str | None
    temperature: float | None
    start: datetime | None
    instrument: str | None
    facts: Mapping[str, Any] | None
    quarantine_reason: str | None
    id: int | None = None


@dataclass(frozen=True)
class CombinationRow:
    """A product: where it is and what it was made of."""

    name: str
    combination_type: str
    path: str
    sha256: str
    preview_path: str | None
    key: Mapping[str, Any]
    scalars: Mapping[str, Any]
    missing: Sequence[str]
    frames_rejected: Sequence[Any]
    exposure_sha256s: Sequence[str] = ()
    input_names: Sequence[str] = ()


class Batches:
    """The file batches in the database.

    Every method is one unit of work and raises DatabaseUnavailable or DiskFull
    where the database is away or its disk full.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def of_url(self, url: str) -> BatchRow:
        """Return the batch of a url; a new one if the url was never seen."""
        digest = hashlib.sha256(url.encode()).hexdigest()
        with self.database.writing() as session:
            row = session.scalar(select(FileBatch).where(FileBatch.url_sha256 == digest))
            if row is None:
                row = FileBatch(
                    url=url, url_sha256=digest, folder="", left_out=[], created=self.clock.now()
                )
                session.add(row)
                session.flush()
                row.folder = f"batch-{row.id:06d}"
            return _batch(row)

    def get(self, batch_id: int) -> BatchRow:
        """Return a batch.

        Raises
        ------
        FileBatchNotFound
        """
        with self.database.reading() as session:
            return _batch(_get(session, batch_id))

    def exposures(self, batch_id: int) -> list[ExposureRow]:
        """Return the batch's exposures, quarantined ones included, by name."""
        with self.database.reading() as session:
            rows = session.execute(
                select(Exposure, FileBatchExposure)
                .join(FileBatchExposure, FileBatchExposure.exposure_id == Exposure.id)
                .where(FileBatchExposure.file_batch_id == batch_id)
                .order_by(FileBatchExposure.name, Exposure.sha256)
            )
            return [
                replace(_exposure(row), **{name: getattr(member, name) for name in _BATCHS_OWN})
                for row, member in rows
            ]

    def known(self, sha256s: Iterable[str]) -> dict[str, ExposureRow]:
        """Return the exposures already in the repository, by checksum."""
        with self.database.reading() as session:
            found: dict[str, ExposureRow] = {}
            for part in _parts(sorted(set(sha256s))):
                rows = session.scalars(select(Exposure).where(Exposure.sha256.in_(part)))
                found |= {row.sha256: _exposure(row) for row in rows}
            return found

    def register(
        self, batch_id: int, exposures: Sequence[ExposureRow], left_out: Sequence[Any]
    ) -> None:
        """Make exposures the members of a batch, all or none; their facts replace earlier ones.

        However many they are, no other writer (the front desk above all) waits for long: the
        exposures' own rows come before, some at a time. Without a batch they mean nothing.
        """
        for part in _parts(exposures):
            try:
                self._describe(part)
            except IntegrityError:  # another order registered the same bytes just now
                self._describe(part)
        self._join(batch_id, exposures, left_out)

    def _describe(self, exposures: Sequence[ExposureRow]) -> None:
        with self.database.writing() as session:
            wanted = [new.sha256 for new in exposures]
            found = session.scalars(select(Exposure).where(Exposure.sha256.in_(wanted)))
            rows = {row.sha256: row for row in found}
            added = []
            for new in exposures:
                values = {name: getattr(new, name) for name in _DESCRIPTION}
                if new.sha256 not in rows:
                    added.append({**values, "sha256": new.sha256, "received": self.clock.now()})
                else:
                    for name, value in values.items():
                        setattr(rows[new.sha256], name, value)
            if added:
                session.execute(insert(Exposure), added)

    def _join(
        self, batch_id: int, exposures: Sequence[ExposureRow], left_out: Sequence[Any]
    ) -> None:
        """Write what is another member than before; to find that out needs no turn to write."""
        with self.database.reading() as session:
            mine = FileBatchExposure.file_batch_id == batch_id
            own = [getattr(FileBatchExposure, name) for name in _BATCHS_OWN]
            found = session.execute(select(FileBatchExposure.exposure_id, *own).where(mine))
            before: dict[int, tuple[Any, ...]] = {row[0]: tuple(row)[1:] for row in found}
            numbers = _numbers(session, [new.sha256 for new in exposures])
        members = {
            numbers[new.sha256]: tuple(getattr(new, name) for name in _BATCHS_OWN)
            for new in exposures
        }
        added, changed = [], []
        for number, values in members.items():
            key = {"file_batch_id": batch_id, "exposure_id": number}
            row = {**key, **dict(zip(_BATCHS_OWN, values, strict=True))}
            if number not in before:
                added.append(row)
            elif before[number] != values:
                changed.append(row)
        gone = sorted(before.keys() - members.keys())
        with self.database.writing() as session:
            _get(session, batch_id).left_out = list(left_out)
            for part in _parts(gone):
                session.execute(
                    delete(FileBatchExposure).where(mine, FileBatchExposure.exposure_id.in_(part))
                )
            if added:
                session.execute(insert(FileBatchExposure), added)
            if changed:
                session.execute(update(FileBatchExposure), changed)

    def start_run(
        self, batch_id: int, last_run: int, inputs_sha256: str, marker: str | None = None
    ) -> BatchRow:
        """Begin a new run over a batch; what earlier runs made stays valid until it ends.

        Parameters
        ----------
        batch_id : int
        last_run : int
            The batch's last run; this one is the next, however often it is asked for (a
            commit whose answer was lost is tried again).
        inputs_sha256 : str
            Sums up files, headers and settings, to tell later whether anything is new.
        marker : str, optional
            Who began the run, so that the same order does not begin it twice.
        """
        with self.database.writing() as session:
            row = _get(session, batch_id)
            row.run = last_run + 1
            row.run_inputs_sha256 = inputs_sha256
            row.run_marker = marker
            row.run_result = None
            row.status_code = None
            row.message = ""
            return _batch(row)

    def finish_run(
        self, batch_id: int, run: int, code: int, message: str, result: Mapping[str, Any]
    ) -> None:
        """Record a run's end; products of earlier runs are superseded if it went well."""
        with self.database.writing() as session:
            row = _get(session, batch_id)
            row.status_code = code
            row.message = message
            row.run_result = dict(result)
            row.calibrated = self.clock.now()
            if code == 0:
                session.execute(
                    update(Combination)
                    .where(Combination.file_batch_id == batch_id, Combination.run < run)
                    .values(superseded=True)
                )

    def start_step(self, batch_id: int, run: int, step: str, order_row: int | None) -> int:
        """Record that a step begins (again); return its row."""
        with self.database.writing() as session:
            row = session.scalar(
                select(StepRun).where(
                    StepRun.file_batch_id == batch_id, StepRun.run == run, StepRun.step == step
                )
            )
            if row is None:
                row = StepRun(file_batch_id=batch_id, run=run, step=step)
                session.add(row)
            row.state = "running"
            row.work_order_id = order_row
            row.status_code = None
            row.message = ""
            row.started = self.clock.now()
            row.finished = None
            session.flush()
            return row.id

    def finish_step(self, step_row: int, code: int, message: str) -> None:
        """Record a step's end: code 0 is success."""
        with self.database.writing() as session:
            row = session.get_one(StepRun, step_row)
            row.state = "done" if code == 0 else "failed"
            row.status_code = code
            row.message = message
            row.finished = self.clock.now()

    def steps(self, batch_id: int, run: int) -> list[dict[str, Any]]:
        """Return a run's steps: {step, state, status_code, message}, in the order they began."""
        with self.database.reading() as session:
            rows = session.scalars(
                select(StepRun)
                .where(StepRun.file_batch_id == batch_id, StepRun.run == run)
                .order_by(StepRun.id)
            )
            return [
                {
                    "step": row.step,
                    "state": row.state,
                    "status_code": row.status_code,
                    "message": row.message,
                }
                for row in rows
            ]

    def record(self, batch_id: int, run: int, step_row: int, product: CombinationRow) -> None:
        """Record a product; the same product again replaces its row."""
        with self.database.writing() as session:
            row = session.scalar(
                select(Combination).where(
                    Combination.file_batch_id == batch_id,
                    Combination.run == run,
                    Combination.name == product.name,
                )
            )
            if row is None:
                row = Combination(file_batch_id=batch_id, run=run, name=product.name)
                session.add(row)
            row.step_run_id = step_row
            row.combination_type = product.combination_type
            row.path = product.path
            row.sha256 = product.sha256
            row.preview_path = product.preview_path
            row.key = dict(product.key)
            row.scalars = dict(product.scalars)
            row.missing = list(product.missing)
            row.frames_rejected = list(product.frames_rejected)
            row.superseded = False
            row.created = self.clock.now()
            row.exposures = list(
                session.scalars(
                    select(Exposure).where(
                        Exposure.sha256.in_(sorted(set(product.exposure_sha256s)))
                    )
                )
            )
            row.inputs = list(
                session.scalars(
                    select(Combination).where(
                        Combination.file_batch_id == batch_id,
                        Combination.run == run,
                        Combination.name.in_(sorted(set(product.input_names))),
                    )
                )
            )

    def supersede(self, batch_id: int, run: int, names: Iterable[str]) -> None:
        """Record that products of a run count no more: it has made others in their place."""
        with self.database.writing() as session:
            for name in names:
                session.execute(
                    update(Combination)
                    .where(
                        Combination.file_batch_id == batch_id,
                        Combination.run == run,
                        Combination.name == name,
                    )
                    .values(superseded=True)
                )

    def products(self, batch_id: int, run: int) -> list[CombinationRow]:
        """Return what a run has made and nothing has superseded, by name, with its inputs."""
        with self.database.reading() as session:
            counted = (
                (Combination.file_batch_id == batch_id)
                & (Combination.run == run)
                & Combination.superseded.is_(False)
            )
            rows = session.scalars(select(Combination).where(counted).order_by(Combination.name))
            exposures = _by_product(
                session,
                select(combination_exposure.c.combination_id, Exposure.sha256)
                .join(Exposure, Exposure.id == combination_exposure.c.exposure_id)
                .join(Combination, Combination.id == combination_exposure.c.combination_id)
                .where(counted),
            )
            used = aliased(Combination)
            inputs = _by_product(
                session,
                select(combination_combination.c.combination_id, used.name)
                .join(used, used.id == combination_combination.c.input_id)
                .join(Combination, Combination.id == combination_combination.c.combination_id)
                .where(counted),
            )
            return [
                CombinationRow(
                    name=row.name,
                    combination_type=row.combination_type,
                    path=row.path,
                    sha256=row.sha256,
                    preview_path=row.preview_path,
                    key=dict(row.key),
                    scalars=dict(row.scalars),
                    missing=tuple(row.missing),
                    frames_rejected=tuple(row.frames_rejected),
                    exposure_sha256s=tuple(exposures.get(row.id, ())),
                    input_names=tuple(inputs.get(row.id, ())),
                )
                for row in rows
            ]


# What may be another in another batch, because rules may go by names.
_BATCHS_OWN = ("name", "exposure_type", "facts", "quarantine_reason")
_DESCRIPTION = tuple(
    name for name in ExposureRow.__dataclass_fields__ if name not in ("id", "sha256")
)


# Rows in one unit of work that others wait for, and parameters of one statement.
_AT_A_TIME = 200


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _AT_A_TIME):
        yield items[start : start + _AT_A_TIME]


def _by_product(session: Session, pairs: Select[int, str]) -> dict[int, list[str]]:
    """Gather what each product was made of, in one query for all products."""
    found: dict[int, list[str]] = {}
    for number, of in session.execute(pairs):
        found.setdefault(number, []).append(of)
    return found


def _numbers(session: Session, sha256s: Sequence[str]) -> dict[str, int]:
    """Return the rows' numbers of exposures by their checksums."""
    found: dict[str, int] = {}
    for part in _parts(sha256s):
        rows = session.execute(
            select(Exposure.sha256, Exposure.id).where(Exposure.sha256.in_(part))
        )
        found |= {row[0]: row[1] for row in rows}
    return found


def _get(session: Session, batch_id: int) -> FileBatch:
    row = session.get(FileBatch, batch_id)
    if row is None:
        raise FileBatchNotFound(f"file_batch: there is no file batch {batch_id}")
    return row


def _batch(row: FileBatch) -> BatchRow:
    return BatchRow(
        id=row.id,
        url=row.url,
        folder=row.folder,
        run=row.run,
        run_inputs_sha256=row.run_inputs_sha256,
        run_marker=row.run_marker,
        run_result=row.run_result,
        status_code=row.status_code,
        message=row.message,
        left_out=tuple(row.left_out),
    )


def _exposure(row: Exposure) -> ExposureRow:
    values = {name: getattr(row, name) for name in ("sha256", *_DESCRIPTION)}
    return ExposureRow(**values, id=row.id)
