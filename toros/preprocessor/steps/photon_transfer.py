"""The gain, from pairs of flats.

Of two flats of signals S1 and S2 (bias and dark subtracted) the difference
D = F1 - r F2, with r = S1 / S2, is free of everything fixed, and its variance is
(S1 + r^2 S2) / g + (1 + r^2) R^2 in ADU, R being the read noise, rounding
included. Hence

    g = (S1 + r^2 S2) / (var(D) - (1 + r^2) R^2)

References
----------
.. [1] Janesick, J. R., 2007, Photon Transfer, SPIE Press, section 5.
.. [2] Howell, S. B., 2006, Handbook of CCD Astronomy, 2nd ed., section 4.3.
"""

from __future__ import annotations

import math

import numpy as np

from toros.preprocessor.steps.noise import CLIP_SIGMA, MAD_TO_SIGMA, Array, Doubles, Flags

BLOCK = 16
"""Side of the blocks in which variances are taken, so that a changing gradient cancels [pixel].

Of fewer rows the blocks are so much the wider.
"""

_FEWEST_BLOCKS = 4


def measure_gain(signals: Array, levels: Array, usable: Flags, read_variance: float) -> float:
    """Measure the gain from all pairs of consecutive flats.

    Parameters
    ----------
    signals : ndarray, shape (n, rows, nx)
        Flats of one filter, bias and dark subtracted [ADU].
    levels : ndarray, shape (n,)
        Median of each [ADU].
    usable : ndarray of bool, shape (rows, nx)
        Pixels neither hot nor dead nor saturated.
    read_variance : float
        Variance of a frame without signal, rounding included [ADU^2].

    Returns
    -------
    float
        Gain [electron/ADU]; NaN if it cannot be measured.
    """
    inverse = [
        one
        for i in range(len(signals) - 1)
        if math.isfinite(
            one := inverse_gain(
                signals[i], signals[i + 1], float(levels[i] / levels[i + 1]), usable, read_variance
            )
        )
    ]
    mean = float(np.mean(inverse)) if inverse else math.nan
    return 1 / mean if mean > 0 else math.nan


def inverse_gain(
    first: Array, second: Array, ratio: float, usable: Flags, read_variance: float
) -> float:
    """Measure 1 / gain [ADU/electron] from one pair, blocks that stand out left aside."""
    difference = first.astype(np.float64) - ratio * second
    weight = np.maximum(first + np.float64(ratio) ** 2 * second, 1e-3)
    good = usable & np.isfinite(difference) & (first > 0) & (second > 0)
    if good.sum() < BLOCK * BLOCK:
        return math.nan
    # Cosmic rays go pixel by pixel, in units of each pixel's own noise.
    scaled = difference / np.sqrt(weight + (1 + ratio**2) * read_variance)
    middle = np.median(scaled[good])
    spread = MAD_TO_SIGMA * np.median(np.abs(scaled[good] - middle))
    good &= np.abs(scaled - middle) <= CLIP_SIGMA * spread
    blocks = _Blocks(good)
    count = blocks.sum(np.ones_like(difference))
    full = count >= BLOCK * BLOCK / 2
    if full.sum() < _FEWEST_BLOCKS:
        return math.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = blocks.sum(difference**2) - blocks.sum(difference) ** 2 / count
        variance = squares / (count - 1) - (1 + ratio**2) * read_variance
        found = (variance / (blocks.sum(weight) / count))[full]
    middle = np.median(found)
    spread = MAD_TO_SIGMA * np.median(np.abs(found - middle))
    return float(found[np.abs(found - middle) <= CLIP_SIGMA * spread].mean())


class _Blocks:
    """Sums over square blocks of the good pixels; an incomplete edge is left out."""

    def __init__(self, good: Flags) -> None:
        self._good = good
        self._height = min(BLOCK, good.shape[0])
        self._width = BLOCK * BLOCK // self._height
        self._down, self._across = good.shape[0] // self._height, good.shape[1] // self._width

    def sum(self, values: Doubles) -> Doubles:
        kept = np.where(self._good, values, 0.0)
        kept = kept[: self._down * self._height, : self._across * self._width]
        parts = kept.reshape(self._down, self._height, self._across, self._width)
        return np.asarray(parts.sum(axis=(1, 3)).ravel())
