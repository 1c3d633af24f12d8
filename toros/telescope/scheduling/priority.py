"""The priority of a target on the scale 0 to 10, 10 first, and how it comes about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from toros.telescope.scheduling.targets import ObservingClass, Target, utc

BASE: Mapping[ObservingClass, float] = {
    "alert": 7.5,
    "time_critical": 6.0,
    "science": 4.0,
    "survey": 2.5,
    "filler": 1.0,
}
"""What each class begins with."""

PER_URGENCY = 0.3
"""For each step of the submitter's urgency above or below 5."""

FIRST_RANK = 1.3
"""For an alert's best target; its second gets half of it, its third a third."""

SETTING = 0.5
"""For a target that sets, or whose time ends, now; nothing from `SETTING_HOURS` on."""

SETTING_HOURS = 2.0

COMPLETION = 0.5
"""For a target that is all but complete, in proportion to what is taken."""

HIGHEST_OTHER = 8.9
"""Priorities of 9 and more, which no plan gives up for others, are for alerts."""


@dataclass(frozen=True)
class Appraisal:
    """A priority, and its reasons.

    Parameters
    ----------
    value : float
        0 to 10, 10 is the most urgent; two decimals.
    reasons : tuple of str
        What was added to what, a line each.
    """

    value: float
    reasons: tuple[str, ...]


def appraise(
    target: Target, now: datetime | None = None, observable_until: datetime | None = None
) -> Appraisal:
    """Return a target's priority.

    It is the base of its class, plus what its urgency, its rank in the alert's list, the end of
    its time and its completion add; `Target.priority` does not matter.

    Parameters
    ----------
    target : Target
    now : datetime, optional
        Without it, the end of the target's time does not count.
    observable_until : datetime, optional
        When it sets, or cannot be begun any more this night; `not_after` counts besides.
    """
    value = BASE[target.observing_class]
    reasons = [f"class {target.observing_class}: {value:g}"]
    for amount, why in (
        (PER_URGENCY * (target.urgency - 5.0), f"urgency {target.urgency:g}"),
        _rank(target),
        _setting(target, now, observable_until),
        (COMPLETION * target.completion, f"{target.completion:.0%} of its exposures are taken"),
    ):
        if amount:
            value += amount
            reasons.append(f"{why}: {amount:+.2f}")
    highest = 10.0 if target.observing_class == "alert" else HIGHEST_OTHER
    if value > highest:
        reasons.append(f"no more than {highest:g} in class {target.observing_class}")
    return Appraisal(round(min(max(value, 0.0), highest), 2), tuple(reasons))


def _rank(target: Target) -> tuple[float, str]:
    if target.observing_class != "alert" or target.rank is None or target.rank < 1:
        return 0.0, ""
    return FIRST_RANK / target.rank, f"number {target.rank} of {target.event or 'its alert'}"


def _setting(target: Target, now: datetime | None, until: datetime | None) -> tuple[float, str]:
    ends = [utc(moment) for moment in (until, target.not_after) if moment is not None]
    if now is None or not ends:
        return 0.0, ""
    hours = (min(ends) - utc(now)).total_seconds() / 3600.0
    if not 0.0 <= hours < SETTING_HOURS:
        return 0.0, ""
    return SETTING * (1.0 - hours / SETTING_HOURS), f"observable for {hours:.1f} h more"
