"""A galaxy catalogue that is open: columns mapped into memory, sorted by place."""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import healpix
import numpy as np
from numpy.typing import NDArray

from toros.errors import CatalogueRefused
from toros.lvcgcn.galaxies import versions
from toros.lvcgcn.galaxies.columns import (
    CELL_SHIFT,
    COLUMNS,
    FINEST_ORDER,
    FORMAT,
    MANIFEST,
    WEIGHTS,
)
from toros.store import sha256_of

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

COMPLETE_ENOUGH = 0.5
"""The share of galaxies whose mass or luminosity must be known for `auto` to weigh by it."""

ATTEMPTS = 20
"""How often opening follows a catalogue that is replaced meanwhile."""


@dataclass(frozen=True, eq=False, repr=False)
class Catalogue:
    """Galaxies in the order of their place on the sky.

    Attributes
    ----------
    version : Path
        The folder that holds its files; it may be gone, the columns stay.
    facts : mapping
        The manifest: ``source``, ``rows``, ``built``, ``columns`` (of each its
        bytes, checksum and in how many rows it is known), ``left_out``, ...
    columns : mapping of str to ndarray, shape (n,)
        `toros.lvcgcn.galaxies.columns.COLUMNS`, read-only; the weights only
        where the source has what they are made of.
    """

    version: Path
    facts: Mapping[str, Any]
    columns: Mapping[str, NDArray[Any]]
    _maps: Mapping[str, mmap.mmap]

    @classmethod
    def open(cls, folder: Path) -> Catalogue:
        """Open the catalogue that is current in `folder`; takes milliseconds.

        A catalogue that is replaced while it is being opened is not seen half:
        the new one is opened.

        Raises
        ------
        CatalogueRefused
            There is none, or its files are not what its manifest says.
        """
        for attempt in range(ATTEMPTS):
            version = versions.current(folder)
            if version is None:
                raise CatalogueRefused(
                    f"{folder}: no galaxy catalogue; make one with `toros catalog build` (until "
                    "then the alert robot ranks the packaged catalogue of nearby galaxies)"
                )
            try:
                return cls._open_version(version)
            except FileNotFoundError as error:
                if attempt == ATTEMPTS - 1 or versions.current(folder) == version:
                    raise CatalogueRefused(
                        f"{error.filename}: missing from the galaxy catalogue; build it again"
                    ) from error
            except OSError as error:
                raise CatalogueRefused(f"{version}: {error.strerror or error}") from error
        raise AssertionError("unreachable")

    @classmethod
    def _open_version(cls, version: Path) -> Catalogue:
        facts = _read_manifest(version)
        columns, maps = {}, {}
        for name, told in facts["columns"].items():
            path = version / f"{name}.bin"
            if path.stat().st_size != told["bytes"]:
                raise CatalogueRefused(
                    f"{path}: {path.stat().st_size} bytes, where the manifest tells "
                    f"{told['bytes']}; build the catalogue again"
                )
            columns[name] = np.empty(0, dtype=COLUMNS[name][0])
            if told["bytes"]:
                columns[name], maps[name] = _map(path, COLUMNS[name][0])
        return cls(version, facts, columns, maps)

    def __len__(self) -> int:
        return int(self.facts["rows"])

    def warm(self) -> None:
        """Read what a scan reads, so that the first one does not wait for the disk.

        What a list needs of a few galaxies is asked for, and not waited for.
        """
        for pages in self._maps.values():
            pages.madvise(mmap.MADV_WILLNEED)
        for name, column in self.columns.items():
            if name in ("place", "distance_f4", "cell") or name.startswith("weight_"):
                column[:: mmap.PAGESIZE // column.itemsize].max()

    def rows_from(self, place: Integers) -> Integers:
        """Find the first rows at or after places.

        Parameters
        ----------
        place : ndarray of int64, shape (k,)
            Nested pixels of order 29, up to and including 12 * 4**29.

        Returns
        -------
        ndarray of int64, shape (k,)
            Rows; the number of rows where none follows.
        """
        rows: Integers = self.columns["cell"][place >> CELL_SHIFT]
        within = np.flatnonzero(place & ((1 << CELL_SHIFT) - 1))
        if within.size:
            rows[within] = np.searchsorted(self.columns["place"], place[within])
        return rows

    def positions(self, rows: Integers) -> tuple[Floats, Floats]:
        """Tell where galaxies are.

        Parameters
        ----------
        rows : ndarray of int64, shape (k,)

        Returns
        -------
        ra, dec : ndarray of float64, shape (k,), ICRS [deg]
            0 <= ra < 360; of the pixel of order 29, within 0.4 mas.
        """
        pixel = self.columns["place"][rows]
        ra, dec = healpix.pix2ang(1 << FINEST_ORDER, pixel, nest=True, lonlat=True)
        return np.asarray(ra, dtype=np.float64) % 360.0, np.asarray(dec, dtype=np.float64)

    def names(self, rows: Integers) -> list[str]:
        """Tell the names of galaxies, shape (k,)."""
        end: Integers = self.columns["name_end"][rows]
        begin = np.where(rows > 0, self.columns["name_end"][rows - 1], 0)
        # All their bytes at once, one after the other, then cut.
        cuts = np.concatenate(([0], np.cumsum(end - begin)))
        places = np.repeat(begin - cuts[:-1], end - begin) + np.arange(cuts[-1])
        text = self.columns["names"][places].tobytes()
        return [text[a:b].decode("utf-8", "replace") for a, b in pairwise(cuts.tolist())]

    def known(self, quantity: str) -> float:
        """Tell the share of galaxies with a distance for which a weight is known, not estimated.

        Parameters
        ----------
        quantity : str
            One of `toros.lvcgcn.galaxies.columns.WEIGHTS`.
        """
        return float(self.facts["weights"].get(quantity, {}).get("known", 0.0))

    def choose_weight(self, wanted: str) -> tuple[str, str]:
        """Decide by what galaxies are weighted.

        Parameters
        ----------
        wanted : str
            ``stellar_mass``, ``luminosity_k``, ``luminosity_b``, ``none``, or
            ``auto``: the first of these that is known for at least half.

        Returns
        -------
        weight, why : str

        Raises
        ------
        CatalogueRefused
            The catalogue has nothing to make the wanted weight of.
        """
        if wanted == "none":
            return "none", "as wanted"
        if wanted == "auto":
            for quantity in WEIGHTS:
                if self.known(quantity) >= COMPLETE_ENOUGH:
                    return quantity, f"known for {self.known(quantity):.0%} of the galaxies"
            return "none", f"no mass or luminosity known for {COMPLETE_ENOUGH:.0%} of the galaxies"
        if f"weight_{wanted}" not in self.columns:
            have = ", ".join(q for q in WEIGHTS if f"weight_{q}" in self.columns) or "no weight"
            raise CatalogueRefused(
                f"galaxy catalogue {self.facts['source']['name']}: weight {wanted!r} is wanted, "
                f"it has {have}; set the weight to auto"
            )
        return wanted, "as wanted"

    def check(self) -> list[str]:
        """Compare every file with its checksum; return the names of the columns that differ."""
        return [
            name
            for name, told in self.facts["columns"].items()
            if sha256_of(self.version / f"{name}.bin") != told["sha256"]
        ]


def _map(path: Path, numbers: str) -> tuple[NDArray[Any], mmap.mmap]:
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    return np.frombuffer(pages, dtype=numbers), pages


def _read_manifest(version: Path) -> dict[str, Any]:
    path = version / MANIFEST
    try:
        facts: dict[str, Any] = json.loads(path.read_bytes())
        layout, names = facts["format"], set(facts["columns"])
    except (ValueError, KeyError, TypeError) as error:
        raise CatalogueRefused(f"{path}: no manifest of a galaxy catalogue ({error})") from error
    if layout != FORMAT or not names <= set(COLUMNS):
        raise CatalogueRefused(
            f"{path}: layout {layout}, where this version reads {FORMAT}; build the catalogue again"
        )
    return facts
