"""Flats, darks and cosmic rays of a known camera."""

from __future__ import annotations

import numpy as np
import pytest

from tests.known_answers.truth import Chip, make
from toros.preprocessor.steps.base import HOT, LOW_RESPONSE, CameraNoise


def test_flat_residual_is_at_most_a_thousandth() -> None:
    chip = Chip(shape=(128, 128), hot_fraction=0.002)
    bias = make("stack_bias", chip.expose(20, 0.0))
    dark = make("stack_dark", chip.expose(10, 60.0), exposure_s=60.0, bias=bias.plane)
    # 40 flats of 40,000 electrons: shot noise leaves 0.08 %.
    flats = np.concatenate([chip.expose(1, 4.0, light) for light in np.linspace(9000, 11000, 40)])
    flat = make("stack_flat", flats, bias=bias.plane, dark=dark.plane, scale=4 / 60)
    residual = flat.plane.data / chip.response
    assert np.std(residual) / np.mean(residual) < 1e-3
    assert np.median(flat.plane.data) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("light_s", [10.0, 60.0, 300.0])
def test_dark_scaling_is_unbiased_within_a_tenth_of_an_electron(light_s: float) -> None:
    chip = Chip(shape=(192, 192), read_noise=4.0, hot_fraction=0.0)
    bias = make("stack_bias", chip.expose(30, 0.0))
    dark = make("stack_dark", chip.expose(30, 120.0), exposure_s=120.0, bias=bias.plane)
    lights = [
        make(
            "correct_light",
            chip.expose(1, light_s),
            bias=bias.plane,
            dark=dark.plane,
            scale=light_s / 120.0,
            noise=CameraNoise(chip.gain, bias.scalars["read_noise_adu"]),
        ).plane.data
        for _ in range(8)
    ]
    assert abs(np.mean(lights, dtype=np.float64)) * chip.gain < 0.1


@pytest.mark.parametrize("count", [5, 9, 20])
def test_cosmic_rays_are_out_of_the_masters(count: int) -> None:
    chip = Chip(shape=(256, 256))
    clean = chip.expose(count, 60.0)
    hits = chip.rng.random(clean.shape) < 0.01
    struck = clean.copy()
    struck[hits] += chip.rng.uniform(100, 20000, int(hits.sum())).astype(np.float32)
    stacked, without = make("stack_dark", struck), make("stack_dark", clean)
    # A hit that is left lifts the mean by its own height over n, at least 20 ADU.
    left = (stacked.plane.data - without.plane.data)[hits.any(axis=0)]
    gone = np.abs(left) < 100 / count / 2
    assert gone.mean() > 0.99
    shift = (stacked.plane.data - without.plane.data) / without.plane.sigma
    assert abs(np.median(shift)) <= 0.05
    assert abs(np.mean(shift[~hits.any(axis=0)])) <= 0.05
    assert stacked.clipped == pytest.approx(hits.sum(), rel=0.01)


@pytest.mark.parametrize("count", [3, 4, 5, 8])
def test_good_values_are_kept_however_few_the_frames(count: int) -> None:
    chip = Chip(shape=(256, 256))
    made = make("stack_dark", chip.expose(count, 60.0))
    assert made.clipped < 2e-5 * count * 256 * 256


def test_of_two_frames_the_higher_is_clipped() -> None:
    chip = Chip(shape=(128, 128), hot_fraction=0.0)
    frames = chip.expose(2, 10.0)
    frames[1, 5, 6] += 5000
    made = make("stack_dark", frames)
    assert made.plane.data[5, 6] == frames[0, 5, 6]
    assert made.clipped == 1
    assert made.plane.sigma[5, 6] == pytest.approx(
        np.sqrt(2) * np.median(made.plane.sigma), rel=0.05
    )


def test_scaled_flats_are_clipped_only_after_they_are_scaled() -> None:
    # ccdproc.combine(scale=..., sigma_clip=True) clips the unscaled frames.
    chip = Chip(shape=(128, 128), hot_fraction=0.0)
    flats = np.concatenate([chip.expose(1, 1.0, light) for light in np.linspace(8e3, 4e4, 12)])
    flats[3, 10, 10] *= 1.5
    flats[0, 20, 20] *= 1.5  # the faintest: unscaled it does not stand out
    flat = make("stack_flat", flats, bias=make("stack_bias", chip.expose(9, 0.0)).plane)
    for place in ((10, 10), (20, 20)):
        assert flat.plane.data[place] == pytest.approx(chip.response[place], rel=0.01)


def test_bad_pixels_are_masked() -> None:
    chip = Chip(shape=(128, 128), hot_fraction=0.0)
    chip.dark_rate[3, 4] = 50.0
    chip.response[7, 8] = 0.05
    bias = make("stack_bias", chip.expose(5, 0.0))
    dark = make("stack_dark", chip.expose(5, 60.0), bias=bias.plane, exposure_s=60.0)
    flat = make("stack_flat", chip.expose(5, 4.0, 5000.0), bias=bias.plane)
    light = make(
        "correct_light",
        chip.expose(1, 60.0, 10.0),
        bias=bias.plane,
        dark=dark.plane,
        flat=flat.plane,
        noise=CameraNoise(chip.gain, 5.0),
    )
    assert light.plane.mask[3, 4] == HOT
    assert light.plane.mask[7, 8] == LOW_RESPONSE
    assert np.count_nonzero(light.plane.mask) == 2


def test_flats_that_are_saturated_or_faint_are_left_out() -> None:
    chip = Chip(shape=(128, 128), hot_fraction=0.0)
    bias = make("stack_bias", chip.expose(5, 0.0))
    flats = chip.expose(4, 4.0, 5000.0)
    flats[1] = np.minimum(3 * flats[1], 30000)
    flats[2] = chip.expose(1, 4.0, 20.0)[0]
    flat = make("stack_flat", flats, bias=bias.plane, saturation_adu=30000.0)
    assert [number for number, _ in flat.rejected] == [1, 2]
    assert "saturated" in flat.rejected[0][1]
    assert "too faint" in flat.rejected[1][1]
