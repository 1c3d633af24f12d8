"""Galaxies of a CSV file or a VOTable, by a mapping of its fields."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.errors import CatalogueRefused
from toros.lvcgcn.galaxies.batches import Batch, fill
from toros.lvcgcn.galaxies.columns import record_type
from toros.lvcgcn.galaxies.mapping import UNITS, Field, FieldMapping, complete, converter

BATCH_ROWS = 20_000
NAME_BYTES = 64
UNKNOWN = frozenset(("", "null", "nan", "none", "-", "--", "---", "<na>", "n/a", "inf"))
"""What stands for an unknown value, lower case."""
DELIMITERS = ",;\t|"


def read_csv(path: Path, mapping: FieldMapping, hubble: float) -> Iterator[Batch]:
    """Read galaxies of a CSV file whose first line names the fields.

    Parameters
    ----------
    path : Path
        UTF-8; separated by comma, semicolon, tab or bar, whichever the first line
        has most of.
    mapping : mapping
    hubble : float
        H0, for distances given as velocities [km/s/Mpc].

    Yields
    ------
    Batch

    Raises
    ------
    CatalogueRefused
        The file is no CSV text, or the mapping does not fit it.
    """
    try:
        with (
            path.open("rb") as raw,
            TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file,
        ):
            head = file.readline()
            delimiter = max(DELIMITERS, key=head.count)
            names = [name.strip() for name in next(csv.reader([head], delimiter=delimiter), [])]
            whole = complete(mapping, names)
            converters = _converters(whole, {}, hubble)
            reader = csv.reader(file, delimiter=delimiter)
            line, done = 2, len(head)
            while rows := list(islice(reader, BATCH_ROWS)):
                here = raw.tell()
                batch = _of_rows(rows, names, whole, converters, line)
                batch.read_bytes, done, line = here - done, here, line + len(rows)
                yield batch
    except (UnicodeDecodeError, csv.Error) as error:
        raise CatalogueRefused(f"{path}: no CSV text ({error})") from error


def _of_rows(
    rows: list[list[str]],
    names: list[str],
    mapping: FieldMapping,
    converters: dict[tuple[str, str], Any],
    line: int,
) -> Batch:
    batch = Batch(np.empty(0, dtype=record_type(NAME_BYTES)), lines=len(rows))
    good, numbers = [], []
    for number, row in enumerate(rows, line):
        if len(row) == len(names):
            good.append(row)
            numbers.append(number)
        elif row:
            batch.refuse(number, f"{len(row)} fields, where the first line has {len(names)}")
    table = dict(zip(names, zip(*good, strict=True), strict=True)) if good else {}
    keep = np.ones(len(good), dtype=bool)
    values: dict[str, Any] = {}
    for column in UNITS:
        parts = []
        for field in mapping.get(column, ()):
            told = _numbers(table.get(field.name, ()), column, field, numbers, keep, batch)
            parts.append(converters[column, field.name](told))
        if parts:
            values[column] = _first_known(parts)
    values["name"] = _text_names(
        [table.get(f.name, ()) for f in mapping.get("name", ())], np.array(numbers, dtype=np.int64)
    )
    values = {column: np.asarray(value)[keep] for column, value in values.items()}
    fill(batch, np.array(numbers, dtype=np.int64)[keep], values, NAME_BYTES)
    return batch


def _numbers(
    texts: tuple[str, ...],
    column: str,
    field: Field,
    lines: list[int],
    keep: NDArray[np.bool_],
    batch: Batch,
) -> NDArray[np.float64]:
    """Read numbers; a text that is none makes its row a bad one."""
    told = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        if text.strip().lower() in UNKNOWN:
            continue
        try:
            told[row] = float(text)
        except ValueError:
            if keep[row]:
                batch.refuse(lines[row], f"{column}: {field.name} {text[:30]!r} is no number")
            keep[row] = False
    return told


def _first_known(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    known = parts[0]
    for part in parts[1:]:
        known = np.where(np.isnan(known), part, known)
    return known


def _text_names(parts: list[tuple[str, ...]], lines: NDArray[np.int64]) -> NDArray[np.bytes_]:
    """Give each row the first of its names; the row's number where it has none."""
    names = [f"row {line}" for line in lines]
    for part in reversed(parts):
        for row, text in enumerate(part):
            name = _bare(text)
            if name.lower() not in UNKNOWN:
                names[row] = name
    cut = [name.encode()[:NAME_BYTES] for name in names]
    return np.array(cut, dtype=f"S{NAME_BYTES}")


def _bare(text: str) -> str:
    """Take off white space, and the b'...' of bytes that were printed by Python 3."""
    match = re.fullmatch(r"b'(.*)'", text.strip())
    return match[1].strip() if match else text.strip()


def read_votable(path: Path, mapping: FieldMapping, hubble: float) -> Iterator[Batch]:
    """Read galaxies of the first table of a VOTable; its units are used.

    The table is read into memory as a whole; a large one is better had as CSV.

    Parameters
    ----------
    path : Path
    mapping : mapping
        By the fields' names.
    hubble : float
        H0 [km/s/Mpc].

    Yields
    ------
    Batch

    Raises
    ------
    CatalogueRefused
    """
    from astropy.io.votable import parse_single_table
    from astropy.io.votable.exceptions import VOTableSpecError

    try:
        table = parse_single_table(path).to_table(use_names_over_ids=True)
    except (VOTableSpecError, ValueError, IndexError, OSError) as error:
        raise CatalogueRefused(f"{path}: no VOTable with a table in it ({error})") from error
    names = list(table.colnames)
    whole = complete(mapping, names)
    own = {name: str(table[name].unit or "") for name in names}
    converters = _converters(whole, own, hubble)
    for first in range(0, len(table), BATCH_ROWS):
        part = table[first : first + BATCH_ROWS]
        batch = Batch(np.empty(0, dtype=record_type(NAME_BYTES)), lines=len(part))
        values: dict[str, Any] = {}
        for column in UNITS:
            fields = whole.get(column, ())
            if fields:
                values[column] = _first_known(
                    [converters[column, f.name](_floats(part[f.name], f.name)) for f in fields]
                )
        lines = np.arange(first + 1, first + len(part) + 1)
        texts = [tuple(map(_text, part[f.name])) for f in whole.get("name", ())]
        values["name"] = _text_names(texts, lines)
        fill(batch, lines, values, NAME_BYTES)
        yield batch


def _floats(column: Any, name: str) -> NDArray[np.float64]:
    try:
        values = np.ma.asarray(column).astype(np.float64)
    except (ValueError, TypeError) as error:
        raise CatalogueRefused(f"field {name}: no numbers ({error})") from error
    return np.asarray(np.ma.filled(values, np.nan), dtype=np.float64)


def _text(value: Any) -> str:
    if value is np.ma.masked:
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _converters(
    mapping: FieldMapping, own: dict[str, str], hubble: float
) -> dict[tuple[str, str], Any]:
    return {
        (column, field.name): converter(column, field.unit or own.get(field.name, ""), hubble)
        for column, fields in mapping.items()
        if column != "name"
        for field in fields
    }
