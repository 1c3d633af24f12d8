"""Noise: how it is measured robustly, and how it grows with the signal.

A pixel's variance is taken to be linear in its level (photon transfer [1]_)::

    V(S) = V0 + k (S - S0)

with S0 a mean level of the frames at hand, V0 the variance there, and
k = 1 / gain where the frames are in ADU. The line is fitted to variances that
are pooled over many pixels of like level, because a single pixel of a stack of
three says next to nothing about its own noise.

References
----------
.. [1] Janesick, J. R., 2007, Photon Transfer, SPIE Press, chapters 5 and 7.
.. [2] Widrow, B., Kollar, I., 2008, Quantization Noise, Cambridge University
   Press: rounding to steps of q adds a variance of q^2 / 12.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

MAD_TO_SIGMA = 1.482602218505602
"""Standard deviation of a normal distribution in units of its median absolute deviation."""

CLIP_SIGMA = 5.0
"""How far from the middle a value may lie, in standard deviations, before it is an outlier."""

_BIN_EDGES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
_FEWEST_IN_BIN = 30
_BIN_SIGMAS = 8.0
_SIGNIFICANT = 3.0
_FIT_ROUNDS = 8
# The line is cut off where it would leave next to no noise.
_LOWEST_SHARE = 0.02
_LARGEST_INTEGER = 2.0**53
_STEP_VALUES = 1 << 18


@dataclass(frozen=True)
class NoiseModel:
    """The variance of one frame's pixel as a function of its level.

    Attributes
    ----------
    variance : float
        Variance at `level` [unit^2].
    slope : float
        Growth of the variance with the level [unit].
    level : float
        The level that `variance` holds for [unit].
    """

    variance: float
    slope: float = 0.0
    level: float = 0.0

    def at(self, level: npt.ArrayLike) -> Array:
        """Evaluate the variance [unit^2] at levels [unit] of any shape.

        The line is followed below that level too: cut off there, the
        mean of the estimates would lie above the true variance.
        """
        grown = np.asarray(level, np.float32) - np.float32(self.level)
        grown *= np.float32(self.slope)
        grown += np.float32(self.variance)
        lowest = np.float32(_LOWEST_SHARE * self.variance)
        return np.asarray(np.maximum(grown, lowest), np.float32)


def median_of(values: npt.ArrayLike) -> float:
    """Return the median of what is finite; NaN of nothing."""
    flat = np.asarray(values).ravel()
    finite = flat[np.isfinite(flat)]
    return float(np.median(finite)) if finite.size else math.nan


def core_variance(values: npt.ArrayLike, about: float | None = None) -> float:
    """Measure the variance of the bulk of some values, without their outliers.

    Values beyond five robust standard deviations are left out, but never
    those within the 95th percentile of the distances: of whole numbers of a
    small spread more than half may be equal, and their median absolute
    deviation 0.

    Parameters
    ----------
    values : array_like
        Numbers [unit]; those that are not finite are left out.
    about : float, optional
        The centre, if it is known; otherwise the values' own.

    Returns
    -------
    float
        Variance [unit^2]; NaN of fewer than two values.
    """
    kept = np.asarray(values, np.float64).ravel()
    kept = kept[np.isfinite(kept)]
    if kept.size < 2:
        return math.nan
    kept = kept - (np.median(kept) if about is None else about)
    distance = np.abs(kept)
    middle, outer = np.quantile(distance, (0.5, 0.95))
    kept = kept[distance <= max(CLIP_SIGMA * MAD_TO_SIGMA * middle, outer)]
    if about is None:
        return float(np.var(kept, ddof=1)) if kept.size > 1 else 0.0
    return float(np.mean(kept**2))


def core_sigma(values: npt.ArrayLike) -> float:
    """Measure the standard deviation of the bulk of some values [unit]."""
    return math.sqrt(core_variance(values))


def quantisation_step(values: npt.ArrayLike) -> float:
    """Find the step that values were rounded to [unit]; 0 where they were not.

    A converter of 12 bits whose counts are stored times 16 has a step of 16 ADU.
    The first quarter of a million values tell.
    """
    finite = np.asarray(values).ravel()[:_STEP_VALUES].astype(np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size or np.abs(finite).max() > _LARGEST_INTEGER or np.any(finite % 1):
        return 0.0
    whole = finite.astype(np.int64)
    return float(math.gcd(*np.unique(whole - np.min(whole)).tolist()))


def fit_line(levels: Doubles, variances: Doubles, freedom: Doubles) -> NoiseModel:
    """Fit a line through pooled variances.

    A variance from nu degrees of freedom has itself the variance 2 V^2 / nu, so
    the bins are weighted by nu / V^2, with V of the line itself, in rounds. A
    slope that is not significant, or negative, is taken to be 0.

    Parameters
    ----------
    levels, variances, freedom : ndarray, shape (n,)
        Mean level [unit], variance [unit^2] and degrees of freedom of each bin.
    """
    zero = float(np.average(levels, weights=freedom))
    mean = float(np.average(variances, weights=freedom))
    flat = NoiseModel(mean, 0.0, zero)
    if len(levels) < 2 or mean <= 0:
        return flat
    x, fitted = levels - zero, np.full(len(levels), mean)
    for _ in range(_FIT_ROUNDS):
        weight = freedom / (2 * np.maximum(fitted, _LOWEST_SHARE * mean) ** 2)
        centre = np.average(x, weights=weight)
        spread = float(np.sum(weight * (x - centre) ** 2))
        if spread <= 0:
            return flat
        slope = float(np.sum(weight * (x - centre) * variances)) / spread
        constant = float(np.average(variances, weights=weight)) - slope * centre
        fitted = constant + slope * x
    if slope < _SIGNIFICANT / math.sqrt(spread) or constant <= 0:
        return flat
    return NoiseModel(constant, slope, zero)


def in_bins(levels: npt.ArrayLike, sigma: float) -> list[npt.NDArray[np.intp]]:
    """Sort pixels into bins of like level, narrow where the levels are rare and high.

    Parameters
    ----------
    levels : array_like
        Level of each pixel [unit]; those that are not finite are in no bin.
    sigma : float
        Noise of a level, 1 sigma [unit]. Bins are several times as wide: pixels
        sorted by their noise have the same variance in every bin, and would
        flatten the line that is fitted.

    Returns
    -------
    list of ndarray
        Indices into the flattened `levels`.
    """
    flat = np.asarray(levels, np.float64).ravel()
    good = np.flatnonzero(np.isfinite(flat))
    if not good.size:
        return []
    edges = _spaced(np.quantile(flat[good], _BIN_EDGES), float(np.median(flat[good])), sigma)
    number = np.searchsorted(edges, flat[good], side="right")
    order = np.argsort(number, kind="stable")
    parts = np.split(good[order], np.cumsum(np.bincount(number, minlength=edges.size + 1))[:-1])
    return [part for part in parts if part.size >= min(_FEWEST_IN_BIN, good.size)]


def _spaced(edges: Doubles, middle: float, sigma: float) -> Doubles:
    """Thin out edges to `_BIN_SIGMAS` apart, outward from the borders of a bin about the middle.

    These borders keep the many usual pixels apart from the few that are hot.
    """
    width = _BIN_SIGMAS * sigma
    kept: list[float] = []
    for sign in (-1.0, 1.0):
        last = width / 2
        kept.append(middle + sign * last)
        for distance in np.unique(sign * (edges - middle)):
            if distance >= last + width:
                kept.append(middle + sign * float(distance))
                last = float(distance)
    return np.unique(kept)


def noise_between_frames(cube: Array, levels: Array) -> NoiseModel:
    """Measure the noise of one frame from the differences of consecutive frames.

    The differences are free of everything that is the same in all frames. This
    is a first look, robust against cosmic rays, that clipping can start from.

    Parameters
    ----------
    cube : ndarray, shape (n, rows, nx), n >= 2
        Frames [unit]; NaN where there is no value.
    levels : ndarray, shape (rows, nx)
        Level of each pixel, such as the median of the frames [unit].
    """
    differences = np.diff(cube, axis=0).reshape(len(cube) - 1, -1)
    flat = levels.ravel()
    overall = core_variance(differences, about=0.0) / 2
    found = []
    for part in in_bins(flat, math.sqrt(overall / len(cube)) if overall > 0 else 0.0):
        variance = core_variance(differences[:, part], about=0.0) / 2
        if math.isfinite(variance):
            found.append((float(np.mean(flat[part])), variance, float(part.size * (len(cube) - 1))))
    if not found:
        return NoiseModel(0.0)
    return fit_line(*np.array(found).T)


def noise_between_neighbours(frame: Array) -> NoiseModel:
    """Measure the noise of a single frame from the differences of neighbouring columns.

    Parameters
    ----------
    frame : ndarray, shape (rows, nx)
        One frame [unit]; whatever differs from pixel to pixel counts as noise.
    """
    variance = core_variance(np.diff(frame, axis=1), about=0.0) / 2
    level = median_of(frame)
    known = math.isfinite(variance) and math.isfinite(level)
    return NoiseModel(variance, 0.0, level) if known else NoiseModel(0.0)


def noise_within_stack(cube: Array, mean: Array) -> NoiseModel:
    """Measure the noise of one frame from the values that clipping left.

    The sample variance of each pixel (divided by n - 1, so that it is not too
    small on average, however few the frames) is pooled over bins of level.

    Parameters
    ----------
    cube : ndarray, shape (n, rows, nx), n >= 2
        Frames [unit]; NaN where there is no value or it was clipped.
    mean : ndarray, shape (rows, nx)
        Mean of the values left in each pixel [unit].
    """
    residual = cube - mean
    np.square(residual, out=residual)
    squares = np.nansum(residual, axis=0, dtype=np.float64).ravel()
    freedom = np.count_nonzero(np.isfinite(residual), axis=0).ravel() - 1.0
    flat = np.where(freedom > 0, mean.ravel(), np.nan)
    usual = np.median(squares[freedom > 0] / freedom[freedom > 0]) if freedom.max() > 0 else 0.0
    found = [
        (
            float(np.average(flat[part], weights=freedom[part])),
            float(squares[part].sum() / freedom[part].sum()),
            float(freedom[part].sum()),
        )
        for part in in_bins(flat, math.sqrt(usual / len(cube)))
    ]
    if not found:
        return NoiseModel(0.0)
    return fit_line(*np.array(found, np.float64).T)
