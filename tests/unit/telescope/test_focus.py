"""The V-curve: known minima, outliers, and curves that tell nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from toros.errors import FocusFailed
from toros.telescope.focus import best_focus, measure

STEPS = np.arange(-4, 5) * 100.0


def curve(x: np.ndarray, x0: float, w0: float = 3.0, slope: float = 0.05) -> np.ndarray:
    return np.hypot(w0, slope * (x - x0))


@settings(max_examples=60, deadline=None)
@given(
    offset=st.floats(-180, 180),
    centre=st.integers(0, 60000),
    w0=st.floats(1.5, 8),
    steepness=st.floats(1.0, 6),
    seed=st.integers(0, 10_000),
)
def test_the_minimum_is_found_within_its_error(
    offset: float, centre: int, w0: float, steepness: float, seed: int
) -> None:
    x = centre + STEPS
    noise = 1 + 0.02 * np.random.default_rng(seed).standard_normal(len(x))
    found = best_focus(x.tolist(), (curve(x, centre + offset, w0, steepness * w0 / 400) * noise))
    assert abs(found.position - centre - offset) < max(6 * found.error, 15)
    assert found.error < 60
    assert found.diameter_px == pytest.approx(w0, rel=0.3)


def test_the_error_is_that_of_repeated_runs() -> None:
    rng = np.random.default_rng(3)
    runs = []
    for _ in range(200):
        w = curve(STEPS, 37.0) * (1 + 0.02 * rng.standard_normal(len(STEPS)))
        runs.append(best_focus(STEPS, w))
    places = np.array([run.position for run in runs])
    assert places.mean() == pytest.approx(37, abs=1.5)
    # Nine points' own scatter is known to a third; the mean of many is better.
    assert np.mean([run.error for run in runs]) == pytest.approx(places.std(), rel=0.35)


@pytest.mark.parametrize("at", range(9))
@pytest.mark.parametrize("factor", [0.4, 3.0])
def test_one_outlier_does_not_matter(at: int, factor: float) -> None:
    w = curve(STEPS, -60.0) * (1 + 0.005 * np.random.default_rng(at).standard_normal(9))
    w[at] *= factor
    found = best_focus(STEPS, w)
    assert found.position == pytest.approx(-60, abs=12)
    assert found.left_out == (at,)


def test_what_was_not_measured_is_left_out() -> None:
    w = curve(STEPS, 20.0)
    w[0] = np.nan
    found = best_focus(STEPS, w)
    assert found.position == pytest.approx(20, abs=1)
    assert found.left_out == (0,)


def test_the_order_does_not_matter() -> None:
    turned = best_focus(STEPS[::-1].tolist(), curve(STEPS, 20.0)[::-1].tolist())
    assert turned.position == pytest.approx(best_focus(STEPS, curve(STEPS, 20.0)).position)


@pytest.mark.parametrize(
    ("w", "why"),
    [
        (curve(STEPS, 390.0), "edge or beyond: above 400"),
        (curve(STEPS, -900.0), "edge or beyond: below -400"),
        (curve(STEPS, 0.0, slope=0.002), "flat"),
        (np.full(9, 4.0), "flat"),
        (np.full(9, np.nan), "at 0 positions"),
        (np.where(abs(STEPS) < 150, curve(STEPS, 0.0), np.nan), "at 3 positions"),
        (40 - curve(STEPS, 0.0), "upside down|do not fit|edge"),
    ],
)
def test_a_curve_that_tells_nothing_is_refused(w: np.ndarray, why: str) -> None:
    with pytest.raises(FocusFailed, match=why):
        best_focus(STEPS, w)


def test_noise_is_refused() -> None:
    refused = 0
    for seed in range(40):
        w = np.random.default_rng(seed).uniform(3, 9, 9)
        try:
            found = best_focus(STEPS, w)
        except FocusFailed:
            refused += 1
        else:
            assert found.error > 0
    assert refused >= 36


def draw(defocus_px: float, seed: int) -> np.ndarray:
    """Draw stars as rings of a mirror with a hole, in seeing of 2.5 pixels."""
    rng = np.random.default_rng(seed)
    image = np.zeros((512, 512))
    y, x = np.indices((61, 61)) - 30.0
    r = np.hypot(x, y)
    ring = np.clip(defocus_px + 0.5 - r, 0, 1) - np.clip(0.35 * defocus_px + 0.5 - r, 0, 1)
    if defocus_px < 0.8:
        ring = (r < 0.5).astype(float)
    ring /= ring.sum()
    for i in range(7):
        for j in range(7):
            cy, cx = 40 + 70 * i + rng.integers(-5, 6), 40 + 70 * j + rng.integers(-5, 6)
            window = image[max(cy - 30, 0) : cy + 31, max(cx - 30, 0) : cx + 31]
            part = ring[max(30 - cy, 0) :, max(30 - cx, 0) :]
            window += part[: window.shape[0], : window.shape[1]] * rng.uniform(1e5, 4e5)
    image = gaussian_filter(image, 2.5 / 2.355)
    frame = 500 + image + rng.normal(0, 8, image.shape)
    frame[rng.random(image.shape) < 5e-4] += 3000
    return frame.astype(np.float32)


def test_frames_far_out_of_focus_make_a_v_curve() -> None:
    x0, per_step = 25030.0, 0.03  # pixels of radius in a step
    positions = 25000 + STEPS
    widths = [measure(draw(per_step * abs(x - x0), seed=int(x))) for x in positions]
    assert all(width.stars >= 40 for width in widths)
    found = best_focus(positions, [width.diameter_px for width in widths])
    assert found.position == pytest.approx(x0, abs=15)
    assert found.error < 15
    # Half of a ring's light, with a hole of 0.35, is within sqrt((1 + 0.35^2) / 2).
    assert found.slope_px == pytest.approx(2 * per_step * np.sqrt((1 + 0.35**2) / 2), rel=0.1)


def test_an_image_without_stars_is_refused() -> None:
    noise = np.random.default_rng(1).normal(500, 8, (200, 200)).astype(np.float32)
    with pytest.raises(FocusFailed, match="0 stars"):
        measure(noise)
