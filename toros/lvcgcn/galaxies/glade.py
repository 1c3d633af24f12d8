"""GLADE+ and GLADE 2.3 as text: their published columns, ``null`` where unknown.

A block of the file is read in one go where every line has as many columns as it should
and every number is one; only a block where that is not so is looked at line by line.

References
----------
.. [1] Dalya, G., et al., 2022, MNRAS 514, 1403 (GLADE+), and the column list beside the
   catalogue: 40 columns.
.. [2] Dalya, G., et al., 2018, MNRAS 479, 2374 (GLADE), and the column list of 2.3:
   22 columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from toros.lvcgcn.galaxies.batches import Batch, fill
from toros.lvcgcn.galaxies.columns import (
    B_CALCULATED,
    DISTANCE_SPECTROSCOPIC,
    record_type,
)

BLOCK_BYTES = 8 << 20
DESIGNATION_BYTES = 32
NAME_BYTES = 44
"""Of a designation with its prefix."""
UNKNOWN = b"nan"


@dataclass(frozen=True)
class TextForm:
    """Where things are in a form of GLADE; columns are counted from 0.

    Attributes
    ----------
    names : tuple of (column, prefix)
        The designations, the one that is used first; a designation that is only a
        number, or that needs it otherwise, gets the prefix.
    leave_out : dict
        What kinds of object (column `kind`) are no galaxies.
    mass_unit : float
        Of the stellar mass [solMass].
    """

    name: str
    columns: int
    names: tuple[tuple[int, bytes], ...]
    kind: int
    ra: int
    dec: int
    b: int
    k: int
    distance: int
    distance_error: int
    distance_kind: int
    leave_out: tuple[tuple[bytes, str], ...]
    mass: int | None = None
    mass_unit: float = 1.0
    b_flag: int | None = None

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return the columns that hold numbers and are read."""
        columns = (
            self.ra, self.dec, self.b, self.b_flag, self.k, self.distance, self.distance_error,
            self.distance_kind, self.mass,
        )  # fmt: skip
        return tuple(column for column in columns if column is not None)


GLADE_PLUS = TextForm(
    name="glade+", columns=40,
    names=((2, b""), (3, b"HyperLEDA "), (4, b"2MASX J"), (5, b"WISExSCOS "), (6, b"SDSS J"),
           (1, b"PGC "), (0, b"GLADE+ ")),
    kind=7, ra=8, dec=9, b=10, b_flag=12, k=18, distance=32, distance_error=33,
    distance_kind=34, mass=35, mass_unit=1e10, leave_out=((b"Q", "quasars"),),
)  # fmt: skip
GLADE_23 = TextForm(
    name="glade2.3", columns=22,
    names=((1, b""), (2, b"HyperLEDA "), (3, b"2MASX J"), (4, b""), (0, b"PGC ")),
    kind=5, ra=6, dec=7, b=11, k=18, distance=8, distance_error=9, distance_kind=20,
    leave_out=((b"Q", "quasars"), (b"C", "globular clusters")),
)  # fmt: skip
FORMS = {form.name: form for form in (GLADE_PLUS, GLADE_23)}


def read_text(path: Path, form: TextForm, begin: int, end: int) -> Iterator[Batch]:
    """Read the lines of a text that begin in a stretch of it.

    Parameters
    ----------
    path : Path
    form : TextForm
    begin, end : int
        The stretch [byte]; lines are counted from 1 at its beginning.

    Yields
    ------
    Batch
    """
    line = 1
    with path.open("rb") as file:
        for block in _blocks(file, begin, end):
            batch = parse_block(block, form, line)
            line += batch.lines
            yield batch


def _blocks(file: IO[bytes], begin: int, end: int) -> Iterator[bytes]:
    """Give whole lines, those that begin at or after `begin` and before `end`."""
    file.seek(max(begin - 1, 0))
    if begin:
        file.readline()  # the rest of a line that another stretch has begun with
    while (here := file.tell()) < end:
        block = file.read(min(BLOCK_BYTES, end - here)) + file.readline()
        yield block if block.endswith(b"\n") else block + b"\n"


def parse_block(block: bytes, form: TextForm, line: int = 1) -> Batch:
    """Make galaxies of whole lines.

    Parameters
    ----------
    block : bytes
        Each line ends with a line feed.
    form : TextForm
    line : int
        The number of its first line.
    """
    batch = Batch(np.empty(0, dtype=record_type(NAME_BYTES)), read_bytes=len(block))
    regular = _is_regular(block, form.columns)
    text = block.replace(b"null", UNKNOWN).decode("ascii", "replace").replace("\ufffd", "?")
    lines = text.split("\n")[:-1]
    batch.lines = len(lines)
    numbers = np.arange(line, line + len(lines))
    if not regular:
        lines, numbers = _good_lines(lines, numbers, form, batch)
    try:
        table = _table(lines, form)
    except ValueError:
        lines, numbers = _good_lines(lines, numbers, form, batch, look_at_numbers=True)
        table = _table(lines, form)
    _fill(batch, table, numbers, form)
    return batch


def _is_regular(block: bytes, columns: int) -> bool:
    """Tell whether every line has so many columns with one space between."""
    characters = np.frombuffer(block, dtype=np.uint8)
    begins = np.concatenate(([0], np.flatnonzero(characters == ord("\n"))[:-1] + 1))
    spaces = np.add.reduceat(characters == ord(" "), begins, dtype=np.int32)
    return bool((spaces == columns - 1).all())


def _table(lines: list[str], form: TextForm) -> NDArray[Any]:
    """Read the columns that are wanted; a structured array with a field ``cN`` for column N.

    Raises
    ------
    ValueError
        Something is no number.
    """
    texts = [form.kind, *(column for column, _ in form.names)]
    fields = {**dict.fromkeys(texts, f"S{DESIGNATION_BYTES}"), **dict.fromkeys(form.numbers, "f8")}
    dtype = np.dtype([(f"c{column}", kind) for column, kind in fields.items()])
    if not lines:
        return np.empty(0, dtype=dtype)
    table: NDArray[Any] = np.loadtxt(
        lines, dtype=dtype, usecols=tuple(fields), comments=None, ndmin=1
    )
    return table


def _fill(batch: Batch, table: NDArray[Any], lines: NDArray[np.int64], form: TextForm) -> None:
    keep = np.ones(len(table), dtype=bool)
    for kind, what in form.leave_out:
        of_kind = table[f"c{form.kind}"] == kind
        keep &= ~of_kind
        if of_kind.any():
            batch.left_out[what] += int(of_kind.sum())
    table, lines = table[keep], lines[keep]
    kinds = np.nan_to_num(table[f"c{form.distance_kind}"], posinf=0, neginf=0)
    flags = kinds.astype(np.int64) & DISTANCE_SPECTROSCOPIC
    if form.b_flag is not None:
        flags |= np.where(table[f"c{form.b_flag}"] == 1, B_CALCULATED, 0)
    values = {
        "ra": table[f"c{form.ra}"], "dec": table[f"c{form.dec}"], "flags": flags,
        "distance": table[f"c{form.distance}"],
        "distance_error": table[f"c{form.distance_error}"],
        "b_magnitude": table[f"c{form.b}"], "k_magnitude": table[f"c{form.k}"],
        "name": _names(table, form),
    }  # fmt: skip
    if form.mass is not None:
        values["stellar_mass"] = table[f"c{form.mass}"] * form.mass_unit
    fill(batch, lines, values, NAME_BYTES)


def _names(table: NDArray[Any], form: TextForm) -> NDArray[np.bytes_]:
    """Give each galaxy the first designation that it has."""
    names = np.zeros(len(table), dtype=f"S{NAME_BYTES}")
    nameless = np.ones(len(table), dtype=bool)
    for column, prefix in form.names:
        told = table[f"c{column}"]
        rows = np.flatnonzero(nameless & (told != UNKNOWN))
        nameless[rows] = False
        names[rows] = told[rows]
        if prefix:
            first = told[rows].astype("S1")
            bare = rows[(first >= b"0") & (first <= b"9")]
            names[bare] = [prefix + name for name in told[bare].tolist()]
    return names


def _good_lines(
    lines: list[str],
    numbers: NDArray[np.int64],
    form: TextForm,
    batch: Batch,
    *,
    look_at_numbers: bool = False,
) -> tuple[list[str], NDArray[np.int64]]:
    """Find the lines that can be used, one by one; tell of the others."""
    good = []
    for place, text in enumerate(lines):
        fields = text.split()
        if not fields or fields[0].startswith("#"):
            continue
        number = int(numbers[place])
        if len(fields) != form.columns:
            batch.refuse(number, f"{len(fields)} columns, where {form.columns} should be")
        elif look_at_numbers and (reason := _not_a_number(fields, form)):
            batch.refuse(number, reason)
        else:
            good.append(place)
    return [lines[place] for place in good], numbers[good]


def _not_a_number(fields: list[str], form: TextForm) -> str:
    for column in form.numbers:
        try:
            float(fields[column])
        except ValueError:
            return f"column {column + 1}: {fields[column][:30]!r} is no number"
    return ""
