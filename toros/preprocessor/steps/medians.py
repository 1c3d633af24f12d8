"""Medians of each pixel over frames, several times as fast as one pixel after another.

The values of a pixel are sorted by a network of comparisons that is the same for
every pixel, so that each comparison is one operation on whole planes [1]_. Of
the network only what reaches the middle is carried out.

References
----------
.. [1] Batcher, K. E., 1968, Proc. AFIPS Spring Joint Computer Conf. 32, 307: odd-even merge sort.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import bottleneck
import numpy as np

from toros.preprocessor.steps.noise import Array

_MOST_FRAMES = 128  # beyond, the network is no faster
_CACHE_VALUES = 1 << 17


def median(cube: Array) -> Array:
    """Compute the median over the first axis, what is not a number left out.

    Parameters
    ----------
    cube : ndarray of float32, shape (n, rows, nx)
        Frames [unit]; not changed.

    Returns
    -------
    ndarray of float32, shape (rows, nx)
        To the bit what `bottleneck.nanmedian` computes.
    """
    count = len(cube)
    if not 2 < count <= _MOST_FRAMES:
        return np.asarray(bottleneck.nanmedian(cube, axis=0), np.float32)
    flat = cube.reshape(count, -1)
    result = np.empty(flat.shape[1], np.float32)
    chunk = max(_CACHE_VALUES // count, 256)
    for start in range(0, flat.shape[1], chunk):
        part = flat[:, start : start + chunk]
        result[start : start + chunk] = _middle([plane.copy() for plane in part])
    lacking = np.flatnonzero(np.isnan(result))
    if lacking.size:
        result[lacking] = bottleneck.nanmedian(flat[:, lacking], axis=0)
    return result.reshape(cube.shape[1:])


def _middle(planes: list[Array]) -> Array:
    """Compute the median of planes without NaN; a NaN comes out as NaN."""
    spare = np.empty_like(planes[0])
    for low, high, wants_low, wants_high in network(len(planes)):
        if wants_low:
            np.minimum(planes[low], planes[high], out=spare)
        if wants_high:
            np.maximum(planes[low], planes[high], out=planes[high])
        if wants_low:
            planes[low], spare = spare, planes[low]
    middle = len(planes) // 2
    if len(planes) % 2:
        return planes[middle]
    return np.asarray((planes[middle - 1] + planes[middle]) * np.float32(0.5))


@functools.lru_cache(maxsize=32)
def network(count: int) -> tuple[tuple[int, int, bool, bool], ...]:
    """List the comparisons that bring the median of `count` values to the middle.

    Returns
    -------
    tuple of (low, high, wants_low, wants_high)
        Put the lesser of two places into the first and the greater into the
        second; whether anything later looks at either.
    """
    wanted = {count // 2} if count % 2 else {count // 2 - 1, count // 2}
    kept = []
    for low, high in reversed(list(_odd_even_merge_sort(count))):
        if low in wanted or high in wanted:
            kept.append((low, high, low in wanted, high in wanted))
            wanted |= {low, high}
    return tuple(reversed(kept))


def _odd_even_merge_sort(count: int) -> Iterator[tuple[int, int]]:
    size = 1
    while size < count:
        step = size
        while step:
            for first in range(step % size, count - step, 2 * step):
                for low in range(first, min(first + step, count - step)):
                    if low // (2 * size) == (low + step) // (2 * size):
                        yield low, low + step
            step //= 2
        size *= 2
