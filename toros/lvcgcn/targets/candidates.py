"""What may become a target: galaxies of a ranking, fields of a region, a position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import erf, log, sqrt
from typing import TYPE_CHECKING

import numpy as np

from toros.lvcgcn.targets.fields import Fields
from toros.lvcgcn.targets.target_list import Kind, Limits
from toros.sky.site import Array

if TYPE_CHECKING:
    from toros.lvcgcn.notices.notice import Position
    from toros.lvcgcn.ranking import Ranking

_USUAL_CONTAINMENT = 0.9
"""Where a notice does not say what share of the probability its error circle holds."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Candidates, the most probable first; all of length k, NaN where unknown.

    Attributes
    ----------
    name : sequence of str
    ra_deg, dec_deg : ndarray, ICRS [deg]
    probability : ndarray of float, 0 to 1
    distance_mpc, distance_error_mpc : ndarray [Mpc], or None
    b_magnitude, k_magnitude, absolute_magnitude : ndarray [mag], or None
    """

    name: Sequence[str]
    ra_deg: Array
    dec_deg: Array
    probability: Array
    distance_mpc: Array | None = None
    distance_error_mpc: Array | None = None
    b_magnitude: Array | None = None
    k_magnitude: Array | None = None
    absolute_magnitude: Array | None = None


@dataclass(frozen=True)
class Candidates:
    """Candidates of one kind, asked for from the best down.

    Attributes
    ----------
    kind : str
    best : callable
        Returns the first so many, or all where there are fewer.
    """

    kind: Kind
    best: Callable[[int], Batch]


def of_ranking(ranking: Ranking) -> Candidates:
    """Return the galaxies of a ranking."""

    def best(count: int) -> Batch:
        ranked = ranking.best(count)
        return Batch(
            name=ranked.name,
            ra_deg=ranked.ra_deg,
            dec_deg=ranked.dec_deg,
            probability=ranked.probability,
            distance_mpc=ranked.distance_mpc,
            distance_error_mpc=ranked.distance_error_mpc,
            b_magnitude=ranked.b_magnitude,
            k_magnitude=ranked.k_magnitude,
            absolute_magnitude=ranked.b_absolute,
        )

    return Candidates("galaxy", best)


def of_fields(fields: Fields) -> Candidates:
    """Return fields; their names are their middles, to a few arcseconds."""
    whole = Batch(
        [
            f"field {ra:07.3f}{dec:+07.3f}"
            for ra, dec in zip(fields.ra_deg, fields.dec_deg, strict=True)
        ],
        fields.ra_deg,
        fields.dec_deg,
        fields.probability,
    )
    return Candidates("field", lambda count: whole)


def of_position(position: Position, name: str, limits: Limits) -> Candidates:
    """Return a position, with the probability that its field of view holds the source.

    The error is taken for a round Gaussian: within the radius r lies 1 - exp(-r**2 / 2 sigma**2).
    """
    probability = 1.0
    if position.radius_deg > 0.0:
        containment = position.containment or _USUAL_CONTAINMENT
        sigma = position.radius_deg / sqrt(-2.0 * log(1.0 - min(containment, 0.999999)))
        sides = (limits.field_width_deg, limits.field_height_deg)
        probability = np.prod([erf(side / 2.0 / sigma / sqrt(2.0)) for side in sides]).item()
    one = Batch(
        [name],
        np.array([position.ra_deg]),
        np.array([position.dec_deg]),
        np.array([probability]),
    )
    return Candidates("position", lambda count: one)


def fits(position: Position, limits: Limits) -> bool:
    """Tell whether an error circle lies within one field of view."""
    return 2.0 * position.radius_deg <= min(limits.field_width_deg, limits.field_height_deg)
