"""The simulated camera, with its dust, hot and dead pixels and cosmic rays, comes out as it is."""

from __future__ import annotations

import numpy as np
import pytest

from tests.known_answers.truth import Made, make
from toros.preprocessor.steps.base import HOT, LOW_RESPONSE, CameraNoise
from toros.simulation.camera import Camera

SKY_E_S, LIGHT_S, DARK_S = 10.0, 60.0, 120.0


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera(shape=(384, 384), hot_fraction=0.003)


@pytest.fixture(scope="module")
def made(camera: Camera) -> dict[str, Made]:
    bias = make("stack_bias", np.array([camera.bias(i) for i in range(9)]))
    dark = make(
        "stack_dark",
        np.array([camera.dark(DARK_S, number=i) for i in range(7)]),
        exposure_s=DARK_S,
        bias=bias.plane,
    )
    read_noise = bias.scalars["read_noise_adu"]
    flat = make(
        "stack_flat",
        np.array([camera.flat(25000 + 1000 * i, "R", number=i) for i in range(12)]),
        bias=bias.plane,
        dark=dark.plane,
        scale=4 / DARK_S,
        noise=CameraNoise(read_noise_adu=read_noise),
        saturation_adu=camera.saturation_adu,
    )
    light = make(
        "correct_light",
        np.array([camera.light(SKY_E_S, LIGHT_S, "R")]),
        bias=bias.plane,
        dark=dark.plane,
        flat=flat.plane,
        scale=LIGHT_S / DARK_S,
        noise=CameraNoise(flat.scalars["gain_e_adu"], read_noise),
        saturation_adu=camera.saturation_adu,
    )
    return {"bias": bias, "dark": dark, "flat": flat, "light": light}


def test_gain_read_noise_and_dark_current(camera: Camera, made: dict[str, Made]) -> None:
    gain = made["flat"].scalars["gain_e_adu"]
    assert gain == pytest.approx(camera.gain_e_adu, rel=0.01)
    assert made["flat"].scalars["read_noise_e"] == pytest.approx(camera.read_noise_e, rel=0.02)
    current = made["dark"].scalars["dark_current_adu_s"] * camera.gain_e_adu
    usual = camera.dark_rate()[~camera.bad_pixels()].mean()
    assert current == pytest.approx(usual, rel=0.02)


def test_flat_residual(camera: Camera, made: dict[str, Made]) -> None:
    good = ~camera.bad_pixels()
    residual = made["flat"].plane.data[good] / camera.flat_field("R")[good]
    noise = np.median(made["flat"].plane.sigma)
    assert np.std(residual) < 1.1 * noise < 0.002
    # And no structure beside the noise: means of blocks of 16 by 16.
    blocks = np.where(good, made["flat"].plane.data - camera.flat_field("R"), 0.0)
    blocks = blocks.reshape(24, 16, 24, 16).mean(axis=(1, 3))
    assert blocks.std() < 2e-4


def test_bad_pixels_are_found(camera: Camera, made: dict[str, Made]) -> None:
    mask = made["light"].plane.mask
    dead = camera.dead_pixels()
    assert (mask[dead] & LOW_RESPONSE).all()
    excess = camera.dark_rate() * DARK_S / camera.gain_e_adu
    limit = 10 * made["dark"].scalars["noise_before_adu"]
    assert (mask[excess > 1.2 * limit] & HOT).all()
    assert not (mask[excess < 0.8 * limit] & HOT).any()


def test_a_light_is_as_noisy_as_it_must_be(camera: Camera, made: dict[str, Made]) -> None:
    light = made["light"].plane
    good = light.mask == 0
    truth = SKY_E_S * LIGHT_S / camera.gain_e_adu
    assert np.median(light.data[good]) == pytest.approx(truth, rel=0.002)
    pull = (light.data[good] - truth) / light.sigma[good]
    inside = np.abs(pull) < 5  # cosmic rays of the light itself stay
    assert inside.mean() > 0.995
    assert np.std(pull[inside]) == pytest.approx(1, abs=0.02)
    limit = np.median(camera.noise_e((SKY_E_S + camera.dark_current_e_s) * LIGHT_S))
    measured = made["light"].scalars["noise_after_adu"] * camera.gain_e_adu
    # Above the photon limit by vignetting and the masters' own noise alone.
    assert limit < measured < 1.12 * limit
