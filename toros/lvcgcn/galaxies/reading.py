"""Reading a source, in one process or shared by two, into sorted runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from toros.errors import CatalogueRefused
from toros.lvcgcn.galaxies import glade, tables
from toros.lvcgcn.galaxies.batches import BAD_KEPT, BadRow, Batch
from toros.lvcgcn.galaxies.mapping import FieldMapping
from toros.lvcgcn.galaxies.processes import Told
from toros.lvcgcn.galaxies.sorting import Spill
from toros.lvcgcn.galaxies.weights import Statistics

FORMS = (*glade.FORMS, "csv", "votable")
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".vot": "votable",
    ".votable": "votable",
    ".xml": "votable",
}
HUBBLE = 70.0
WORTH_TWO = 64 << 20
"""From how many bytes on a text is read by more than one process."""
PROCESSES = 2


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


def size_of(source: Path) -> int:
    """Return a source's size [byte].

    Raises
    ------
    CatalogueRefused
        There is none, or it cannot be looked at.
    """
    try:
        return source.stat().st_size
    except OSError as error:
        raise CatalogueRefused(f"{source}: {error.strerror}") from error


def stretches(size: int, number: int) -> list[tuple[int, int]]:
    """Divide a source among processes."""
    edges = [size * n // number for n in range(number + 1)]
    return list(pairwise(edges))


def read(
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
        return spill_all(batches, Spill(runs, glade.NAME_BYTES), told)
    reader = tables.read_csv if form == "csv" else tables.read_votable
    return spill_all(reader(source, mapping, hubble), Spill(runs, tables.NAME_BYTES), told)


def spill_all(batches: Iterable[Batch], spill: Spill, told: Told) -> Reading:
    """Write batches to sorted runs, and add up what is in them."""
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


def add_up(readings: list[Reading]) -> Reading:
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
