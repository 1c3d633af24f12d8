"""Whatever the pixels are, a step makes a product that says which of them can be used."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tests.known_answers.truth import Made, make
from toros.errors import StackingFailed
from toros.preprocessor.steps.base import NODATA, CameraNoise


def odd_frames(rng: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    """Draw frames: usual, rounded, constant, zero, with holes, lost, huge, of any 16 bits."""
    frames = rng.normal(1000, 10, (count, *shape))
    kind = rng.integers(9)
    if kind == 1:
        frames = np.rint(frames)
    elif kind in (2, 3):
        frames[:] = 1000 * (kind - 2)
    elif kind == 4:
        frames[rng.random(frames.shape) < 0.3] = np.nan
    elif kind == 5:
        frames[rng.integers(count)] = np.nan
    elif kind == 6:
        frames[:] = np.nan
    elif kind == 7:
        frames *= 1e12
    elif kind == 8:
        frames = rng.integers(0, 65536, frames.shape)
    return frames.astype(np.float32)


def odd_night(rng: np.random.Generator) -> list[Made]:
    shape = (int(rng.integers(2, 40)), int(rng.integers(2, 40)))
    count = int(rng.integers(1, 8))
    bias = make("stack_bias", odd_frames(rng, count, shape)) if rng.random() < 0.7 else None
    bias_plane = bias.plane if bias else None
    dark = None
    if rng.random() < 0.7:
        dark = make("stack_dark", odd_frames(rng, count, shape), exposure_s=10.0, bias=bias_plane)
    dark_plane = dark.plane if dark else None
    scale = float(rng.uniform(0.01, 50)) if bias and rng.random() < 0.5 else 1.0
    noise = CameraNoise(rng.choice([1.5, None]), rng.choice([3.0, None]))
    masters = {"bias": bias_plane, "dark": dark_plane, "scale": scale, "noise": noise}
    flat = None
    try:
        ceiling = rng.choice([65535.0, np.inf])
        flats = 5 * odd_frames(rng, count, shape)
        flat = make("stack_flat", flats, saturation_adu=ceiling, **masters)
    except StackingFailed as error:
        assert "frame 0: " in error.message
    flat_plane = flat.plane if flat else None
    light = make("correct_light", odd_frames(rng, 1, shape), flat=flat_plane, **masters)
    return [made for made in (bias, dark, flat, light) if made is not None]


@pytest.mark.parametrize("seed", range(4))
def test_odd_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(60):
            for made in odd_night(rng):
                plane = made.plane
                assert plane.data.dtype == plane.sigma.dtype == np.float32
                assert plane.mask.dtype == np.uint8
                assert plane.data.shape == plane.sigma.shape == plane.mask.shape
                assert np.array_equal(np.isnan(plane.data), (plane.mask & NODATA) != 0)
                assert np.isfinite(plane.data[plane.mask == 0]).all()
                assert not (plane.sigma < 0).any()
