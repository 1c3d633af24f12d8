"""The stars of the whole sky: the same ones wherever and whenever it is looked at.

The sky is cut into cells of declination and right ascension; the stars of a cell are drawn from
the seed and the cell's number alone. Their number follows N(< V) ~ 10^(0.3 V), with 2 per square
arc minute brighter than V = 19.5: about what an average field has, without a Milky Way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from toros.simulation.randomness import Stream, generator
from toros.simulation.sky import Star, StarField
from toros.sky.earth import unit
from toros.sky.site import Array

_CELL_DEG = 0.5
_BANDS = round(180 / _CELL_DEG)
_BRIGHTEST_V, _DENSITY_V, _DENSITY_DEG2 = 7.0, 19.5, 7200.0
_SLOPE = 0.3
_COLOUR, _COLOUR_SPREAD = 0.75, 0.3


def stars_near(
    ra_deg: float, dec_deg: float, radius_deg: float, *, seed: int = 1, faintest_v_mag: float = 19.0
) -> StarField:
    """Return the stars within a circle.

    Parameters
    ----------
    ra_deg, dec_deg : float, ICRS [deg]
        The centre.
    radius_deg : float
        The circle's radius [deg].
    seed : int
        Of the sky, `toros.simulation.observatory.settings.WorldSettings.seed`.
    faintest_v_mag : float
        Of the stars, V [mag].

    Returns
    -------
    StarField
        Brightest first.
    """
    centre = unit(ra_deg, dec_deg)[0]
    found = [_cell(seed, faintest_v_mag, *cell) for cell in _cells(ra_deg, dec_deg, radius_deg)]
    stars = np.concatenate(found) if found else np.empty((0, 4))
    chord = np.linalg.norm(unit(stars[:, 0], stars[:, 1]) - centre, axis=1)
    stars = stars[chord <= 2 * math.sin(math.radians(min(radius_deg, 180)) / 2)]
    stars = stars[np.argsort(stars[:, 2], kind="stable")]
    return StarField("sky", ra_deg, dec_deg, tuple(Star(*row) for row in stars.tolist()))


def _cells(ra_deg: float, dec_deg: float, radius_deg: float) -> Iterator[tuple[int, int]]:
    """Yield band and number of all cells that a circle may touch."""
    low = max(0, math.floor((dec_deg - radius_deg + 90) / _CELL_DEG))
    high = min(_BANDS - 1, math.floor((dec_deg + radius_deg + 90) / _CELL_DEG))
    for band in range(low, high + 1):
        count = _cells_of(band)
        # The widest extent in right ascension of a circle that does not hold a pole.
        across = math.sin(math.radians(min(radius_deg, 90)))
        room = math.cos(math.radians(min(abs(dec_deg), 90)))
        if across >= room:
            yield from ((band, number) for number in range(count))
            continue
        reach = math.degrees(math.asin(across / room))
        first = math.floor((ra_deg - reach) / 360 * count)
        last = math.floor((ra_deg + reach) / 360 * count)
        for number in range(first, min(last, first + count - 1) + 1):
            yield band, number % count


def _cells_of(band: int) -> int:
    """Return the number of cells around a band of declination."""
    middle = (band + 0.5) * _CELL_DEG - 90
    return max(1, round(360 * math.cos(math.radians(middle)) / _CELL_DEG))


@lru_cache(maxsize=256)
def _cell(seed: int, faintest_v_mag: float, band: int, number: int) -> Array:
    """Return a cell's stars: RA, Dec [deg], V, B - V [mag], shape (n, 4)."""
    rng = generator(seed, Stream.STARS, 1 + band, number)
    low = math.radians(band * _CELL_DEG - 90)
    high = math.radians((band + 1) * _CELL_DEG - 90)
    width = 360 / _cells_of(band)
    area = math.degrees(math.sin(high) - math.sin(low)) * width
    # Drawn down to one depth always, so that a deeper view holds the same bright stars.
    count = rng.poisson(_DENSITY_DEG2 * area)
    ra = (number + rng.random(count)) * width
    dec = np.degrees(np.arcsin(rng.uniform(math.sin(low), math.sin(high), count)))
    bright, faint = 10 ** (_SLOPE * _BRIGHTEST_V), 10 ** (_SLOPE * _DENSITY_V)
    v_mag = np.log10(rng.uniform(bright, faint, count)) / _SLOPE
    b_v = rng.normal(_COLOUR, _COLOUR_SPREAD, count)
    stars = np.column_stack([ra, np.clip(dec, -90, 90), v_mag, b_v])
    return stars[v_mag <= faintest_v_mag]
