"""Tile-compressed images, row of tiles by row of tiles.

References
----------
FITS Standard 4.0, section 10.
"""

from __future__ import annotations

import math
import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO

from astropy.io import fits
from numpy.typing import NDArray

from toros.errors import UnusableFrame
from toros.images.layout import PIXEL_BYTES, HduLayout

_BAND_BYTES = 8 << 20
_GZIP_OVERHEAD_BYTES = 1024
_ANY_DEFLATE = 47  # zlib's window bits for gzip and zlib streams alike
_GZIP_COLUMN = "GZIP_COMPRESSED_DATA"  # tiles that another method could not do without loss


def tile_rows(file: BinaryIO, image: HduLayout) -> Iterator[NDArray[Any]]:
    """Decompress an image from top of file to bottom, some rows of tiles at a time.

    Parameters
    ----------
    file : BinaryIO
        An uncompressed file of the operating system.
    image : HduLayout
        Of kind "compressed", with two axes.

    Yields
    ------
    ndarray, shape (rows, nx)
        Stored numbers, not scaled by BSCALE and BZERO.

    Raises
    ------
    UnusableFrame
        The compressed pixels are damaged.
    """
    ny, nx = image.shape
    tile_ny = image.header.get("ZTILE2", 1)
    step = max(_BAND_BYTES // (PIXEL_BYTES * nx) // tile_ny, 1) * tile_ny
    try:
        with ExitStack() as stack, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_gzipped_tiles(_opened(stack, file, raw=True)[image.index], image)
            section = _opened(stack, file, raw=False)[image.index].section
            leading = (0,) * (len(section.shape) - 2)
            for y0 in range(0, ny, step):
                yield section[(*leading, slice(y0, min(y0 + step, ny)), slice(None))]
    except UnusableFrame:
        raise
    except Exception as error:  # damaged tiles raise anything, also classes that are private
        reason = f"HDU {image.index}: the compressed pixels are damaged: {error}"
        raise UnusableFrame(reason) from error


def _opened(stack: ExitStack, file: BinaryIO, *, raw: bool) -> fits.HDUList:
    """Open the file once more on a descriptor of its own, since astropy closes what it gets."""
    own = stack.enter_context(os.fdopen(os.dup(file.fileno()), "rb"))
    own.seek(0)
    return stack.enter_context(
        fits.open(own, do_not_scale_image_data=True, disable_image_compression=raw)
    )


def _check_gzipped_tiles(table: fits.BinTableHDU, image: HduLayout) -> None:
    """Refuse tiles that inflate to more than a tile holds, before astropy inflates them."""
    columns = [_GZIP_COLUMN] if _GZIP_COLUMN in table.columns.names else []
    if str(image.header.get("ZCMPTYPE", "")).startswith("GZIP"):
        columns.append("COMPRESSED_DATA")
    sides = (image.header.get(f"ZTILE{i}", 1 if i > 1 else image.shape[-1]) for i in (1, 2))
    limit = math.prod(sides) * PIXEL_BYTES + _GZIP_OVERHEAD_BYTES
    for name in columns:
        for tile in table.data[name]:
            inflator = zlib.decompressobj(wbits=_ANY_DEFLATE)
            if len(tile) and len(inflator.decompress(tile.tobytes(), limit + 1)) > limit:
                raise UnusableFrame(f"HDU {image.index}: a tile inflates to more than it may hold")
