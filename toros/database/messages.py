"""Messages to others in the database: recorded before they are sent, sent until they arrive."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias, cast

from sqlalchemy import CheckConstraint, Index, String, Text, UniqueConstraint, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from toros.clock import Clock
from toros.database.models import Base
from toros.database.session import Database
from toros.errors import OrderConflict

Channel: TypeAlias = Literal["front_desk", "web", "mail"]


class Message(Base):
    """A message to another daemon or a web address: what was to be told, what became of it."""

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint(
            "sender", "channel", "recipient", "message_id", name="uq_message_identity"
        ),
        CheckConstraint("state IN ('waiting', 'delivered', 'refused')", name="ck_message_state"),
        Index("ix_message_queue", "sender", "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sender: Mapped[str] = mapped_column(String(32), doc="the daemon that sends it")
    channel: Mapped[str] = mapped_column(String(16), doc="front_desk, web or mail")
    recipient: Mapped[str] = mapped_column(String(1000), doc="a daemon's name, or an address")
    message_id: Mapped[str] = mapped_column(String(200))
    request: Mapped[str] = mapped_column(String(64))
    content: Mapped[dict[str, Any]]
    content_sha256: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None] = mapped_column(doc="of the next attempt")
    last_error: Mapped[str] = mapped_column(Text, default="")
    receipt: Mapped[dict[str, Any] | None]
    created: Mapped[datetime]
    ended: Mapped[datetime | None]


@dataclass(frozen=True)
class NewMessage:
    """What is to be told.

    Parameters
    ----------
    channel : {"front_desk", "web", "mail"}
        A work order to a front desk, a POST of JSON to a web address, or a mail.
    recipient : str
        A daemon's name (``preprocessor``), a front desk's address, a web address or a name that
        the sender's carrier knows, or a mail address.
    message_id : str
        The same for the same message, however often it is sent: the recipient knows it by that.
    request : str
        The work order's request; on the web the kind of the message.
    content : mapping
        The rest, fit to travel.
    """

    channel: Channel
    recipient: str
    message_id: str
    request: str
    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """The SHA-256 of what is told, in hex."""
        text = json.dumps([self.request, dict(self.content)], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class WaitingMessage:
    """A message that is to be sent."""

    row: int
    attempts: int
    message: NewMessage


class Messages:
    """The messages of one sender.

    Every method but `add` is one unit of work and raises DatabaseUnavailable or
    DiskFull where the database is away or its disk full.

    Parameters
    ----------
    database : Database
    sender : str
        The daemon.
    clock : Clock
    """

    def __init__(self, database: Database, sender: str, clock: Clock) -> None:
        self.database = database
        self.sender = sender
        self.clock = clock

    def add(self, session: Session, new: NewMessage) -> None:
        """Record a message within a unit of work: together with what it tells of, or not at all.

        A message that is known already is not recorded again.

        Raises
        ------
        OrderConflict
            The id was used for something else.
        """
        known = session.scalar(select(Message).where(*self._identity(new)))
        if known is None:
            session.add(
                Message(
                    sender=self.sender,
                    channel=new.channel,
                    recipient=new.recipient,
                    message_id=new.message_id,
                    request=new.request,
                    content=dict(new.content),
                    content_sha256=new.sha256,
                    created=self.clock.now(),
                )
            )
        elif known.content_sha256 != new.sha256:
            raise OrderConflict(
                f"message {new.message_id!r} to {new.recipient} is known with another content; "
                "give each message an id of its own"
            )

    def post(self, new: NewMessage) -> None:
        """Record a message, once.

        Raises
        ------
        OrderConflict
            The id was used for something else.
        """
        try:
            self._post(new)
        except IntegrityError:  # another thread recorded it just now
            self._post(new)

    def _post(self, new: NewMessage) -> None:
        with self.database.writing() as session:
            self.add(session, new)

    def _identity(self, new: NewMessage) -> tuple[Any, ...]:
        return (
            Message.sender == self.sender,
            Message.channel == new.channel,
            Message.recipient == new.recipient,
            Message.message_id == new.message_id,
        )

    def heads(self) -> list[WaitingMessage]:
        """Return the oldest waiting message of each recipient."""
        oldest = (
            select(func.min(Message.id))
            .where(Message.sender == self.sender, Message.state == "waiting")
            .group_by(Message.channel, Message.recipient)
        )
        with self.database.reading() as session:
            rows = session.scalars(
                select(Message).where(Message.id.in_(oldest)).order_by(Message.id)
            )
            return [WaitingMessage(row.id, row.attempts, _message(row)) for row in rows]

    def delivered(self, row: int, receipt: Mapping[str, Any] | None) -> None:
        """Record that a message has arrived."""
        self._end(row, "delivered", "", receipt)

    def refused(self, row: int, error: str) -> None:
        """Record that the recipient does not take a message, whenever it is sent."""
        self._end(row, "refused", error, None)

    def _end(self, row: int, state: str, error: str, receipt: Mapping[str, Any] | None) -> None:
        with self.database.writing() as session:
            message = session.get_one(Message, row)
            message.state = state
            message.attempts += 1
            message.last_error = error
            message.receipt = dict(receipt) if receipt is not None else None
            message.not_before = None
            message.ended = self.clock.now()

    def failed(self, row: int, error: str, not_before: datetime) -> None:
        """Record that a message has not arrived, and when it is sent again."""
        with self.database.writing(durable=False) as session:
            message = session.get_one(Message, row)
            message.attempts += 1
            message.last_error = error
            message.not_before = not_before

    def send_again(self, message_id: str) -> int:
        """Let refused messages of this id wait again; return how many they were."""
        with self.database.writing() as session:
            rows = session.scalars(
                select(Message).where(
                    Message.sender == self.sender,
                    Message.message_id == message_id,
                    Message.state == "refused",
                )
            ).all()
            for row in rows:
                row.state, row.ended = "waiting", None
            return len(rows)

    def tell(self, message_id: str) -> list[dict[str, Any]]:
        """Return what became of the messages of this id."""
        with self.database.reading() as session:
            rows = session.scalars(
                select(Message)
                .where(Message.sender == self.sender, Message.message_id == message_id)
                .order_by(Message.id)
            )
            return [
                {
                    "recipient": row.recipient,
                    "request": row.request,
                    "state": row.state,
                    "attempts": row.attempts,
                    "last_error": row.last_error,
                    "receipt": row.receipt,
                }
                for row in rows
            ]

    def counts(self) -> dict[str, int]:
        """Return how many messages are in each state."""
        with self.database.reading() as session:
            rows = session.execute(
                select(Message.state, func.count())
                .where(Message.sender == self.sender)
                .group_by(Message.state)
            )
            return {"waiting": 0, "delivered": 0, "refused": 0} | {row[0]: row[1] for row in rows}


def _message(row: Message) -> NewMessage:
    return NewMessage(
        cast(Channel, row.channel), row.recipient, row.message_id, row.request, dict(row.content)
    )
