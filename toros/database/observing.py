"""The tables of observing: targets, lists of alerts, nights, their states, their exposures."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from toros.database.models import Base


class Target(Base):
    """What the telescope is to observe: one direction, one filter, some exposures.

    It comes from an `observation` order, or from an alert's list (then `event` and `name`
    tell it from others).
    """

    __tablename__ = "target"
    __table_args__ = (
        UniqueConstraint("event", "name", name="uq_target_of_event"),
        CheckConstraint(
            "state IN ('waiting', 'observing', 'done', 'failed', 'withdrawn', 'expired')",
            name="ck_target_state",
        ),
        Index("ix_target_state", "state", "priority"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    work_order_id: Mapped[int | None] = mapped_column(ForeignKey("work_order.id"), unique=True)
    event: Mapped[str | None] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(200))
    rank: Mapped[int | None] = mapped_column(doc="in the alert's list, from 1")
    probability: Mapped[float | None] = mapped_column(doc="of being the host, 0 to 1")
    ra: Mapped[float] = mapped_column(doc="deg, ICRS")
    dec: Mapped[float] = mapped_column(doc="deg, ICRS")
    filter: Mapped[str | None] = mapped_column(String(200))
    exposure_time: Mapped[float] = mapped_column(doc="seconds, of each exposure")
    number_of_exposures: Mapped[int]
    exposures_done: Mapped[int] = mapped_column(default=0)
    urgency: Mapped[float] = mapped_column(doc="0 to 10, 10 first, by the submitter")
    observing_class: Mapped[str] = mapped_column(String(16))
    priority: Mapped[float] = mapped_column(doc="0 to 10, 10 first, by the scheduler")
    altitude_min: Mapped[float | None] = mapped_column(doc="deg")
    airmass_max: Mapped[float | None]
    moon_distance_min: Mapped[float | None] = mapped_column(doc="deg")
    not_before: Mapped[datetime | None]
    not_after: Mapped[datetime | None]
    observer: Mapped[str] = mapped_column(String(200), default="")
    order_id: Mapped[str] = mapped_column(String(200), default="", doc="id of the order")
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    attempts: Mapped[int] = mapped_column(default=0, doc="that failed")
    message: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[datetime]
    finished: Mapped[datetime | None]


class TargetList(Base):
    """The newest list of an alert's event; of several revisions the highest wins."""

    __tablename__ = "target_list"

    event: Mapped[str] = mapped_column(String(200), primary_key=True)
    revision: Mapped[int]
    expiry: Mapped[datetime]
    received: Mapped[datetime]


class Night(Base):
    """One night of the observatory, by its local evening's date."""

    __tablename__ = "night"

    date: Mapped[str] = mapped_column(String(10), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text, default="")
    plan: Mapped[dict[str, Any] | None]
    summary: Mapped[dict[str, Any] | None]
    handed_over: Mapped[bool] = mapped_column(default=False, doc="to the preprocessor")
    opened: Mapped[datetime | None]
    closed: Mapped[datetime | None]


class NightTransition(Base):
    """One change of the night's state, and why."""

    __tablename__ = "night_transition"

    id: Mapped[int] = mapped_column(primary_key=True)
    night: Mapped[str] = mapped_column(String(10), index=True)
    moment: Mapped[datetime]
    before: Mapped[str] = mapped_column(String(16))
    after: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)


class TakenExposure(Base):
    """An exposure that this telescope took: in which night, of what, for whom."""

    __tablename__ = "taken_exposure"
    __table_args__ = (UniqueConstraint("night", "sequence", name="uq_taken_exposure"),)

    exposure_id: Mapped[int] = mapped_column(ForeignKey("exposure.id"), primary_key=True)
    night: Mapped[str] = mapped_column(String(10))
    sequence: Mapped[int]
    target_id: Mapped[int | None] = mapped_column(ForeignKey("target.id"), index=True)
    order_id: Mapped[str | None] = mapped_column(String(200), index=True)
