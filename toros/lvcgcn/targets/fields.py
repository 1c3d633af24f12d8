"""Fields of view that cover a region of the sky without gap, and what each holds of a sky map.

The sky is cut into rows of declination and each row into equal cells of right ascension, as many
as it takes for every cell to fit into one field of view that points at its middle. A place is in
exactly one cell, so that the probabilities of fields add up and nothing counts twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from toros.lvcgcn.skymaps.credible import credible_tiles, probability_at
from toros.lvcgcn.skymaps.places import centres_of
from toros.lvcgcn.skymaps.sky_map import SkyMap
from toros.lvcgcn.targets.regions import Pixels, pixel_count, split
from toros.lvcgcn.targets.visibility import Visibility
from toros.sky.earth import unit
from toros.sky.site import Array

STEP = 0.95
"""The distance of rows, and the most of cells, over the side of the field of view."""
_LARGEST_DEG = 60.0
_PARTS = 8.0
"""Into so many pixels a field is split at least, along its shorter side."""
_PIXELS = 200_000
_REFINED = 400
"""So many of the best fields are integrated finely; the sum of pixels is 10 % off."""
_POINTS = 150_000
_COARSE_ORDER = 6


@dataclass(frozen=True, eq=False)
class Fields:
    """Fields of view, the most probable first; all of shape (n,).

    Attributes
    ----------
    ra_deg, dec_deg : ndarray, ICRS [deg]
        Their middles.
    probability : ndarray of float, 0 to 1
        Of the sky map, in the field's own cell.
    """

    ra_deg: Array
    dec_deg: Array
    probability: Array


def tile_fields(
    sky_map: SkyMap,
    level: float,
    width_deg: float,
    height_deg: float,
    visibility: Visibility | None = None,
) -> Fields:
    """Cover a credible region with fields of view.

    Parameters
    ----------
    sky_map : SkyMap
    level : float, 0 to 1
        Of the credible region.
    width_deg, height_deg : float
        The field of view, along right ascension and declination [deg].
    visibility : Visibility, optional
        Where to look from. A region of more than some 3,000 fields is covered only in its densest
        part; with this it is the densest part that is reachable.
    """
    width, height = min(width_deg, _LARGEST_DEG), min(height_deg, _LARGEST_DEG)
    side = min(width, height) / _PARTS
    inside = np.zeros(len(sky_map), bool)
    inside[credible_tiles(sky_map, level)] = True
    tiles = np.flatnonzero(sky_map.probability > 0.0)
    if visibility is not None and pixel_count(sky_map, side, np.flatnonzero(inside)) > _PIXELS:
        tiles = _reachable(sky_map, np.flatnonzero(inside), visibility)
    pixels = split(sky_map, side, _PIXELS, tiles)
    wanted = inside[pixels.tile]
    if not wanted.any():
        return Fields(np.empty(0), np.empty(0), np.empty(0))
    grid = _Grid(*_anchor(pixels, wanted, width, height), width, height)
    row, cell = grid.cells(pixels.ra_deg, pixels.dec_deg)
    _, one, which = np.unique((row << 32) + cell, return_index=True, return_inverse=True)
    total = np.bincount(which, weights=pixels.probability).astype(float)
    touched = np.flatnonzero(np.bincount(which, weights=wanted) > 0)
    best = touched[np.argsort(-total[touched], kind="stable")][:_REFINED]
    total[best] = grid.integrate(sky_map, row[one[best]], cell[one[best]])
    order = touched[np.argsort(-total[touched], kind="stable")]
    ra, dec = grid.middles(row[one[order]], cell[one[order]])
    return Fields(ra, dec, total[order])


def _reachable(
    sky_map: SkyMap, tiles: npt.NDArray[np.intp], visibility: Visibility
) -> npt.NDArray[np.intp]:
    """Return those of some tiles that are reachable, judged by pixels of about a degree."""
    order = np.minimum(sky_map.order[tiles].astype(np.int64), _COARSE_ORDER)
    index = sky_map.index[tiles] >> (2 * (sky_map.order[tiles] - order))
    names, one, which = np.unique((index << 4) + order, return_index=True, return_inverse=True)
    seen = visibility.reachable(*centres_of(order[one], index[one]))
    return np.asarray(tiles[seen[which]]) if names.size else tiles


def _anchor(
    pixels: Pixels, wanted: npt.NDArray[np.bool_], width: float, height: float
) -> tuple[float, float]:
    """Return where a field points: the region's middle if all fits, else its densest pixel."""
    places = unit(pixels.ra_deg[wanted], pixels.dec_deg[wanted])
    middle = pixels.probability[wanted] @ places
    ra = float(np.degrees(np.arctan2(middle[1], middle[0]))) % 360.0
    dec = float(np.degrees(np.arctan2(middle[2], np.hypot(middle[0], middle[1]))))
    x, y = _tangent(pixels.ra_deg[wanted] - ra, pixels.dec_deg[wanted], dec)
    if (np.abs(x) <= STEP * width / 2.0).all() and (np.abs(y) <= STEP * height / 2.0).all():
        return ra, dec
    # The pixels come densest first.
    return float(pixels.ra_deg[wanted][0]), float(pixels.dec_deg[wanted][0])


def _tangent(
    dra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike, middle_deg: npt.ArrayLike
) -> tuple[Array, Array]:
    """Return the angles from a field's middle along its sides [deg], gnomonic; inf behind it."""
    ra, dec, at = (np.radians(np.asarray(a, float)) for a in (dra_deg, dec_deg, middle_deg))
    depth = np.sin(at) * np.sin(dec) + np.cos(at) * np.cos(dec) * np.cos(ra)
    x = np.cos(dec) * np.sin(ra)
    y = np.cos(at) * np.sin(dec) - np.sin(at) * np.cos(dec) * np.cos(ra)
    front = depth > 0.0
    safe = np.where(front, depth, 1.0)
    return (
        np.where(front, np.degrees(np.arctan(x / safe)), np.inf),
        np.where(front, np.degrees(np.arctan(y / safe)), np.inf),
    )


class _Grid:
    """Rows and cells over the whole sky; one cell's middle is the anchor."""

    def __init__(self, ra_deg: float, dec_deg: float, width: float, height: float) -> None:
        self._ra, self._dec = ra_deg, dec_deg
        self._width, self._height = width, height
        self._step = STEP * height
        self._lowest = int(np.floor((-90.0 - dec_deg) / self._step + 0.5))
        highest = int(np.floor((90.0 - dec_deg) / self._step + 0.5))
        rows = np.arange(self._lowest, highest + 1)
        middle = dec_deg + self._step * rows
        self._below = np.maximum(middle - self._step / 2.0, -90.0)
        self._above = np.minimum(middle + self._step / 2.0, 90.0)
        self._middle = (self._below + self._above) / 2.0
        self._count = self._cells_of_rows()

    def cells(
        self, ra_deg: Array, dec_deg: Array
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return row and cell of places, each of shape (n,)."""
        row = np.floor((dec_deg - self._dec) / self._step + 0.5).astype(np.int64) - self._lowest
        row = np.clip(row, 0, self._middle.size - 1)
        count = self._count[row]
        cell = np.floor((ra_deg - self._ra) / 360.0 * count + 0.5).astype(np.int64) % count
        return row, cell

    def middles(
        self, row: npt.NDArray[np.int64], cell: npt.NDArray[np.int64]
    ) -> tuple[Array, Array]:
        """Return the middles of cells, ICRS [deg]."""
        return (self._ra + 360.0 * cell / self._count[row]) % 360.0, self._middle[row]

    def integrate(
        self, sky_map: SkyMap, row: npt.NDArray[np.int64], cell: npt.NDArray[np.int64]
    ) -> Array:
        """Return the probability of cells, by the density at points spread over each."""
        side = int(np.clip(np.sqrt(_POINTS / max(row.size, 1)), 12, 96))
        part = (np.arange(side) + 0.5) / side
        width = 360.0 / self._count[row]
        low, high = np.sin(np.radians(self._below[row])), np.sin(np.radians(self._above[row]))
        ra = self.middles(row, cell)[0][:, None] + (part - 0.5) * width[:, None]
        sine = low[:, None] + part * (high - low)[:, None]
        dec = np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))
        ra, dec = np.broadcast_arrays(ra[:, :, None], dec[:, None, :])
        density = probability_at(sky_map, ra.ravel() % 360.0, dec.ravel()).reshape(row.size, -1)
        return np.asarray(density.mean(axis=1) * np.radians(width) * (high - low))

    def _cells_of_rows(self) -> npt.NDArray[np.int64]:
        """Return into how many cells each row is cut, so that each fits into a field."""
        nearest = np.where(self._below * self._above < 0.0, 0.0,
                           np.minimum(np.abs(self._below), np.abs(self._above)))  # fmt: skip
        around = 360.0 * np.cos(np.radians(nearest))
        count = np.maximum(np.ceil(around / (STEP * self._width)), 1.0).astype(np.int64)
        while not (fits := self._fit(count)).all():
            count = np.where(fits, count, count + 1 + count // 100)
        return count

    def _fit(self, count: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Tell in which rows a cell lies within a field of view, by points of its border."""
        half = 180.0 / count
        across = np.linspace(0.0, 1.0, 5)[:, None] * half
        fits = np.ones(count.size, bool)
        for dec in (self._below, self._middle, self._above):
            x, y = _tangent(across, dec, self._middle)
            fits &= (np.abs(x) <= self._width / 2.0).all(axis=0)
            fits &= (np.abs(y) <= self._height / 2.0).all(axis=0)
        return fits
