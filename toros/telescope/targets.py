"""The book of targets: what is to be observed, by whom it was asked for, how far it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from toros.clock import Clock
from toros.database.models import Exposure
from toros.database.observing import TakenExposure, Target, TargetList
from toros.database.session import Database
from toros.errors import InvalidField, TargetNotFound
from toros.workorders.telescope import Observation, ReceiveTargets

Work = Callable[[Session], None]

OPEN_STATES = ("waiting", "observing")
_DEFAULT_LIFE = timedelta(days=1)
_KNOWN = ("name", "ra", "dec", "rank", "probability", "filter", "exposure_time",
          "number_of_exposures")  # fmt: skip


@dataclass(frozen=True)
class TargetRow:
    """A target, as the book has it; `toros.database.observing.Target` describes the fields."""

    id: int
    work_order_id: int | None
    event: str | None
    name: str
    rank: int | None
    probability: float | None
    ra: float
    dec: float
    filter: str | None
    exposure_time: float
    number_of_exposures: int
    exposures_done: int
    urgency: float
    observing_class: str
    priority: float
    altitude_min: float | None
    airmass_max: float | None
    moon_distance_min: float | None
    not_before: datetime | None
    not_after: datetime | None
    observer: str
    order_id: str
    state: str
    attempts: int
    message: str


@dataclass(frozen=True)
class Listed:
    """One target of an alert's list, checked."""

    name: str
    ra: float
    dec: float
    rank: int | None
    probability: float | None
    filter: str | None
    exposure_time: float
    number_of_exposures: int


Report = Callable[[TargetRow], Work | None]
"""Makes the unit of work that tells what became of a target; None where nobody is told."""


def _nobody(_row: TargetRow) -> None:
    return None


class TargetBook:
    """The targets in the database.

    Parameters
    ----------
    database : Database
    clock : Clock
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def open_targets(self) -> list[TargetRow]:
        """Return the targets that wait or are being observed, by number.

        Raises
        ------
        DatabaseUnavailable
        """
        with self._database.reading() as session:
            rows = session.scalars(
                select(Target).where(Target.state.in_(OPEN_STATES)).order_by(Target.id)
            )
            return [_row(row) for row in rows]

    def get(self, number: int) -> TargetRow:
        """Return one target.

        Raises
        ------
        TargetNotFound, DatabaseUnavailable
        """
        with self._database.reading() as session:
            row = session.get(Target, number)
            if row is None:
                raise TargetNotFound(f"target: there is no target {number}")
            return _row(row)

    def newest(self, name: str) -> TargetRow:
        """Return the target of a name that was entered last.

        Raises
        ------
        TargetNotFound, DatabaseUnavailable
        """
        with self._database.reading() as session:
            row = session.scalar(
                select(Target).where(Target.name == name).order_by(Target.id.desc()).limit(1)
            )
            if row is None:
                raise TargetNotFound(
                    f"name: there is no target {name!r}; `toros plan` shows the open ones"
                )
            return _row(row)

    def add_observation(
        self, order: Observation, work_order_id: int, order_id: str, user: str, priority: float
    ) -> TargetRow:
        """Enter the target of an order; the same order again is the same target.

        Raises
        ------
        DatabaseUnavailable, DiskFull
        """
        with self._database.writing() as session:
            known = session.scalar(select(Target).where(Target.work_order_id == work_order_id))
            if known is not None:
                return _row(known)
            row = Target(
                work_order_id=work_order_id,
                order_id=order_id,
                name=order.target or f"{order.ra:.5f}{order.dec:+.5f}",
                observer=user,
                priority=priority,
                created=self._clock.now(),
                **{name: getattr(order, name) for name in _FROM_ORDER},
            )
            session.add(row)
            session.flush()
            return _row(row)

    def receive(
        self, order: ReceiveTargets, priority_of: Mapping[str, float], report: Report = _nobody
    ) -> dict[str, int | bool]:
        """Take an alert's complete list; an older revision than the known one changes nothing.

        Parameters
        ----------
        order : ReceiveTargets
        priority_of : mapping
            The priority of each target, by name.
        report : callable, optional
            Makes the unit of work that tells of each that is done already.

        Raises
        ------
        InvalidField, DatabaseUnavailable, DiskFull
        """
        listed = check_list(order)
        now = self._clock.now()
        with self._database.writing() as session:
            known = session.get(TargetList, order.event, with_for_update=True)
            if known is not None and known.revision >= order.revision:
                return {"accepted": False, "revision": known.revision, "open": 0, "withdrawn": 0}
            expiry = order.expiry or now + _DEFAULT_LIFE
            if known is None:
                session.add(
                    TargetList(
                        event=order.event, revision=order.revision, expiry=expiry, received=now
                    )
                )
            else:
                known.revision, known.expiry, known.received = order.revision, expiry, now
            gone = self._withdraw_missing(session, order.event, {one.name for one in listed})
            rows = [
                self._enter(session, order, one, priority_of.get(one.name, 0.0), expiry)
                for one in listed
            ]
            _told(session, [row for row in rows if row is not None], report)
        return {
            "accepted": True,
            "revision": order.revision,
            "open": len(listed),
            "withdrawn": gone,
        }

    def _withdraw_missing(self, session: Session, event: str, names: Iterable[str]) -> int:
        rows = session.scalars(
            select(Target).where(
                Target.event == event, Target.state.in_(OPEN_STATES), Target.name.not_in(names)
            )
        ).all()
        for row in rows:
            row.state, row.finished = "withdrawn", self._clock.now()
            row.message = "no longer on the alert's list"
        return len(rows)

    def _enter(
        self,
        session: Session,
        order: ReceiveTargets,
        one: Listed,
        priority: float,
        expiry: datetime,
    ) -> Target | None:
        """Enter a target, or change it; return it if nothing is left to do for it now."""
        row = session.scalar(
            select(Target).where(Target.event == order.event, Target.name == one.name)
        )
        if row is None:
            row = Target(
                event=order.event,
                name=one.name,
                observing_class="alert",
                created=self._clock.now(),
                order_id=order.id or "",
            )
            session.add(row)
        elif row.state in ("withdrawn", "expired", "failed"):
            row.state, row.finished, row.message, row.attempts = "waiting", None, "", 0
        row.ra, row.dec, row.rank, row.probability = one.ra, one.dec, one.rank, one.probability
        row.filter, row.exposure_time = one.filter, one.exposure_time
        row.number_of_exposures = one.number_of_exposures
        row.urgency, row.priority, row.not_after = order.urgency, priority, expiry
        done = row.exposures_done or 0
        if row.state != "waiting" or done < row.number_of_exposures:
            return None
        row.state, row.finished = "done", self._clock.now()
        return row

    def withdraw(self, event: str | None, number: int | None) -> list[TargetRow]:
        """Withdraw what is open of an event, or one target; return what was withdrawn.

        Raises
        ------
        InvalidField
            Neither or both are given.
        TargetNotFound, DatabaseUnavailable, DiskFull
        """
        if (event is None) == (number is None):
            raise InvalidField("withdraw_targets: give either event or target")
        which = Target.event == event if event is not None else Target.id == number
        with self._database.writing() as session:
            known = session.scalars(select(Target).where(which)).all()
            if not known:
                raise TargetNotFound(f"no target of {event or number!r} is known")
            rows = [row for row in known if row.state in OPEN_STATES]
            for row in rows:
                row.state, row.finished = "withdrawn", self._clock.now()
                row.message = "withdrawn on request"
            return [_row(row) for row in rows]

    def of_order(self, work_order_id: int) -> TargetRow | None:
        """Return the target of an order, whatever its state.

        Raises
        ------
        DatabaseUnavailable
        """
        with self._database.reading() as session:
            row = session.scalar(select(Target).where(Target.work_order_id == work_order_id))
            return None if row is None else _row(row)

    def files_of(self, number: int) -> list[str]:
        """Return the names, below the exposures' folder, of a target's lights that have a row.

        Raises
        ------
        DatabaseUnavailable
        """
        with self._database.reading() as session:
            found = session.execute(
                select(TakenExposure.night, Exposure.name)
                .join(Exposure, Exposure.id == TakenExposure.exposure_id)
                .where(TakenExposure.target_id == number, Exposure.exposure_type == "light")
                .order_by(TakenExposure.night, TakenExposure.sequence)
            )
            return [f"{night}/{PurePosixPath(name).name}" for night, name in found]

    def expire(self, report: Report = _nobody) -> list[TargetRow]:
        """End the targets whose time is over; return them.

        Parameters
        ----------
        report : callable, optional
            Makes the unit of work that tells of each, which is recorded with it.

        Raises
        ------
        DatabaseUnavailable, DiskFull
        """
        now = self._clock.now()
        over = select(Target.id).where(Target.state == "waiting", Target.not_after < now)
        with self._database.reading() as session:
            if session.scalar(over.limit(1)) is None:
                return []
        with self._database.writing() as session:
            rows = session.scalars(
                select(Target).where(Target.state == "waiting", Target.not_after < now)
            ).all()
            for row in rows:
                row.state, row.finished = "expired", now
                row.message = "not observed before its time was over"
            return _told(session, rows, report)

    def recover(self, report: Report = _nobody) -> tuple[int, list[TargetRow]]:
        """Bring the open targets up to date after a start, by the exposures that there are.

        Parameters
        ----------
        report : callable, optional
            Makes the unit of work that tells of each that is done, which is recorded with it.

        Returns
        -------
        (int, list of TargetRow)
            How many were interrupted and wait again, and which turned out to be done.

        Raises
        ------
        DatabaseUnavailable, DiskFull
        """
        interrupted, done = 0, list[Target]()
        with self._database.writing() as session:
            for row in session.scalars(select(Target).where(Target.state.in_(OPEN_STATES))):
                # A crash comes between an exposure's file and the record of its progress.
                row.exposures_done = max(row.exposures_done, _lights_of(session, row.id))
                if row.exposures_done >= row.number_of_exposures:
                    row.state, row.finished, row.message = "done", self._clock.now(), ""
                    done.append(row)
                elif row.state == "observing":
                    row.state = "waiting"
                    interrupted += 1
            return interrupted, _told(session, done, report)


def _told(session: Session, rows: Iterable[Target], report: Report) -> list[TargetRow]:
    """Record with what became of targets that it is told; return them."""
    told = [_row(row) for row in rows]
    for row in told:
        if (work := report(row)) is not None:
            work(session)
    return told


def _lights_of(session: Session, number: int) -> int:
    found = session.scalar(
        select(func.count())
        .select_from(TakenExposure)
        .join(Exposure, Exposure.id == TakenExposure.exposure_id)
        .where(TakenExposure.target_id == number, Exposure.exposure_type == "light")
    )
    return found or 0


def progress_of(
    number: int, *, during: Collection[str] | None = OPEN_STATES, **values: Any
) -> Work:
    """Make the unit of work that changes a target's progress; it may be carried out twice.

    Parameters
    ----------
    number : int
    during : collection of str or None
        It changes nothing in other states: a target that was withdrawn meanwhile stays so.
        None for what is true in any state.
    **values
        What becomes of the columns.
    """

    def change(session: Session) -> None:
        chosen = update(Target).where(Target.id == number)
        if during is not None:
            chosen = chosen.where(Target.state.in_(during))
        session.execute(chosen.values(**values))

    return change


def check_list(order: ReceiveTargets) -> list[Listed]:
    """Check the targets of an alert's list.

    Raises
    ------
    InvalidField
        Names the target, the field, the value and what would be right.
    """
    listed = [_listed(order, n, given) for n, given in enumerate(order.targets)]
    names = [one.name for one in listed]
    twice = (
        {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()
    )
    if twice:
        raise InvalidField(
            f"receive_targets: targets: {sorted(twice)[0]!r} is there twice; "
            "each target needs a name of its own"
        )
    return listed


def _listed(order: ReceiveTargets, number: int, given: Mapping[str, Any]) -> Listed:
    place = f"receive_targets: targets.{number}"

    def number_of(key: str, low: float, high: float, default: float | None) -> float | None:
        value = given.get(key, default)
        if value is None and key not in ("ra", "dec"):
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidField(f"{place}.{key}: got {value!r}; expected a number")
        if not low <= value <= high:
            raise InvalidField(f"{place}.{key}: got {value!r}; expected {low:g} to {high:g}")
        return float(value)

    name = given.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= 200 or not name.isprintable():
        raise InvalidField(f"{place}.name: got {name!r}; expected a name of 1 to 200 characters")
    ra, dec = number_of("ra", 0, 360, None), number_of("dec", -90, 90, None)
    rank = number_of("rank", 1, 1e9, None)
    chosen = given.get("filter", order.filter)
    if chosen is not None and not isinstance(chosen, str):
        raise InvalidField(f"{place}.filter: got {chosen!r}; expected a filter's name")
    assert ra is not None
    assert dec is not None
    return Listed(
        name=name,
        ra=ra % 360.0,
        dec=dec,
        rank=None if rank is None else int(rank),
        probability=number_of("probability", 0, 1, None),
        filter=chosen,
        exposure_time=number_of("exposure_time", 0.001, 7200, order.exposure_time) or 0.0,
        number_of_exposures=int(
            number_of("number_of_exposures", 1, 1000, order.number_of_exposures) or 1
        ),
    )


_FROM_ORDER: Sequence[str] = (
    "ra", "dec", "filter", "exposure_time", "number_of_exposures", "urgency", "observing_class",
    "altitude_min", "airmass_max", "moon_distance_min", "not_before", "not_after",
)  # fmt: skip


def _row(row: Target) -> TargetRow:
    return TargetRow(**{name: getattr(row, name) for name in TargetRow.__dataclass_fields__})
