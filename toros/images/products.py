"""Products: FITS files of data, uncertainty and mask, the same bytes for the same content.

The primary HDU holds the data, the extension UNCERT one standard deviation in
the same unit, the extension MASK the mask's bits; `astropy.nddata.CCDData.read`
takes them as they stand. Nothing in a product depends on when it was written.

References
----------
FITS Standard 4.0, sections 4.2 (values), 4.2.1.2 (long strings), 7.1 (image
extensions).
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.errors import DamagedFile, UnusableFrame
from toros.images.layout import BLOCK_BYTES, HduLayout, read_layout, readable
from toros.images.pixels import FrameReader, read_scaling
from toros.store import storage_error, whole_file

CardValue: TypeAlias = str | bool | int | float | None
Card: TypeAlias = tuple[str, CardValue, str]
"""Keyword, value, comment. None and numbers that are not finite become a card without value."""

UNCERTAINTY_EXTENSION = "UNCERT"
MASK_EXTENSION = "MASK"
_TYPES = (">f4", ">f4", "u1")
_STRUCTURE = frozenset({"SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "END"}) | {
    *("BSCALE", "BZERO", "BLANK", "CHECKSUM", "DATASUM", "XTENSION", "PCOUNT", "GCOUNT", "DATE")
}
_HASH_BYTES = 1 << 20
_LIMIT_MPIXEL = 1e6  # our own files: the limit held when they were made


class ProductWriter:
    """A product that is being written in bands of rows. Made by `product_writer`.

    Attributes
    ----------
    shape : tuple of int
        (ny, nx) [pixel].
    sha256 : str
        Of the whole file, in hex; empty until it is complete.
    """

    def __init__(self, file: BinaryIO, shape: tuple[int, int], cards: Iterable[Card]) -> None:
        self.shape = shape
        self.sha256 = ""
        self._file = file
        self._written = np.zeros(shape[0], dtype=bool)
        self._starts: list[int] = []
        end = 0
        for header, dtype in zip(_headers(shape, cards), _TYPES, strict=True):
            file.seek(end)
            file.write(header)
            self._starts.append(end + len(header))
            data_bytes = shape[0] * shape[1] * np.dtype(dtype).itemsize
            end = self._starts[-1] + data_bytes + -data_bytes % BLOCK_BYTES
        file.truncate(end)

    def rows(
        self,
        y0: int,
        data: NDArray[np.floating[Any]],
        uncertainty: NDArray[np.floating[Any]],
        mask: NDArray[Any],
    ) -> None:
        """Write a band of rows, beginning with row `y0`; bands come in any order.

        Parameters
        ----------
        y0 : int
            The band's first row.
        data, uncertainty : ndarray, shape (rows, nx)
            Written as float32, in the unit that the cards state as BUNIT.
        mask : ndarray, shape (rows, nx)
            Bits of 8; 0 is a good pixel.
        """
        count = data.shape[0]
        if count < 1 or y0 < 0 or y0 + count > self.shape[0]:
            raise ValueError(f"rows {y0} to {y0 + count} are not within 0 to {self.shape[0]}")
        for start, dtype, band in zip(self._starts, _TYPES, (data, uncertainty, mask), strict=True):
            if band.shape != (count, self.shape[1]):
                raise ValueError(f"a band of shape {band.shape}, not {(count, self.shape[1])}")
            self._file.seek(start + y0 * self.shape[1] * np.dtype(dtype).itemsize)
            self._file.write(np.ascontiguousarray(band, dtype=dtype).data.cast("B"))
        self._written[y0 : y0 + count] = True

    def finish(self) -> None:
        """Hash the file; every row must have been written."""
        if not self._written.all():
            raise ValueError(f"{int((~self._written).sum())} rows were not written")
        self._file.flush()
        self._file.seek(0)
        digest = hashlib.sha256()
        while block := self._file.read(_HASH_BYTES):
            digest.update(block)
        self.sha256 = digest.hexdigest()


@contextmanager
def product_writer(
    path: Path, shape: tuple[int, int], cards: Iterable[Card]
) -> Iterator[ProductWriter]:
    """Write a product in bands of rows; it appears under its name only when complete.

    Parameters
    ----------
    path : Path
        The final name; an existing file is replaced in one step.
    shape : tuple of int
        (ny, nx) [pixel].
    cards : iterable of (keyword, value, comment)
        For the primary header. Keywords over 8 characters become HIERARCH cards,
        long texts are continued, characters that FITS does not know are written
        as escapes. HISTORY and COMMENT take their value as text.

    Yields
    ------
    ProductWriter
        Its `sha256` is set when the block has ended.

    Raises
    ------
    DiskFull, StorageFailed
        Nothing is left under `path` that was not there before.
    """
    try:
        with whole_file(path) as file:
            writer = ProductWriter(file, shape, cards)
            yield writer
            writer.finish()
    except OSError as error:
        raise storage_error(error, path) from error


def write_product(
    path: Path,
    data: NDArray[np.floating[Any]],
    uncertainty: NDArray[np.floating[Any]],
    mask: NDArray[Any],
    cards: Iterable[Card],
) -> str:
    """Write a product at once; return the SHA-256 of its bytes in hex.

    Parameters
    ----------
    path, cards
        As for `product_writer`.
    data, uncertainty, mask : ndarray, shape (ny, nx)
        As for `ProductWriter.rows`.

    Raises
    ------
    DiskFull, StorageFailed
    """
    with product_writer(path, (data.shape[0], data.shape[1]), cards) as writer:
        writer.rows(0, data, uncertainty, mask)
    return writer.sha256


def read_product(
    path: Path,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8], fits.Header]:
    """Read a product whole. By bands, `open_frame` with hdu 0, 1 and 2 reads it too.

    Returns
    -------
    data, uncertainty : ndarray of float32, shape (ny, nx)
        In the unit that BUNIT states.
    mask : ndarray of uint8, shape (ny, nx)
        0 is a good pixel.
    header : astropy.io.fits.Header
        The primary header.

    Raises
    ------
    DamagedFile
        It cannot be read as a product.
    """
    try:
        with readable(Path(path)) as file:
            layout = read_layout(file, _LIMIT_MPIXEL)
            images = [_whole(file, hdu) for hdu in layout if len(hdu.shape) == 2]
    except UnusableFrame as error:
        raise DamagedFile(f"{path}: {error.message}") from error
    if len(images) != len(_TYPES):
        raise DamagedFile(f"{path}: has {len(images)} images, a product has {len(_TYPES)}")
    data, uncertainty, mask = images
    return data, uncertainty, mask.astype(np.uint8), layout[0].header


def _whole(file: BinaryIO, hdu: HduLayout) -> NDArray[np.float32]:
    shape = (hdu.shape[0], hdu.shape[1])
    return FrameReader(file, hdu.data_start, shape, read_scaling(hdu)).rows(0, shape[0])


def _headers(shape: tuple[int, int], cards: Iterable[Card]) -> list[bytes]:
    """Return the three headers, each padded to whole blocks."""
    with warnings.catch_warnings():
        # astropy warns of every HIERARCH card and of comments that it shortens.
        warnings.simplefilter("ignore")
        primary = _primary(shape, cards)
        uncertainty = _extension(shape, -32, UNCERTAINTY_EXTENSION)
        if "BUNIT" in primary:
            uncertainty["BUNIT"] = primary["BUNIT"], "unit of the uncertainty"
        uncertainty["UTYPE"] = "StdDevUncertainty", "one standard deviation"
        mask = _extension(shape, 8, MASK_EXTENSION)
        return [header.tostring().encode("ascii") for header in (primary, uncertainty, mask)]


def _primary(shape: tuple[int, int], cards: Iterable[Card]) -> fits.Header:
    header = fits.Header()
    header["SIMPLE"] = True, "conforms to FITS standard"
    header["BITPIX"] = -32, "32 bit floating point"
    header["NAXIS"] = 2
    header["NAXIS1"] = shape[1], "columns"
    header["NAXIS2"] = shape[0], "rows"
    header["EXTEND"] = True, "UNCERT and MASK follow"
    for keyword, value, comment in cards:
        _append(header, keyword.upper(), value, _ascii(comment))
    return header


def _extension(shape: tuple[int, int], bitpix: int, name: str) -> fits.Header:
    header = fits.Header()
    header["XTENSION"] = "IMAGE", "image extension"
    header["BITPIX"] = bitpix
    header["NAXIS"] = 2
    header["NAXIS1"] = shape[1], "columns"
    header["NAXIS2"] = shape[0], "rows"
    header["PCOUNT"] = 0
    header["GCOUNT"] = 1
    header["EXTNAME"] = name
    return header


def _append(header: fits.Header, keyword: str, value: CardValue, comment: str) -> None:
    if keyword in _STRUCTURE:
        raise ValueError(f"the card {keyword} describes the file itself or changes with time")
    if keyword in ("HISTORY", "COMMENT"):
        header[keyword] = _ascii(str(value))
        return
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        value = _ascii(value)
    elif isinstance(value, float) and not math.isfinite(value):
        value = None
    if len(keyword) > 8 and not keyword.startswith("HIERARCH "):
        keyword = f"HIERARCH {keyword}"
    header.append((keyword, value, comment), end=True)


def _ascii(text: str) -> str:
    """Write what FITS cannot hold as escapes, so that different names stay different."""
    escaped = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in escaped)
