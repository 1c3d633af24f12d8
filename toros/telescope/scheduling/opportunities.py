"""When each target can be observed, and what it is worth then: computed once a plan."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from toros.sky.observability import LocalSky, airmass
from toros.sky.site import Array, Site
from toros.telescope.scheduling.targets import Constraints, Interval, Target, utc

Flags = npt.NDArray[np.bool_]
Span = tuple[float, float]
"""From, to, in seconds from the plan's start."""

STEP_S = 30.0
_SYNODIC_DAYS = 29.530588
_THICK = 100.0  # in place of infinity, to be interpolated
_SUN_TOLERANCE_DEG = 0.01  # 3 s: a dusk that was rounded to a second is still a dusk
_LEAST_PRIORITY = 0.05  # even a priority of 0 is worth more than an idle telescope


class Opportunities:
    """The sky of some targets between two times, and what it allows.

    Times are seconds from `start` throughout. A target can be observed where every constraint
    holds at all samples, `STEP_S` apart, from the one before its first to the one after its
    last second.

    Parameters
    ----------
    targets : sequence of Target, n of them
    site : Site
    start, end : datetime
    constraints : Constraints
    closed : sequence of (datetime, datetime)
        When nothing is observed.

    Attributes
    ----------
    times : ndarray, shape (t,) [s]
    altitude : ndarray, shape (n, t) [deg]
    rules : dict of str to ndarray, shape (n, t) or (t,)
        By the name of each constraint, where it holds.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        site: Site,
        start: datetime,
        end: datetime,
        constraints: Constraints,
        closed: Sequence[Interval] = (),
    ) -> None:
        self.targets = targets
        self.constraints = constraints
        self.start = utc(start)
        self.length_s = max((utc(end) - self.start).total_seconds(), 0.0)
        samples = int(np.ceil(self.length_s / STEP_S)) + 2
        self.times: Array = STEP_S * np.arange(samples, dtype=np.float64)
        self.sky = LocalSky(site, self.start.timestamp() + self.times)
        self.places = self.sky.place([t.ra_deg for t in targets], [t.dec_deg for t in targets])
        self.altitude = self.sky.altitude(self.places)
        self.airmass = np.minimum(airmass(self.altitude), _THICK)
        self.closed = merged([self._span(interval) for interval in closed])
        self.rules = self._rules()

    def _span(self, interval: Interval) -> Span:
        first, last = (utc(moment) - self.start for moment in interval)
        return first.total_seconds(), last.total_seconds()

    @functools.cached_property
    def azimuth(self) -> Array:
        """Azimuths from north over east [deg], shape (n, t)."""
        return self.sky.azimuth(self.places)

    @functools.cached_property
    def moon_distance(self) -> Array:
        """Distances from the moon [deg], shape (n, t)."""
        return self.sky.moon_distance(self.places)

    def _each(self, name: str, default: float) -> Array:
        own = [getattr(target, name) for target in self.targets]
        return np.array([default if value is None else value for value in own], float)[:, None]

    def _rules(self) -> dict[str, Flags]:
        limits = self.constraints
        lowest = self._each("min_altitude_deg", limits.min_altitude_deg)
        rules: dict[str, Flags] = {
            "altitude": self.altitude >= lowest,
            "airmass": self.airmass <= self._each("max_airmass", limits.max_airmass),
            "moon distance": (self.moon_distance >= self._moon_limit())
            | (self.sky.moon_altitude <= limits.moon_altitude_deg),
        }
        if self.sky.site.horizon:
            rules["horizon"] = self.altitude >= self.sky.site.horizon_altitude(self.azimuth)
        if limits.max_hour_angle_h < 12.0:
            hours = np.abs(self.sky.hour_angle(self.places))
            rules["hour angle"] = hours <= limits.max_hour_angle_h
        return rules

    @functools.cached_property
    def dark(self) -> list[Span]:
        """When the sun is low enough, to a second, so that nothing of a dusk is lost [s]."""
        above = self.sky.sun_altitude - self.constraints.sun_altitude_deg - _SUN_TOLERANCE_DEG
        signs = np.flatnonzero(np.diff(above < 0.0))
        part = above[signs] / (above[signs] - above[signs + 1])
        edges = list(self.times[signs] + STEP_S * part)
        if above[0] < 0.0:
            edges.insert(0, 0.0)
        if above[-1] < 0.0:
            edges.append(float(self.times[-1]))
        spans = [(float(a), float(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
        return intersection(spans, [(0.0, self.length_s)])

    def _moon_limit(self) -> Array:
        nearest = self._each("moon_distance_deg", self.constraints.moon_distance_deg)
        if self.constraints.moon_width_days is None:
            return nearest
        age = self.sky.earth.moon_phase_angle / (2.0 * np.pi) * _SYNODIC_DAYS
        return nearest / (1.0 + (age / self.constraints.moon_width_days) ** 2)

    @functools.cached_property
    def observable(self) -> Flags:
        """Where all rules hold, shape (n, t); darkness, times asked for and closures aside."""
        return np.asarray(np.logical_and.reduce(np.broadcast_arrays(*self.rules.values())))

    @functools.cached_property
    def durations(self) -> Array:
        """How long each target takes [s], shape (n,)."""
        return np.array([target.duration_s for target in self.targets], float)

    @functools.cached_property
    def value(self) -> Array:
        """Priority x minutes / airmass at mid-observation, by start, shape (n, t)."""
        middle = self.durations[:, None] / 2.0 / STEP_S + np.arange(self.times.size)
        low = np.minimum(middle.astype(int), self.times.size - 2)
        part = np.minimum(middle - low, 1.0)
        rows = np.arange(len(self.targets))[:, None]
        thick = self.airmass[rows, low] * (1.0 - part) + self.airmass[rows, low + 1] * part
        priority = np.array([max(t.priority, _LEAST_PRIORITY) for t in self.targets], float)
        return np.asarray((priority * self.durations / 60.0)[:, None] / thick)

    def windows(self, index: int) -> list[Span]:
        """Return when a target may be begun, as spans in ascending order [s]."""
        target, duration = self.targets[index], float(self.durations[index])
        covered = int(np.ceil(duration / STEP_S)) + 1
        good = self.observable[index]
        if covered > good.size:
            return []
        bad = np.concatenate([[0], np.cumsum(~good)])
        begins = bad[covered:] == bad[:-covered]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], begins, [False]]).astype(int)))
        runs = [
            (float(self.times[a]), float(self.times[b - 1]))
            for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]
        # A run ends at the last sample that fits; the time asked for may end it earlier.
        free = [(a, b - duration) for a, b in self.free(target) if b - a >= duration]
        return intersection(runs, free)

    def free(self, target: Target) -> list[Span]:
        """Return when the telescope is free within the times that a target asks for [s]."""
        spans = _without(self.dark, self.closed)
        first = utc(target.not_before) if target.not_before else self.start
        asked = [(first - self.start).total_seconds(), np.inf]
        if target.not_after:
            asked[1] = (utc(target.not_after) - self.start).total_seconds()
        spans = intersection(spans, [(asked[0], asked[1])])
        if target.windows:
            spans = intersection(spans, merged([self._span(w) for w in target.windows]))
        return spans


def merged(spans: Sequence[Span]) -> list[Span]:
    """Return the union of spans, in ascending order."""
    result: list[Span] = []
    for first, last in sorted(spans):
        if result and first <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        elif last > first:
            result.append((first, last))
    return result


def intersection(some: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """Return where two lists of spans overlap, in ascending order."""
    both = ((max(a, c), min(b, d)) for a, b in some for c, d in others)
    return sorted((first, last) for first, last in both if first <= last)


def _without(spans: Sequence[Span], gaps: Sequence[Span]) -> list[Span]:
    """Return what gaps leave of spans."""
    left = list(spans)
    for c, d in gaps:
        left = [
            part for a, b in left for part in ((a, min(b, c)), (max(a, d), b)) if part[1] > part[0]
        ]
    return left
