"""Judgements of what really happened: pure functions of the events that `World.truth` returns.

Each returns what was wrong, and nothing where all was well. Times are simulated monotonic
seconds, unless a name says that they are real.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from toros.simulation.observatory.truth import ARRIVED, Motion, TruthEvent
from toros.simulation.observatory.weather import Entry, Weather, weather_at

Bad = Callable[[Weather], bool]
"""Says of a weather whether it is bad."""

_PREEMPTING = frozenset(
    {"close_shutter", "park", "abort", "abort_exposure", "halt", "stopped", "unpark"}
)
_SILENCING = frozenset({"disconnected", "stale", "drops", "fails", "hangs", "nonsense"})
_MEASURING = {"safety_monitor": "is_safe", "observing_conditions": "read"}
_HINDERING = frozenset({"shutter_stuck", "shutter_error", "fails", "drops", "disconnected"})
_JUST_S = 1e-6


@dataclass(frozen=True)
class Violation:
    """Something that must not happen.

    Attributes
    ----------
    rule : str
        The function that found it.
    at_s : float
        When, by the simulated monotonic time [s].
    detail : str
        What it was, for a person.
    """

    rule: str
    at_s: float
    detail: str


class Interval(NamedTuple):
    """From a time to another, by the simulated monotonic time [s]."""

    start_s: float
    end_s: float


def unsafe_intervals(
    events: Iterable[TruthEvent],
    end_s: float,
    *,
    bad: Bad | None = None,
    bad_delay_s: float = 0.0,
    age_limit_s: float | None = None,
) -> list[Interval]:
    """Return when the weather was bad, or unknown.

    Parameters
    ----------
    events : iterable of TruthEvent
    end_s : float
        Nothing later counts.
    bad : callable, optional
        By default: the safety monitor would say unsafe.
    bad_delay_s : float
        Bad weather counts only after so long.
    age_limit_s : float, optional
        With it, a weather device that was silenced by a fault on all its calls counts as bad
        from so long after that on, until the fault is cleared.
    """
    ordered = sorted(events, key=lambda event: event.simulated_s)
    is_bad = bad or (lambda weather: not weather.safe)
    marks = _bad_weather(ordered, end_s, is_bad)
    intervals = [Interval(start + bad_delay_s, end) for start, end in marks]
    if age_limit_s is not None:
        silent = _silent(ordered, end_s)
        intervals += [Interval(start + age_limit_s, end) for start, end in silent]
    return _united(intervals)


def open_intervals(events: Iterable[TruthEvent], end_s: float) -> list[Interval]:
    """Return when the shutter was not closed, until `end_s`."""
    pieces = [
        _not_closed(motion, min(until_s, end_s))
        for motion, until_s in _paths(events, "shutter", end_s)
    ]
    return _united([piece for piece in pieces if piece])


def open_while_unsafe(
    events: Sequence[TruthEvent],
    unsafe: Iterable[Interval],
    allowed_s: float,
    end_s: float,
    *,
    excuse_faults: bool = True,
) -> list[Violation]:
    """Find when the dome stood open in bad weather longer than it may.

    Parameters
    ----------
    events : sequence of TruthEvent
    unsafe : iterable of Interval
        As `unsafe_intervals` returns them.
    allowed_s : float
        Time to notice, decide and close: real delays times the clock's rate, and travel time.
    end_s : float
        Nothing later counts.
    excuse_faults : bool
        Time in which a fault kept the dome from obeying, each time, does not count, nor
        `allowed_s` after its end or its last hit.
    """
    excused = []
    if excuse_faults:
        hindered = _fault_intervals(events, end_s, _hinders_closing)
        excused = [Interval(start, end + allowed_s) for start, end in hindered]
    found = []
    late = [Interval(start + allowed_s, end) for start, end in unsafe if start + allowed_s < end]
    for too_long in _overlaps(late, open_intervals(events, end_s)):
        for start, end in _without(too_long, excused):
            if end - start > _JUST_S:
                detail = f"open for {end - start:.1f} s beyond the {allowed_s:.1f} s allowed"
                found.append(Violation("open_while_unsafe", start, detail))
    return found


def late_closings(
    events: Sequence[TruthEvent],
    unsafe: Iterable[Interval],
    end_s: float,
    within_real_s: float = 5.0,
) -> list[Violation]:
    """Find when closing was not commanded soon after the weather turned bad.

    A command counts whether or not it was obeyed or answered. Where the shutter was closing or
    closed already, nothing had to be done.

    Parameters
    ----------
    events : sequence of TruthEvent
    unsafe : iterable of Interval
        As `unsafe_intervals` returns them.
    end_s : float
        Nothing later counts.
    within_real_s : float
        Real seconds.
    """
    ordered = sorted(events, key=lambda event: event.simulated_s)
    found = []
    for start, end in unsafe:
        if not _stands_open(ordered, start, end_s):
            continue
        before = [event for event in ordered if event.simulated_s <= start] or ordered[:1]
        start_real_s = before[-1].real_s_of(start)
        rate = before[-1].rate
        closings = (
            event.real_s - start_real_s
            for event in ordered
            if event.event == "close_shutter" and event.simulated_s >= start
        )
        taken_s = next(closings, math.inf)
        # Good again before it had to be noticed: there was no duty yet.
        over_s = (min(end, end_s) - start) / rate
        if taken_s > within_real_s and over_s > within_real_s:
            detail = f"closing was commanded after {taken_s:.2f} s, not within {within_real_s:g} s"
            found.append(Violation("late_closings", start, detail))
    return found


def openings_while_unsafe(
    events: Iterable[TruthEvent], unsafe: Sequence[Interval], grace_s: float = 0.0
) -> list[Violation]:
    """Find openings that anyone commanded while the weather was bad.

    Parameters
    ----------
    events : iterable of TruthEvent
    unsafe : sequence of Interval
        As `unsafe_intervals` returns them.
    grace_s : float
        An opening so soon after the turn is no fault: it could not be known [simulated s].
    """
    return [
        Violation("openings_while_unsafe", event.simulated_s, f"by process {event.pid}")
        for event in events
        if event.event == "open_shutter" and event.refused is None
        for start, end in unsafe
        if start + grace_s < event.simulated_s < end
    ]


def overlapping_motions(events: Iterable[TruthEvent]) -> list[Violation]:
    """Find motions that were commanded while another one of the same axis was under way.

    Closing, parking and stopping may preempt.
    """
    running: dict[tuple[str, str], Motion] = {}
    found = []
    for event in sorted(events, key=lambda event: event.simulated_s):
        if event.motion is None or event.event == ARRIVED:
            continue
        axis = (event.device, event.motion.axis)
        before = running.get(axis)
        if before and event.event not in _PREEMPTING:
            left_s = before.until_s - event.simulated_s
            if left_s > _JUST_S:
                detail = f"{event.device} {event.event}: {left_s:.2f} s before the last one's end"
                found.append(Violation("overlapping_motions", event.simulated_s, detail))
        running[axis] = event.motion
    return found


def blind_exposures(events: Iterable[TruthEvent]) -> list[Violation]:
    """Find light exposures that could not see their target.

    Begun while the mount or the dome moved, with the slit off the telescope's direction, or
    behind the closed cover. Flats by the lamp, which sits in the cover, do not count.
    """
    found = []
    for event in events:
        values = event.values
        if event.event != "start_exposure" or event.refused or not values.get("light"):
            continue
        if values["source"] == "lamp":
            continue
        reasons = [
            *(["the mount moved"] if values["mount_slews"] else []),
            *(["the dome moved"] if values["dome_turns"] else []),
            *([str(values["reason"])] if values["source"] != "sky" else []),
        ]
        if reasons:
            detail = f"exposure {values['number']}: {'; '.join(reasons)}"
            found.append(Violation("blind_exposures", event.simulated_s, detail))
    return found


def moves_under_closed_dome(events: Iterable[TruthEvent]) -> list[Violation]:
    """Find slews and unparkings of the mount that began while the shutter was not open."""
    return [
        Violation("moves_under_closed_dome", event.simulated_s, f"{event.event}")
        for event in events
        if event.event in ("slew_to", "unpark") and event.refused is None
        if event.values["shutter"] < 1
    ]


def _bad_weather(ordered: Sequence[TruthEvent], end_s: float, is_bad: Bad) -> list[Interval]:
    """Return when the weather was bad; what a later script replaced was never to be."""
    entries: list[Entry] = []
    for event in ordered:
        if event.device != "weather":
            continue
        if event.event == "set_script":
            entries = [entry for entry in entries if entry.at_s <= event.simulated_s]
        entries += [Entry(**entry) for entry in event.values["entries"]]
        entries.sort(key=lambda entry: entry.at_s)
    times = [*(entry.at_s for entry in entries if entry.at_s < end_s), end_s]
    states = [is_bad(weather_at(entries, time_s)) for time_s in times[:-1]]
    spans = zip(times[:-1], times[1:], states, strict=True)
    return _united([Interval(start, end) for start, end, bad in spans if bad])


def _silent(ordered: Sequence[TruthEvent], end_s: float) -> list[Interval]:
    """Return when a device that measures the weather told nothing that can be used."""

    def silences(values: Mapping[str, Any]) -> bool:
        measures = _MEASURING.get(values["on"])
        return measures is not None and values["fault"] in _SILENCING and _always(values, measures)

    return _fault_intervals(ordered, end_s, silences)


def _hinders_closing(values: Mapping[str, Any]) -> bool:
    hinders = values["on"] == "dome" and values["fault"] in _HINDERING
    # A close whose answer is late or lost was carried out all the same.
    return (
        hinders and not values["parameters"].get("carried_out") and _always(values, "close_shutter")
    )


def _always(values: Mapping[str, Any], call: str) -> bool:
    """Tell whether a fault hits a call each time; one call in fifty is no excuse."""
    parameters = values["parameters"]
    calls = parameters.get("calls")
    return parameters.get("one_in", 1) == 1 and (calls is None or call in calls)


def _fault_intervals(
    events: Sequence[TruthEvent], end_s: float, counts: Callable[[Mapping[str, Any]], bool]
) -> list[Interval]:
    """Return when faults were set that count."""
    since: dict[tuple[str, str], float] = {}
    found = []
    for event in sorted(events, key=lambda event: event.simulated_s):
        if event.device != "faults":
            continue
        on, fault = event.values["on"], event.values["fault"]
        if event.event == "set_fault":
            if counts(event.values):
                since.setdefault((on, fault), event.simulated_s)
            continue
        for key in [k for k in since if on in (None, k[0]) and fault in (None, k[1])]:
            found.append(Interval(since.pop(key), event.simulated_s))
    found += [Interval(start, end_s) for start in since.values()]
    return _united(found)


def _paths(events: Iterable[TruthEvent], axis: str, end_s: float) -> list[tuple[Motion, float]]:
    """Return an axis' motions with the time until which each holds."""
    motions = [
        event.motion
        for event in sorted(events, key=lambda event: event.simulated_s)
        if event.motion is not None and event.event != ARRIVED and event.motion.axis == axis
    ]
    ends = [*(motion.from_s for motion in motions[1:]), end_s]
    return list(zip(motions, ends[: len(motions)], strict=True))


def _not_closed(motion: Motion, until_s: float) -> Interval | None:
    """Return when a motion of the shutter, followed until a time, has it not closed."""
    if motion.start == motion.end == 0 or until_s <= motion.from_s:
        return None
    closed_s = motion.until_s if motion.end == 0 else math.inf
    return Interval(motion.from_s, min(until_s, closed_s))


def _stands_open(ordered: Sequence[TruthEvent], at_s: float, end_s: float) -> bool:
    """Tell whether the shutter is open at a time, and not closing."""
    for motion, until_s in _paths(ordered, "shutter", end_s):
        if motion.from_s <= at_s < until_s:
            closing = motion.end == 0 and motion.start > 0
            return not closing and _not_closed(motion, math.inf) is not None
    return False


def _united(intervals: Iterable[Interval]) -> list[Interval]:
    united: list[Interval] = []
    for start, end in sorted(interval for interval in intervals if interval[0] < interval[1]):
        if united and start <= united[-1].end_s:
            united[-1] = Interval(united[-1].start_s, max(end, united[-1].end_s))
        else:
            united.append(Interval(start, end))
    return united


def _overlaps(first: Iterable[Interval], second: Iterable[Interval]) -> list[Interval]:
    theirs = list(second)
    both = [Interval(max(a, c), min(b, d)) for a, b in first for c, d in theirs]
    return _united(both)


def _without(interval: Interval, holes: Iterable[Interval]) -> list[Interval]:
    """Return what is left of an interval outside the holes."""
    left, start = [], interval.start_s
    for hole in _united(holes):
        if hole.end_s <= start or hole.start_s >= interval.end_s:
            continue
        left.append(Interval(start, hole.start_s))
        start = max(start, hole.end_s)
    left.append(Interval(start, interval.end_s))
    return _united(left)
