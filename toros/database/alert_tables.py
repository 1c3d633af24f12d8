"""The tables of alerts: events, their notices, target lists, what became of the targets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from toros.database.models import Base


class AlertEvent(Base):
    """An event on the sky, as its newest notice has it."""

    __tablename__ = "alert_event"
    __table_args__ = (
        CheckConstraint("state IN ('active', 'retracted')", name="ck_alert_event_state"),
    )

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    mission: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default="active")
    is_test: Mapped[bool] = mapped_column(default=False)
    answered: Mapped[bool] = mapped_column(default=False, doc="whether others were ever told")
    notice_id: Mapped[int | None] = mapped_column(doc="the newest notice's row")
    notice_order: Mapped[str] = mapped_column(
        String(120), default="", doc="the newest notice's place in the sequence"
    )
    revision: Mapped[int] = mapped_column(default=0, doc="of the target lists")
    summary: Mapped[dict[str, Any] | None]
    folder: Mapped[str] = mapped_column(Text, default="", doc="of the newest lists")
    created: Mapped[datetime]
    updated: Mapped[datetime] = mapped_column(index=True)


class AlertNotice(Base):
    """One notice that was received, once however often it came."""

    __tablename__ = "alert_notice"
    __table_args__ = (
        CheckConstraint(
            "outcome IN ('answered', 'recorded', 'ignored', 'superseded', 'refused')",
            name="ck_alert_notice_outcome",
        ),
        Index("ix_alert_notice_event", "event", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    identity: Mapped[str] = mapped_column(String(64), unique=True)
    event: Mapped[str | None] = mapped_column(ForeignKey("alert_event.name"))
    mission: Mapped[str] = mapped_column(String(64), default="")
    kind: Mapped[str] = mapped_column(String(100), default="")
    issued: Mapped[datetime | None]
    is_test: Mapped[bool] = mapped_column(default=False)
    is_known: Mapped[bool] = mapped_column(default=True)
    facts: Mapped[dict[str, Any] | None]
    source: Mapped[str] = mapped_column(String(200), doc="what it was received from")
    file: Mapped[str] = mapped_column(Text, doc="name of the archived file, empty once removed")
    outcome: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text, default="", doc="why")
    status_code: Mapped[int | None] = mapped_column(ForeignKey("status_code.number_code"))
    revision: Mapped[int | None] = mapped_column(doc="of the lists that it led to")
    processed: Mapped[datetime]


class AlertTargets(Base):
    """The newest target list of an event for an observatory."""

    __tablename__ = "alert_targets"

    event: Mapped[str] = mapped_column(ForeignKey("alert_event.name"), primary_key=True)
    observatory: Mapped[str] = mapped_column(String(200), primary_key=True)
    revision: Mapped[int]
    content: Mapped[dict[str, Any]]


class TargetReport(Base):
    """What became of a target at an observatory."""

    __tablename__ = "target_report"
    __table_args__ = (UniqueConstraint("event", "observatory", "name", name="uq_target_report"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    event: Mapped[str] = mapped_column(String(200), index=True)
    observatory: Mapped[str] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text, default="")
    exposures: Mapped[int] = mapped_column(default=0)
    reported: Mapped[datetime]
