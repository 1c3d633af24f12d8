"""What the scheduler has to say about one target, in lines of text."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from toros.sky.site import Site
from toros.telescope.scheduling.opportunities import Opportunities
from toros.telescope.scheduling.planning import Plan
from toros.telescope.scheduling.priority import Appraisal
from toros.telescope.scheduling.reasons import clock, runs, spans_text, why_never
from toros.telescope.scheduling.targets import Constraints, Target, utc


def explain(
    target: Target,
    site: Site,
    start: datetime,
    end: datetime,
    constraints: Constraints | None = None,
    *,
    plan: Plan | None = None,
    appraisal: Appraisal | None = None,
) -> list[str]:
    """Say when a target can be observed, or why not, and how it ranks.

    Parameters
    ----------
    target : Target
    site : Site
    start, end : datetime
        The night, or what is left of it; naive is UTC.
    constraints : Constraints, optional
    plan : Plan, optional
        Where it stands in the plan is told as well.
    appraisal : Appraisal, optional
        How its priority comes about is told as well.

    Returns
    -------
    list of str
        Lines; all times are UTC.
    """
    sky = Opportunities([target], site, start, end, constraints or Constraints())
    lines = [
        f"{target.label}: RA {target.ra_deg:.5f} deg, Dec {target.dec_deg:+.5f} deg (ICRS), "
        f"{target.duration_s / 60.0:.1f} min, priority {target.priority:g} of 10"
    ]
    if appraisal is not None:
        lines.append(f"priority {appraisal.value:g}: " + "; ".join(appraisal.reasons))
    lines += _sky_lines(sky)
    windows = sky.windows(0)
    if windows:
        lines.append(f"observable: it may begin {spans_text(sky, windows)}")
    else:
        lines.append(f"not observable: {why_never(sky, 0)}")
    if plan is not None:
        lines.append(_place_in(plan, target))
    return lines


def observable_until(
    target: Target,
    site: Site,
    start: datetime,
    end: datetime,
    constraints: Constraints | None = None,
) -> datetime | None:
    """Return when a target can be begun for the last time; None if it cannot.

    Parameters
    ----------
    target, site, start, end, constraints
        As those of `explain`.
    """
    sky = Opportunities([target], site, start, end, constraints or Constraints())
    windows = sky.windows(0)
    return sky.start + timedelta(seconds=windows[-1][1]) if windows else None


def _sky_lines(sky: Opportunities) -> list[str]:
    if not sky.dark:
        return []
    night = sky.times <= sky.length_s
    top = int(np.argmax(np.where(night, sky.altitude[0], -np.inf)))
    lines = [
        f"altitude: highest {sky.altitude[0, top]:.1f} deg at {clock(sky, sky.times[top])}, "
        f"airmass {sky.airmass[0, top]:.2f}"
        if sky.altitude[0, top] > 0.0
        else f"altitude: never above the horizon (highest {sky.altitude[0, top]:.1f} deg)",
        f"moon: {sky.sky.moon_illumination[0]:.0%} lit, "
        f"{sky.moon_distance[0][night].min():.0f} deg away at the nearest",
        f"dark: {spans_text(sky, sky.dark)}",
    ]
    for name, rule in sky.rules.items():
        holds = (rule[0] if rule.ndim == 2 else rule) & night
        if holds.all() or holds[night].all():
            continue
        spans = runs(sky, holds)
        lines.append(f"{name}: {'holds ' + spans_text(sky, spans) if spans else 'never holds'}")
    return lines


def _place_in(plan: Plan, target: Target) -> str:
    entry = plan.entry_of(target.id)
    if entry is not None:
        place = plan.entries.index(entry) + 1
        return (
            f"planned: {utc(entry.start):%H:%M:%S}-{utc(entry.end):%H:%M:%S}, number {place} of "
            f"{len(plan.entries)}, altitude {entry.altitude_deg:.0f} deg, "
            f"airmass {entry.airmass:.2f}"
        )
    for left in plan.left_out:
        if left.target.id == target.id:
            least = min((e.target.priority for e in plan.entries), default=0.0)
            return f"not planned: {left.reason} (lowest priority in the plan: {least:g})"
    return "not planned: the plan was made without it"
