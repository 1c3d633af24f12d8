"""A sky map's probability as a few points, and its tiles as many small pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from toros.lvcgcn.skymaps.places import centres_of
from toros.lvcgcn.skymaps.sky_map import FINEST_ORDER, SkyMap
from toros.sky.site import Array

_SAMPLES = 1024
_FINEST_SPLIT = 14
_SIDE_DEG = 58.6323
"""Side of a pixel of order 0 [deg]."""


def sample(sky_map: SkyMap, count: int = _SAMPLES) -> tuple[Array, Array]:
    """Return places that share a sky map's probability evenly, ICRS [deg].

    The places are the quantiles of the probability along the nested order, so that each stands for
    a small region of the same probability. The share of the places that lie in a region is the
    region's probability, to about 1 / count for each part of its border.

    Parameters
    ----------
    sky_map : SkyMap
    count : int
        How many.

    Returns
    -------
    ra_deg, dec_deg : ndarray, shape (count,)
    """
    total = np.cumsum(sky_map.probability)
    wanted = (np.arange(count) + 0.5) / count * total[-1]
    # The first that goes beyond: never a tile without probability.
    tile = np.searchsorted(total, wanted, side="right")
    part = 1.0 - (total[tile] - wanted) / sky_map.probability[tile]
    first, last = sky_map.first[tile], sky_map.last[tile]
    inside = (np.clip(part, 0.0, 1.0) * (last - first)).astype(np.int64)
    return centres_of(FINEST_ORDER, np.minimum(first + inside, last - 1))


@dataclass(frozen=True, eq=False)
class Pixels:
    """Small parts of a sky map; all of shape (n,).

    Attributes
    ----------
    ra_deg, dec_deg : ndarray, ICRS [deg]
    probability : ndarray of float, 0 to 1
    tile : ndarray of int
        The sky map's tile that each is of.
    """

    ra_deg: Array
    dec_deg: Array
    probability: Array
    tile: npt.NDArray[np.intp]


def _levels(sky_map: SkyMap, side_deg: float, tiles: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    finest = int(np.clip(np.ceil(np.log2(_SIDE_DEG / side_deg)), 0, _FINEST_SPLIT))
    return np.maximum(finest - sky_map.order[tiles].astype(np.int64), 0)


def pixel_count(sky_map: SkyMap, side_deg: float, tiles: npt.NDArray[np.intp]) -> int:
    """Return into how many pixels `split` would split tiles without its bound."""
    return int((np.int64(1) << (2 * _levels(sky_map, side_deg, tiles))).sum())


def split(sky_map: SkyMap, side_deg: float, most: int, tiles: npt.NDArray[np.intp]) -> Pixels:
    """Split tiles until none is wider than asked for.

    Parameters
    ----------
    sky_map : SkyMap
    side_deg : float
        Pixels come out at most so wide, unless that takes an order above 14 [deg].
    most : int
        Not more than so many; the densest tiles come first, the rest is left out.
    tiles : ndarray of int
        Which tiles.
    """
    tiles = tiles[np.argsort(-sky_map.density_sr[tiles], kind="stable")]
    levels = _levels(sky_map, side_deg, tiles)
    parts = np.int64(1) << (2 * levels)
    taken = int(np.searchsorted(np.cumsum(parts), most)) + 1
    tiles, levels, parts = tiles[:taken], levels[:taken], parts[:taken]
    starts = np.cumsum(parts) - parts
    count = int(min(starts[-1] + parts[-1], max(most, 1))) if tiles.size else 0
    which = np.searchsorted(starts, np.arange(count), side="right") - 1
    index = (sky_map.index[tiles[which]] << (2 * levels[which])) + np.arange(count) - starts[which]
    ra, dec = centres_of(sky_map.order[tiles[which]] + levels[which], index)
    share = sky_map.probability[tiles[which]] / parts[which]
    return Pixels(ra, dec, share, tiles[which])
