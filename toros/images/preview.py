"""Previews: a small picture of an image as an observer would stretch it."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Protocol

import numpy as np
from astropy.visualization import ZScaleInterval
from numpy.typing import NDArray
from PIL import Image

_SIDE_LIMIT = 1024  # pixels
_BAND_BYTES = 16 << 20


class RowSource(Protocol):
    """Something that gives an image in bands of rows, such as `FrameReader`."""

    shape: tuple[int, int]

    def rows(self, y0: int, y1: int) -> NDArray[np.float32]:
        """Return the rows ``y0 <= y < y1``."""
        ...


def preview(data: NDArray[Any] | RowSource) -> bytes:
    """Make a picture of an image.

    Means of square blocks, stretched linearly between the limits of zscale, north
    as in the file: the first row is the lowest. The same input gives the same bytes
    (with the same Pillow and zlib).

    Parameters
    ----------
    data : ndarray, shape (ny, nx), or RowSource
        Any unit; what is not finite is left out of the means, and is black where a
        whole block is not.

    Returns
    -------
    bytes
        PNG, grey, 8 bit, at most 1024 pixels a side.

    References
    ----------
    zscale: NOAO IRAF, task `display`; `astropy.visualization.ZScaleInterval`.
    """
    small = _shrink(data)
    finite = np.isfinite(small)
    grey = np.zeros(small.shape, dtype=np.uint8)
    if finite.any():
        low, high = (float(limit) for limit in ZScaleInterval().get_limits(small[finite]))
        if high > low:
            with np.errstate(invalid="ignore"):
                scaled = np.clip((small - low) / (high - low), 0.0, 1.0)
            grey[finite] = np.rint(255 * scaled[finite]).astype(np.uint8)
        else:
            grey[finite] = 128
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(grey[::-1])).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def _shrink(data: NDArray[Any] | RowSource) -> NDArray[np.float64]:
    """Average blocks of pixels, a band of rows at a time; NaN where no pixel is finite."""
    ny, nx = data.shape
    factor = -(-max(ny, nx) // _SIDE_LIMIT)
    step = max(_BAND_BYTES // (8 * nx * factor), 1) * factor
    bands = []
    for y0 in range(0, ny, step):
        y1 = min(y0 + step, ny)
        band = data[y0:y1] if isinstance(data, np.ndarray) else data.rows(y0, y1)
        values = np.asarray(band, dtype=np.float64)
        finite = np.isfinite(values)
        counts = _block_sums(finite.astype(np.float64), factor)
        sums = _block_sums(np.where(finite, values, 0.0), factor)
        bands.append(np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0))
    return np.concatenate(bands)


def _block_sums(values: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Sum square blocks; those at the far edges may be smaller."""
    if factor == 1:
        return values
    whole = np.pad(values, [(0, -length % factor) for length in values.shape])
    rows = _sum([whole[i::factor] for i in range(factor)])
    return _sum([rows[:, i::factor] for i in range(factor)])


def _sum(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total
