"""An independent checker of plans: astropy's own AltAz, and none of the scheduler's code."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from benchmarks.scheduling.instances import SITE, Instance

URGENT = 9.0
TOLERANCE_DEG = 0.02
TOLERANCE_S = 0.01


class Row(NamedTuple):
    """One observation of a plan."""

    id: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Verdict:
    """What the checker finds."""

    weight: float
    """W = sum of priority x minutes / airmass, the secant of the zenith distance at the middle."""
    urgent: int
    """How many targets of priority 9 or more are done."""
    done: int
    violations: tuple[str, ...]


def check(instance: Instance, rows: Sequence[Row], slew_slack_s: float = 0.0) -> Verdict:
    """Check a plan for every rule, and weigh it.

    Parameters
    ----------
    instance : Instance
    rows : sequence of Row
    slew_slack_s : float
        Gaps may be this much too short [s].
    """
    rows = sorted(rows, key=lambda row: row.start)
    if not rows:
        return Verdict(0.0, 0, 0, ())
    targets = {str(target.id): target for target in instance.targets}
    problems = []
    if len({row.id for row in rows}) != len(rows):
        problems.append("a target is observed twice")
    for row in rows:
        length = (row.end - row.start).total_seconds()
        if abs(length - targets[row.id].duration_s) > 0.5:
            problems.append(f"{row.id} is observed for {length:.1f} s")
        if row.start < instance.start - timedelta(milliseconds=10) or (
            row.end > instance.end + timedelta(milliseconds=10)
        ):
            problems.append(f"{row.id} lies outside the night")
    altitude, moon, places = _seen(rows, [targets[row.id] for row in rows])
    for row, heights, distances in zip(rows, altitude, moon, strict=True):
        if heights.min() < 30.0 - TOLERANCE_DEG:
            problems.append(f"{row.id} stands at {heights.min():.2f} deg")
        if distances.min() < 30.0 - TOLERANCE_DEG:
            problems.append(f"{row.id} is {distances.min():.2f} deg from the moon")
    for k, (before, after) in enumerate(itertools.pairwise(rows)):
        gap = (after.start - before.end).total_seconds()
        slew = float(places[k].separation(places[k + 1]).deg) / 2.0
        if gap < slew - TOLERANCE_S - slew_slack_s:
            problems.append(f"{gap:.2f} s for a slew of {slew:.2f} s before {after.id}")
    weight = _weight(rows, [targets[row.id] for row in rows], altitude)
    urgent = sum(targets[row.id].priority >= URGENT for row in rows)
    return Verdict(weight, urgent, len(rows), tuple(problems))


def weigh(instance: Instance, rows: Sequence[Row]) -> float:
    """Return W of what was exposed, in pieces that may be parts of targets."""
    by_id = {str(target.id): target for target in instance.targets}
    targets = [by_id[row.id] for row in rows]
    return _weight(rows, targets, _seen(rows, targets)[0])


def _weight(rows, targets, altitude):  # type: ignore[no-untyped-def]
    minutes = [(row.end - row.start).total_seconds() / 60.0 for row in rows]
    return float(
        sum(
            target.priority * length * np.sin(np.radians(heights[2]))
            for target, length, heights in zip(targets, minutes, altitude, strict=True)
        )
    )


def _seen(rows, targets):  # type: ignore[no-untyped-def]
    """Altitudes and moon distances at five times of each observation, and the places."""
    import astropy.units as u
    from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body
    from astropy.time import Time
    from astropy.utils import iers

    with iers.conf.set_temp("auto_download", False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        place = EarthLocation.from_geodetic(
            SITE.longitude_deg * u.deg, SITE.latitude_deg * u.deg, SITE.height_m * u.m
        )
        places = SkyCoord([t.ra_deg for t in targets] * u.deg, [t.dec_deg for t in targets] * u.deg)
        moments = np.array(
            [
                [row.start.timestamp() + f * (row.end - row.start).total_seconds() for row in rows]
                for f in (0.0, 0.25, 0.5, 0.75, 1.0)
            ]
        )
        times = Time(moments.ravel(), format="unix")
        frame = AltAz(obstime=times, location=place)
        seen = SkyCoord(
            np.tile(places.ra.deg, 5) * u.deg, np.tile(places.dec.deg, 5) * u.deg
        ).transform_to(frame)
        moon = get_body("moon", times, place).transform_to(frame)
        altitude = seen.alt.deg.reshape(5, -1).T
        distance = seen.separation(moon).deg.reshape(5, -1).T
    return altitude, distance, places
