"""Pixels of a frame in bands of rows, as physical values.

Uncompressed images are read with plain reads at an offset (no memory map: its
pages would count as memory used, and a file that shrinks would end the
process). A gzipped file is inflated, and a tile-compressed image decompressed,
once, into a scratch file without a name, which is then read the same way.

References
----------
FITS Standard 4.0, sections 4.4.2.5 (BZERO, BSCALE, BLANK), 5.2.5 (unsigned
integers by BZERO), 10 (tiled compression).
"""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.errors import UnusableFrame
from toros.images.cards import CARD_ERRORS
from toros.images.layout import (
    HduLayout,
    inflated_limit_bytes,
    is_gzipped,
    read_layout,
    readable,
)
from toros.images.tiles import tile_rows
from toros.store import storage_error

FRAME_LIMIT_MPIXEL = 400.0
"""The default of Frame Limit (Mpixel)."""

_RAW_TYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Scaling:
    """How stored numbers become physical values: ``bscale * stored + bzero``.

    Attributes
    ----------
    raw_type : str
        numpy's name of the stored type, big-endian.
    bscale, bzero : float
        Finite, bscale not 0.
    blank : int or None
        The stored integer that means "no value".
    """

    raw_type: str
    bscale: float = 1.0
    bzero: float = 0.0
    blank: int | None = None

    @property
    def top_bit(self) -> int | None:
        """For unsigned integers stored as signed ones their offset, else None."""
        dtype = np.dtype(self.raw_type)
        offset = 1 << (8 * dtype.itemsize - 1)
        if dtype.kind == "i" and self.bscale == 1 and self.bzero == offset:
            return int(offset)
        return None


def read_scaling(hdu: HduLayout) -> Scaling:
    """Read the scaling of an image.

    Raises
    ------
    UnusableFrame
        BSCALE, BZERO or BLANK is no number that can be used.
    """
    blank = None
    if hdu.bitpix > 0:
        blank_value = _card(hdu, "BLANK", _card(hdu, "ZBLANK", None))
        if isinstance(blank_value, int) and not isinstance(blank_value, bool):
            blank = blank_value
        elif blank_value is not None:
            raise UnusableFrame(f"HDU {hdu.index}: BLANK = {blank_value!r} is no whole number")
    bscale, bzero = _finite(hdu, "BSCALE", 1), _finite(hdu, "BZERO", 0)
    if bscale == 0:
        raise UnusableFrame(f"HDU {hdu.index}: BSCALE = 0 makes all pixels equal")
    return Scaling(_RAW_TYPES[hdu.bitpix], bscale, bzero, blank)


def _card(hdu: HduLayout, keyword: str, default: object) -> object:
    try:
        value: object = hdu.header.get(keyword, default)
    except CARD_ERRORS:
        return "unreadable"
    return default if isinstance(value, fits.card.Undefined) else value


def _finite(hdu: HduLayout, keyword: str, default: float) -> float:
    value = _card(hdu, keyword, default)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    raise UnusableFrame(f"HDU {hdu.index}: {keyword} = {value!r} is no finite number")


def to_physical(raw: NDArray[Any], scaling: Scaling) -> NDArray[np.float32]:
    """Turn stored numbers into physical values.

    Parameters
    ----------
    raw : ndarray
        As stored, of any byte order; not changed.
    scaling : Scaling
        How to turn them.

    Returns
    -------
    ndarray of float32
        Of the same shape [ADU]; NaN where BLANK. Integers up to 16 bits are
        exact; wider ones are rounded once, to the nearest float32 (24 bits of
        significand). Other scalings are computed in float32 for stored 8 and 16
        bit integers and float32, else in float64, as astropy does.
    """
    is_integer = raw.dtype.kind in "iu"
    blanks = raw == scaling.blank if scaling.blank is not None and is_integer else None
    is_narrow = raw.dtype.itemsize <= 2 or (raw.dtype.kind == "f" and raw.dtype.itemsize == 4)
    with np.errstate(over="ignore", invalid="ignore"):
        if scaling.top_bit is not None and not is_narrow:
            # Through unsigned integers, since float64 would round 64 bit ones twice.
            unsigned = np.dtype(f"u{raw.dtype.itemsize}")
            native = raw.astype(raw.dtype.newbyteorder("=")).view(unsigned)
            native ^= unsigned.type(scaling.top_bit)
            data = native.astype(np.float32)
        elif scaling.bscale == 1 and scaling.bzero == 0:
            data = raw.astype(np.float32)
        else:
            scaled: NDArray[Any] = raw.astype(np.float32 if is_narrow else np.float64)
            if scaling.bscale != 1:
                scaled *= scaling.bscale
            if scaling.bzero != 0:
                scaled += scaling.bzero
            data = scaled.astype(np.float32, copy=False)
    if blanks is not None:
        data[blanks] = np.nan
    return data


class FrameReader:
    """One image of one open file, in bands of rows. Made by `open_frame`.

    Attributes
    ----------
    shape : tuple of int
        (ny, nx) [pixel].
    """

    def __init__(
        self, file: BinaryIO, start: int, shape: tuple[int, int], scaling: Scaling
    ) -> None:
        self.shape = shape
        self._file = file
        self._start = start
        self._scaling = scaling
        self._raw_type = np.dtype(scaling.raw_type)

    def rows(self, y0: int, y1: int) -> NDArray[np.float32]:
        """Read the rows ``y0 <= y < y1``.

        Parameters
        ----------
        y0, y1 : int
            ``0 <= y0 < y1 <= shape[0]``; row 0 is the first in the file.

        Returns
        -------
        ndarray of float32, shape (y1 - y0, nx)
            Physical values [ADU], NaN where the file says there is none. A new
            array; it is the caller's.

        Raises
        ------
        UnusableFrame
            The file was cut short since it was opened, or the disk fails.
        """
        ny, nx = self.shape
        if not 0 <= y0 < y1 <= ny:
            raise ValueError(f"rows {y0} to {y1} are not within 0 to {ny}")
        raw: NDArray[Any] = np.empty((y1 - y0, nx), dtype=self._raw_type)
        offset = self._start + y0 * nx * self._raw_type.itemsize
        _read_exactly(self._file, raw.data.cast("B"), offset)
        return to_physical(raw, self._scaling)


def _read_exactly(file: BinaryIO, buffer: memoryview, offset: int) -> None:
    done = 0
    while done < len(buffer):
        try:
            count = os.preadv(file.fileno(), [buffer[done:]], offset + done)
        except OSError as error:
            raise UnusableFrame(f"cannot be read: {error.strerror or error}") from error
        if count == 0:
            raise UnusableFrame("the file was cut short while it was read")
        done += count


@contextmanager
def open_frame(
    path: Path, hdu: int, scratch: Path, frame_limit_mpixel: float = FRAME_LIMIT_MPIXEL
) -> Iterator[FrameReader]:
    """Open one image of a file, plain, gzipped or tile-compressed, once.

    Parameters
    ----------
    path : Path
        The file.
    hdu : int
        The image, counted from 0, as in `FrameFacts.hdus`.
    scratch : Path
        A folder on a real disk; a compressed image takes 4 bytes per pixel there, a
        gzipped file its inflated size, for as long as the reader is open.
    frame_limit_mpixel : float
        Most pixels of one image [1e6 pixel].

    Yields
    ------
    FrameReader
        Needs the memory of one band, and while opening that of one row of tiles.

    Raises
    ------
    UnusableFrame
        The file cannot be read as that image.
    DiskFull, StorageFailed
        The scratch folder cannot be written.
    """
    with ExitStack() as stack:
        file = stack.enter_context(readable(path))
        if is_gzipped(file):
            target = stack.enter_context(_scratch_file(scratch))
            _inflate(file, target, scratch, inflated_limit_bytes(frame_limit_mpixel))
            file = target
        layout = read_layout(file, frame_limit_mpixel)
        if not 0 <= hdu < len(layout):
            raise UnusableFrame(f"has no HDU {hdu}, only 0 to {len(layout) - 1}")
        image = layout[hdu]
        if image.kind == "other" or len(image.shape) != 2:
            raise UnusableFrame(f"HDU {hdu} is no image of two axes")
        shape, scaling, start = (image.shape[0], image.shape[1]), read_scaling(image), None
        if image.kind == "compressed":
            target = stack.enter_context(_scratch_file(scratch))
            for raw in tile_rows(file, image):
                _write(target, to_physical(raw, scaling).tobytes(), scratch)
            file, scaling, start = target, Scaling("=f4"), 0
        yield FrameReader(file, image.data_start if start is None else start, shape, scaling)


@contextmanager
def _scratch_file(scratch: Path) -> Iterator[BinaryIO]:
    """Make a file without a name: it is gone when closed, also after a crash."""
    try:
        file = tempfile.TemporaryFile(dir=scratch, buffering=0)  # noqa: SIM115  # closed below
    except OSError as error:
        raise storage_error(error, scratch) from error
    with file:
        yield file


def _write(target: BinaryIO, content: bytes | memoryview, scratch: Path) -> None:
    view = memoryview(content).cast("B")
    try:
        while len(view):
            view = view[target.write(view) :]
    except OSError as error:
        raise storage_error(error, scratch) from error


def _inflate(file: BinaryIO, target: BinaryIO, scratch: Path, limit_bytes: int) -> None:
    total = 0
    with gzip.GzipFile(fileobj=file, mode="rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            total += len(block)
            if total > limit_bytes:
                raise UnusableFrame(
                    f"inflates to more than {limit_bytes / 1e6:.0f} MB (Frame Limit (Mpixel))"
                )
            _write(target, block, scratch)
