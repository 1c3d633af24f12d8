"""What the telescope and the dome have promised, judged by what really happened.

The judges read the world's record of its hardware, the database and the files; what the daemons
say of themselves counts for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from sqlalchemy import select

from toros import store
from toros.database.messages import Message
from toros.database.models import Exposure, WorkOrder
from toros.database.observing import NightTransition, TakenExposure, Target
from toros.database.session import Database
from toros.simulation.observatory import verdicts
from toros.simulation.observatory.truth import TruthEvent
from toros.sky.observability import LocalSky
from toros.sky.site import Site
from toros.telescope.states import TABLE, State

CLOSE_REAL_S = 5.0
"""Unsafe to close commanded, the promise itself: it does not depend on the clock's rate [s]."""
_RACE_REAL_S = 0.7
"""What began to move so short a time ago could not be known yet [real s]."""
_LOST_REAL_S = 1.0
"""A process killed so soon after a frame came may have had it in memory alone [real s]."""
_ALTITUDE_MARGIN_DEG = 0.5
_START_S = 2.0
"""Two exposures never begin so soon after each other: they are told apart by it [s]."""

_WAYS = {(before, after) for (before, _), after in TABLE.items()}
_TAKEN_UP = "taken up after a restart"


@dataclass
class Deeds:
    """What the test itself has done, which excuses some of what happened."""

    kills_real_s: list[float] = field(default_factory=list)


def hardware_wrongs(
    events: Sequence[TruthEvent], end_s: float, site: Site, lowest_deg: float, travel_s: float
) -> list[str]:
    """Return what the devices were made to do that they must not."""
    rate = events[0].rate
    unsafe = verdicts.unsafe_intervals(events, end_s, age_limit_s=0.0)
    allowed_s = CLOSE_REAL_S * rate + travel_s
    found = [
        *verdicts.open_while_unsafe(events, unsafe, allowed_s, end_s),
        *verdicts.late_closings(events, unsafe, end_s, CLOSE_REAL_S),
        *verdicts.openings_while_unsafe(events, unsafe, _RACE_REAL_S * rate),
        *verdicts.overlapping_motions(events),
    ]
    races = _Races(events, _RACE_REAL_S * rate)
    wrongs = [f"{one.rule} at {one.at_s:.0f}: {one.detail}" for one in found]
    wrongs += [
        f"{one.rule} at {one.at_s:.0f}: {one.detail}"
        for one in verdicts.moves_under_closed_dome(events)
        if not races.shutter_moved(one.at_s)
    ]
    wrongs += [
        f"{one.rule} at {one.at_s:.0f}: {one.detail}"
        for one in verdicts.blind_exposures(events)
        if not races.dome_moved(one.at_s)
    ]
    return wrongs + _low_slews(events, site, lowest_deg)


class _Races:
    """Says whether the dome began to move just before: what follows could not know it yet."""

    def __init__(self, events: Iterable[TruthEvent], grace_s: float) -> None:
        self._grace_s = grace_s
        begun = [e for e in events if e.device == "dome" and e.motion is not None]
        self._shutter = [e.simulated_s for e in begun if e.motion and e.motion.axis == "shutter"]
        self._any = [e.simulated_s for e in begun if e.motion and e.motion.start != e.motion.end]

    def shutter_moved(self, at_s: float) -> bool:
        return any(0.0 <= at_s - moved_s <= self._grace_s for moved_s in self._shutter)

    def dome_moved(self, at_s: float) -> bool:
        return self.shutter_moved(at_s) or any(
            0.0 <= at_s - moved_s <= self._grace_s for moved_s in self._any
        )


def _low_slews(events: Iterable[TruthEvent], site: Site, lowest_deg: float) -> list[str]:
    slews = [e for e in events if e.event == "slew_to" and e.refused is None]
    low = []
    for event in slews:
        sky = LocalSky(site, event.simulated)
        place = sky.place([event.values["ra_deg"]], [event.values["dec_deg"]])
        altitude = float(sky.altitude(place)[0, 0])
        if altitude < lowest_deg - _ALTITUDE_MARGIN_DEG:
            low.append(f"slew to an altitude of {altitude:.1f} deg at {event.simulated_s:.0f}")
    return low


def frame_wrongs(
    events: Sequence[TruthEvent],
    moment_of: Callable[[float], datetime],
    database: Database,
    folder: Path,
    deeds: Deeds,
) -> list[str]:
    """Return which frames are lost, and which rows and files do not fit together."""
    wrongs = []
    with database.reading() as session:
        found = session.execute(
            select(Exposure.start, Exposure.name, Exposure.sha256, TakenExposure.night).join(
                TakenExposure, TakenExposure.exposure_id == Exposure.id
            )
        ).all()
    files = {f"{p.parent.name}/{p.name}": p for p in folder.glob("*/*.fits")}
    for _, name, sha256, night in found:
        path = files.pop(f"{night}/{Path(name).name}", None)
        if path is None:
            wrongs.append(f"{night}: {name} has a row and no file")
        elif store.sha256_of(path) != sha256:
            wrongs.append(f"{path.name}: not the checksum of its row")
    wrongs += [f"{name} has no row" for name in files]
    starts = [start for start, *_ in found if start is not None]
    wrongs += _lost(events, [moment.timestamp() for moment in starts], moment_of, deeds)
    twice = [moment for moment, n in Counter(starts).items() if n > 1]
    return wrongs + [f"the exposure of {moment} is there more than once" for moment in twice]


def _lost(
    events: Sequence[TruthEvent],
    known_s: Sequence[float],
    moment_of: Callable[[float], datetime],
    deeds: Deeds,
) -> list[str]:
    begun = {e.values["number"]: e for e in events if e.event == "start_exposure" and not e.refused}
    lost = []
    for number, read in _read_out(events).items():
        start_s = moment_of(begun[number].simulated_s).timestamp()
        if any(abs(moment_s - start_s) < _START_S for moment_s in known_s):
            continue
        if any(-0.1 <= kill_s - read.real_s < _LOST_REAL_S for kill_s in deeds.kills_real_s):
            continue
        lost.append(f"exposure {number} was read out at {read.simulated} and is lost")
    return lost


def _read_out(events: Sequence[TruthEvent]) -> Mapping[int, TruthEvent]:
    """Return the downloads whose answer came, by the exposure's number."""
    downloads = [e for e in events if e.event == "download"]
    answered: dict[int, TruthEvent] = {}
    for number, event in enumerate(downloads):
        lost_answer = any(later.refused for later in downloads[number + 1 : number + 2])
        if event.refused is None and not lost_answer:
            answered[event.values["number"]] = event
    return answered


def target_wrongs(database: Database) -> list[str]:
    """Return which targets were observed more than was asked for, or not what their state says."""
    wrongs = []
    with database.reading() as session:
        lights = Counter(
            session.scalars(
                select(TakenExposure.target_id)
                .join(Exposure, Exposure.id == TakenExposure.exposure_id)
                .where(Exposure.exposure_type == "light", TakenExposure.target_id.is_not(None))
            ).all()
        )
        rows = session.scalars(select(Target)).all()
        for row in rows:
            taken = lights[row.id]
            if taken > row.number_of_exposures:
                wrongs.append(f"target {row.id}: {taken} of {row.number_of_exposures} exposures")
            if taken != row.exposures_done:
                wrongs.append(f"target {row.id}: {row.exposures_done} recorded, {taken} taken")
            if row.state == "done" and taken < row.number_of_exposures:
                wrongs.append(f"target {row.id}: done with {taken} of {row.number_of_exposures}")
            if row.state not in ("waiting", "observing") and row.finished is None:
                wrongs.append(f"target {row.id}: {row.state}, but not when")
    return wrongs


def telling_wrongs(database: Database) -> list[str]:
    """Return which ends of an alert's targets nobody tells the alert robot.

    A withdrawal was mostly the robot's own wish: it is told of by memory, which a kill ends.
    """
    with database.reading() as session:
        messages = session.scalars(select(Message).where(Message.request == "report_target")).all()
        told = {(m.content["event"], m.content["name"], m.content["state"]) for m in messages}
        ended = session.scalars(
            select(Target).where(Target.event.is_not(None), Target.finished.is_not(None))
        ).all()
        return [
            f"target {row.id} {row.name} of {row.event}: nobody is told that it is {row.state}"
            for row in ended
            if row.state != "withdrawn" and (row.event, row.name, row.state) not in told
        ]


_ENDS = {
    "done": ("done",),
    "withdrawn": ("cancelled",),
    "expired": ("failed",),
    "failed": ("failed",),
    "waiting": ("queued", "running"),
    "observing": ("queued", "running"),
}


def order_wrongs(database: Database, accepted: Iterable[str]) -> list[str]:
    """Return which orders are lost, or say something else than became of their target."""
    wrongs = []
    with database.reading() as session:
        orders = {row.order_id: row for row in session.scalars(select(WorkOrder)).all()}
        targets = {
            row.work_order_id: row
            for row in session.scalars(select(Target)).all()
            if row.work_order_id is not None
        }
    for order_id in accepted:
        order = orders.get(order_id)
        if order is None:
            wrongs.append(f"order {order_id} was accepted and is not there")
            continue
        target = targets.get(order.id)
        if target is not None and order.state not in _ENDS[target.state]:
            wrongs.append(f"order {order_id} is {order.state}, its target {target.state}")
        if order.request == "observation" and order.state == "done" and target is None:
            wrongs.append(f"order {order_id} is done and never had a target")
    return wrongs


def state_wrongs(database: Database) -> list[str]:
    """Return the changes of state that the table does not know."""
    with database.reading() as session:
        rows = session.scalars(select(NightTransition).order_by(NightTransition.id)).all()
    wrongs = []
    by_night: dict[str, list[NightTransition]] = {}
    for row in rows:
        by_night.setdefault(row.night, []).append(row)
        taken_up = row.reason.startswith((_TAKEN_UP, "left by a crash"))
        if not taken_up and (State(row.before), State(row.after)) not in _WAYS:
            wrongs.append(f"{row.moment}: {row.before} -> {row.after}: {row.reason}")
    for night in by_night.values():
        for before, row in pairwise(night):
            goes_on = row.before == before.after or row.reason.startswith(_TAKEN_UP)
            if not goes_on:
                wrongs.append(f"{row.moment}: {before.after}, then {row.before} -> {row.after}")
    return wrongs


def later(moment: datetime, seconds: float) -> str:
    """Return a moment some seconds later, as it travels."""
    return (moment + timedelta(seconds=seconds)).isoformat()
