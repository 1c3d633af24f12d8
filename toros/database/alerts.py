"""Alerts in the database: each notice once, each event as its newest notice has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from toros.clock import Clock, to_iso
from toros.database.alert_tables import AlertEvent, AlertNotice, AlertTargets, TargetReport
from toros.database.session import Database
from toros.errors import EventNotFound, TorosError

T = TypeVar("T")

Outcome = Literal["answered", "recorded", "ignored", "superseded", "refused"]
Messages = Callable[[Session, int], None]
"""Adds what tells others of a revision to the unit of work that records it."""

_BY_HAND = "retracted_by_hand"

# Revisions grow with time, so that even an empty database continues where the old one was.
_REVISIONS_FROM = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class NewNotice:
    """A notice to be recorded.

    Parameters
    ----------
    identity : str
        The same for the same notice, however it came.
    source, file : str
        What it was received from; the name of its archived file.
    event : str or None
        None for one that cannot be read or is ignored.
    order : str
        Its place among the event's notices: of two texts the greater is the newer notice.
    facts : mapping
        What it says, fit for JSON.
    by_hand : bool
        Whether a person gives it: then it may lead to more than it did before.
    """

    identity: str
    source: str
    file: str
    event: str | None = None
    mission: str = ""
    kind: str = ""
    issued: datetime | None = None
    order: str = ""
    is_test: bool = False
    is_known: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)
    by_hand: bool = False


@dataclass(frozen=True)
class NewLists:
    """What a notice led to.

    Parameters
    ----------
    state : {"active", "retracted"}
    summary : mapping
        Of the sky map and the lists.
    folder : str
        Where the files are.
    lists : mapping of str to mapping
        Each observatory's target list.
    note : str
        What is to be known of how they were made.
    """

    state: Literal["active", "retracted"]
    summary: Mapping[str, Any]
    folder: str
    lists: Mapping[str, Mapping[str, Any]]
    note: str = ""


@dataclass(frozen=True)
class Standing:
    """How an event stands: what a new notice is to be compared with."""

    order: str
    answered: bool
    state: str
    revision: int


class Alerts:
    """The events and notices.

    Every method is one unit of work and raises DatabaseUnavailable or DiskFull where
    the database is away or its disk full.

    Parameters
    ----------
    database : Database
    clock : Clock
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def outcome_of(self, identity: str, *, by_hand: bool = False) -> str | None:
        """Return what became of a notice; None for one that is to be handled.

        Parameters
        ----------
        identity : str
        by_hand : bool
            Whether a person gives it: then it is handled again if it was refused, ignored, or,
            as its event's newest, only recorded; or if a person has withdrawn the event since.
        """
        with self.database.reading() as session:
            row = session.scalar(select(AlertNotice).where(AlertNotice.identity == identity))
            if row is None or (by_hand and _leaves_something(session, row)):
                return None
            return row.outcome

    def standing(self, event: str) -> Standing | None:
        """Return how an event stands; None for one that is not known."""
        with self.database.reading() as session:
            row = session.get(AlertEvent, event)
            if row is None:
                return None
            return Standing(row.notice_order, row.answered, row.state, row.revision)

    def record(
        self,
        notice: NewNotice,
        outcome: Outcome,
        message: str = "",
        error: TorosError | None = None,
    ) -> None:
        """Record a notice that changes no event; once, however often."""
        self._again(lambda: self._record(notice, outcome, message, error))

    def _record(
        self, notice: NewNotice, outcome: Outcome, message: str, error: TorosError | None
    ) -> None:
        with self.database.writing() as session:
            if not _is_known(session, notice, outcome):
                row = self._row(notice, outcome, message)
                # An event has a row only once a notice has changed it.
                if row.event is not None and session.get(AlertEvent, row.event) is None:
                    row.event = None
                row.status_code = None if error is None else error.code
                session.add(row)

    def advance(
        self, notice: NewNotice, lists: NewLists, messages: Messages | None, message: str = ""
    ) -> tuple[Outcome, int] | None:
        """Make a notice its event's newest, with what it led to and what others are told.

        Parameters
        ----------
        notice : NewNotice
            Its event is known by name.
        lists : NewLists
        messages : callable or None
            Adds the messages; None: nobody is told.
        message : str
            Why nobody is told but those who were told of the event before: whether there are
            any is decided here, where no other notice can come in between.

        Returns
        -------
        tuple of str and int, or None
            ``answered`` or ``recorded`` and the revision, or ``superseded`` and the revision of
            the newer notice, which then stays; None where the notice was known already.
        """
        return self._again(lambda: self._advance(notice, lists, messages, message))

    def _advance(
        self, notice: NewNotice, lists: NewLists, messages: Messages | None, message: str
    ) -> tuple[Outcome, int] | None:
        assert notice.event is not None
        with self.database.writing() as session:
            event = session.get(AlertEvent, notice.event, with_for_update=True)
            if _is_known(session, notice):
                return None
            if event is not None and event.notice_order > notice.order:
                session.add(self._row(notice, "superseded", "a newer notice was there already"))
                return "superseded", event.revision
            if event is None:
                event = AlertEvent(name=notice.event, revision=0, created=self.clock.now())
                event.answered = False
                session.add(event)
            if message and not event.answered:
                messages = None
            outcome: Outcome = "recorded" if messages is None else "answered"
            why = message if messages is None else ""
            row = self._row(notice, outcome, "; ".join(filter(None, (why, lists.note))))
            row.revision = self._next_revision(event.revision)
            self._move(session, event, notice, lists, row.revision)
            session.add(row)
            session.flush()
            event.notice_id = row.id
            if messages is not None:
                event.answered = True
                messages(session, row.revision)
            return outcome, row.revision

    def retract(self, name: str, reason: str, lists: Sequence[str], messages: Messages) -> int:
        """Withdraw an event by hand; return the revision that does it.

        Parameters
        ----------
        name, reason : str
        lists : sequence of str
            The observatories, each of which has an empty list from now on.
        messages : callable
            Adds the messages, for an event that others were told of.

        Raises
        ------
        EventNotFound
        """
        with self.database.writing() as session:
            event = session.get(AlertEvent, name, with_for_update=True)
            if event is None:
                raise EventNotFound(f"no event {name!r}; list_events tells those that are known")
            event.revision = self._next_revision(event.revision)
            event.state = "retracted"
            event.updated = self.clock.now()
            event.summary = _withdrawn(event.summary or {}, lists, reason)
            for observatory in lists:
                _keep_list(session, name, observatory, event.revision, {"targets": []})
            if event.answered:
                messages(session, event.revision)
            return event.revision

    def _move(
        self,
        session: Session,
        event: AlertEvent,
        notice: NewNotice,
        lists: NewLists,
        revision: int,
    ) -> None:
        event.mission = notice.mission[:64]
        event.state = lists.state
        event.is_test = notice.is_test
        event.notice_order = notice.order
        event.revision = revision
        event.summary = dict(lists.summary)
        event.folder = lists.folder
        event.updated = self.clock.now()
        session.flush()
        # An observatory that is not told any more has no list any more.
        session.execute(
            delete(AlertTargets).where(
                AlertTargets.event == event.name, AlertTargets.observatory.not_in(lists.lists)
            )
        )
        for observatory, content in lists.lists.items():
            _keep_list(session, event.name, observatory, revision, content)

    def _next_revision(self, last: int) -> int:
        return max(last + 1, int((self.clock.now() - _REVISIONS_FROM).total_seconds()))

    def _row(self, notice: NewNotice, outcome: Outcome, message: str) -> AlertNotice:
        return AlertNotice(
            identity=notice.identity,
            event=notice.event,
            mission=notice.mission[:64],
            kind=notice.kind[:100],
            issued=notice.issued,
            is_test=notice.is_test,
            is_known=notice.is_known,
            facts=dict(notice.facts),
            source=notice.source[:200],
            file=notice.file,
            outcome=outcome,
            message=message,
            processed=self.clock.now(),
        )

    def _again(self, work: Callable[[], T]) -> T:
        """Do a unit of work once more where another thread recorded the same just now."""
        try:
            return work()
        except IntegrityError:
            return work()

    def report(self, content: Mapping[str, Any]) -> None:
        """Record what became of a target; the last word of an observatory counts.

        Parameters
        ----------
        content : mapping
            event, observatory, name, state, message, exposures.
        """
        with self.database.writing() as session:
            identity = {key: content[key] for key in ("event", "observatory", "name")}
            row = session.scalar(select(TargetReport).filter_by(**identity).with_for_update())
            if row is None:
                row = TargetReport(**identity)
                session.add(row)
            row.state, row.message = content["state"], content["message"]
            row.exposures, row.reported = content["exposures"], self.clock.now()

    def page(self, state: str, page: int, page_size: int) -> dict[str, Any]:
        """List events, those that changed last first."""
        chosen = select(AlertEvent)
        if state != "any":
            chosen = chosen.where(AlertEvent.state == state)
        with self.database.reading() as session:
            total = session.scalar(select(func.count()).select_from(chosen.subquery())) or 0
            rows = session.scalars(
                chosen.order_by(AlertEvent.updated.desc(), AlertEvent.name)
                .offset((page - 1) * page_size)
                .limit(page_size)
            )
            return {"total": total, "page": page, "events": [_told(row) for row in rows]}

    def tell(self, name: str) -> dict[str, Any]:
        """Tell all of an event: itself, its notices in the order they came, reports.

        Raises
        ------
        EventNotFound
        """
        with self.database.reading() as session:
            event = self._event(session, name)
            notices = session.scalars(
                select(AlertNotice).where(AlertNotice.event == name).order_by(AlertNotice.id)
            )
            reports = session.scalars(
                select(TargetReport).where(TargetReport.event == name).order_by(TargetReport.id)
            )
            return {
                **_told(event),
                "summary": event.summary,
                "notices": [_notice_told(row) for row in notices],
                "reports": [
                    {
                        "observatory": row.observatory,
                        "name": row.name,
                        "state": row.state,
                        "message": row.message,
                        "exposures": row.exposures,
                        "reported": to_iso(row.reported),
                    }
                    for row in reports
                ],
            }

    def lists(self, name: str) -> tuple[int, dict[str, dict[str, Any]]]:
        """Return an event's revision and its newest list for each observatory.

        Raises
        ------
        EventNotFound
        """
        with self.database.reading() as session:
            event = self._event(session, name)
            rows = session.scalars(
                select(AlertTargets)
                .where(AlertTargets.event == name)
                .order_by(AlertTargets.observatory)
            )
            return event.revision, {row.observatory: row.content for row in rows}

    def old_tests(self, before: datetime) -> tuple[list[str], list[str]]:
        """Return which tests and mock events have files that are older than a moment.

        Returns
        -------
        events : list of str
            Events that have not changed since.
        files : list of str
            Archived notices that were handled before.
        """
        with self.database.reading() as session:
            events = session.scalars(
                select(AlertEvent.name).where(
                    AlertEvent.is_test, AlertEvent.updated < before, AlertEvent.folder != ""
                )
            )
            files = session.scalars(
                select(AlertNotice.file).where(
                    AlertNotice.is_test, AlertNotice.processed < before, AlertNotice.file != ""
                )
            )
            return list(events), list(files)

    def forget_files(self, events: Sequence[str], files: Sequence[str]) -> None:
        """Record that files of events and notices were removed."""
        with self.database.writing() as session:
            for name in events:
                session.get_one(AlertEvent, name).folder = ""
            session.execute(update(AlertNotice).where(AlertNotice.file.in_(files)).values(file=""))

    def counts(self) -> dict[str, int]:
        """Return how many notices had each outcome."""
        with self.database.reading() as session:
            rows = session.execute(
                select(AlertNotice.outcome, func.count()).group_by(AlertNotice.outcome)
            )
            return {row[0]: row[1] for row in rows}

    @staticmethod
    def _event(session: Session, name: str) -> AlertEvent:
        event = session.get(AlertEvent, name)
        if event is None:
            raise EventNotFound(f"no event {name!r}; list_events tells those that are known")
        return event


def _is_known(session: Session, notice: NewNotice, outcome: Outcome = "answered") -> bool:
    """Tell whether a notice has its row; that of less gives way to what is better."""
    row = session.scalar(select(AlertNotice).where(AlertNotice.identity == notice.identity))
    if row is None:
        return False
    changes_event = outcome == "answered"
    gives_way = row.outcome == "refused" and outcome != "refused"
    if notice.by_hand and (changes_event or row.outcome == "ignored"):
        gives_way = gives_way or _leaves_something(session, row)
    if gives_way:
        session.delete(row)
        session.flush()
    return not gives_way


def _leaves_something(session: Session, row: AlertNotice) -> bool:
    """Tell whether a notice may lead to more than it did: see `Alerts.outcome_of`."""
    if row.outcome in ("refused", "ignored"):
        return True
    event = None if row.event is None else session.get(AlertEvent, row.event)
    if event is None or event.notice_id != row.id:
        return False
    return row.outcome == "recorded" or _BY_HAND in (event.summary or {})


def _withdrawn(
    summary: Mapping[str, Any], observatories: Sequence[str], reason: str
) -> dict[str, Any]:
    """Return an event's summary once a person has withdrawn it: nothing is listed any more."""
    lists = summary.get("lists", {})
    empty = {
        "reason": f"withdrawn by hand{f': {reason}' if reason else ''}",
        "targets": 0,
        "listed_probability": 0.0,
    }
    return {
        **summary,
        "lists": {name: {**lists.get(name, {}), **empty} for name in observatories},
        _BY_HAND: reason or "no reason",
    }


def _keep_list(
    session: Session, event: str, observatory: str, revision: int, content: Mapping[str, Any]
) -> None:
    row = session.get(AlertTargets, (event, observatory))
    if row is None:
        row = AlertTargets(event=event, observatory=observatory)
        session.add(row)
    row.revision, row.content = revision, dict(content)


def _told(event: AlertEvent) -> dict[str, Any]:
    return {
        "event": event.name,
        "mission": event.mission,
        "state": event.state,
        "is_test": event.is_test,
        "answered": event.answered,
        "revision": event.revision,
        "folder": event.folder,
        "created": to_iso(event.created),
        "updated": to_iso(event.updated),
    }


def _notice_told(row: AlertNotice) -> dict[str, Any]:
    return {
        "identity": row.identity,
        "kind": row.kind,
        "issued": None if row.issued is None else to_iso(row.issued),
        "is_known": row.is_known,
        "source": row.source,
        "file": row.file,
        "outcome": row.outcome,
        "message": row.message,
        "revision": row.revision,
        "processed": to_iso(row.processed),
        "facts": row.facts,
    }
