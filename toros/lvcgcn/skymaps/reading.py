"""Reading a sky map: multi-order or flat, gzipped or not, with or without distance.

References
----------
.. [1] LIGO/Virgo/KAGRA Public Alerts User Guide, multi-order sky maps.
.. [2] Data formats for gamma-ray astronomy 0.3, HEALPix (INDXSCHM, PIXEL).
.. [3] Singer, L. P., et al., 2016, ApJS 226, 10 (DISTMU, DISTSIGMA, DISTNORM).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.errors import SkyMapRefused
from toros.lvcgcn.skymaps import flat
from toros.lvcgcn.skymaps.columns import (
    DISTANCES,
    checked_distance,
    checked_probability,
    probability_column,
)
from toros.lvcgcn.skymaps.fits_table import Table, card, find_table
from toros.lvcgcn.skymaps.inflating import Inflating
from toros.lvcgcn.skymaps.limits import MapLimits
from toros.lvcgcn.skymaps.sky_map import FINEST_ORDER, WHOLE_SKY, SkyMap, tile_area_sr

_TOTAL_OFF = 0.01
_PARTIAL_TOTAL_OFF = 0.001
_TILE_BYTES = 180  # of reading a multi-order map: its row, its columns, their copies
_UNIQUE = 4 * np.int64(4) ** np.arange(FINEST_ORDER + 1)
"""The first UNIQ of each order."""


def _text(value: Any) -> str:
    return str(value).strip()[:200]


_FACTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "OBJECT": ("object", _text),
    "DATE-OBS": ("date_obs", _text),
    "INSTRUME": ("instruments", lambda value: [name.strip() for name in _text(value).split(",")]),
    "DISTMEAN": ("distmean_mpc", float),
    "DISTSTD": ("diststd_mpc", float),
    "LOGBCI": ("log_bci", float),
    "LOGBSN": ("log_bsn", float),
    "CREATOR": ("creator", _text),
    "ORIGIN": ("origin", _text),
    "REFERENC": ("reference", _text),
}


def read_sky_map(raw: bytes, limits: MapLimits | None = None) -> SkyMap:
    """Read a sky map.

    Parameters
    ----------
    raw : bytes
        A FITS file, gzipped or not: its first table with a column UNIQ, PROB,
        PROBABILITY or PROBDENSITY.
    limits : MapLimits, optional

    Returns
    -------
    SkyMap
        Probabilities as given. Of flat maps, pixels are joined: four that are
        alike, and those outside the 99.9 % region if there are more than a
        million; a part of that region that has more is halved in resolution.

    Raises
    ------
    SkyMapRefused
        The map is broken or beyond a limit: NaN, infinite or negative
        probabilities; a total that is off 1 by more than 1 % (0.1 % where tiles
        are missing); tiles that overlap; a frame other than equatorial; a size
        other than the header's.
    """
    limits = limits or MapLimits()
    ends_at = time.monotonic() + limits.seconds

    def open_table() -> Table:
        return find_table(Inflating(raw, limits, ends_at), limits)

    table = open_table()
    _check_frame(table.header)
    if "UNIQ" in table.columns:
        sky_map = _read_multi_order(table, limits)
    else:
        sky_map = flat.read(table, open_table, limits, _facts(table.header))
    _check_total(sky_map)
    return sky_map


def _check_frame(header: fits.Header) -> None:
    frame = str(card(header, "COORDSYS") or "C").strip().upper()
    if frame[:1] not in ("C", "Q") and frame not in ("ICRS", "EQUATORIAL", "FK5"):
        raise SkyMapRefused(
            f"sky map: COORDSYS {frame!r}; only equatorial maps (C) are read, "
            "others would have to be resampled"
        )


def _read_multi_order(table: Table, limits: MapLimits) -> SkyMap:
    ordering = str(card(table.header, "ORDERING") or "NUNIQ").strip().upper()
    if ordering not in ("NUNIQ", "UNIQ"):
        raise SkyMapRefused(
            f"sky map: ORDERING {ordering!r} with a column UNIQ; NUNIQ goes with it"
        )
    name = probability_column(table)
    names = ["UNIQ", name, *(DISTANCES if table.columns.keys() >= set(DISTANCES) else ())]
    tiles = table.rows * table.per_row(names)
    most = min(limits.pixels, limits.memory_bytes // (_TILE_BYTES + table.row_bytes))
    if tiles > most:
        raise SkyMapRefused(f"sky map: {tiles} tiles, where at most {most} are allowed")
    columns = next(table.pieces(names, table.rows))
    table.content.check_end()
    order, index = _split_unique(columns["UNIQ"])
    area = tile_area_sr(order) if name == "PROBDENSITY" else 1.0
    return SkyMap.from_tiles(
        order,
        index,
        checked_probability(columns[name], name) * area,
        checked_distance(columns),
        {**_facts(table.header), "form": "multi-order"},
    )


def _split_unique(unique: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split UNIQ = 4 * 4**order + index."""
    if unique.dtype != np.int64:
        raise SkyMapRefused("sky map: column UNIQ is not of whole numbers")
    wrong = np.flatnonzero((unique < _UNIQUE[0]) | (unique >= 4 * _UNIQUE[-1]))
    if wrong.size:
        raise SkyMapRefused(
            f"sky map, row {wrong[0]}: UNIQ {unique[wrong[0]]}, "
            f"where 4 to 4**{FINEST_ORDER + 2} - 1 can be (orders 0 to {FINEST_ORDER})"
        )
    order = np.searchsorted(_UNIQUE, unique, side="right") - 1
    return order, unique - _UNIQUE[order]


def _check_total(sky_map: SkyMap) -> None:
    with np.errstate(over="ignore"):
        total = float(sky_map.probability.sum())
    covered = int(np.sum(sky_map.last - sky_map.first)) / WHOLE_SKY
    if total == 0:
        raise SkyMapRefused("sky map: every probability is 0")
    allowed = _TOTAL_OFF if covered == 1 else _PARTIAL_TOTAL_OFF
    if abs(total - 1) > allowed:
        missing = "" if covered == 1 else f"; tiles are missing over {1 - covered:.2%} of the sky"
        raise SkyMapRefused(f"sky map: the probabilities' sum is {total:.6g}, not 1{missing}")


def _facts(header: fits.Header) -> Mapping[str, Any]:
    facts: dict[str, Any] = {}
    for keyword, (name, kind) in _FACTS.items():
        value = card(header, keyword)
        if value is None:
            continue
        try:
            made = kind(value)
        except (TypeError, ValueError):
            continue
        if not isinstance(made, float) or np.isfinite(made):
            facts[name] = made
    return facts
