"""Stars of an image: where they are, how bright and how wide.

Detection is SExtractor's, by the library sep: a background on a mesh, a threshold
above it, neighbouring pixels joined and blends taken apart. Single hot pixels are
mended first, because on undersampled frames without a dark they outnumber the stars.

References
----------
.. [1] Bertin, E., Arnouts, S., 1996, A&AS 117, 393: SExtractor.
.. [2] Barbary, K., 2016, Journal of Open Source Software 1(6), 58: sep.
.. [3] Stetson, P. B., 1987, PASP 99, 191, section III: a star's centre and its
   neighbours tell it from a bad pixel by their ratio ("sharp").
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Column = NDArray[np.float64]

_MESH_PX = 64
_MIN_AREA_PX = 3
# A star's four nearest neighbours have this share of its peak at least, on average. Of a
# Gaussian 1.1 pixels wide, and centred, it is 0.10; real stars are wider.
_HOT_RATIO = 0.1
_HOT_SIGMA = 5.0
_CORE = 0.6  # of the half-flux diameter: what is nearer follows a Gaussian
_MAX_RADIUS_PX = 60.0  # nothing out of focus by more is a star to anyone
_LEAST_NOISE = 0.1  # of the usual one
_MOST_PEAKS = 20_000  # taking away what bright ones have spawned takes the square of this
_OVERFLOWS = ("pixel buffer full", "overflow")


@dataclass(frozen=True)
class Sources:
    """The stars of an image, the brightest first, and the image's background.

    Attributes
    ----------
    x, y : ndarray, shape (n,) [pixel]
        Centres; (0, 0) is the centre of the first pixel, x runs along the rows.
    flux : ndarray, shape (n,) [ADU]
        Sum above the background within one aperture, the same for all.
    peak : ndarray, shape (n,) [ADU]
        The highest pixel above the background.
    fwhm : ndarray, shape (n,) [pixel]
        Full width at half maximum of the Gaussian that fits the star's core, pixels
        included; NaN where the star is too faint to tell.
    half_flux_diameter : ndarray, shape (n,) [pixel]
        Diameter of the circle that holds half of the light; of a Gaussian that is the
        full width at half maximum. It also measures stars far out of focus.
    ellipticity : ndarray, shape (n,)
        1 - b/a, 0 for round stars.
    clean : ndarray of bool, shape (n,)
        Whether the star is neither saturated nor blended nor cut by an edge.
    background, rms : float [ADU]
        Level of the background, and its noise in one pixel (1 sigma).
    limit : float [ADU]
        Flux above which a star of usual width is surely among these: its peak is at
        twice the threshold.
    """

    x: Column
    y: Column
    flux: Column
    peak: Column
    fwhm: Column
    half_flux_diameter: Column
    ellipticity: Column
    clean: Mask
    background: float
    rms: float
    limit: float

    def __len__(self) -> int:
        return len(self.x)

    def select(self, which: Mask | NDArray[np.intp] | slice) -> Sources:
        """Return some of the stars, in the same order."""
        names = [field.name for field in fields(self)]
        columns: dict[str, Any] = {
            name: getattr(self, name)[which]
            for name in names
            if isinstance(getattr(self, name), np.ndarray)
        }
        return replace(self, **columns)


def find_sources(
    image: NDArray[Any],
    *,
    threshold: float = 5.0,
    saturation_adu: float = math.inf,
    mend_hot_pixels: bool = True,
    deblend: bool = True,
    most: int = 2000,
) -> Sources:
    """Find the stars of an image.

    The time is bounded: what would need more memory than a crowded field has its
    threshold doubled until it fits, and only the brightest are measured.

    Parameters
    ----------
    image : ndarray, shape (ny, nx) [ADU]
        Raw or calibrated; of any numeric type. Pixels that are not finite are left out.
    threshold : float [sigma]
        Of detection, above the local background's noise.
    saturation_adu : float [ADU]
        Where pixels are full.
    mend_hot_pixels : bool
        Whether single hot pixels are replaced first.
    deblend : bool
        Whether stars that touch are taken apart; so is one star that is far out of focus.
    most : int
        How many stars are returned at most, the brightest.

    Raises
    ------
    ValueError
        `image` has not two dimensions.
    """
    data, bad = _native(image)
    full = (data >= saturation_adu) & ~bad
    level, rms, _ = _flatten(data, bad)
    if not rms > 0:  # an even frame, or one without a valid pixel
        return _none(level, 0.0)
    if mend_hot_pixels:
        _mend_hot_pixels(data, rms, full)
    # Once more, without the slope that made the first mesh's noise too large.
    rest, rms, noise = _flatten(data, bad)
    if not rms > 0:
        return _none(level, 0.0)
    found = _extract(data, threshold, noise, bad, 0.005 if deblend else 1.0)
    found = found[np.isfinite(found["a"] * found["b"] * found["x"] * found["y"])]
    found = found[found["b"] > 0]
    if len(found) == 0:
        return _none(level + rest, rms)
    return _measure(data, found, full, (level + rest, rms, threshold), most)


def mend_hot_pixels(image: NDArray[Any]) -> Image:
    """Return a copy whose single hot pixels have their neighbours' median.

    A pixel is hot if it stands out while its four neighbours, on average, show less
    than a tenth of its light: no star is that sharp.

    Parameters
    ----------
    image : ndarray, shape (ny, nx) [ADU]
    """
    data, bad = _native(image)
    above = data.copy()
    _, rms, _ = _flatten(above, bad)
    if not rms > 0:
        return np.where(bad, image, data).astype(np.float32)
    ground = data - above
    _mend_hot_pixels(above, rms, np.zeros(data.shape, dtype=bool))
    return np.where(bad, image, above + ground).astype(np.float32)


def _native(image: NDArray[Any]) -> tuple[Image, Mask]:
    """Return a copy that sep takes (native, contiguous), and where it is not finite."""
    if image.ndim != 2 or 0 in image.shape:
        raise ValueError(f"image.shape={image.shape}: it must be (ny, nx), each 1 or more")
    data = np.array(image, dtype=np.float32, order="C", copy=True)
    bad = ~np.isfinite(data)
    data[bad] = 0
    return data, bad


def _flatten(data: Image, bad: Mask) -> tuple[float, float, Image]:
    """Subtract the background in place; return its level, its noise, and the noise's map."""
    mesh = max(8, min(_MESH_PX, *(side // 4 for side in data.shape)))
    background = sep.Background(data, mask=bad, bw=mesh, bh=mesh)
    background.subfrom(data)
    data[bad] = 0
    rms = float(background.globalrms)
    # A piece without any noise, such as a strip that is no sky, must not be all stars.
    return float(background.globalback), rms, np.maximum(background.rms(), _LEAST_NOISE * rms)


def _mend_hot_pixels(above: Image, rms: float, full: Mask) -> None:
    """Replace hot pixels in an image without background, in place."""
    y, x = np.nonzero(above > _HOT_SIGMA * rms)
    ny, nx = above.shape
    padded = np.pad(above, 1, mode="reflect" if min(ny, nx) > 1 else "edge")
    cross = ((0, 1), (1, 0), (1, 2), (2, 1))
    ring = (*cross, (0, 0), (0, 2), (2, 0), (2, 2))
    beside = sum(padded[y + dy, x + dx] for dy, dx in cross) / len(cross)
    # A saturated pixel beside others is a star, whatever blooming did to its neighbours.
    hot = (beside < _HOT_RATIO * above[y, x]) & ~(full[y, x] & (beside > _HOT_SIGMA * rms))
    y, x = y[hot], x[hot]
    around = np.stack([padded[y + dy, x + dx] for dy, dx in ring])
    above[y, x] = np.median(around, axis=0)


def _extract(data: Image, threshold: float, noise: Image, bad: Mask, contrast: float) -> Any:
    """Return sep's table of objects; parts below a contrast of 0.005, as is usual, stay."""
    options = {"mask": bad, "minarea": _MIN_AREA_PX, "deblend_cont": contrast}
    threshold = _bounded(data, threshold, noise)
    while True:
        try:
            return sep.extract(data, threshold, err=noise, **options)
        except Exception as error:  # sep raises nothing narrower
            if not any(text in str(error) for text in _OVERFLOWS) or threshold > 1e6:
                raise
            threshold *= 2


def _bounded(data: Image, threshold: float, noise: Image) -> float:
    """Return a threshold above which not more peaks are than can be told apart in seconds."""
    if min(data.shape) < 3:
        return threshold
    inner = data[1:-1, 1:-1]
    peak = inner > threshold * noise[1:-1, 1:-1]
    for beside in (data[:-2, 1:-1], data[2:, 1:-1], data[1:-1, :-2], data[1:-1, 2:]):
        peak &= inner >= beside
    heights = (inner / noise[1:-1, 1:-1])[peak]
    if len(heights) <= _MOST_PEAKS:
        return threshold
    return float(np.partition(heights, -_MOST_PEAKS)[-_MOST_PEAKS])


def _measure(
    data: Image, found: Any, full: Mask, frame: tuple[float, float, float], most: int
) -> Sources:
    """Measure detected objects in an image without background."""
    level, rms, threshold = frame
    found = found[np.argsort(-found["flux"], kind="stable")[:most]]
    x, y, a, b = (found[name].astype(np.float64) for name in ("x", "y", "a", "b"))
    reach = np.clip(6 * a, 3.0, _MAX_RADIUS_PX)
    diameter = 2 * sep.flux_radius(data, x, y, reach, 0.5, subpix=5)[0]
    fwhm = _fwhm(data, x, y, diameter, rms)
    usual = float(np.nanmedian(fwhm)) if np.isfinite(fwhm).any() else float(np.median(diameter))
    aperture = min(max(1.5 * usual, 2.5), _MAX_RADIUS_PX)
    flux = sep.sum_circle(data, x, y, aperture)[0]
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    near = full[row.clip(0, data.shape[0] - 1), column.clip(0, data.shape[1] - 1)]
    # The peak of a Gaussian is flux / (1.133 fwhm^2).
    limit = 2 * threshold * rms * math.pi / (4 * math.log(2)) * usual**2
    if len(found) == most:
        limit = max(limit, float(flux.min()))
    sources = Sources(
        x=x,
        y=y,
        flux=flux,
        peak=found["peak"].astype(np.float64),
        fwhm=fwhm,
        half_flux_diameter=diameter,
        ellipticity=1 - b / a,
        clean=(found["flag"] == 0) & ~near,
        background=level,
        rms=rms,
        limit=limit,
    )
    order = np.argsort(-flux, kind="stable")
    return sources.select(order[flux[order] > 0])


def _fwhm(data: Image, x: Column, y: Column, diameter: Column, rms: float) -> Column:
    """Return full widths at half maximum [pixel], NaN where none can be told.

    The logarithm of a Gaussian falls with r^2: its slope over the star's bright part, each
    pixel weighted by what its noise leaves, gives the width.
    """
    half = int(np.clip(math.ceil(np.median(diameter)), 2, 20))
    steps = np.arange(-half, half + 1)
    # Which pixels, shape (n, k, 1) and (n, 1, k).
    row = (np.rint(y).astype(int)[:, None] + steps)[:, :, None]
    column = (np.rint(x).astype(int)[:, None] + steps)[:, None, :]
    outside = (row < 0) | (row >= data.shape[0]) | (column < 0) | (column >= data.shape[1])
    light = data[row.clip(0, data.shape[0] - 1), column.clip(0, data.shape[1] - 1)]
    r2 = (row - y[:, None, None]) ** 2 + (column - x[:, None, None]) ** 2
    # By distance, not by brightness: that would choose the pixels that noise has lifted.
    reach = np.maximum(_CORE * diameter, 1.5)[:, None, None]
    core = (r2 <= reach**2) & (light > rms) & ~outside
    weight = np.where(core, light, 0.0).astype(np.float64) ** 2
    log = np.log(np.where(core, light, 1.0))
    total = weight.sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_r2 = (weight * r2).sum(axis=(1, 2)) / total
        mean_log = (weight * log).sum(axis=(1, 2)) / total
        off = weight * (r2 - mean_r2[:, None, None])
        spread = (off * r2).sum(axis=(1, 2))
        slope = (off * (log - mean_log[:, None, None])).sum(axis=(1, 2)) / spread
        fwhm = 2 * np.sqrt(-math.log(2) / slope)
    told = (core.sum(axis=(1, 2)) >= _MIN_AREA_PX) & (slope < 0)
    return np.where(told, fwhm, np.nan)


def _none(level: float, rms: float) -> Sources:
    empty = np.empty(0)
    return Sources(*(empty,) * 7, np.empty(0, dtype=bool), level, rms, math.inf)
