"""Flat sky maps: pixels of one size, joined to tiles.

Most flat maps were multi-order once: joining pixels that are alike gives the
tiles back, exactly, while the file streams by. A map of pixels that all differ,
or one in ring order, is held as columns of numbers first.

References
----------
.. [1] Gorski, K. M., et al., 2005, ApJ 622, 759, section 4 (ring and nested).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import healpix
import numpy as np
from numpy.typing import NDArray

from toros.errors import SkyMapRefused
from toros.lvcgcn.skymaps.columns import (
    DISTANCES,
    checked_distance,
    checked_probability,
    probability_column,
)
from toros.lvcgcn.skymaps.fits_table import Table, card
from toros.lvcgcn.skymaps.limits import MapLimits
from toros.lvcgcn.skymaps.sky_map import FINEST_ORDER, SkyMap, tile_area_sr

_PIECE = 4**9  # pixels at a time: whole pixels of an order 9 lower
_PIECE_BYTES = 8 << 20  # of the table at a time, where no whole pixels are needed
_NEAR = 0.999
_PIXEL_COLUMNS = ("PIXEL", "PIX", "IPIX", "HPIX")
_EXPLICIT_BYTES = 400

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class _Pixels:
    """Pixels of one order, nested, `start` and those after it: density [1/sr] and distance."""

    order: int
    start: int
    density: Floats
    distance: tuple[NDArray[np.floating], ...]

    def parents(self) -> _Pixels:
        """Return the pixels one order lower: mean density, the distance where it is densest."""
        density = self.density.reshape(-1, 4)
        best = np.arange(0, self.density.size, 4) + density.argmax(axis=1)
        distance = tuple(column[best] for column in self.distance)
        return _Pixels(self.order - 1, self.start // 4, density.mean(axis=1), distance)


@dataclass(frozen=True)
class _Tiles:
    """Some tiles of one order."""

    order: int
    index: Integers
    density: Floats
    distance: tuple[NDArray[np.floating], ...]


@dataclass(frozen=True)
class _Form:
    """What the header says of the pixels."""

    order: int
    nested: bool
    names: list[str]  # of the columns: probability first
    per_row: int

    @property
    def pixels(self) -> int:
        return 12 << 2 * self.order

    def pixels_of(self, piece: Mapping[str, NDArray[Any]], start: int = 0) -> _Pixels:
        name = self.names[0]
        density = checked_probability(piece[name], name)
        if name != "PROBDENSITY":
            density = density / tile_area_sr(self.order)
        return _Pixels(self.order, start, density, checked_distance(piece) or ())


def read(
    table: Table, open_again: Callable[[], Table], limits: MapLimits, facts: Mapping[str, Any]
) -> SkyMap:
    """Read a flat map.

    Parameters
    ----------
    table : Table
    open_again : callable
        Gives the table from its first row.
    limits : MapLimits
    facts : mapping

    Raises
    ------
    SkyMapRefused
        As `toros.lvcgcn.skymaps.reading.read_sky_map`.
    """
    facts = {**facts, "form": "flat"}
    scheme = str(card(table.header, "INDXSCHM") or "IMPLICIT").strip().upper()
    pixel = next((name for name in _PIXEL_COLUMNS if name in table.columns), None)
    if scheme == "EXPLICIT" or (pixel and card(table.header, "INDXSCHM") is None):
        if pixel is None:
            raise SkyMapRefused("sky map: INDXSCHM is EXPLICIT, but there is no column PIXEL")
        return _read_explicit(table, pixel, limits, facts)
    if scheme != "IMPLICIT":
        raise SkyMapRefused(f"sky map: INDXSCHM {scheme!r}; IMPLICIT and EXPLICIT are known")
    form = _form(table, limits)
    if table.rows * form.per_row != form.pixels:
        raise SkyMapRefused(
            f"sky map: {table.rows * form.per_row} pixels, where NSIDE {1 << form.order} "
            f"has {form.pixels}"
        )
    if form.nested:
        tiles = _read_streamed(table, form, limits.tiles)
        if tiles is not None:
            return _sky_map(tiles, facts)
        table = open_again()
    return _sky_map(_reduce(_read_dense(table, form, limits), limits.tiles), facts)


def _form(table: Table, limits: MapLimits) -> _Form:
    name = probability_column(table)
    names = [name, *(DISTANCES if table.columns.keys() >= set(DISTANCES) else ())]
    per_row = table.per_row(names)
    pixels = table.rows * per_row
    if pixels > limits.pixels:
        raise SkyMapRefused(f"sky map: {pixels} pixels, where at most {limits.pixels} are allowed")
    ordering = str(card(table.header, "ORDERING") or "").strip().upper()
    if ordering not in ("RING", "NESTED", "NEST"):
        raise SkyMapRefused(
            f"sky map: ORDERING {ordering!r} without a column UNIQ; RING and NESTED are known"
        )
    nside = card(table.header, "NSIDE")
    if nside is None:
        nside = round((pixels / 12) ** 0.5)
    if not isinstance(nside, int) or nside < 1 or nside & (nside - 1) or nside > 1 << FINEST_ORDER:
        raise SkyMapRefused(f"sky map: NSIDE {nside!r}; it must be a power of 2, 1 to 2**29")
    return _Form(nside.bit_length() - 1, ordering != "RING", names, per_row)


def _read_explicit(table: Table, pixel: str, limits: MapLimits, facts: Mapping[str, Any]) -> SkyMap:
    form = _form(table, limits)
    names = [pixel, *form.names]
    tiles = table.rows * table.per_row(names)
    most = limits.memory_bytes // (_EXPLICIT_BYTES + table.row_bytes)
    if tiles > most:
        raise SkyMapRefused(f"sky map: {tiles} listed pixels, where at most {most} are allowed")
    piece = next(table.pieces(names, table.rows))
    table.content.check_end()
    index = piece[pixel]
    if index.dtype != np.int64:
        raise SkyMapRefused(f"sky map: column {pixel} is not of whole numbers")
    if index.min() < 0 or index.max() >= form.pixels:
        wrong = index[(index < 0) | (index >= form.pixels)][0]
        raise SkyMapRefused(
            f"sky map: {pixel} {wrong}, where NSIDE {1 << form.order} has 0 to {form.pixels - 1}"
        )
    if not form.nested:
        index = healpix.ring2nest(1 << form.order, index)
    pixels = form.pixels_of(piece)
    orders = np.full(len(index), form.order)
    probability = pixels.density * tile_area_sr(form.order)
    distance = pixels.distance
    if not distance:
        return SkyMap.from_tiles(orders, index, probability, None, facts)
    return SkyMap.from_tiles(
        orders, index, probability, (distance[0], distance[1], distance[2]), facts
    )


def _read_streamed(table: Table, form: _Form, most: int) -> list[_Tiles] | None:
    """Join pixels that are alike as they come; None if too few are."""
    piece_pixels = _piece_pixels(form.order)
    if piece_pixels % form.per_row:
        return None
    tiles: list[_Tiles] = []
    start, made = 0, 0
    for piece in table.pieces(form.names, piece_pixels // form.per_row):
        pixels = form.pixels_of(piece, start)
        joined = _join(pixels, 0.0)
        tiles += joined
        start += len(pixels.density)
        made += sum(len(part.index) for part in joined)
        if made > most:
            return None
    table.content.check_end()
    return tiles


def _read_dense(table: Table, form: _Form, limits: MapLimits) -> _Pixels:
    """Read every pixel; distances are kept to seven digits."""
    each = 8 + 4 * (len(form.names) - 1)
    if form.pixels * each > limits.memory_bytes:
        raise SkyMapRefused(
            f"sky map: {form.pixels} pixels, all different or in ring order, take "
            f"{form.pixels * each} bytes, where at most {limits.memory_bytes} are allowed"
        )
    whole = _Pixels(
        form.order,
        0,
        np.empty(form.pixels),
        tuple(np.empty(form.pixels, dtype=np.float32) for _ in form.names[1:]),
    )
    start = 0
    rows = min(_PIECE // form.per_row, _PIECE_BYTES // table.row_bytes)
    for piece in table.pieces(form.names, max(1, rows)):
        pixels = form.pixels_of(piece)
        place: Any = slice(start, start + len(pixels.density))
        if not form.nested:
            place = healpix.ring2nest(1 << form.order, np.arange(place.start, place.stop))
        whole.density[place] = pixels.density
        for column, values in zip(whole.distance, pixels.distance, strict=True):
            column[place] = values
        start += len(pixels.density)
    table.content.check_end()
    return whole


def _reduce(pixels: _Pixels, most: int) -> list[_Tiles]:
    """Join pixels to at most so many tiles."""
    while True:
        far = 0.0 if len(pixels.density) <= most else _far_density(pixels.density)
        count = _piece_pixels(pixels.order)
        tiles: list[_Tiles] = []
        for start in range(0, len(pixels.density), count):
            part = slice(start, start + count)
            distance = tuple(column[part] for column in pixels.distance)
            tiles += _join(_Pixels(pixels.order, start, pixels.density[part], distance), far)
        if sum(len(part.index) for part in tiles) <= most:
            return tiles
        pixels = pixels.parents()


def _far_density(density: Floats) -> float:
    """Return a density: pixels below it are outside the 99.9 % region.

    The bits of positive numbers sort as the numbers do: the upper ones are bins
    of 0.1 % width, which need no sorted copy.
    """
    shift = 42
    sums = np.zeros(1 << (63 - shift))
    for start in range(0, len(density), _PIECE):
        part = density[start : start + _PIECE]
        bins = (part.view(np.int64) >> shift).astype(np.intp)
        sums += np.bincount(bins, weights=part, minlength=len(sums))
    below = np.cumsum(sums)
    first = int(np.searchsorted(below, (1 - _NEAR) * below[-1], side="right"))
    return float(np.array(first << shift, dtype=np.int64).view(np.float64))


def _piece_pixels(order: int) -> int:
    return int(min(_PIECE, 4**order))


def _join(pixels: _Pixels, far: float) -> list[_Tiles]:
    """Join, again and again, four pixels that are alike or all of a density below `far`."""
    tiles: list[_Tiles] = []
    whole = np.ones(len(pixels.density), dtype=bool)
    while whole.any():
        if pixels.order == 0 or len(whole) % 4:
            joined = np.zeros(0, dtype=bool)
            left = whole
        else:
            joined = whole.reshape(-1, 4).all(axis=1) & _alike(pixels, far)
            left = whole & ~np.repeat(joined, 4)
        place = np.flatnonzero(left)
        tiles.append(
            _Tiles(
                pixels.order,
                place + pixels.start,
                pixels.density[place],
                tuple(column[place] for column in pixels.distance),
            )
        )
        if not joined.any():
            break
        whole, pixels = joined, pixels.parents()
    return tiles


def _alike(pixels: _Pixels, far: float) -> NDArray[np.bool_]:
    columns = [column.reshape(-1, 4) for column in (pixels.density, *pixels.distance)]
    alike = np.asarray((columns[0] < far).all(axis=1))
    same = np.ones_like(alike)
    for column in columns:
        same &= (column[:, 1:] == column[:, :1]).all(axis=1)
    return alike | same


def _sky_map(tiles: list[_Tiles], facts: Mapping[str, Any]) -> SkyMap:
    order = np.concatenate([np.full(len(part.index), part.order) for part in tiles])
    distance = None
    if tiles[0].distance:
        mu, sigma, norm = (
            np.concatenate([part.distance[column] for part in tiles]) for column in range(3)
        )
        distance = mu, sigma, norm
    return SkyMap.from_tiles(
        order,
        np.concatenate([part.index for part in tiles]),
        np.concatenate([part.density for part in tiles]) * tile_area_sr(order),
        distance,
        facts,
    )
