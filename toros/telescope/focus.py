"""The best focus, from the widths of stars at several positions of the focuser.

Out of focus a star's light fills a disc that grows in proportion to the distance from the
focus; in focus the seeing is left. Together the half-flux diameter follows a hyperbola::

    w(x)^2 = w0^2 + s^2 (x - x0)^2

which is fitted here; outliers (a satellite, a cloud, a gust) are left out. A curve that does
not tell where its minimum is gives an error instead of a position.

References
----------
.. [1] Weber, S., Brady, L., 2001, "Fast auto-focus method and software for CCD-based
   telescopes", Minor Planet Amateur-Professional Workshop: the half-flux diameter, which
   unlike the width at half maximum measures rings too, and its V-curve.
.. [2] Rousseeuw, P. J., Leroy, A. M., 1987, Robust Regression and Outlier Detection, Wiley:
   the least median of squares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from toros.errors import FocusFailed
from toros.images.sources import find_sources

LEAST_POSITIONS = 5

_LEAST_STARS = 3
_MOST_STARS = 50
_OUTLIER_SIGMA = 4.0
_LEAST_OUTLIER = 0.2  # relative; real curves are no exact hyperbolas
_MOST_OUTLIERS = 0.25
_FLAT = 1.3  # the widest of a curve is at least so many times the narrowest
_NOISY = 0.15  # scatter about the curve, relative
_LEAST_SCATTER = 0.005  # of the width; five points may fit by chance

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Width:
    """How wide the stars of an image are.

    Attributes
    ----------
    diameter_px : float [pixel]
        Median half-flux diameter.
    error_px : float [pixel]
        Standard error of that, from the scatter of the stars.
    stars : int
        How many were measured.
    """

    diameter_px: float
    error_px: float
    stars: int


@dataclass(frozen=True)
class BestFocus:
    """The minimum of a V-curve.

    Attributes
    ----------
    position : float [steps]
        Where the stars are smallest.
    error : float [steps]
        Its uncertainty, 1 sigma.
    diameter_px : float [pixel]
        Half-flux diameter there.
    slope_px : float [pixel/step]
        How fast the diameter grows far from there.
    scatter : float
        Of the measurements about the curve, relative to each, 1 sigma.
    left_out : tuple of int
        Indices of measurements that were outliers, or not finite.
    """

    position: float
    error: float
    diameter_px: float
    slope_px: float
    scatter: float
    left_out: tuple[int, ...]


def measure(image: NDArray[Any], *, saturation_adu: float = math.inf) -> Width:
    """Measure how wide the stars of an image are, in focus or far out of it.

    Parameters
    ----------
    image : ndarray, shape (ny, nx) [ADU]
    saturation_adu : float [ADU]
        Where pixels are full.

    Raises
    ------
    FocusFailed
        There are too few stars to tell.
    """
    stars = find_sources(image, saturation_adu=saturation_adu, deblend=False)
    stars = stars.select(stars.clean & (stars.ellipticity < 0.5)).select(slice(_MOST_STARS))
    widths = stars.half_flux_diameter[stars.half_flux_diameter > 0]
    if len(widths) < _LEAST_STARS:
        raise FocusFailed(
            f"the image shows {len(widths)} stars whose width can be measured; at least "
            f"{_LEAST_STARS} are needed (a longer exposure, or a field with more stars)"
        )
    middle = float(np.median(widths))
    # 1.4826 MAD is sigma of a Gaussian, 1.2533 the median's error against the mean's.
    sigma = 1.4826 * float(np.median(abs(widths - middle)))
    return Width(middle, 1.2533 * sigma / math.sqrt(len(widths)), len(widths))


def best_focus(positions: Sequence[float], diameters_px: Sequence[float]) -> BestFocus:
    """Find the position at which the stars are smallest.

    Parameters
    ----------
    positions : sequence of float, length n [steps]
        Of the focuser, in any order, repeated or not.
    diameters_px : sequence of float, length n [pixel]
        Half-flux diameters; NaN where none was measured.

    Returns
    -------
    BestFocus

    Raises
    ------
    FocusFailed
        There are too few measurements, the curve is flat, or too noisy, or its minimum is at
        or beyond its edge; the message says which, and what to do.
    """
    x, w = np.asarray(positions, dtype=np.float64), np.asarray(diameters_px, dtype=np.float64)
    if x.shape != w.shape or x.ndim != 1:
        raise ValueError(f"{x.shape} positions and {w.shape} diameters: one each is needed")
    usable = np.isfinite(x) & np.isfinite(w) & (w > 0)
    _enough(x[usable])
    _not_flat(x[usable], w[usable])
    curve = _Curve.through_most(x[usable], w[usable])
    off = abs(curve.at(x) / np.where(usable, w, 1) - 1)
    good = usable & (off <= max(_OUTLIER_SIGMA * curve.scatter, _LEAST_OUTLIER))
    outliers = int((usable & ~good).sum())
    if outliers > _MOST_OUTLIERS * usable.sum():
        raise FocusFailed(
            f"{outliers} of {usable.sum()} measurements do not fit a V-curve: it is too noisy "
            "(clouds, wind, steps too small, a focuser that does not move as told)"
        )
    _enough(x[good])
    curve = curve.refined(x[good], w[good])
    _tells(curve, x[good], w[good])
    return BestFocus(
        position=curve.x0,
        error=curve.error,
        diameter_px=curve.w0,
        slope_px=curve.slope,
        scatter=curve.scatter,
        left_out=tuple(int(i) for i in np.flatnonzero(~good)),
    )


@dataclass(frozen=True)
class _Curve:
    """A hyperbola; the scatter about it is relative, the error in steps, both at 1 sigma."""

    x0: float
    w0: float
    slope: float
    scatter: float
    error: float = math.inf

    def at(self, x: Column) -> Column:
        return np.asarray(np.hypot(self.w0, self.slope * (x - self.x0)))

    @classmethod
    def through_most(cls, x: Column, w: Column) -> _Curve:
        """Fit by the least median of squares [2]_: up to half of the points may be wrong.

        Squared, the hyperbola is a parabola; every three points make one.
        """
        middle, span = float(np.mean(x)), float(np.ptp(x))
        u = (x - middle) / span
        threes = np.array(list(combinations(range(len(u)), 3)))
        threes = threes[[len(set(u[three])) == 3 for three in threes]]
        terms = np.stack([np.ones_like(u), u, u**2], axis=1)
        parabolas = np.linalg.solve(terms[threes], w[threes, None] ** 2)[:, :, 0]
        parabolas = parabolas[parabolas[:, 2] > 0]
        if len(parabolas) == 0:
            raise FocusFailed("the V-curve is upside down: the stars are widest in its middle")
        squared = parabolas @ terms.T
        medians = np.median(abs(np.sqrt(np.maximum(squared, 0)) / w - 1), axis=1)
        a, b, c = parabolas[int(np.argmin(medians))].tolist()
        u0 = -b / (2 * c)
        w0 = math.sqrt(max(a - c * u0**2, (0.5 * float(w.min())) ** 2))
        # [2]_, section 5.1: 1.4826 makes it sigma of a Gaussian, the rest allows for few points.
        few = 1 + 5 / max(len(x) - 3, 1)
        scatter = max(1.4826 * few * float(medians.min()), _LEAST_SCATTER)
        return cls(middle + u0 * span, w0, math.sqrt(c) / span, scatter)

    def refined(self, x: Column, w: Column) -> _Curve:
        """Fit by least squares, from here."""
        span = float(np.ptp(x))
        u = (x - self.x0) / span

        def residual(p: Column) -> Column:
            return np.asarray(np.hypot(p[1], p[2] * (u - p[0])) / w - 1)

        found = least_squares(residual, [0.0, self.w0, self.slope * span])
        u0, w0, steep = found.x.tolist()
        scatter = math.sqrt(float((found.fun**2).sum()) / (len(x) - 3))
        scatter = max(scatter, _LEAST_SCATTER)
        spread = abs(float(np.linalg.pinv(found.jac.T @ found.jac)[0, 0]))
        error = scatter * math.sqrt(spread) * span
        return _Curve(self.x0 + u0 * span, abs(w0), abs(steep) / span, scatter, error)


def _enough(x: Column) -> None:
    count = len(np.unique(x))
    if count < LEAST_POSITIONS:
        raise FocusFailed(
            f"stars were measured at {count} positions of the focuser; at least "
            f"{LEAST_POSITIONS} are needed"
        )


def _not_flat(x: Column, w: Column, scatter: float = 0.0) -> None:
    narrowest, widest = float(w.min()), float(w.max())
    if widest < max(_FLAT, 1 + 5 * scatter) * narrowest:
        raise FocusFailed(
            f"the V-curve is flat: from {x.min():g} to {x.max():g} the stars are {narrowest:.2f} "
            f"to {widest:.2f} pixels wide, with a scatter of {scatter:.0%}; take larger steps"
        )


def _tells(curve: _Curve, x: Column, w: Column) -> None:
    """Refuse a curve that does not tell where its minimum is.

    Raises
    ------
    FocusFailed
    """
    _not_flat(x, w, curve.scatter)
    low, high = float(x.min()), float(x.max())
    places = np.unique(x)
    before, after = int((places < curve.x0).sum()), int((places > curve.x0).sum())
    if min(before, after) < 2:
        side = "below" if before < after else "above"
        edge = low if before < after else high
        raise FocusFailed(
            f"the minimum of the V-curve is at its edge or beyond: {side} {edge:g}, near "
            f"{curve.x0:.0f}; at least two positions on either side are needed: centre the run "
            "there"
        )
    step = (high - low) / (len(places) - 1)
    if curve.scatter > _NOISY or curve.error > step:
        raise FocusFailed(
            f"the V-curve is too noisy: the widths scatter by {curve.scatter:.0%}, and the "
            f"minimum at {curve.x0:.0f} is uncertain by {curve.error:.0f}; expose longer"
        )
