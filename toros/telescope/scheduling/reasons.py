"""Why a target can or cannot be observed, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from toros.telescope.scheduling.opportunities import Flags, Opportunities, Span, intersection


def clock(sky: Opportunities, seconds: float) -> str:
    """Write a time of a plan, hours and minutes in UTC."""
    return f"{sky.start + timedelta(seconds=seconds):%H:%M}"


def spans_text(sky: Opportunities, spans: Sequence[Span]) -> str:
    """Write spans as 22:10-23:40, 01:05-02:00."""
    return ", ".join(f"{clock(sky, a)}-{clock(sky, b)}" for a, b in spans)


def runs(sky: Opportunities, flags: Flags) -> list[Span]:
    """Return the spans from the first to the last of the samples at which flags are set [s]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [
        (float(sky.times[a]), float(sky.times[b - 1]))
        for a, b in zip(edges[::2], edges[1::2], strict=True)
    ]


def why_never(sky: Opportunities, index: int) -> str:
    """Say which rule keeps a target from being observed at all between the plan's times."""
    target = sky.targets[index]
    if not sky.dark:
        lowest = float(sky.sky.sun_altitude.min())
        return (
            f"the sun is never below {sky.constraints.sun_altitude_deg:g} deg "
            f"(lowest {lowest:.1f} deg)"
        )
    free = [(first, last) for first, last in sky.free(target) if last > first]
    if not free:
        return "the time it asks for lies outside the night, or the telescope is closed then"
    if max(b - a for a, b in free) < target.duration_s:
        return f"it takes {target.duration_s / 60.0:.0f} min, and no free time is as long"
    when = np.zeros(sky.times.size, bool)
    for first, last in free:
        when |= (sky.times >= first) & (sky.times <= last)
    left = when
    for name, rule in sky.rules.items():
        allowed = left & (rule[index] if rule.ndim == 2 else rule)
        if not allowed.any():
            return _broken(sky, index, name, when)
        left = allowed
    longest = max((b - a for a, b in intersection(runs(sky, left), free)), default=0.0)
    takes, lasts = _told_apart(target.duration_s, longest)
    if longest < target.duration_s:
        return f"it takes {takes} and is observable for {lasts} at a stretch"
    return f"it takes {takes}, and {lasts} at a stretch in which it is observable are too close"


def _told_apart(some_s: float, other_s: float) -> tuple[str, str]:
    """Write two lengths of time, as finely as it takes to tell them apart."""
    texts = [
        (f"{some_s / per:.{digits}f} {unit}", f"{other_s / per:.{digits}f} {unit}")
        for per, digits, unit in ((60.0, 0, "min"), (60.0, 1, "min"), (1.0, 0, "s"), (1.0, 1, "s"))
    ]
    return next((pair for pair in texts if pair[0] != pair[1]), texts[-1])


def _broken(sky: Opportunities, index: int, name: str, when: Flags) -> str:
    """Say how far a target is from keeping a rule that it never keeps."""
    target, limits = sky.targets[index], sky.constraints
    if name == "altitude":
        own = target.min_altitude_deg
        lowest = limits.min_altitude_deg if own is None else own
        best = float(sky.altitude[index][when].max())
        return f"never above {lowest:g} deg while it could be observed (highest {best:.1f} deg)"
    if name == "airmass":
        most = limits.max_airmass if target.max_airmass is None else target.max_airmass
        best = float(sky.airmass[index][when].min())
        return f"never below airmass {most:g} while it could be observed (lowest {best:.2f})"
    if name == "moon distance":
        best = float(sky.moon_distance[index][when].max())
        return f"too near the moon whenever it is high enough (at most {best:.0f} deg)"
    if name == "horizon":
        return "behind the horizon's mask whenever all else holds"
    return f"its hour angle is beyond {limits.max_hour_angle_h:g} h whenever all else holds"
