"""Making a galaxy catalogue of a published one, in bounded memory; the old one stays until then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from toros.errors import CatalogueRefused
from toros.lvcgcn.galaxies import glade, reading, tables
from toros.lvcgcn.galaxies.batches import BAD_KEPT, BadRow, Batch
from toros.lvcgcn.galaxies.catalogue import Catalogue
from toros.lvcgcn.galaxies.columns import COLUMNS, FORMAT, MANIFEST
from toros.lvcgcn.galaxies.mapping import FieldMapping
from toros.lvcgcn.galaxies.processes import Told, share
from toros.lvcgcn.galaxies.sorting import BUCKETS, Plan, Spill
from toros.lvcgcn.galaxies.versions import new_version
from toros.store import sha256_of

BAD_SHARE = 0.01
RUNS = "runs"
"""The folder of sorted runs, inside the version's while it is made."""

Progress = Callable[[str, int, int], None]
"""Takes the stage's name, how much of it was just done, and of how much in all."""


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
    hubble: float = reading.HUBBLE,
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
    form = form or reading.recognise(source)
    if form not in reading.FORMS:
        raise CatalogueRefused(f"form {form!r}: should be one of {', '.join(reading.FORMS)}")
    size = reading.size_of(source)
    processes = processes or (reading.PROCESSES if size >= reading.WORTH_TWO else 1)
    with new_version(folder) as version:
        runs = version / RUNS
        runs.mkdir()
        tasks = [
            (source, form, mapping or {}, hubble, *stretch, runs / str(number))
            for number, stretch in enumerate(
                reading.stretches(size, processes if form in glade.FORMS else 1)
            )
        ]
        whole = reading.add_up(
            share(reading.read, tasks, lambda n: progress("reading", n, size), apart=len(tasks) > 1)
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
        whole = reading.add_up([reading.spill_all(batches, spill, _silent)])
        _write_all(version, whole, told, made, _unseen)
    return Catalogue.open(folder)


def _judge(source: Path, whole: reading.Reading, bad_share: float) -> None:
    first = "; ".join(f"line {bad.line}: {bad.reason}" for bad in whole.bad[:3])
    if whole.bad_count > bad_share * whole.lines:
        raise CatalogueRefused(
            f"{source}: {whole.bad_count} of {whole.lines} rows cannot be used, more than "
            f"{bad_share:.1%}; {first}"
        )
    if not whole.rows:
        raise CatalogueRefused(f"{source}: there is no galaxy in it")


def _write_all(
    version: Path, whole: reading.Reading, told: dict[str, Any], made: datetime, progress: Progress
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
    version: Path, plan: Plan, whole: reading.Reading, told: dict[str, Any], made: datetime
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
