"""A batch of galaxies from a source: checked, and with their places on the sky."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import healpix
import numpy as np
from numpy.typing import NDArray

from toros.lvcgcn.galaxies.columns import FINEST_ORDER, Records, record_type

BAD_KEPT = 20
"""How many of the bad rows are told with their lines."""


@dataclass(frozen=True)
class BadRow:
    """A row that could not be used: where (line, counted from 1) and why."""

    line: int
    reason: str


@dataclass
class Batch:
    """What was made of a stretch of a source.

    Attributes
    ----------
    records : ndarray of `record_type`, shape (n,)
    lines : int
        How many lines or rows of the source it took.
    bad : list of BadRow
        The first `BAD_KEPT` of the bad rows.
    bad_count : int
    left_out : Counter
        Rows that were left out on purpose, by reason.
    read_bytes : int
        How much of the source it took.
    """

    records: Records
    lines: int = 0
    bad: list[BadRow] = field(default_factory=list)
    bad_count: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    read_bytes: int = 0

    def refuse(self, line: int, reason: str) -> None:
        """Count a bad row, and keep its line and reason if it is one of the first."""
        self.bad_count += 1
        if len(self.bad) < BAD_KEPT:
            self.bad.append(BadRow(line, reason))


def fill(batch: Batch, line: NDArray[np.int64], values: dict[str, Any], name_bytes: int) -> None:
    """Make records of columns, leaving out rows that are nowhere on the sky.

    Parameters
    ----------
    batch : Batch
        Takes the records, and the bad rows.
    line : ndarray of int64, shape (n,)
        Where each row is in the source.
    values : dict
        ``ra``, ``dec`` [deg]; ``name``: bytes; optional ``distance``,
        ``distance_error`` [Mpc], ``b_magnitude``, ``k_magnitude`` [mag],
        ``stellar_mass`` [solMass], ``flags``; shape (n,), NaN where unknown.
    name_bytes : int
        Room for a name; longer ones are cut.
    """
    ra, dec = (
        np.asarray(values["ra"], dtype=np.float64),
        np.asarray(values["dec"], dtype=np.float64),
    )
    on_sky = (ra >= 0) & (ra <= 360) & (dec >= -90) & (dec <= 90)
    for row in np.flatnonzero(~on_sky):
        batch.refuse(
            int(line[row]), f"ra {ra[row]}, dec {dec[row]}, where 0 to 360 and -90 to 90 can be"
        )
    records = np.empty(int(on_sky.sum()), dtype=record_type(name_bytes))
    records["place"] = healpix.ang2pix(
        1 << FINEST_ORDER, ra[on_sky] % 360.0, dec[on_sky], nest=True, lonlat=True
    )
    distance = _column(values, "distance", on_sky)
    records["distance"] = np.where(distance > 0, distance, np.nan)
    for name in ("distance_error", "b_magnitude", "k_magnitude", "stellar_mass"):
        column = _column(values, name, on_sky)
        records[name] = np.where(np.isfinite(column), column, np.nan)
    records["flags"] = 0 if "flags" not in values else np.asarray(values["flags"])[on_sky]
    records["name"] = np.asarray(values["name"])[on_sky]
    batch.records = records


def _column(values: dict[str, Any], name: str, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    if name not in values:
        return np.full(int(np.sum(rows)), np.nan)
    column: NDArray[np.float64] = np.asarray(values[name], dtype=np.float64)[rows]
    return np.where(np.isfinite(column), column, np.nan)
