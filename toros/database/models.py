"""The tables in which the daemons meet.

FileBatch, Exposure, Combination, StatusCode, WorkOrder and StepRun. Times are
UTC. A file's path is relative to the repository, so that a repository can be
moved.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, kept as UTC on SQLite and PostgreSQL alike."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"a naive time cannot be stored: {value!r}"
            raise ValueError(msg)
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Give back an aware moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The root of all tables."""

    type_annotation_map = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON,
    }


class StatusCode(Base):
    """What a status number means: 0 success, 1xx calibration, 2xx orders, … (`toros.errors`)."""

    __tablename__ = "status_code"

    number_code: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Text)


class WorkOrder(Base):
    """A queued work order: what was asked, what was answered, what became of it."""

    __tablename__ = "work_order"
    __table_args__ = (
        UniqueConstraint("service", "user", "order_id", name="uq_work_order_identity"),
        CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled')",
            name="ck_work_order_state",
        ),
        Index("ix_work_order_queue", "service", "state", "priority", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    service: Mapped[str] = mapped_column(String(32))
    user: Mapped[str] = mapped_column(String(200))
    order_id: Mapped[str] = mapped_column(String(200))
    request: Mapped[str] = mapped_column(String(64))
    content: Mapped[dict[str, Any]]
    content_sha256: Mapped[str] = mapped_column(String(64))
    receipt: Mapped[dict[str, Any]]
    priority: Mapped[float] = mapped_column(default=0.0, doc="0 to 10, 10 first")
    state: Mapped[str] = mapped_column(String(16), default="queued")
    attempts: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(200))
    lease_until: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    progress: Mapped[float] = mapped_column(default=0.0, doc="0 to 1")
    progress_text: Mapped[str] = mapped_column(Text, default="")
    status_code: Mapped[int | None] = mapped_column(ForeignKey("status_code.number_code"))
    message: Mapped[str] = mapped_column(Text, default="")
    result: Mapped[dict[str, Any] | None]
    received: Mapped[datetime]
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]


class FileBatch(Base):
    """A set of related exposures that came from one url."""

    __tablename__ = "file_batch"

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    url_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    folder: Mapped[str] = mapped_column(Text)
    run: Mapped[int] = mapped_column(default=0)
    run_inputs_sha256: Mapped[str | None] = mapped_column(String(64))
    run_marker: Mapped[str | None] = mapped_column(Text)
    run_result: Mapped[dict[str, Any] | None]
    status_code: Mapped[int | None] = mapped_column(ForeignKey("status_code.number_code"))
    message: Mapped[str] = mapped_column(Text, default="")
    left_out: Mapped[list[Any]] = mapped_column(default=list)
    created: Mapped[datetime]
    calibrated: Mapped[datetime | None]

    members: Mapped[list[FileBatchExposure]] = relationship(cascade="all, delete-orphan")
    exposures: Mapped[list[Exposure]] = relationship(secondary="file_batch_exposure", viewonly=True)


class Exposure(Base):
    """One raw file, as it came; known by its SHA-256.

    Name, type and facts are those of its last reading, in whatever batch
    (`FileBatchExposure` has each batch's own).
    """

    __tablename__ = "exposure"

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    path: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    exposure_type: Mapped[str] = mapped_column(String(16), index=True)
    exposure_time: Mapped[float | None] = mapped_column(doc="seconds")
    npix1: Mapped[int | None] = mapped_column(doc="pixels along a row (NAXIS1)")
    npix2: Mapped[int | None] = mapped_column(doc="rows (NAXIS2)")
    filter: Mapped[str | None] = mapped_column(Text)
    temperature: Mapped[float | None] = mapped_column(doc="of the detector, deg C")
    start: Mapped[datetime | None] = mapped_column(index=True)
    instrument: Mapped[str | None] = mapped_column(Text)
    facts: Mapped[dict[str, Any] | None]
    quarantine_reason: Mapped[str | None] = mapped_column(Text)
    received: Mapped[datetime]

    file_batches: Mapped[list[FileBatch]] = relationship(
        secondary="file_batch_exposure", viewonly=True
    )


class FileBatchExposure(Base):
    """An exposure in a file batch: its name there, and what its header says under that name.

    A site's rules may go by names, and the same file may have another name elsewhere.
    """

    __tablename__ = "file_batch_exposure"

    file_batch_id: Mapped[int] = mapped_column(ForeignKey("file_batch.id"), primary_key=True)
    exposure_id: Mapped[int] = mapped_column(
        ForeignKey("exposure.id"), primary_key=True, index=True
    )
    name: Mapped[str] = mapped_column(Text)
    exposure_type: Mapped[str] = mapped_column(String(16))
    facts: Mapped[dict[str, Any] | None]
    quarantine_reason: Mapped[str | None] = mapped_column(Text)

    exposure: Mapped[Exposure] = relationship()


class StepRun(Base):
    """One step of one run over a file batch: when, how long, with what outcome."""

    __tablename__ = "step_run"
    __table_args__ = (UniqueConstraint("file_batch_id", "run", "step", name="uq_step_run"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    file_batch_id: Mapped[int] = mapped_column(ForeignKey("file_batch.id"), index=True)
    run: Mapped[int]
    step: Mapped[str] = mapped_column(String(64))
    work_order_id: Mapped[int | None] = mapped_column(ForeignKey("work_order.id"))
    state: Mapped[str] = mapped_column(String(16))
    status_code: Mapped[int | None] = mapped_column(ForeignKey("status_code.number_code"))
    message: Mapped[str] = mapped_column(Text, default="")
    started: Mapped[datetime]
    finished: Mapped[datetime | None]


combination_exposure = Table(
    "combination_exposure",
    Base.metadata,
    Column("combination_id", ForeignKey("combination.id"), primary_key=True),
    Column("exposure_id", ForeignKey("exposure.id"), primary_key=True, index=True),
)

combination_combination = Table(
    "combination_combination",
    Base.metadata,
    Column("combination_id", ForeignKey("combination.id"), primary_key=True),
    Column("input_id", ForeignKey("combination.id"), primary_key=True, index=True),
)


class Combination(Base):
    """A file made of others: a stack of biases, darks or flats, a calibrated light."""

    __tablename__ = "combination"
    __table_args__ = (UniqueConstraint("file_batch_id", "run", "name", name="uq_combination"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    file_batch_id: Mapped[int] = mapped_column(ForeignKey("file_batch.id"), index=True)
    step_run_id: Mapped[int] = mapped_column(ForeignKey("step_run.id"))
    run: Mapped[int]
    combination_type: Mapped[str] = mapped_column(String(32), index=True)
    name: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    preview_path: Mapped[str | None] = mapped_column(Text)
    key: Mapped[dict[str, Any]]
    scalars: Mapped[dict[str, Any]]
    missing: Mapped[list[Any]] = mapped_column(default=list)
    frames_rejected: Mapped[list[Any]] = mapped_column(default=list)
    superseded: Mapped[bool] = mapped_column(default=False)
    created: Mapped[datetime]

    exposures: Mapped[list[Exposure]] = relationship(secondary=combination_exposure)
    inputs: Mapped[list[Combination]] = relationship(
        secondary=combination_combination,
        primaryjoin=id == combination_combination.c.combination_id,
        secondaryjoin=id == combination_combination.c.input_id,
    )
