"""Gain and read noise of a known camera come back out of its frames."""

from __future__ import annotations

import numpy as np
import pytest

from tests.known_answers.truth import Chip, make
from toros.preprocessor.steps.base import CameraNoise
from toros.preprocessor.steps.noise import quantisation_step


@pytest.mark.parametrize(
    ("gain", "read_noise"), [(1.5, 8.0), (0.3, 3.0), (4.0, 2.5)], ids=["ccd", "cmos", "coarse"]
)
def test_gain_within_1_and_read_noise_within_2_percent(gain: float, read_noise: float) -> None:
    chip = Chip(shape=(512, 512), gain=gain, read_noise=read_noise)
    bias = make("stack_bias", chip.expose(5, 0.0))
    dark = make("stack_dark", chip.expose(4, 60.0), exposure_s=60.0, bias=bias.plane)
    flat = make(
        "stack_flat",
        chip.expose(5, 4.0, 5000.0 * gain),
        bias=bias.plane,
        dark=dark.plane,
        scale=4 / 60,
        noise=CameraNoise(read_noise_adu=bias.scalars["read_noise_adu"]),
    )
    measured = flat.scalars["gain_e_adu"]
    assert measured == pytest.approx(gain, rel=0.01)
    assert bias.scalars["read_noise_adu"] * gain == pytest.approx(read_noise, rel=0.02)
    assert flat.scalars["read_noise_e"] == pytest.approx(read_noise, rel=0.02)
    assert dark.scalars["dark_current_adu_s"] * gain == pytest.approx(0.4, rel=0.02)


def test_gain_of_flats_that_differ_in_level_and_have_cosmic_rays() -> None:
    chip = Chip(shape=(384, 384))
    bias = make("stack_bias", chip.expose(5, 0.0))
    flats = np.concatenate([chip.expose(1, 1.0, light) for light in (30000.0, 24000.0, 18000.0)])
    hits = chip.rng.random(flats.shape) < 0.01
    flats[hits] += chip.rng.uniform(500, 20000, int(hits.sum())).astype(np.float32)
    flat = make(
        "stack_flat",
        flats,
        bias=bias.plane,
        noise=CameraNoise(read_noise_adu=bias.scalars["read_noise_adu"]),
    )
    assert flat.scalars["gain_e_adu"] == pytest.approx(chip.gain, rel=0.01)


def test_a_changing_gradient_does_not_pass_for_noise() -> None:
    chip = Chip(shape=(384, 384))
    bias = make("stack_bias", chip.expose(5, 0.0))
    slope = np.linspace(0.99, 1.01, 384)
    flats = np.concatenate(
        [chip.expose(1, 1.0, 30000.0 * gradient) for gradient in (slope, slope[::-1])]
    )
    flat = make(
        "stack_flat",
        flats,
        bias=bias.plane,
        noise=CameraNoise(read_noise_adu=bias.scalars["read_noise_adu"]),
    )
    assert flat.scalars["gain_e_adu"] == pytest.approx(chip.gain, rel=0.015)


@pytest.mark.parametrize("step", [1, 4, 16])
def test_the_step_of_rounding_is_found(step: int) -> None:
    values = np.arange(100, 200) * step
    assert quantisation_step(values) == step
    assert quantisation_step(values + 0.5) == 0.0
    assert quantisation_step(np.array([np.nan, *values])) == step


def test_coarse_rounding_is_taken_off_the_read_noise() -> None:
    rng = np.random.default_rng(3)
    frames = 16 * np.rint((16000 + 20 * rng.standard_normal((6, 256, 256))) / 16)
    found = make("stack_bias", frames).scalars
    assert found["step_adu"] == 16
    assert found["read_noise_adu"] == pytest.approx(20, rel=0.02)
