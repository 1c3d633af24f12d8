"""A sky map in memory: tiles of the sphere, each with its probability and distance.

Tiles are pixels of HEALPix [1]_ in the nested scheme, each of its own order. A
place on the sky is its nested pixel at order 29, the finest that 64 bits hold:
a tile is a range of these, and so are a catalogue's rows and a credible region.

References
----------
.. [1] Gorski, K. M., et al., 2005, ApJ 622, 759.
.. [2] Singer, L. P., et al., 2016, ApJL 829, L15 (the distance columns).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from toros.errors import SkyMapRefused

FINEST_ORDER = 29
WHOLE_SKY = 12 << (2 * FINEST_ORDER)
"""The number of pixels of order 29."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SkyMap:
    """Tiles that do not overlap, in the order of their place.

    Make one with `from_tiles`, which sorts and checks.

    Attributes
    ----------
    order : ndarray of int8, shape (n,), 0 <= order <= 29
        Of the tile: its side is about 58.6 / 2**order [deg].
    index : ndarray of int64, shape (n,)
        Nested HEALPix index at that order, ICRS.
    first, last : ndarray of int64, shape (n,)
        The tile's range of nested pixels of order 29; `last` is not of it.
    probability : ndarray of float64, shape (n,)
        Of the tile, as the map gives it; the total is about 1.
    distance_mu, distance_sigma : ndarray of float64, shape (n,) [Mpc], or None
        Location and scale of the ansatz p(r) = norm r**2 N(r; mu, sigma) [2]_;
        the location may be negative. None: the map tells no distance.
    distance_norm : ndarray of float64, shape (n,) [Mpc-2], or None
        0 where the tile has no distance (mu is then 0 and sigma 1).
    facts : mapping
        What the header tells, plain values; only what is there: ``object``,
        ``date_obs``, ``instruments`` (a list), ``distmean_mpc``, ``diststd_mpc``,
        ``log_bci``, ``log_bsn``, ``creator``, ``origin``, ``reference``, ``form``.
    """

    order: NDArray[np.int8]
    index: Integers
    first: Integers
    last: Integers
    probability: Floats
    distance_mu: Floats | None = None
    distance_sigma: Floats | None = None
    distance_norm: Floats | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_tiles(
        cls,
        order: ArrayLike,
        index: ArrayLike,
        probability: ArrayLike,
        distance: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> SkyMap:
        """Make a sky map of tiles in any order.

        Parameters
        ----------
        order, index, probability : array_like, shape (n,)
            As the attributes.
        distance : tuple of array_like, shape (n,), optional
            mu [Mpc], sigma [Mpc], norm [Mpc-2].
        facts : mapping, optional

        Raises
        ------
        SkyMapRefused
            An order or index that cannot be, tiles that overlap, no tile at all.
        """
        orders = np.asarray(order, dtype=np.int64)
        indices = np.asarray(index, dtype=np.int64)
        _check_numbers(orders, indices)
        shift = 2 * (FINEST_ORDER - orders)
        first = indices << shift
        place = np.argsort(first, kind="stable")
        first = first[place]
        last = first + (np.int64(1) << shift[place])
        _check_overlap(orders[place], indices[place], first, last)
        mu, sigma, norm = (
            (None, None, None)
            if distance is None
            else (np.asarray(column, dtype=np.float64)[place] for column in distance)
        )
        return cls(
            order=orders[place].astype(np.int8),
            index=indices[place],
            first=first,
            last=last,
            probability=np.asarray(probability, dtype=np.float64)[place],
            distance_mu=mu,
            distance_sigma=sigma,
            distance_norm=norm,
            facts=dict(facts or {}),
        )

    def __len__(self) -> int:
        return len(self.order)

    @property
    def has_distance(self) -> bool:
        """Whether the map tells distances."""
        return self.distance_norm is not None

    @property
    def area_sr(self) -> Floats:
        """Of each tile, shape (n,) [sr]."""
        return tile_area_sr(self.order)

    @property
    def density_sr(self) -> Floats:
        """The probability per solid angle of each tile, shape (n,) [1/sr]."""
        return self.probability / self.area_sr

    def tiles_of(self, pixel: ArrayLike) -> Integers:
        """Tell the tile of places.

        Parameters
        ----------
        pixel : array_like of int64, shape (k,)
            Nested pixels of order 29.

        Returns
        -------
        ndarray of int64, shape (k,)
            Numbers of tiles; -1 where the map has none.
        """
        pixels = np.asarray(pixel, dtype=np.int64)
        tile = np.searchsorted(self.first, pixels, side="right") - 1
        inside = (tile >= 0) & (pixels < self.last[np.maximum(tile, 0)])
        return np.where(inside, tile, -1)


def tile_area_sr(order: ArrayLike) -> Floats:
    """Return the area of tiles of these orders [sr]."""
    area: Floats = np.ldexp(np.pi / 3, -2 * np.asarray(order, dtype=np.int32))
    return area


def _check_numbers(order: Integers, index: Integers) -> None:
    if not order.size:
        raise SkyMapRefused("the sky map has no tiles")
    wrong = np.flatnonzero((order < 0) | (order > FINEST_ORDER))
    if wrong.size:
        raise SkyMapRefused(
            f"sky map, tile {wrong[0]}: order {order[wrong[0]]}, where 0 to {FINEST_ORDER} can be"
        )
    wrong = np.flatnonzero((index < 0) | (index >= np.int64(12) << (2 * order)))
    if wrong.size:
        tile = wrong[0]
        raise SkyMapRefused(
            f"sky map, tile {tile}: index {index[tile]} at order {order[tile]}, "
            f"where 0 to {(12 << 2 * int(order[tile])) - 1} can be"
        )


def _check_overlap(order: Integers, index: Integers, first: Integers, last: Integers) -> None:
    over = np.flatnonzero(first[1:] < last[:-1])
    if over.size:
        tile = over[0]
        raise SkyMapRefused(
            f"sky map: {over.size} tiles overlap others; the first is order {order[tile + 1]} "
            f"index {index[tile + 1]}, over order {order[tile]} index {index[tile]}"
        )
