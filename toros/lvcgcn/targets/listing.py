"""Makes an observatory's target list for its coming night."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from toros.lvcgcn.targets import candidates
from toros.lvcgcn.targets.candidates import Batch, Candidates
from toros.lvcgcn.targets.fields import tile_fields
from toros.lvcgcn.targets.regions import sample
from toros.lvcgcn.targets.target_list import (
    ComingNight,
    LeftOut,
    Limits,
    ListedTarget,
    TargetList,
)
from toros.lvcgcn.targets.visibility import SHORTEST_S, Visibility
from toros.sky.almanac import coming_darkness
from toros.sky.site import Array, Site

if TYPE_CHECKING:
    from toros.lvcgcn.notices.notice import Position
    from toros.lvcgcn.ranking import Ranking
    from toros.lvcgcn.skymaps.sky_map import SkyMap

LEFT_OUT_MOST = 50
SCANNED_MOST = 40_000
"""No more of a ranking is looked through for what can be observed."""
SCANNED_UNREACHABLE = 1_000
"""And no more than this where less than 1/1000 of the sky map can be reached."""
CATALOGUED_SHARE = 0.5
"""Taken for the probability that a burst without a distance lies in a catalogued galaxy."""

_SHORTEST = timedelta(seconds=SHORTEST_S)

Numbers = npt.NDArray[np.intp]


def make_list(
    site: Site,
    name: str,
    limits: Limits,
    now: datetime,
    *,
    count: int,
    event: str,
    sky_map: SkyMap | None = None,
    ranking: Ranking | None = None,
    position: Position | None = None,
    level: float = 0.9,
) -> TargetList:
    """Make the target list of an observatory for what is left of its running or coming night.

    Parameters
    ----------
    site : Site
    name : str
        The observatory's.
    limits : Limits
    now : datetime
        Naive is UTC; nothing is planned before.
    count : int
        How many targets at most.
    event : str
    sky_map : SkyMap, optional
    ranking : Ranking, optional
        The galaxies of the sky map's region. They are the targets if the map tells distances.
    position : Position, optional
        A place with an error circle. It is the only target if the circle fits into the field of
        view; else the sky map's credible region is covered with fields.
    level : float, 0 to 1
        Of the credible region that fields cover.
    """
    made = now.replace(tzinfo=UTC) if now.tzinfo is None else now.astimezone(UTC)
    night, dark = coming_darkness(site, made, limits.sun_altitude_max_deg)
    if dark is not None and dark[1] - dark[0] < _SHORTEST:  # the next night is worth more
        night, dark = coming_darkness(
            site, dark[1] + timedelta(seconds=1), limits.sun_altitude_max_deg
        )
    if dark is None:
        reason = night.describe(limits.sun_altitude_max_deg).partition(": ")[2]
        coming = ComingNight(night.date, None, None, reason)
        return TargetList(event, name, site, limits, coming, made, (), (), 0.0, reason)
    dark = _whole_seconds(dark)
    visibility = Visibility(site, limits, dark)
    reachable = 0.0
    if sky_map is not None:
        reachable = float(visibility.reachable(*sample(sky_map)).mean())
    choices = _choose(event, limits, visibility, sky_map, ranking, position, level)
    made_of = [_pick(choice, visibility, count, reachable) for choice in choices]
    targets, left_out = max(made_of, key=_worth, default=((), ()))
    if sky_map is None:
        reachable = sum(target.probability for target in targets)
    coming = ComingNight(night.date, *dark)
    why = "" if targets or not count else _why_empty(left_out)
    return TargetList(
        event, name, site, limits, coming, made, targets, left_out, min(reachable, 1.0), why
    )


def _why_empty(left_out: Sequence[LeftOut]) -> str:
    """Sum up why none of the best can be observed; without the figures of each."""
    counts = Counter(re.sub(r" \(.*?\)$", "", left.reason) for left in left_out)
    if len(left_out) <= 1:
        return "".join(f"it cannot be observed: {reason}" for reason in counts)
    told = ", ".join(f"{reason} ({count})" for reason, count in counts.most_common())
    return f"none of the {len(left_out)} most probable can be observed: {told}"


def _whole_seconds(span: tuple[datetime, datetime]) -> tuple[datetime, datetime]:
    """Return a span from and until whole seconds within it."""
    first, last = np.ceil(span[0].timestamp()), np.floor(span[1].timestamp())
    return _moment(first), _moment(max(first, last))


Picked = tuple[tuple[ListedTarget, ...], tuple[LeftOut, ...]]


def _choose(
    event: str,
    limits: Limits,
    visibility: Visibility,
    sky_map: SkyMap | None,
    ranking: Ranking | None,
    position: Position | None,
    level: float,
) -> list[Candidates]:
    """Return what the targets may be: one kind, or two of which the better is taken."""
    if position is not None and (sky_map is None or candidates.fits(position, limits)):
        return [candidates.of_position(position, event, limits)]
    galaxies = []
    if position is None and ranking is not None and ranking.considered:
        galaxies = [candidates.of_ranking(ranking)]
    if sky_map is None or (galaxies and sky_map.has_distance):
        return galaxies
    sides = (limits.field_width_deg, limits.field_height_deg)
    return [candidates.of_fields(tile_fields(sky_map, level, *sides, visibility)), *galaxies]


def _worth(picked: Picked) -> float:
    """Return the probability that a list holds the source."""
    targets, _ = picked
    if not targets:
        return 0.0
    share = CATALOGUED_SHARE if targets[0].kind == "galaxy" else 1.0
    return share * targets[-1].cumulative_probability


def _pick(choice: Candidates, visibility: Visibility, count: int, reachable: float) -> Picked:
    """Pick the best candidates that can be observed, and say why better ones cannot."""
    most = SCANNED_MOST if reachable > 0.0 or choice.kind == "position" else SCANNED_UNREACHABLE
    seen, checked = np.empty(0, bool), 0
    step = max(4 * count, 256)
    while True:
        batch = choice.best(min(seen.size + step, most))
        new = slice(seen.size, min(len(batch.name), most))
        if new.start >= new.stop:
            break
        found = visibility.reachable(batch.ra_deg[new], batch.dec_deg[new])
        seen = np.concatenate([seen, found])
        checked = _drop_brief(batch, seen, checked, count, visibility)
        if int(seen.sum()) >= count:
            break
        step *= 4
    chosen = np.flatnonzero(seen)[:count]
    better = chosen[-1] if chosen.size and chosen.size == count else seen.size
    passed = np.flatnonzero(~seen[:better])[:LEFT_OUT_MOST]
    return (
        _targets(choice, batch, chosen, visibility) if chosen.size else (),
        _left_out(batch, passed, visibility),
    )


def _drop_brief(
    batch: Batch, seen: npt.NDArray[np.bool_], checked: int, count: int, visibility: Visibility
) -> int:
    """Unmark what is seen too briefly, until the best `count` are right; return how far it is."""
    while checked < seen.size and (wanted := count - int(seen[:checked].sum())) > 0:
        some = checked + np.flatnonzero(seen[checked:])[:wanted]
        seen[some] = visibility.lasting(batch.ra_deg[some], batch.dec_deg[some])
        checked = int(some[-1]) + 1 if some.size == wanted else seen.size
    return checked


def _left_out(batch: Batch, numbers: Numbers, visibility: Visibility) -> tuple[LeftOut, ...]:
    ra, dec = batch.ra_deg[numbers], batch.dec_deg[numbers]
    reasons = visibility.why_not(ra, dec)
    return tuple(
        LeftOut(batch.name[k], float(ra[n]), float(dec[n]), float(batch.probability[k]), reason)
        for n, (k, reason) in enumerate(zip(numbers, reasons, strict=True))
    )


def _targets(
    choice: Candidates, batch: Batch, numbers: Numbers, visibility: Visibility
) -> tuple[ListedTarget, ...]:
    ra, dec = batch.ra_deg[numbers], batch.dec_deg[numbers]
    best = visibility.best(ra, dec)
    probability = batch.probability[numbers]
    # Rounding may carry a sum of shares a little beyond their whole.
    cumulative = np.minimum(np.cumsum(probability), 1.0)
    known = [
        _column(column, numbers)
        for column in (
            batch.distance_mpc,
            batch.distance_error_mpc,
            batch.b_magnitude,
            batch.k_magnitude,
            batch.absolute_magnitude,
        )
    ]
    return tuple(
        ListedTarget(
            rank=n + 1,
            name=batch.name[k],
            kind=choice.kind,
            ra_deg=float(ra[n]),
            dec_deg=float(dec[n]),
            probability=float(probability[n]),
            cumulative_probability=float(cumulative[n]),
            distance_mpc=known[0][n],
            distance_error_mpc=known[1][n],
            b_magnitude=known[2][n],
            k_magnitude=known[3][n],
            absolute_magnitude=known[4][n],
            best_time=_moment(best.unix_s[n]),
            altitude_deg=float(best.altitude_deg[n]),
            airmass=float(best.airmass[n]),
            moon_distance_deg=float(best.moon_distance_deg[n]),
            moon_illumination=float(best.moon_illumination[n]),
            sun_altitude_deg=float(best.sun_altitude_deg[n]),
            observable_from=_moment(best.from_s[n]),
            observable_until=_moment(best.until_s[n]),
        )
        for n, k in enumerate(numbers)
    )


def _column(column: Array | None, numbers: Numbers) -> Sequence[float | None]:
    """Return some of a column's values; None for what is not a number."""
    if column is None:
        return [None] * len(numbers)
    return [float(v) if np.isfinite(v) else None for v in column[numbers]]


def _moment(unix_s: float) -> datetime:
    return datetime.fromtimestamp(float(unix_s), UTC)
