"""The layout of a FITS file, read by its headers alone.

The file is walked header by header, so that what a header claims is held
against the file's size and the limits before anything of that size is read or
allocated. A header that claims a petabyte costs one block of 2880 bytes.

References
----------
FITS Standard 4.0, sections 3 (blocks), 4.4.1 (size of the data), 10 (tiled
compression). RFC 1951: deflate expands at most 1032 times.
"""

from __future__ import annotations

import gzip
import math
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, cast

from astropy.io import fits

from toros.errors import UnusableFrame
from toros.images.cards import CARD_ERRORS

BLOCK_BYTES = 2880
GZIP_MAGIC = b"\x1f\x8b"
PIXEL_BYTES = 8  # the widest pixel, BITPIX 64
_CARD_BYTES = 80
_HEADER_LIMIT_BLOCKS = 1024  # 36,000 cards; DECam, among the longest, has some 300
_HDU_LIMIT = 1000
_SKIP_BYTES = 1 << 20
_DEFLATE_LIMIT = 1032
# PLIO_1 and HCOMPRESS_1 write past their memory on damaged data (astropy 8.0, cfitsio's code).
_SAFE_COMPRESSION = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "NOCOMPRESS")
_BITPIX = (8, 16, 32, 64, -32, -64)


@dataclass(frozen=True)
class HduLayout:
    """One HDU, as its header describes it.

    Attributes
    ----------
    index : int
        Counted from 0, the primary HDU.
    kind : {"image", "compressed", "other"}
        "compressed" is a tile-compressed image in a table.
    header : astropy.io.fits.Header
        As it stands in the file.
    shape : tuple of int
        The image's axes in numpy's order, leading axes of length 1 removed.
    bitpix : int
        Of the (uncompressed) image.
    data_start : int
        Offset of the data in the (inflated) file [byte].
    """

    index: int
    kind: Literal["image", "compressed", "other"]
    header: fits.Header
    shape: tuple[int, ...]
    bitpix: int
    data_start: int


class _Stream(Protocol):
    def read(self, size: int) -> bytes: ...
    def skip(self, size: int) -> bool: ...


class _Plain:
    """An ordinary file: skipping is seeking, never past the end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def skip(self, size: int) -> bool:
        if self._file.tell() + size > self._size:
            return False
        self._file.seek(size, os.SEEK_CUR)
        return True


class _Gzipped:
    """A gzipped file: skipping is inflating, never past the limit."""

    def __init__(self, file: BinaryIO, limit_bytes: int) -> None:
        self._file = cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb"))
        size = os.fstat(file.fileno()).st_size
        self._left = min(limit_bytes, size * _DEFLATE_LIMIT)
        self._limit_mb = limit_bytes / 1e6

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise UnusableFrame(
                f"inflates to more than {self._limit_mb:.0f} MB (Frame Limit (Mpixel))"
            )
        return block

    def skip(self, size: int) -> bool:
        if size > self._left:
            return False
        while size > 0:
            block = self.read(min(size, _SKIP_BYTES))
            if not block:
                return False
            size -= len(block)
        return True


def inflated_limit_bytes(frame_limit_mpixel: float) -> int:
    """Return how large a gzipped file may become [byte]."""
    return int(frame_limit_mpixel * 1e6) * PIXEL_BYTES + _HEADER_LIMIT_BLOCKS * BLOCK_BYTES


@contextmanager
def readable(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading; what goes wrong with it is an `UnusableFrame`."""
    try:
        # A named pipe would wait for a writer for ever, so look before opening.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnusableFrame("is no regular file")
        with path.open("rb") as file:
            yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnusableFrame(f"the gzip stream is damaged or cut short: {error}") from error
    except OSError as error:
        raise UnusableFrame(f"cannot be read: {error.strerror or error}") from error


def is_gzipped(file: BinaryIO) -> bool:
    """Whether the file starts as a gzip stream; its position is at its start afterwards."""
    file.seek(0)
    magic = file.read(len(GZIP_MAGIC))
    file.seek(0)
    return magic == GZIP_MAGIC


def read_layout(file: BinaryIO, frame_limit_mpixel: float) -> list[HduLayout]:
    """Walk the headers of a FITS file, plain or gzipped.

    Parameters
    ----------
    file : BinaryIO
        A file of the operating system, opened by `readable`.
    frame_limit_mpixel : float
        Most pixels of one image [1e6 pixel].

    Returns
    -------
    list of HduLayout
        At least one.

    Raises
    ------
    UnusableFrame
        It is no FITS file, is cut short, or claims more than the file holds or
        the limits allow.
    """
    stream: _Stream
    if is_gzipped(file):
        stream = _Gzipped(file, inflated_limit_bytes(frame_limit_mpixel))
    else:
        stream = _Plain(file)
    hdus: list[HduLayout] = []
    position = 0
    while (found := _read_header(stream, len(hdus))) is not None:
        if len(hdus) == _HDU_LIMIT:
            raise UnusableFrame(f"has more than {_HDU_LIMIT} HDUs")
        header, header_bytes = found
        position += header_bytes
        hdu, data_bytes = _describe(header, len(hdus), position)
        _check_limit(hdu, frame_limit_mpixel)
        if not stream.skip(data_bytes):
            raise UnusableFrame(
                f"HDU {hdu.index}: the header claims {_size(data_bytes)} of data, "
                "more than the file holds; it is cut short or its header is wrong"
            )
        hdus.append(hdu)
        padding = -data_bytes % BLOCK_BYTES
        position += data_bytes + padding
        if padding and len(stream.read(padding)) < padding:
            break  # many programs do not fill the last block
    return hdus


def _size(count: int) -> str:
    count = min(count, 10**30)  # a product of absurd axes may be beyond a float
    power = min(int(math.log(max(count, 1), 1000)), 6)
    return f"{count / 1000**power:.3g} {('B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB')[power]}"


def _read_header(stream: _Stream, index: int) -> tuple[fits.Header, int] | None:
    """Read one header; None at the end of the file or of its HDUs."""
    start = b"SIMPLE  =" if index == 0 else b"XTENSION="
    raw = bytearray()
    while True:
        block = stream.read(BLOCK_BYTES)
        if not raw and not block.startswith(start):
            if index == 0:
                found = ascii(block[:9].decode("latin-1"))
                what = f"starts with {found}, not with 'SIMPLE  ='" if block else "is empty"
                raise UnusableFrame(f"no FITS file: it {what}")
            return None
        for offset in range(0, len(block), _CARD_BYTES):
            if block[offset : offset + 8].rstrip() == b"END":
                text = bytes(raw + block[:offset]).decode("ascii", "replace")
                return _parse(text, index), len(raw) + BLOCK_BYTES
        raw += block
        if len(block) < BLOCK_BYTES:
            raise UnusableFrame(f"HDU {index}: the file ends inside the header")
        if len(raw) == _HEADER_LIMIT_BLOCKS * BLOCK_BYTES:
            raise UnusableFrame(f"HDU {index}: no END within {_size(len(raw))} of header")


def _parse(text: str, index: int) -> fits.Header:
    try:
        return fits.Header.fromstring(text.replace("\ufffd", "?"))
    except CARD_ERRORS as error:
        raise UnusableFrame(f"HDU {index}: the header cannot be read: {error}") from error


def integer(header: fits.Header, keyword: str, index: int, default: int | None = None) -> int:
    """Read a whole number that describes the structure of an HDU.

    Raises
    ------
    UnusableFrame
        It is absent without a default, no whole number, or negative where that
        has no meaning.
    """
    try:
        value = header.get(keyword, default)
    except CARD_ERRORS:
        value = "unreadable"
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnusableFrame(f"HDU {index}: {keyword} = {value!r}, but must be a whole number")
    if value < 0 and not keyword.endswith("BITPIX"):
        raise UnusableFrame(f"HDU {index}: {keyword} = {value}, but must not be negative")
    return value


def _axes(header: fits.Header, prefix: str, index: int) -> list[int]:
    count = integer(header, f"{prefix}NAXIS", index)
    if count > 999:
        raise UnusableFrame(f"HDU {index}: {prefix}NAXIS = {count}, but must be at most 999")
    return [integer(header, f"{prefix}NAXIS{i}", index) for i in range(1, count + 1)]


def _text(header: fits.Header, keyword: str) -> str:
    try:
        return str(header.get(keyword, "")).strip()
    except CARD_ERRORS:
        return ""


def _describe(header: fits.Header, index: int, data_start: int) -> tuple[HduLayout, int]:
    """Return the HDU and the size of its data without padding [byte]."""
    bitpix = _bitpix(header, "BITPIX", index)
    axes = _axes(header, "", index)
    groups = index == 0 and bool(axes) and axes[0] == 0 and _text(header, "GROUPS") == "True"
    pixels = math.prod(axes[1:] if groups else axes)
    extra = integer(header, "PCOUNT", index, 0) if index or groups else 0
    repeat = integer(header, "GCOUNT", index, 1) if index or groups else 1
    data_bytes = abs(bitpix) // 8 * repeat * (extra + pixels) if axes else 0
    kind: Literal["image", "compressed", "other"] = "other"
    if index == 0 and _text(header, "SIMPLE") != "True":
        raise UnusableFrame("SIMPLE is not T: the file says itself that it is no standard FITS")
    extension = _text(header, "XTENSION").upper()
    if (index == 0 and not groups) or extension in ("IMAGE", "IUEIMAGE"):
        kind = "image"
    elif extension in ("BINTABLE", "A3DTABLE") and _text(header, "ZIMAGE") == "True":
        kind = "compressed"
        axes, bitpix = _axes(header, "Z", index), _bitpix(header, "ZBITPIX", index)
    while len(axes) > 2 and axes[-1] == 1:
        axes.pop()
    return HduLayout(index, kind, header, tuple(reversed(axes)), bitpix, data_start), data_bytes


def _bitpix(header: fits.Header, keyword: str, index: int) -> int:
    bitpix = integer(header, keyword, index)
    if bitpix not in _BITPIX:
        raise UnusableFrame(f"HDU {index}: {keyword} = {bitpix}, but must be one of {_BITPIX}")
    return bitpix


def _check_limit(hdu: HduLayout, frame_limit_mpixel: float) -> None:
    """Refuse images over the limit, and compressed ones whose tiles do not add up."""
    if hdu.kind == "other":
        return
    pixels = math.prod(hdu.shape) if hdu.shape else 0
    if pixels > frame_limit_mpixel * 1e6:
        raise UnusableFrame(
            f"HDU {hdu.index}: the header claims {min(pixels, 10**30) / 1e6:.4g} Mpixel, "
            f"more than Frame Limit (Mpixel) = {frame_limit_mpixel:g}"
        )
    if hdu.kind == "image":
        return
    header, index = hdu.header, hdu.index
    if (method := _text(header, "ZCMPTYPE")) not in _SAFE_COMPRESSION:
        raise UnusableFrame(
            f"HDU {index}: compressed by {method or 'nothing stated'}, read here are "
            f"{', '.join(_SAFE_COMPRESSION)}; uncompress it first, for instance with funpack"
        )
    axes = _axes(header, "Z", index)
    tiles = [
        integer(header, f"ZTILE{i}", index, 1 if i > 1 else axis)
        for i, axis in enumerate(axes, start=1)
    ]
    if any(tile < 1 or tile > max(axis, 1) for tile, axis in zip(tiles, axes, strict=True)):
        raise UnusableFrame(f"HDU {index}: tiles of {tiles} pixels do not fit axes of {axes}")
    rows = integer(header, "NAXIS2", index)
    count = math.prod(-(-axis // tile) for axis, tile in zip(axes, tiles, strict=True))
    if axes and rows != count:
        raise UnusableFrame(f"HDU {index}: {count} compressed tiles are needed, {rows} stand there")
