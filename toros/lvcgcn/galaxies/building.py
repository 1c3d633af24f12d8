"""Making a galaxy catalogue of a published one, in bounded memory; the old one stays until then."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from toros.errors import CatalogueRefused
from toros.lvcgcn.galaxies import glade, tables
from toros.lvcgcn.galaxies.batches import BAD_KEPT, BadRow, Batch
from toros.lvcgcn.galaxies.catalogue import Catalogue
from toros.lvcgcn.galaxies.columns import COLUMNS, FORMAT, MANIFEST
from toros.lvcgcn.galaxies.mapping import FieldMapping
from toros.lvcgcn.galaxies.processes import Told, share
from toros.lvcgcn.galaxies.sorting import BUCKETS, Plan, Spill
from toros.lvcgcn.galaxies.versions import new_version
from toros.lvcgcn.galaxies.weights import Statistics
from toros.store import sha256_of

FORMS = (*glade.FORMS, "csv", "votable")
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".vot": "votable",
    ".votable": "votable",
    ".xml": "votable",
}
HUBBLE = 70.0
BAD_SHARE = 0.01
WORTH_TWO = 64 << 20
"""From how many bytes on a text is read by more than one process."""
PROCESSES = 2
RUNS = "runs"
"""The folder of sorted runs, inside the version's while it is made."""

Progress = Callable[[str, int, int], None]
"""Takes the stage's name, how much of it was just done, and of how much in all."""


@dataclass
class Reading:
    """What one process has read of a source."""

    spills: list[Spill]
    statistics: Statistics = field(default_factory=Statistics)
    lines: int = 0
    bad: list[BadRow] = field(default_factory=list)
    bad_count: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """Return the number of galaxies."""
        return sum(spill.records for spill in self.spills)


@dataclass(frozen=True)
class Built:
    """What a build has made.

    Attributes
    ----------
    catalogue : Catalogue
        The new one, open.
    rows : int
    lines : int
        Of the source.
    bad_count : int
        Rows that could not be used.
    bad : tuple of BadRow
        The first of them.
    left_out : dict
        Rows left out on purpose, by reason.
    """

    catalogue: Catalogue
    rows: int
    lines: int
    bad_count: int
    bad: tuple[BadRow, ...]
    left_out: dict[str, int]


def build(
    source: Path,
    folder: Path,
    *,
    made: datetime,
    form: str | None = None,
    mapping: FieldMapping | None = None,
    hubble: float = HUBBLE,
    bad_share: float = BAD_SHARE,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Built:
    """Make the catalogue in `folder` of a published one.

    The old catalogue stays what it is until the new one is whole, and if anything fails.

    Parameters
    ----------
    source : Path
        A file.
    folder : Path
        Where the catalogue is to be.
    made : datetime
        The time now, for the manifest.
    form : str, optional
        ``glade+``, ``glade2.3``, ``csv`` or ``votable``; else it is seen by the file.
    mapping : mapping, optional
        Of a CSV file's or VOTable's fields.
    hubble : float
        H0, for distances that are given as velocities [km/s/Mpc].
    bad_share : float
        Above this share of bad rows the source is refused.
    processes : int, optional
        That share the work on a text; by default two for a large one.
    progress : callable, optional

    Raises
    ------
    CatalogueRefused
        The source cannot be used, or another build is under way.
    DiskFull, StorageFailed
    """
    progress = progress or _unseen
    form = form or recognise(source)
    if form not in FORMS:
        raise CatalogueRefused(f"form {form!r}: should be one of {', '.join(FORMS)}")
    size = _size(source)
    processes = processes or (PROCESSES if size >= WORTH_TWO else 1)
    with new_version(folder) as version:
        runs = version / RUNS
        runs.mkdir()
        tasks = [
            (source, form, mapping or {}, hubble, *stretch, runs / str(number))
            for number, stretch in enumerate(
                _stretches(size, processes if form in glade.FORMS else 1)
            )
        ]
        whole = _sum(
            share(_read, tasks, lambda n: progress("reading", n, size), apart=len(tasks) > 1)
        )
        _judge(source, whole, bad_share)
        told = {"name": source.name, "form": form, "bytes": size}
        _write_all(version, whole, told, made, progress)
    return Built(
        Catalogue.open(folder),
        whole.rows,
        whole.lines,
        whole.bad_count,
        tuple(whole.bad[:BAD_KEPT]),
        dict(whole.left_out),
    )


def build_from(
    batches: Iterable[Batch], folder: Path, told: dict[str, Any], made: datetime
) -> Catalogue:
    """Make the catalogue in `folder` of batches; small ones, in this process.

    Parameters
    ----------
    batches : iterable of Batch
        With room for names of `tables.NAME_BYTES`.
    folder : Path
    told : dict
        ``name`` and ``form`` of the source, for the manifest.
    made : datetime
        The time now, for the manifest.
    """
    with new_version(folder) as version:
        (version / RUNS).mkdir()
        spill = Spill(version / RUNS / "0", tables.NAME_BYTES)
        _write_all(version, _sum([_spilled(batches, spill, _silent)]), told, made, _unseen)
    return Catalogue.open(folder)


def recognise(source: Path) -> str:
    """Tell the form of a source by its suffix, a text's by the columns of its first line.

    Raises
    ------
    CatalogueRefused
    """
    suffix = source.suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    try:
        with source.open("rb") as file:
            columns = len(file.readline(10_000).split())
    except OSError as error:
        raise CatalogueRefused(f"{source}: {error.strerror}") from error
    for form in glade.FORMS.values():
        if form.columns == columns:
            return form.name
    raise CatalogueRefused(
        f"{source}: {columns} columns in its first line, where GLADE+ has 40 and GLADE 2.3 has "
        f"22; unpack it if it is packed, or tell its form: {', '.join(FORMS)}"
    )


def _size(source: Path) -> int:
    try:
        return source.stat().st_size
    except OSError as error:
        raise CatalogueRefused(f"{source}: {error.strerror}") from error


def _stretches(size: int, number: int) -> list[tuple[int, int]]:
    """Divide a source among processes."""
    edges = [size * n // number for n in range(number + 1)]
    return list(pairwise(edges))


def _read(
    source: Path,
    form: str,
    mapping: FieldMapping,
    hubble: float,
    begin: int,
    end: int,
    runs: Path,
    told: Told,
) -> Reading:
    """Read a stretch of a source into sorted runs; the work of one process."""
    batches: Iterator[Batch]
    if form in glade.FORMS:
        batches = glade.read_text(source, glade.FORMS[form], begin, end)
        return _spilled(batches, Spill(runs, glade.NAME_BYTES), told)
    read = tables.read_csv if form == "csv" else tables.read_votable
    return _spilled(read(source, mapping, hubble), Spill(runs, tables.NAME_BYTES), told)


def _spilled(batches: Iterable[Batch], spill: Spill, told: Told) -> Reading:
    reading = Reading([spill])
    with spill.path.open("wb") as file:
        for batch in batches:
            reading.lines += batch.lines
            reading.bad += batch.bad[: BAD_KEPT - len(reading.bad)]
            reading.bad_count += batch.bad_count
            reading.left_out.update(batch.left_out)
            reading.statistics.add(batch.records)
            spill.add(file, batch.records)
            told(batch.read_bytes)
    return reading


def _sum(readings: list[Reading]) -> Reading:
    """Add up what the processes have read, in the order of the source."""
    whole = Reading([])
    for reading in readings:
        whole.spills += reading.spills
        whole.bad += [BadRow(bad.line + whole.lines, bad.reason) for bad in reading.bad]
        whole.lines += reading.lines
        whole.bad_count += reading.bad_count
        whole.left_out.update(reading.left_out)
        whole.statistics.merge(reading.statistics)
    return whole


def _judge(source: Path, whole: Reading, bad_share: float) -> None:
    first = "; ".join(f"line {bad.line}: {bad.reason}" for bad in whole.bad[:3])
    if whole.bad_count > bad_share * whole.lines:
        raise CatalogueRefused(
            f"{source}: {whole.bad_count} of {whole.lines} rows cannot be used, more than "
            f"{bad_share:.1%}; {first}"
        )
    if not whole.rows:
        raise CatalogueRefused(f"{source}: there is no galaxy in it")


def _write_all(
    version: Path, whole: Reading, told: dict[str, Any], made: datetime, progress: Progress
) -> None:
    """Write columns and manifest of what was read."""
    plan = Plan.of(version, tuple(whole.spills), whole.statistics)
    plan.prepare()
    middle = int(np.searchsorted(plan.first_row, plan.rows // 2))
    halves = [(plan, 0, middle), (plan, middle, BUCKETS)]
    apart = len(whole.spills) > 1
    share(_write, halves, lambda rows: progress("writing", rows, plan.rows), apart=apart)
    plan.write_cells()
    shutil.rmtree(version / RUNS)
    _write_manifest(version, plan, whole, told, made)


def _write(plan: Plan, first: int, last: int, told: Told) -> None:
    """Write some of the buckets; the work of one process."""
    for begin, end in plan.groups(first, last):
        plan.write(begin, end)
        told(int(plan.first_row[end] - plan.first_row[begin]))


def _write_manifest(
    version: Path, plan: Plan, whole: Reading, told: dict[str, Any], made: datetime
) -> None:
    statistics = whole.statistics
    columns = {}
    for name in plan.columns():
        path = version / f"{name}.bin"
        numbers, what = COLUMNS[name]
        columns[name] = {
            "type": numbers,
            "what": what,
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
        }
    manifest = {
        "format": FORMAT,
        "source": told,
        "built": made.isoformat(),
        "rows": plan.rows,
        "with_distance": statistics.with_distance,
        "lines": whole.lines,
        "bad_rows": whole.bad_count,
        "left_out": dict(whole.left_out),
        "weights": {
            name: {
                "known": statistics.share_known(name),
            }
            for name in statistics.available()
        },
        "columns": columns,
    }
    (version / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _silent(amount: int) -> None:
    """Tell nobody of the progress."""


def _unseen(stage: str, done: int, whole: int) -> None:
    """Show nobody the progress."""
