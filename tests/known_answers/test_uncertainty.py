"""The uncertainty of every product is what repetition shows, within 2 % of the variance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.known_answers.truth import Chip, Made, make
from toros.preprocessor.steps.base import CameraNoise


def nights(
    chip: Chip, count: int, light_s: float, dark_s: float, sky_e_s: float, with_biases: bool
) -> Iterator[dict[str, Made]]:
    """Take and reduce everything anew, again and again: three biases, darks, flats, a light."""
    for _ in range(count):
        made: dict[str, Made] = {}
        bias = make("stack_bias", chip.expose(3, 0.0)) if with_biases else None
        bias_plane = bias.plane if bias else None
        dark = make("stack_dark", chip.expose(5, dark_s), exposure_s=dark_s, bias=bias_plane)
        read_noise = (bias or dark).scalars["read_noise_adu"]
        noise = CameraNoise(chip.gain, read_noise)
        flat = None
        if bias:
            flat = make(
                "stack_flat",
                chip.expose(5, 4.0, 6000.0),
                bias=bias_plane,
                dark=dark.plane,
                scale=4 / dark_s,
                noise=CameraNoise(read_noise_adu=read_noise),
            )
            noise = CameraNoise(flat.scalars["gain_e_adu"], read_noise)
            made |= {"bias": bias, "flat": flat}
        light = make(
            "correct_light",
            chip.expose(1, light_s, sky_e_s),
            bias=bias_plane,
            dark=dark.plane,
            flat=flat.plane if flat else None,
            scale=light_s / dark_s,
            noise=noise,
        )
        yield made | {"dark": dark, "light": light}


def variance_ratios(chip: Chip, repeated: list[dict[str, Made]]) -> dict[str, float]:
    """Divide the mean predicted by the mean true variance of the usual pixels of each product."""
    usual = ~chip.hot
    ratios = {}
    for name in repeated[0]:
        values = np.array([night[name].plane.data for night in repeated], np.float64)[:, usual]
        sigmas = np.array([night[name].plane.sigma for night in repeated], np.float64)[:, usual]
        ratios[name] = float((sigmas**2).mean() / values.var(axis=0, ddof=1).mean())
    return ratios


CASES = {
    "three biases, scaled dark": (30.0, 120.0, 20.0, True),
    "three biases, dark scaled up": (120.0, 40.0, 5.0, True),
    "equal dark": (120.0, 120.0, 20.0, True),
    "no biases": (120.0, 120.0, 20.0, False),
    "no sky": (10.0, 120.0, 0.0, True),
}


@pytest.mark.parametrize("case", CASES)
def test_uncertainty_against_monte_carlo(case: str) -> None:
    # 24 repetitions of 9,200 pixels: the ratio's own scatter is 0.4 %.
    chip = Chip()
    ratios = variance_ratios(chip, list(nights(chip, 24, *CASES[case])))
    assert ratios == pytest.approx(dict.fromkeys(ratios, 1.0), abs=0.02)


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("camera", [(1.5, 8.0), (0.4, 2.0), (2.5, 15.0)])
def test_uncertainty_against_a_longer_monte_carlo(case: str, camera: tuple[float, float]) -> None:
    chip = Chip(gain=camera[0], read_noise=camera[1])
    ratios = variance_ratios(chip, list(nights(chip, 150, *CASES[case])))
    assert ratios == pytest.approx(dict.fromkeys(ratios, 1.0), abs=0.02)


def test_hot_pixels_have_the_noise_of_their_charge() -> None:
    chip = Chip(hot_fraction=0.05)
    repeated = list(nights(chip, 40, 120.0, 120.0, 20.0, with_biases=True))
    for name in ("dark", "light"):
        values = np.array([night[name].plane.data for night in repeated], np.float64)[:, chip.hot]
        sigmas = np.array([night[name].plane.sigma for night in repeated], np.float64)[:, chip.hot]
        ratio = (sigmas**2).mean() / values.var(axis=0, ddof=1).mean()
        assert ratio == pytest.approx(1, abs=0.1)  # 460 pixels: its scatter is some 2 %


def test_pull_of_a_light_is_normal() -> None:
    chip = Chip()
    (night,) = nights(chip, 1, 30.0, 120.0, 20.0, with_biases=True)
    light, truth = night["light"].plane, 30 * 20 / chip.gain
    pull = (light.data - truth) / light.sigma
    assert np.std(pull) == pytest.approx(1, abs=0.03)
    assert abs(np.mean(pull)) < 0.1
