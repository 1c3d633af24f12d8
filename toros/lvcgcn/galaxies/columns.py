"""What a galaxy catalogue on disk consists of.

A catalogue is a folder with one file for each column, raw little-endian numbers
without a header, in the same order of rows: ascending by nested HEALPix pixel of
order 29 (0.4 mas). A region of the sky is so a slice of each file, and a file is
mapped into memory rather than read. ``manifest.json`` tells the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
"""The number of this layout; a catalogue of another one must be built anew."""

MANIFEST = "manifest.json"

FINEST_ORDER = 29
CELL_ORDER = 8
"""Order of the offset table: cells of 0.05 deg2, 3 MB."""
CELLS = 12 << (2 * CELL_ORDER)
CELL_SHIFT = 2 * (FINEST_ORDER - CELL_ORDER)

COLUMNS: dict[str, tuple[str, str]] = {
    "place": ("<i8", "nested HEALPix pixel of order 29, ICRS"),
    "distance": ("<f8", "luminosity distance [Mpc]"),
    "distance_f4": ("<f4", "the same in single precision, for the scan [Mpc]"),
    "distance_error": ("<f4", "one standard deviation [Mpc]"),
    "b_magnitude": ("<f4", "apparent B magnitude [mag]"),
    "k_magnitude": ("<f4", "apparent Ks magnitude [mag]"),
    "stellar_mass": ("<f4", "stellar mass [solMass]"),
    "flags": ("u1", "bits 0-1: kind of distance; bit 2: B is calculated"),
    "weight_stellar_mass": ("<f4", "stellar mass, estimated where unknown [solMass]"),
    "weight_luminosity_k": ("<f4", "Ks luminosity, estimated where unknown [solLum]"),
    "weight_luminosity_b": ("<f4", "B luminosity, estimated where unknown [solLum]"),
    "name_end": ("<i8", "where the row's name ends in `names` [byte]"),
    "names": ("u1", "the names one after the other, UTF-8"),
    "cell": ("<i8", "first row of each cell of order 8, then the number of rows"),
}
"""Of each file: its numbers and what they are. NaN where unknown."""

WEIGHTS = ("stellar_mass", "luminosity_k", "luminosity_b")
"""By what galaxies can be weighted, the best first."""

DISTANCE_UNKNOWN, DISTANCE_PHOTOMETRIC, DISTANCE_MEASURED, DISTANCE_SPECTROSCOPIC = range(4)
"""Kinds of distance, the numbers of GLADE+; other sources leave 0 even where it is known."""
B_CALCULATED = 4
"""The flag of a B magnitude that was calculated from another band."""


def record_type(name_bytes: int) -> np.dtype[Any]:
    """Return the type of one galaxy on its way from a source to the columns.

    Parameters
    ----------
    name_bytes : int
        Room for the name, in bytes of UTF-8.
    """
    columns = ("place", "distance", "distance_error", "b_magnitude", "k_magnitude")
    return np.dtype(
        [(name, COLUMNS[name][0]) for name in (*columns, "stellar_mass", "flags")]
        + [("name", f"S{name_bytes}")]
    )


Records = NDArray[Any]
"""Of `record_type`, shape (n,)."""
