"""Sorting galaxies by their place, on disk: spilled in runs, merged bucket by bucket.

A source's batches are sorted and appended to a spill file; what of a batch lies in
the same bucket (a pixel of order 3, 54 deg2) is one run there. Afterwards each bucket
is gathered from its runs (small ones together), sorted, and written to where it belongs
in the columns, which is known beforehand. No more than one batch, or one bucket, is in
memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from toros.lvcgcn.galaxies.columns import (
    CELL_SHIFT,
    CELLS,
    COLUMNS,
    FINEST_ORDER,
    Records,
    record_type,
)
from toros.lvcgcn.galaxies.weights import Estimates, Statistics

BUCKET_ORDER = 3
BUCKETS = 12 << (2 * BUCKET_ORDER)
GROUP_ROWS = 100_000
"""How many galaxies are sorted and written at once, where buckets are small."""
BUCKET_SHIFT = 2 * (FINEST_ORDER - BUCKET_ORDER)


@dataclass
class Spill:
    """The runs of one process, and what is in them.

    Attributes
    ----------
    path : Path
    name_bytes : int
        Room for the name in a record.
    runs : dict of int to list of (int, int)
        Of each bucket: first record and number of records.
    name_lengths : ndarray of int64, shape (BUCKETS,)
        Bytes of the names in each bucket.
    """

    path: Path
    name_bytes: int
    runs: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    name_lengths: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(BUCKETS, dtype=np.int64)
    )
    records: int = 0

    def add(self, file: IO[bytes], records: Records) -> None:
        """Append a batch to the spill file."""
        records = records[np.argsort(records["place"], kind="stable")]
        bucket = records["place"] >> BUCKET_SHIFT
        begins = np.flatnonzero(np.diff(bucket, prepend=-1))
        ends = np.append(begins, len(records))[1:]
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            self.runs[int(bucket[begin])].append((self.records + begin, end - begin))
        lengths = np.bincount(bucket, np.char.str_len(records["name"]), BUCKETS)
        self.name_lengths += lengths.astype(np.int64)
        self.records += len(records)
        file.write(records.tobytes())

    def counts(self) -> NDArray[np.int64]:
        """Return how many records each bucket has, shape (BUCKETS,)."""
        counts = np.zeros(BUCKETS, dtype=np.int64)
        for bucket, runs in self.runs.items():
            counts[bucket] = sum(number for _, number in runs)
        return counts

    def gather(self, bucket: int) -> Records:
        """Return the records of a bucket, run after run."""
        dtype = record_type(self.name_bytes)
        runs = self.runs.get(bucket, [])
        records = np.empty(sum(number for _, number in runs), dtype=dtype)
        done = 0
        with self.path.open("rb") as file:
            for first, number in runs:
                file.seek(first * dtype.itemsize)
                part = file.read(number * dtype.itemsize)
                records[done : done + number] = np.frombuffer(part, dtype=dtype)
                done += number
        return records


@dataclass(frozen=True)
class Plan:
    """Where everything goes: what the processes that write the columns share.

    Attributes
    ----------
    version : Path
        The folder of the columns.
    spills : tuple of Spill
    first_row, first_name : ndarray of int64, shape (BUCKETS + 1,)
        Where each bucket begins, in rows and in bytes of names.
    estimates : Estimates
        Of weights.
    """

    version: Path
    spills: tuple[Spill, ...]
    first_row: NDArray[np.int64]
    first_name: NDArray[np.int64]
    estimates: Estimates

    @classmethod
    def of(cls, version: Path, spills: tuple[Spill, ...], statistics: Statistics) -> Plan:
        """Add up the spills."""
        counts = sum((spill.counts() for spill in spills), np.zeros(BUCKETS, dtype=np.int64))
        lengths = sum((spill.name_lengths for spill in spills), np.zeros(BUCKETS, dtype=np.int64))
        first_row = np.concatenate(([0], np.cumsum(counts)))
        first_name = np.concatenate(([0], np.cumsum(lengths)))
        return cls(version, spills, first_row, first_name, Estimates.of(statistics))

    @property
    def rows(self) -> int:
        """Return the number of galaxies."""
        return int(self.first_row[-1])

    def columns(self) -> list[str]:
        """Name the columns that the catalogue gets."""
        have = [f"weight_{name}" for name in self.estimates.available]
        return [c for c in COLUMNS if not c.startswith("weight_") or c in have]

    def prepare(self) -> None:
        """Make the columns' files, as long as they will be."""
        for name in self.columns():
            rows = {"names": int(self.first_name[-1]), "cell": 0}.get(name, self.rows)
            with (self.version / f"{name}.bin").open("wb") as file:
                file.truncate(rows * np.dtype(COLUMNS[name][0]).itemsize)

    def groups(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Divide buckets into groups of about `GROUP_ROWS` galaxies, of one bucket at least."""
        while first < last:
            target = self.first_row[first] + GROUP_ROWS
            end = int(np.searchsorted(self.first_row, target, side="right")) - 1
            end = min(max(end, first + 1), last)
            yield first, end
            first = end

    def write(self, first: int, last: int) -> None:
        """Sort the galaxies of some buckets and write their rows into the columns."""
        parts = [spill.gather(b) for spill in self.spills for b in range(first, last)]
        records = np.concatenate(parts)
        if not len(records):
            return
        # Places first; the name settles the order of two at the same place.
        records = records[np.lexsort((records["name"], records["place"]))]
        begin = int(self.first_row[first])
        for name in self.columns():
            if name.startswith("weight_"):
                told = self.estimates.weight(records, name.removeprefix("weight_"))
                self._put(name, begin, told)
            elif name in (records.dtype.names or ()):
                self._put(name, begin, records[name])
        self._put("distance_f4", begin, records["distance"])
        self._write_names(records["name"], int(self.first_name[first]), begin)

    def _write_names(self, names: NDArray[np.bytes_], first: int, begin: int) -> None:
        room = np.ascontiguousarray(names).view("u1").reshape(len(names), -1)
        filled = np.arange(room.shape[1]) < np.char.str_len(names)[:, None]
        self._put("names", first, room[filled])
        self._put("name_end", begin, first + np.cumsum(np.char.str_len(names)))

    def _put(self, column: str, begin: int, values: NDArray[Any]) -> None:
        content = np.ascontiguousarray(values, dtype=COLUMNS[column][0])
        with (self.version / f"{column}.bin").open("r+b") as file:
            file.seek(begin * content.itemsize)
            file.write(content.tobytes())

    def write_cells(self) -> None:
        """Write the offset table, once the places are there."""
        place = np.memmap(self.version / "place.bin", dtype=COLUMNS["place"][0], mode="r")
        edges = np.arange(CELLS + 1, dtype=np.int64) << CELL_SHIFT
        self._put("cell", 0, np.searchsorted(place, edges))
