"""The plan of a night, and the next target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from toros.sky.site import Array, Site
from toros.telescope.scheduling.opportunities import STEP_S, Opportunities
from toros.telescope.scheduling.reasons import why_never
from toros.telescope.scheduling.search import improve, insert_all, settle
from toros.telescope.scheduling.sequences import Options
from toros.telescope.scheduling.slews import Indices
from toros.telescope.scheduling.targets import (
    URGENT,
    Constraints,
    Interval,
    SlewModel,
    Target,
    utc,
)

ITERATIONS = 3000
"""Of the search; about a second for 200 targets, and within a percent of what 20000 find."""

PATIENCE = timedelta(hours=4)
"""In so long a wait an observation loses all but 1/e of its appeal: the sky is free now, and
later there may be clouds, alerts, or other targets. So none waits in idle time unless its worth
grows by a quarter per hour."""

HORIZON = timedelta(hours=2)
"""How far `next_target` looks ahead."""


class Entry(NamedTuple):
    """An observation of a plan."""

    target: Target
    start: datetime
    """UTC, after the slew."""
    end: datetime
    slew_s: float
    """The slew that precedes it [s]."""
    altitude_deg: float
    """At mid-observation, geometric [deg]."""
    azimuth_deg: float
    """At mid-observation, from north over east [deg]."""
    airmass: float
    """At mid-observation."""
    moon_distance_deg: float
    """At mid-observation [deg]."""
    worth: float
    """Priority x minutes / airmass."""


class LeftOut(NamedTuple):
    """A target that a plan does not have."""

    target: Target
    reason: str


@dataclass(frozen=True)
class Plan:
    """What is observed when.

    Parameters
    ----------
    start, end : datetime
        What was planned, in UTC.
    entries : tuple of Entry
        By start.
    left_out : tuple of LeftOut
        The others, in the order they were given.
    """

    start: datetime
    end: datetime
    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def worth(self) -> float:
        """W, the sum of priority x minutes / airmass."""
        return sum(entry.worth for entry in self.entries)

    @property
    def urgent(self) -> int:
        """How many targets of priority 9 or more it has."""
        return sum(entry.target.priority >= URGENT for entry in self.entries)

    @property
    def order(self) -> tuple[int | str, ...]:
        """The ids by start: what `plan` takes to begin from."""
        return tuple(entry.target.id for entry in self.entries)

    def entry_of(self, target_id: int | str) -> Entry | None:
        """Return a target's observation, if the plan has one."""
        return next((e for e in self.entries if e.target.id == target_id), None)


def plan(
    targets: Sequence[Target],
    site: Site,
    start: datetime,
    end: datetime,
    constraints: Constraints | None = None,
    slew: SlewModel | None = None,
    *,
    iterations: int = ITERATIONS,
    seed: int = 0,
    closed: Sequence[Interval] = (),
    pointing: tuple[float, float] | None = None,
    order: Sequence[int | str] = (),
    patience: timedelta | None = PATIENCE,
) -> Plan:
    """Plan what is observed when, so that the sum of priority x minutes / airmass is large.

    No target of priority 9 or more is given up for any number of others. The same arguments
    give the same plan, whatever the machine.

    Parameters
    ----------
    targets : sequence of Target
    site : Site
    start, end : datetime
        From when to when; naive is UTC. The sun's altitude holds besides.
    constraints : Constraints, optional
    slew : SlewModel, optional
    iterations : int
        Of the search; 0 for insertion alone, which takes a tenth of a second.
    seed : int
        Of the search's chances.
    closed : sequence of (datetime, datetime)
        When nothing can be observed: bad weather, or other work.
    pointing : (ra_deg, dec_deg), optional
        Where the telescope points at the start, ICRS [deg]; without it the first slew is free.
    order : sequence of id
        An order to begin from, such as an earlier plan's; ids that are unknown do not matter.
    patience : timedelta, optional
        How an observation's appeal shrinks while it waits in idle time, as exp(-wait / patience).
        None: each waits for its best hour. Time that is contested is given out by worth alone.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        Two targets have the same id.
    """
    if len({target.id for target in targets}) != len(targets):
        raise ValueError("two targets have the same id; a plan needs one id for each target")
    sky = Opportunities(targets, site, start, end, constraints or Constraints(), closed)
    options = Options(sky, slew or SlewModel(), pointing, patience)
    found = insert_all(options, _known_order(options, sky, order))
    found = improve(options, found, iterations, np.random.default_rng(seed))
    found, times = settle(options, found)
    return _as_plan(sky, options, found, times, utc(end))


def next_target(
    targets: Sequence[Target],
    site: Site,
    now: datetime,
    end: datetime,
    constraints: Constraints | None = None,
    slew: SlewModel | None = None,
    *,
    closed: Sequence[Interval] = (),
    pointing: tuple[float, float] | None = None,
    order: Sequence[int | str] = (),
    patience: timedelta | None = PATIENCE,
) -> Entry | None:
    """Return what to observe next, in a tenth of a second.

    It is the first of an insertion over the next two hours that begins from `order`, so that a
    plan is kept as long as it holds, and what has come in since is fitted in.

    Parameters
    ----------
    targets, site, now, end, constraints, slew, closed, pointing, order, patience
        As those of `plan`, `now` being its `start`.

    Returns
    -------
    Entry or None
        It may begin later than the slew asks, if the target is better then. None: nothing can
        be begun within two hours.
    """
    until = min(utc(end), utc(now) + HORIZON)
    sky = Opportunities(targets, site, now, until, constraints or Constraints(), closed)
    options = Options(sky, slew or SlewModel(), pointing, patience)
    found, times = settle(options, insert_all(options, _known_order(options, sky, order)))
    entries = _entries(sky, options, found[:1], times[:1])
    return entries[0] if entries else None


def _known_order(options: Options, sky: Opportunities, order: Sequence[int | str]) -> Indices:
    """Return as much of an earlier order as can still be kept."""
    by_id = {target.id: i for i, target in enumerate(sky.targets)}
    kept: list[int] = []
    ended = 0.0
    for target_id in dict.fromkeys(order):
        choices = np.flatnonzero(options.target == by_id.get(target_id, -1))
        before = kept[-1] if kept else options.count
        for option in choices.tolist():
            arrival = ended + float(options.slews.seconds(before, option, ended))
            begin = max(arrival, float(options.first[option]))
            if begin <= options.last[option]:
                kept.append(option)
                ended = begin + float(options.duration[option])
                break
    result = np.array(kept, dtype=np.intp)
    while result.size and options.weigh(result[None, :])[0][0] < 0.0:
        result = result[:-1]
    return result


def _entries(
    sky: Opportunities, options: Options, order: Indices, times: Array
) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    before, ended = options.count, 0.0
    for option, begin in zip(order.tolist(), times.tolist(), strict=True):
        index = int(options.target[option])
        slew_s = float(options.slews.seconds(before, option, ended))
        entries.append(_entry(sky, index, begin, slew_s))
        before, ended = option, begin + float(options.duration[option])
    return tuple(entries)


def _as_plan(
    sky: Opportunities, options: Options, order: Indices, times: Array, end: datetime
) -> Plan:
    entries = _entries(sky, options, order, times)
    done = {entry.target.id for entry in entries}
    offered = set(options.target.tolist())
    left_out = tuple(
        LeftOut(target, FULL if i in offered else why_never(sky, i))
        for i, target in enumerate(sky.targets)
        if target.id not in done
    )
    return Plan(sky.start, end, entries, left_out)


FULL = "observable, but what matters more takes the time"


def _entry(sky: Opportunities, index: int, begin: float, slew_s: float) -> Entry:
    target = sky.targets[index]
    start = sky.start + timedelta(seconds=begin)
    middle = (begin + target.duration_s / 2.0) / STEP_S
    step = min(int(middle), sky.times.size - 2)
    part = middle - step

    def at_middle(values: Array) -> float:
        return float(values[index, step] * (1.0 - part) + values[index, step + 1] * part)

    thick = at_middle(sky.airmass)
    return Entry(
        target,
        start,
        start + timedelta(seconds=target.duration_s),
        slew_s,
        at_middle(sky.altitude),
        float(sky.azimuth[index, round(middle)]),
        thick,
        at_middle(sky.moon_distance),
        target.priority * target.duration_s / 60.0 / thick,
    )
