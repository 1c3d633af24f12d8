"""What a rehearsed night has come to, in figures, each with what it should have been."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select

from toros.clock import from_iso
from toros.database.models import Combination, combination_exposure
from toros.database.observing import TakenExposure, Target
from toros.database.session import Database
from toros.telescope.picture import Deed

Span = tuple[datetime, datetime]

PLAN_SHARE, OPEN_SHARE = 0.95, 0.90
_LIGHT = "calibrated_light"


class Figure(NamedTuple):
    """One figure: what it is, what it came to, what it should be, whether that is good."""

    name: str
    value: str
    wanted: str
    good: bool


@dataclass(frozen=True)
class Record:
    """What the database tells of a night, besides the deed.

    Attributes
    ----------
    done : frozenset of int
        Targets of which every exposure was taken, each once.
    of_alert : mapping
        The alert's targets: whether each is done.
    calibrated : int
        Lights that the preprocessor calibrated with all masters.
    uncalibrated : int
        Lights that it did not, or not with all masters.
    """

    done: frozenset[int]
    of_alert: Mapping[int, bool]
    calibrated: int
    uncalibrated: int


def record_of(database: Database, deed: Deed) -> Record:
    """Read what became of a night's targets and frames."""
    taken: dict[int, int] = {}
    for shot in deed.shots:
        if shot.target is not None:
            taken[shot.target] = taken.get(shot.target, 0) + 1
    with database.reading() as session:
        targets = session.scalars(select(Target)).all()
        done = frozenset(
            row.id
            for row in targets
            if row.state == "done" and taken.get(row.id) == row.number_of_exposures
        )
        of_alert = {row.id: row.id in done for row in targets if row.event is not None}
        made = session.execute(
            select(combination_exposure.c.exposure_id, Combination.missing)
            .join(Combination, Combination.id == combination_exposure.c.combination_id)
            .join(TakenExposure, TakenExposure.exposure_id == combination_exposure.c.exposure_id)
            .where(TakenExposure.night == deed.date)
            .where(Combination.combination_type == _LIGHT, ~Combination.superseded)
        ).all()
    calibrated = len({row[0] for row in made if not row[1]})
    lights_taken = sum(shot.exposure_type == "light" for shot in deed.shots)
    return Record(done, of_alert, calibrated, lights_taken - calibrated)


def plan_done(
    plan: Mapping[str, Any], done: Iterable[int], lost: Sequence[Span]
) -> tuple[int, int]:
    """Count how much was done of what the plan had in the time that the weather allowed.

    An entry that the plan had, even in part, in lost time does not count, whether it was done
    at another time or not; neither do targets that the plan did not have.

    Parameters
    ----------
    plan : mapping
        As `toros.telescope.scheduling.plan_dict` gives it, made before the night.
    done : iterable of int
        The targets that are done.
    lost : sequence of (begin, end)
        When the dome had to be closed.

    Returns
    -------
    (int, int)
        How many were done, of how many.
    """
    finished = set(done)
    due = []
    for entry in plan.get("entries", ()):
        begin = from_iso(entry["start"]) - timedelta(seconds=float(entry["slew_s"]))
        if _overlap_s([(begin, from_iso(entry["end"]))], lost) == 0.0:
            due.append(int(entry["id"]))
    return sum(number in finished for number in due), len(due)


def open_share(window: Span, opened: Sequence[Span], lost: Sequence[Span]) -> float:
    """Return the share of the permitted time in which the dome was open.

    Parameters
    ----------
    window : (begin, end)
        When it should be open if the weather is good.
    opened, lost : sequence of (begin, end)
        When it was open; when it had to be closed. Those of each do not overlap.
    """
    permitted_s = (window[1] - window[0]).total_seconds() - _overlap_s([window], lost)
    inside = [(max(a, window[0]), min(b, window[1])) for a, b in opened]
    inside = [(a, b) for a, b in inside if a < b]
    used_s = sum((b - a).total_seconds() for a, b in inside) - _overlap_s(inside, lost)
    return used_s / permitted_s if permitted_s > 0 else 1.0


def judge(
    deed: Deed,
    record: Record,
    *,
    plan: Mapping[str, Any],
    window: Span,
    opened: Sequence[Span],
    lost: Sequence[Span],
    broken: Sequence[str],
    dark_lights: int,
) -> list[Figure]:
    """Judge a night.

    Parameters
    ----------
    deed, record
        What was done.
    plan : mapping
        The one made before the night.
    window, opened, lost
        As for `open_share`.
    broken : sequence of str
        Broken promises.
    dark_lights : int
        Lights that in truth did not see the sky.
    """
    kinds = [shot.exposure_type for shot in deed.shots]
    lights = kinds.count("light")
    last = deed.changes[-1][2] if deed.changes else "nothing"
    afters = [change[2] for change in deed.changes]
    reopened = sum(a == "suspended" and b == "open" for _, a, b, _ in deed.changes)
    done, due = plan_done(plan, record.done, lost)
    share = open_share(window, opened, lost)
    others = {kind: kinds.count(kind) for kind in ("bias", "dark", "flat")}
    alert = sum(record.of_alert.values())
    return [
        Figure("night ended", last, "closed", last == "closed"),
        Figure("targets done", str(len(record.done)), "1 or more", bool(record.done)),
        Figure(
            "of the plan, where the weather allowed",
            f"{done} of {due}",
            f"{PLAN_SHARE:.0%}",
            due > 0 and done >= PLAN_SHARE * due,
        ),
        Figure(
            "dome open, of the permitted time", f"{share:.0%}", f"{OPEN_SHARE:.0%}",
            share >= OPEN_SHARE,
        ),
        Figure(
            "alert's targets done",
            f"{alert} of {len(record.of_alert)}",
            "all",
            0 < len(record.of_alert) == alert,
        ),
        Figure(
            "closures in mid-night, and reopenings",
            f"{afters.count('suspended')}, {reopened}",
            "as many",
            0 < afters.count("suspended") == reopened,
        ),
        Figure("lights", str(lights), "1 or more", lights > 0),
        Figure("lights that did not see the sky", str(dark_lights), "0", dark_lights == 0),
        Figure(
            "biases, darks, flats",
            ", ".join(map(str, others.values())),
            "some of each",
            all(others.values()),
        ),
        Figure(
            "lights calibrated with all masters",
            f"{record.calibrated} of {lights}",
            "all",
            record.uncalibrated == 0 and lights > 0,
        ),
        Figure("broken promises", str(len(broken)), "0", not broken),
    ]  # fmt: skip


def _overlap_s(first: Iterable[Span], second: Sequence[Span]) -> float:
    both = ((min(b, d) - max(a, c)).total_seconds() for a, b in first for c, d in second)
    return sum(seconds for seconds in both if seconds > 0)
