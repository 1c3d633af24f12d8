"""The table of a sky map's FITS file, of which nothing is believed before it is checked.

References
----------
.. [1] FITS standard 4.0 (2018), sections 3.1 (HDUs), 7.3 (binary tables), table 18
   (TFORM).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.errors import SkyMapRefused
from toros.lvcgcn.skymaps.inflating import Inflating
from toros.lvcgcn.skymaps.limits import MapLimits

_BLOCK = 2880
_HEADER_BLOCKS = 32  # published ones have 2 to 4
_HDUS = 6
_ROW_BYTES = 16 << 20
_TFORM = re.compile(r"(\d{0,9})([LXBIJKAEDCMPQ])\S*")
_WIDTH = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8}
_WIDTH |= {"C": 8, "M": 16, "P": 8, "Q": 16}
_NUMBERS = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes
    ----------
    number : int
        From 1.
    form : str
        The letter of TFORM.
    repeat : int
        Values in each row.
    offset : int
        In the row [bytes].
    """

    number: int
    form: str
    repeat: int
    offset: int


@dataclass(frozen=True)
class Table:
    """A binary table whose rows come next in the file.

    Attributes
    ----------
    header : astropy.io.fits.Header
    columns : dict
        By name, in capitals.
    rows, row_bytes : int
    content : Inflating
    """

    header: fits.Header
    columns: dict[str, Column]
    rows: int
    row_bytes: int
    content: Inflating

    def per_row(self, names: list[str]) -> int:
        """Return how many values of these columns are in each row.

        Raises
        ------
        SkyMapRefused
            They differ, or there are none, or a column is not of numbers.
        """
        repeats = {name: self.columns[name].repeat for name in names}
        if len(set(repeats.values())) != 1 or 0 in repeats.values():
            said = ", ".join(f"{name} {repeat}" for name, repeat in repeats.items())
            raise SkyMapRefused(f"sky map: values in each row differ or are none: {said}")
        for name in names:
            if self.columns[name].form not in _NUMBERS:
                form = self.columns[name].form
                raise SkyMapRefused(f"sky map: column {name} is of the type {form!r}, no number")
        return repeats[names[0]]

    def pieces(self, names: list[str], rows: int) -> Iterator[dict[str, NDArray[Any]]]:
        """Read the table in pieces of some rows.

        Yields
        ------
        dict of ndarray
            By name; int64 for columns of integers and float64 for others, each of
            shape (rows * repeat,).

        Raises
        ------
        SkyMapRefused
            As `Inflating.read`.
        """
        layout = np.dtype(
            {
                "names": names,
                "formats": [
                    (_NUMBERS[self.columns[name].form], (self.columns[name].repeat,))
                    for name in names
                ],
                "offsets": [self.columns[name].offset for name in names],
                "itemsize": self.row_bytes,
            }
        )
        for start in range(0, self.rows, rows):
            count = min(rows, self.rows - start)
            piece = np.frombuffer(self.content.read(count * self.row_bytes), layout)
            yield {name: self._values(name, piece[name].ravel()) for name in names}

    def _values(self, name: str, stored: NDArray[Any]) -> NDArray[Any]:
        number = self.columns[name].number
        scale, zero = (
            default if (said := card(self.header, f"{name}{number}")) is None else said
            for name, default in (("TSCAL", 1), ("TZERO", 0))
        )
        # Whole numbers of a header may be larger than numpy knows.
        if not all(
            isinstance(value, int | float) and -1e30 < value < 1e30 for value in (scale, zero)
        ):
            raise SkyMapRefused(f"sky map: TSCAL{number} {scale!r} and TZERO{number} {zero!r}")
        whole = stored.dtype.kind != "f"
        if scale == 1 and zero == 0:
            return stored.astype(np.int64 if whole else np.float64)
        if scale == 1 and zero == 2**63 and self.columns[name].form == "K":
            # Unsigned integers, stored with the highest bit turned.
            return (stored.astype(np.uint64) ^ np.uint64(1 << 63)).astype(np.int64)
        if whole and scale == 1 and abs(zero) < 2**32 and zero == int(zero):
            return stored.astype(np.int64) + int(zero)
        return np.asarray(stored.astype(np.float64) * scale + zero)


def find_table(content: Inflating, limits: MapLimits) -> Table:
    """Read headers up to the first table that has a sky map's columns.

    Raises
    ------
    SkyMapRefused
        The file is no FITS file, has no such table, or its table is beyond a limit
        or not as its header says.
    """
    for number in range(_HDUS):
        header = _header(content, number)
        size = _data_bytes(header)
        if str(header.get("XTENSION", "")).strip() == "BINTABLE":
            columns, row_bytes = _columns(header)
            if not {"UNIQ", "PROB", "PROBABILITY", "PROBDENSITY"}.isdisjoint(columns):
                return _checked(header, columns, row_bytes, content, limits)
        _skip(content, size, limits)
    raise SkyMapRefused(
        f"sky map: none of the first {_HDUS} parts is a table with a column "
        "PROBDENSITY, PROB or PROBABILITY"
    )


def _checked(
    header: fits.Header,
    columns: dict[str, Column],
    row_bytes: int,
    content: Inflating,
    limits: MapLimits,
) -> Table:
    rows = _integer(header, "NAXIS2", 1)
    said = _integer(header, "NAXIS1", 1)
    if said != row_bytes:
        raise SkyMapRefused(
            f"sky map: NAXIS1 says {said} bytes a row, but the columns are {row_bytes} wide"
        )
    if row_bytes > _ROW_BYTES:
        raise SkyMapRefused(
            f"sky map: {row_bytes} bytes in a row, where at most {_ROW_BYTES} are allowed"
        )
    if rows * row_bytes > limits.inflated_bytes:
        raise SkyMapRefused(
            f"sky map: {rows} rows of {row_bytes} bytes, "
            f"where at most {limits.inflated_bytes} bytes are allowed"
        )
    return Table(header, columns, rows, row_bytes, content)


def _header(content: Inflating, number: int) -> fits.Header:
    blocks: list[bytes] = []
    while len(blocks) < _HEADER_BLOCKS:
        try:
            block = bytes(content.read(_BLOCK))
        except SkyMapRefused as error:
            if number and not blocks:
                raise SkyMapRefused(
                    "sky map: no table with a column PROBDENSITY, PROB or PROBABILITY, "
                    f"among {number} parts"
                ) from error
            raise
        if not number and not blocks and block[:9] != b"SIMPLE  =":
            raise SkyMapRefused(f"sky map: no FITS file; it begins with {block[:16]!r}")
        blocks.append(block)
        if any(block[at : at + 8] == b"END     " for at in range(0, _BLOCK, 80)):
            return _parsed(b"".join(blocks))
    raise SkyMapRefused(f"sky map: a header without END in {_HEADER_BLOCKS * _BLOCK} bytes")


def _parsed(text: bytes) -> fits.Header:
    wrong = re.search(rb"[^\x20-\x7e]", text)
    if wrong:
        raise SkyMapRefused(f"sky map: byte {text[wrong.start()]} in a header, which is ASCII")
    return fits.Header.fromstring(text.decode("ascii"))


def card(header: fits.Header, name: str) -> Any:
    """Return a header's value, or None where there is none.

    Raises
    ------
    SkyMapRefused
        The card cannot be read.
    """
    try:
        value = header.get(name)
    except (fits.VerifyError, ValueError) as error:
        raise SkyMapRefused(f"sky map: {name} in the header cannot be read ({error})") from error
    return None if isinstance(value, fits.card.Undefined) else value


def _integer(header: fits.Header, name: str, lowest: int, highest: int = 2**48) -> int:
    value = card(header, name)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise SkyMapRefused(
            f"sky map: {name} is {value!r}; it must be a whole number, {lowest} to {highest}"
        )
    return value


def _data_bytes(header: fits.Header) -> int:
    """Return the size of the data that follow a header, without filling (section 4.4.1)."""
    axes = _integer(header, "NAXIS", 0, 999)
    if not axes:
        return 0
    size = abs(_integer(header, "BITPIX", -64, 64)) // 8
    for axis in range(1, axes + 1):
        size *= _integer(header, f"NAXIS{axis}", 0)
    if card(header, "PCOUNT") is not None:
        size += _integer(header, "PCOUNT", 0)
    return size


def _skip(content: Inflating, size: int, limits: MapLimits) -> None:
    if size > limits.inflated_bytes:
        raise SkyMapRefused(f"sky map: a part of {size} bytes before the table")
    left = -(-size // _BLOCK) * _BLOCK
    while left:
        left -= len(content.read(min(left, 1 << 20)))


def _columns(header: fits.Header) -> tuple[dict[str, Column], int]:
    columns: dict[str, Column] = {}
    offset = 0
    for number in range(1, _integer(header, "TFIELDS", 0, 99) + 1):
        name = str(card(header, f"TTYPE{number}") or f"COL{number}").strip().upper()
        form = str(card(header, f"TFORM{number}"))
        match = _TFORM.fullmatch(form.strip())
        if match is None:
            raise SkyMapRefused(f"sky map: TFORM{number} is {form!r}, no FITS format")
        repeat = int(match[1] or 1)
        if name in columns:
            raise SkyMapRefused(f"sky map: two columns are named {name}")
        columns[name] = Column(number, match[2], repeat, offset)
        # X counts bits.
        offset += -(-repeat // 8) if match[2] == "X" else repeat * _WIDTH[match[2]]
    return columns, offset
