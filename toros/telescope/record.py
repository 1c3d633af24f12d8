"""The record of a night: its state, how it came about, and what is left of it after a crash."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from toros.clock import Clock, to_iso
from toros.database.models import Exposure
from toros.database.observing import Night, NightTransition, TakenExposure
from toros.database.session import Database
from toros.telescope.backlog import Backlog
from toros.telescope.camera_work import Kind
from toros.telescope.memory import Memory
from toros.telescope.states import Event, State, after
from toros.telescope.targets import Work

log = logging.getLogger(__name__)

_NIGHTS = 30


@dataclass(frozen=True)
class Past:
    """What an earlier process has left of a night."""

    state: State
    message: str
    handed_over: bool
    was_opened: bool
    was_closed: bool
    changes: int


Tell = Callable[[str, int, dict[str, Any]], Work | None]
"""Makes the unit of work that tells others of a night: date, number of the news, content."""

_NEWS = frozenset({State.SUSPENDED, State.CLOSED, State.ERROR})


class NightRecord:
    """The night's state: changed by the table of states alone, logged, recorded and told.

    Parameters
    ----------
    backlog : Backlog
    clock : Clock
    memory : Memory
        Keeps a latched error.
    tell : callable
        Told of a night's opening, suspension, end and error.
    """

    def __init__(self, backlog: Backlog, clock: Clock, memory: Memory, tell: Tell) -> None:
        self._backlog = backlog
        self._clock = clock
        self._memory = memory
        self._tell = tell
        self._changes = 0
        self.date = ""
        self.state = State.CLOSED
        self.message = ""
        self.since = clock.now()
        self.handed_over = False
        self.was_opened = False
        self.was_closed = False
        """Whether this night has been closed already: it does not begin by itself again."""
        self.summary: Callable[[], dict[str, Any]] = dict

    def begin(self, date: str, past: Past | None) -> None:
        """Take up a night, with what an earlier process has left of it."""
        self.date = date
        self.handed_over = past is not None and past.handed_over
        self.was_opened = past is not None and past.was_opened
        self.was_closed = past is not None and past.was_closed
        self._changes = 0 if past is None else past.changes
        state, message = self.state, ""
        if past is not None:
            state, message = past.state, past.message
        fault = self._memory.kept.fault
        if fault is not None:
            state, message = State.ERROR, fault
        elif state is State.ERROR and past is not None:
            # The latch is the memory's: it was acknowledged before the record came to be.
            state = State.CLOSING
        if state is not self.state:
            log.warning("the night of %s was left %s: going on from there", date, state)
            self._set(state, f"taken up after a restart: {message}".rstrip(": "))

    def go(self, event: Event, reason: str) -> None:
        """Change the state.

        Raises
        ------
        NotInThisState
            The table knows no such way; nothing has changed.
        """
        before, then = self.state, after(self.state, event)
        if then is State.ERROR:
            self._memory.keep(fault=reason)
        elif before is State.ERROR:
            self._memory.keep(fault=None)
        if event is Event.OPENED:
            self.was_opened = True
        if event is Event.PREPARE and before is State.CLOSED and self.handed_over:
            self.note(handed_over=False)
        log.log(
            logging.ERROR if then is State.ERROR else logging.INFO,
            "night of %s: %s -> %s: %s", self.date, before, then, reason,
        )  # fmt: skip
        is_news = then in _NEWS or event is Event.OPENED
        self._set(then, reason, is_news=is_news and before is not State.CALIBRATING)

    def _set(self, then: State, reason: str, *, is_news: bool = False) -> None:
        before, moment, date = self.state, self._clock.now(), self.date
        self.state, self.message, self.since = then, reason, moment
        self._changes += 1
        opened, told = self.was_opened, None
        ends = then is State.CLOSED and before is State.CLOSING
        self.was_closed = self.was_closed or ends
        if is_news and (ends or then is not State.CLOSED):
            summary = self.summary() if ends else {}
            content = {"state": str(then), "reason": reason, "time": to_iso(moment), **summary}
            told = self._tell(date, self._changes, content)

        def record(session: Session) -> None:
            _note(session, date, moment, before, then, reason)
            night = _night(session, date, then)
            night.state, night.message = then, reason
            if opened:
                night.opened = night.opened or moment
            if ends:
                night.closed = moment
            if told is not None:
                told(session)

        self._backlog.put(record)

    def open_anew(self) -> None:
        """Let a night that was closed begin by itself once more."""
        self.was_closed = False

    def note(self, **values: Any) -> None:
        """Record something else about the night (`toros.database.observing.Night`)."""
        date, state = self.date, self.state
        if "handed_over" in values:
            self.handed_over = bool(values["handed_over"])

        def record(session: Session) -> None:
            night = _night(session, date, state)
            for name, value in values.items():
                setattr(night, name, value)

        self._backlog.put(record)

    def tell(self) -> dict[str, Any]:
        """Return the state for `status`."""
        return {
            "night": self.date,
            "state": str(self.state),
            "since": self.since.replace(tzinfo=None).isoformat(timespec="milliseconds"),
            "message": self.message,
        }


def past_of(database: Database, date: str) -> Past | None:
    """Return what is recorded of a night; None if nothing is.

    Raises
    ------
    DatabaseUnavailable
    """
    with database.reading() as session:
        row = session.get(Night, date)
        if row is None:
            return None
        changes = session.scalar(
            select(func.count()).select_from(NightTransition).where(NightTransition.night == date)
        )
        return Past(
            state=State(row.state),
            message=row.message,
            handed_over=row.handed_over,
            was_opened=row.opened is not None,
            was_closed=row.closed is not None and row.state == State.CLOSED,
            changes=changes or 0,
        )


def unfinished(database: Database, tonight: str) -> list[tuple[str, State]]:
    """Return earlier nights that were never closed or handed over, and their states.

    Raises
    ------
    DatabaseUnavailable
    """
    with database.reading() as session:
        rows = session.scalars(
            select(Night)
            .where(Night.date < tonight, or_(~Night.handed_over, Night.state != State.CLOSED))
            .order_by(Night.date.desc())
            .limit(_NIGHTS)
        )
        return [(row.date, State(row.state)) for row in rows]


def finish_night(database: Database, date: str, before: State, moment: datetime) -> None:
    """Close an earlier night that a crash has left.

    Raises
    ------
    DatabaseUnavailable, DiskFull
    """
    reason = "left by a crash; closed after the next start"
    with database.writing() as session:
        night = _night(session, date, before)
        if before is not State.CLOSED:
            _note(session, date, moment, before, State.CLOSED, reason)
            night.state, night.message, night.closed = State.CLOSED, reason, moment
        night.handed_over = True


def transitions(database: Database, date: str) -> list[tuple[datetime, str, str, str]]:
    """Return a night's changes of state: (moment, before, after, reason), the first first."""
    with database.reading() as session:
        rows = session.scalars(
            select(NightTransition)
            .where(NightTransition.night == date)
            .order_by(NightTransition.moment, NightTransition.id)
        )
        return [(row.moment, row.before, row.after, row.reason) for row in rows]


def _note(
    session: Session, date: str, moment: datetime, before: State, then: State, reason: str
) -> None:
    known = session.scalar(
        select(NightTransition).where(
            NightTransition.night == date,
            NightTransition.moment == moment,
            NightTransition.after == then,
        )
    )
    if known is None:
        session.add(
            NightTransition(night=date, moment=moment, before=before, after=then, reason=reason)
        )


def _night(session: Session, date: str, state: State) -> Night:
    night = session.get(Night, date)
    if night is None:
        night = Night(date=date, state=state)
        session.add(night)
    return night


def tally_of(database: Database, date: str) -> Counter[Kind]:
    """Return how many exposures of each type, time [s] and filter a night has.

    Raises
    ------
    DatabaseUnavailable
    """
    with database.reading() as session:
        rows = session.execute(
            select(Exposure.exposure_type, Exposure.exposure_time, Exposure.filter, func.count())
            .join(TakenExposure, TakenExposure.exposure_id == Exposure.id)
            .where(TakenExposure.night == date)
            .group_by(Exposure.exposure_type, Exposure.exposure_time, Exposure.filter)
        )
        return Counter({(kind, time_s or 0.0, name): n for kind, time_s, name, n in rows})


def keep_plan(database: Database, date: str, plan: dict[str, Any]) -> None:
    """Record the plan of a night."""
    with database.writing() as session:
        _night(session, date, State.CLOSED).plan = plan
