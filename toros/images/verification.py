"""Whether a plate solution is true: it must explain the stars that it says are there.

A solver finds a pattern that is unlikely to be chance; it does not say whether the rest of
the frame agrees. Here every star of a catalogue that the frame must show is looked for
where the solution puts it. Wrong solutions find a few by chance, right ones nearly all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from toros.errors import NotSolved
from toros.images.sources import Sources
from toros.images.star_index import Stars

LEAST_MATCHES = 10
LEAST_SHARE = 0.7

# Stars of Tycho-2 have moved by about 1 arcsec since, and a centre is good to a pixel or so
# on a frame that trails or is out of focus.
_TOLERANCE_ARCSEC = 3.0
_TOLERANCE_PX = 2.0
_MAGNITUDE_SPREAD = 2.5  # colours, filters, saturation; chance pairs spread over more
_MOST_EXPECTED = 200  # in crowded fields the fainter ones blend
_BRIGHTER_BY = 0.75  # than the limit, to be expected: the same, for faint stars

Column = NDArray[np.float64]
Shape = tuple[int, int]


@dataclass(frozen=True)
class Evidence:
    """What speaks for a solution.

    Attributes
    ----------
    matches : int
        Stars of the catalogue that are where the solution puts them, in brightness too.
    found, expected : int
        Of those, and of all inside the frame, what the frame must show: the brightest ten,
        and the others that are brighter than its limit, up to two hundred.
    residual_arcsec : float
        Median distance between a star and where the solution puts it [arcsec].
    zero_point_mag : float
        Magnitude, in the catalogue's band, of a star that gives 1 ADU in this frame.
    """

    matches: int
    found: int
    expected: int
    residual_arcsec: float
    zero_point_mag: float


def verify(wcs: WCS, shape: Shape, scale_arcsec: float, sources: Sources, stars: Stars) -> Evidence:
    """Compare the stars that a solution predicts with those that the frame shows.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        The solution.
    shape : (int, int)
        (ny, nx) of the frame [pixel].
    scale_arcsec : float
        Of a pixel [arcsec].
    sources : Sources
        What was found in the frame.
    stars : Stars
        A catalogue of, at least, the frame's part of the sky.

    Returns
    -------
    Evidence

    Raises
    ------
    NotSolved
        Fewer than ten stars, or fewer than 70 % of those expected, are where the solution
        puts them.
    """
    tolerance = max(_TOLERANCE_PX, _TOLERANCE_ARCSEC / scale_arcsec)
    x, y, mag = _inside(wcs, shape, stars, tolerance)
    if len(x) < LEAST_MATCHES:
        raise NotSolved(
            f"the solution's frame holds {len(x)} stars of the catalogue, too few to verify it: "
            f"at least {LEAST_MATCHES} are needed (a larger field, or denser index files)"
        )
    which, distance = _nearest(x, y, sources, tolerance)
    paired = which >= 0
    agrees, zero_point = _same_brightness(mag, which, paired, sources)
    expected = _expected(mag, zero_point - 2.5 * np.log10(sources.limit))
    matches, count = int(agrees.sum()), int(expected.sum())
    found = int((agrees & expected).sum())
    if matches < LEAST_MATCHES or found < LEAST_SHARE * count:
        raise NotSolved(
            f"the solution is not trusted: of {count} stars that the frame must show {found} are "
            f"where it puts them ({LEAST_SHARE:.0%} are needed), of all {matches} "
            f"({LEAST_MATCHES} are needed)"
        )
    residual = float(np.median(distance[agrees])) * scale_arcsec
    return Evidence(matches, found, count, residual, zero_point)


def _inside(wcs: WCS, shape: Shape, stars: Stars, margin: float) -> tuple[Column, Column, Column]:
    """Return pixels (from 0) and magnitudes of the stars inside the frame."""
    ny, nx = shape
    # Without distortion first: its inverse does not converge far off the frame.
    x, y = wcs.wcs_world2pix(stars.ra, stars.dec, 0)
    near = (abs(x - nx / 2) < 0.6 * nx + margin) & (abs(y - ny / 2) < 0.6 * ny + margin)
    near &= _same_side(wcs, stars)
    x, y = wcs.all_world2pix(stars.ra[near], stars.dec[near], 0, quiet=True)
    within = (x > margin) & (x < nx - 1 - margin) & (y > margin) & (y < ny - 1 - margin)
    return x[within], y[within], stars.mag[near][within]


def _same_side(wcs: WCS, stars: Stars) -> NDArray[np.bool_]:
    """Return which stars are within 90 degrees: the projection shows the others twice."""
    ra0, dec0 = np.radians(wcs.wcs.crval)
    ra, dec = np.radians(stars.ra), np.radians(stars.dec)
    cosine = np.sin(dec) * np.sin(dec0) + np.cos(dec) * np.cos(dec0) * np.cos(ra - ra0)
    return np.asarray(cosine > 0)


def _nearest(
    x: Column, y: Column, sources: Sources, tolerance: float
) -> tuple[NDArray[np.intp], Column]:
    """Return the source at each place, -1 for none, and its distance [pixel].

    Each source serves one star, the nearest.
    """
    tree = cKDTree(np.column_stack((sources.x, sources.y)))
    distance, which = tree.query(np.column_stack((x, y)), distance_upper_bound=tolerance)
    which = np.where(np.isfinite(distance), which, -1)
    order = np.argsort(distance, kind="stable")
    _, first = np.unique(which[order], return_index=True)
    alone = np.zeros(len(which), dtype=bool)
    alone[order[first]] = True
    return np.where(alone, which, -1), distance


def _expected(mag: Column, limit: float) -> NDArray[np.bool_]:
    """Return which stars the frame must show, of a limit [mag]; the brightest are first to be.

    A star without a magnitude counts as bright.
    """
    order = np.argsort(np.nan_to_num(mag, nan=-np.inf), kind="stable")
    rank = np.empty(len(mag), dtype=int)
    rank[order] = np.arange(len(mag))
    bright = ~(mag > limit - _BRIGHTER_BY)
    return (bright & (rank < _MOST_EXPECTED)) | (rank < LEAST_MATCHES)


def _same_brightness(
    mag: Column, which: NDArray[np.intp], paired: NDArray[np.bool_], sources: Sources
) -> tuple[NDArray[np.bool_], float]:
    """Return which pairs agree in brightness, and the zero point they agree on [mag]."""
    instrumental = -2.5 * np.log10(sources.flux[np.maximum(which, 0)])
    zero = np.where(paired, mag - instrumental, np.nan)
    if not np.isfinite(zero).any():
        return paired, np.inf if paired.any() else -np.inf
    zero_point = float(np.nanmedian(zero))
    agrees = paired & ~(abs(zero - zero_point) > _MAGNITUDE_SPREAD)
    return agrees, zero_point
