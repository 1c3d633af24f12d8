"""A night that does not go as planned, against a plan made with hindsight.

Two hours are closed, ten targets are inserted, three alerts bring three targets each, and
every observation takes 10 % longer than planned. The observer sees each of these only when it
happens; the hindsight has known all of it, with every true duration, since the evening.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from benchmarks.scheduling.checker import Row, weigh
from benchmarks.scheduling.instances import CONSTRAINTS, SITE, SLEW, Instance, make_instance
from toros.telescope.scheduling import Entry, Target, interrupts, next_target, plan
from toros.telescope.scheduling.opportunities import Opportunities

EXPOSURE = timedelta(minutes=1)
"""An observation is cut only between exposures."""

PROMPT = timedelta(minutes=2)
"""An alert's target comes first if it can be begun this soon."""

OVERRUN = 1.1
"""How much longer every observation takes than planned."""

HINDSIGHT_PROMPT = timedelta(minutes=45)

REPLAN = timedelta(minutes=30)
REPLAN_ITERATIONS = 1500


@dataclass(frozen=True)
class Surprises:
    """What happens in a night."""

    known: tuple[Target, ...]
    arrivals: tuple[tuple[datetime, tuple[Target, ...]], ...]
    closed: tuple[tuple[datetime, datetime], ...]

    def targets(self, instance: Instance) -> list[Target]:
        """Return all targets, with the times at which they came, and alerts with their due."""
        late = [
            dataclasses.replace(target, not_before=moment)
            for moment, arrived in self.arrivals
            for target in arrived
        ]
        return [*self.known, *(self._due(instance, target) for target in late)]

    def _due(self, instance: Instance, target: Target) -> Target:
        if target.observing_class != "alert":
            return target
        windows = Opportunities(
            [target], SITE, instance.start, instance.end, CONSTRAINTS, self.closed
        ).windows(0)
        if not windows:
            return target
        first = instance.start + timedelta(seconds=windows[0][0])
        due = first + HINDSIGHT_PROMPT + timedelta(seconds=target.duration_s)
        return dataclasses.replace(target, not_after=due)


def make_surprises(night: str, seed: int) -> tuple[Instance, Surprises]:
    """Make a dynamic night; its instance has all targets."""
    instance = make_instance(night, seed, 219)
    rng = np.random.default_rng([seed, 7])
    length = instance.end - instance.start
    gaps = sorted(rng.uniform(0.05, 0.9, 2))
    closed = tuple(
        (instance.start + gap * length, instance.start + gap * length + timedelta(hours=1))
        for gap in (gaps[0], max(gaps[1], gaps[0] + timedelta(hours=1.2) / length))
    )
    known, late, alerts = (instance.targets[a:b] for a, b in ((0, 200), (200, 210), (210, 219)))
    moments = instance.start + rng.uniform(0.05, 0.85, 13) * length
    arrivals = [(moment, (target,)) for moment, target in zip(moments, late, strict=False)]
    for k, moment in enumerate(moments[10:]):
        listed = tuple(
            dataclasses.replace(t, priority=10.0, observing_class="alert", event=f"S{k}", rank=r)
            for r, t in enumerate(alerts[3 * k : 3 * k + 3], 1)
        )
        arrivals.append((moment, listed))
    everything = (*known, *(t for _, arrived in arrivals for t in arrived))
    surprises = Surprises(known, tuple(sorted(arrivals, key=lambda a: a[0])), closed)
    return dataclasses.replace(instance, targets=everything), surprises


class Observer:
    """Goes through a night, replanning as things happen.

    Exposures that were taken before a cut are kept, and the rest is asked for again. How much
    longer than planned observations take is learnt from those that are done.
    """

    def __init__(self, instance: Instance, surprises: Surprises) -> None:
        self.instance = instance
        self.now = instance.start
        self.open = {target.id: target for target in surprises.known}
        self.arrivals = list(surprises.arrivals)
        self.surprises = surprises
        self.pointing: tuple[float, float] | None = None
        self.order: tuple[int | str, ...] = ()
        self.planned_at: datetime | None = None
        self.pieces: list[Row] = []
        self.learnt = 1.0
        self.cuts = 0

    def run(self) -> list[Row]:
        """Observe until the end of the night; return what was exposed."""
        while self.now < self.instance.end:
            self._hear()
            closure = next((c for c in self.surprises.closed if c[0] <= self.now < c[1]), None)
            if closure:
                self.now, self.planned_at = closure[1], None
                continue
            self._plan()
            entry = self._alert_first() or self._next(self._wanted(), self.order)
            soonest = self._next_event()
            if entry is None or entry.start >= soonest:
                self.now = min(soonest, self.now + timedelta(minutes=5))
            else:
                self._observe(self.open[entry.target.id], entry.start)
        return self.pieces

    def _hear(self) -> None:
        while self.arrivals and self.arrivals[0][0] <= self.now:
            _, targets = self.arrivals.pop(0)
            self.open.update((target.id, target) for target in targets)
            self.planned_at = None

    def _wanted(self) -> list[Target]:
        return [
            dataclasses.replace(t, duration_s=t.duration_s * self.learnt)
            for t in self.open.values()
        ]

    def _next(self, targets: list[Target], order: tuple[int | str, ...]) -> Entry | None:
        return next_target(
            targets, SITE, self.now, self.instance.end, CONSTRAINTS, SLEW,
            pointing=self.pointing, order=order,
        )  # fmt: skip

    def _plan(self) -> None:
        if self.planned_at is not None and self.now - self.planned_at < REPLAN:
            return
        self.order = plan(
            self._wanted(), SITE, self.now, self.instance.end, CONSTRAINTS, SLEW,
            iterations=REPLAN_ITERATIONS, pointing=self.pointing, order=self.order,
        ).order  # fmt: skip
        self.planned_at = self.now

    def _alert_first(self) -> Entry | None:
        """Return the best-ranked of the alerts' targets that can be begun at once."""
        alerts = [t for t in self._wanted() if t.observing_class == "alert"]
        for target in sorted(alerts, key=lambda t: t.rank or 99):
            at_once = self.now + timedelta(seconds=target.duration_s) + PROMPT
            entry = self._next([dataclasses.replace(target, not_after=at_once)], ())
            if entry is not None:
                return entry
        return None

    def _next_event(self) -> datetime:
        events = [first for first, _ in self.surprises.closed if first > self.now]
        events += [when for when, _ in self.arrivals if when > self.now]
        return min([*events, self.instance.end])

    def _observe(self, target: Target, start: datetime) -> None:
        end = start + timedelta(seconds=target.duration_s * OVERRUN)
        cut = end
        for first, _ in self.surprises.closed:
            if self.now <= first < end:
                cut = min(cut, first)
        for when, arrived in self.arrivals:
            if when < end and any(interrupts(new, target) for new in arrived):
                exposures = max(0, int(np.ceil((when - start) / EXPOSURE)))
                cut = min(cut, start + exposures * EXPOSURE)
        cut = min(cut, self.instance.end)
        self.pointing = (target.ra_deg, target.dec_deg)
        self.now = max(cut, self.now + timedelta(seconds=1))
        if cut >= end:
            del self.open[target.id]
            self.learnt += 0.1 * (OVERRUN - self.learnt)
        else:
            self.cuts += 1
            self.planned_at = None
            cut = start + int((cut - start) / EXPOSURE) * EXPOSURE
            done_s = (cut - start).total_seconds() / OVERRUN
            left = dataclasses.replace(target, duration_s=target.duration_s - done_s)
            self.open[target.id] = left
        if cut > start:
            self.pieces.append(Row(str(target.id), start, cut))


def hindsight(instance: Instance, surprises: Surprises, iterations: int) -> list[Row]:
    """Plan with all that the night would bring.

    It owes the alerts the same as the observer: each of their targets is begun within
    `HINDSIGHT_PROMPT` of the first time at which it could be.
    """
    true = [
        dataclasses.replace(t, duration_s=t.duration_s * OVERRUN)
        for t in surprises.targets(instance)
    ]
    found = plan(
        true, SITE, instance.start, instance.end, CONSTRAINTS, SLEW,
        iterations=iterations, closed=surprises.closed, patience=None,
    )  # fmt: skip
    return [Row(str(e.target.id), e.start, e.end) for e in found.entries]


def compare(night: str, seed: int) -> tuple[float, float, int]:
    """Return the observer's W, the hindsight's, and how many observations were cut."""
    instance, surprises = make_surprises(night, seed)
    observer = Observer(instance, surprises)
    mine = weigh(instance, observer.run())
    return mine, weigh(instance, hindsight(instance, surprises, 12000)), observer.cuts
