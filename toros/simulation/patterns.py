"""The fixed patterns of a camera: what is the same in each of its frames.

All of them are functions of the camera alone (its numbers and its seed), made
once and kept while they are in use; the arrays are read-only.

References
----------
.. [1] Janesick, J. R., 2001, Scientific Charge-Coupled Devices, SPIE Press
   (dark current and its spread: chapter 7; pixel non-uniformity: chapter 2).
.. [2] Born, M., Wolf, E., 1999, Principles of Optics, 7th ed., section 4.8.1:
   natural vignetting, the law of the fourth power of the cosine.
.. [3] Howell, S. B., 2006, Handbook of CCD Astronomy, 2nd ed., chapter 4:
   flat fields and the rings of dust out of focus.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import numpy.typing as npt

from toros.simulation.randomness import Stream, generator

if TYPE_CHECKING:
    from toros.simulation.camera import Camera

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_OBSTRUCTION = 0.4  # diameter of the secondary over that of the primary: the hole in a donut


@lru_cache(maxsize=2)
def bias_pattern(camera: Camera) -> Image:
    """Return the mean of a frame without charge, shape (ny, nx) [ADU].

    The level, an offset for each column (normal, of the given rms) and a ramp
    over the first rows, while the output amplifier settles: three times that
    rms at the first row, falling by e in a twentieth of the rows.
    """
    ny, nx = camera.shape
    rng = generator(camera.seed, Stream.BIAS_PATTERN)
    columns = camera.bias_structure_adu * rng.standard_normal(nx)
    rows = 3 * camera.bias_structure_adu * np.exp(-np.arange(ny) / (0.05 * ny))
    return _frozen(camera.bias_adu + rows[:, None] + columns[None, :])


@lru_cache(maxsize=2)
def dark_pattern(camera: Camera) -> tuple[Image, Mask]:
    """Return the dark current at the reference temperature, and where it is hot.

    A normal spread among ordinary pixels; hot pixels have a log-normal excess
    on top of it, as measured chips have long tails [1]_.

    Returns
    -------
    rate : ndarray, shape (ny, nx) [electron/s]
    hot : ndarray of bool, shape (ny, nx)
    """
    rng = generator(camera.seed, Stream.DARK_PATTERN)
    spread = camera.dark_nonuniformity * rng.standard_normal(camera.shape, dtype=np.float32)
    rate = camera.dark_current_e_s * np.maximum(1 + spread, 0)
    hot = rng.random(camera.shape, dtype=np.float32) < camera.hot_fraction
    rate[hot] += rng.lognormal(np.log(camera.hot_current_e_s), camera.hot_spread, int(hot.sum()))
    return _frozen(rate), _frozen_mask(hot)


@lru_cache(maxsize=2)
def dead_pixels(camera: Camera) -> Mask:
    """Return the pixels that see no light, shape (ny, nx).

    Single ones, and columns blocked from a random row on: no charge from
    above the trap gets past it on its way to the register, which is row 0.
    """
    ny, nx = camera.shape
    rng = generator(camera.seed, Stream.DEAD_PIXELS)
    dead = rng.random(camera.shape, dtype=np.float32) < camera.dead_fraction
    for _ in range(camera.dead_columns):
        dead[rng.integers(ny) :, rng.integers(nx)] = True
    return _frozen_mask(dead)


@lru_cache(maxsize=8)
def flat_field(camera: Camera, filter_name: str) -> Image:
    """Return the response to even light, median 1, shape (ny, nx).

    Pixel response non-uniformity, vignetting, dust on the window (the same in
    every filter) and on the filter; 0 where a pixel is dead.
    """
    window = generator(camera.seed, Stream.FLAT_PATTERN)
    glass = generator(camera.seed, Stream.FLAT_PATTERN, crc32(filter_name.encode()))
    response = 1 + camera.prnu * window.standard_normal(camera.shape, dtype=np.float32)
    response *= _vignetting(camera.shape, camera.vignetting)
    # The nearer to the chip, the smaller the shadow.
    _add_dust(response, window, camera.dust - camera.dust // 2, radii_px=(8, 20))
    _add_dust(response, glass, camera.dust // 2, radii_px=(20, 50))
    response[dead_pixels(camera)] = 0
    return _frozen(response / np.median(response))


def _vignetting(shape: tuple[int, int], corner_loss: float) -> Image:
    """Return cos^4(theta) with tan(theta) = r / f [2]_, shape (ny, nx).

    cos^4(theta) = (1 + (r/f)^2)^-2; f follows from the light lost at the corners.
    """
    ny, nx = shape
    y = (np.arange(ny, dtype=np.float32) - (ny - 1) / 2)[:, None]
    x = (np.arange(nx, dtype=np.float32) - (nx - 1) / 2)[None, :]
    corner_squared = (ny / 2) ** 2 + (nx / 2) ** 2
    scale = ((1 - corner_loss) ** -0.5 - 1) / corner_squared
    return np.asarray((1 + scale * (x * x + y * y)) ** -2, dtype=np.float32)


def _add_dust(
    response: Image, rng: np.random.Generator, grains: int, radii_px: tuple[float, float]
) -> None:
    """Darken `response` by out-of-focus grains, each the image of the telescope's pupil [3]_."""
    ny, nx = response.shape
    for _ in range(grains):
        cy, cx = rng.uniform(0, ny), rng.uniform(0, nx)
        radius, depth = rng.uniform(*radii_px), rng.uniform(0.01, 0.06)
        reach = 1.6 * radius
        y = np.arange(max(0, int(cy - reach)), min(ny, int(cy + reach) + 1))
        x = np.arange(max(0, int(cx - reach)), min(nx, int(cx + reach) + 1))
        distance = np.hypot(y[:, None] - cy, x[None, :] - cx)
        edge = 0.08 * radius
        outside = _step((distance - radius) / edge)
        inside = _step((distance - _OBSTRUCTION * radius) / edge)
        response[y[0] : y[-1] + 1, x[0] : x[-1] + 1] *= 1 - depth * (inside - outside)


def _step(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return a smooth step from 0 to 1."""
    return np.asarray(0.5 * (1 + np.tanh(x)))


def _frozen(values: npt.NDArray[np.floating]) -> Image:
    image = np.ascontiguousarray(values, dtype=np.float32)
    image.setflags(write=False)
    return image


def _frozen_mask(mask: Mask) -> Mask:
    mask.setflags(write=False)
    return mask
