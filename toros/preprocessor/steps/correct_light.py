"""Correction of a light: bias and dark off, divided by the flat, with its uncertainty.

With a light L of exposure time t, a bias stack B, a dark stack D of exposure
time t_D that still holds the bias, a flat F and s = t / t_D::

    C = (L - (1 - s) B - s D) / F

    var(C) = (var(L) + (1 - s)^2 var(B) + s^2 var(D)) / F^2 + C^2 var(F) / F^2

    var(L) = R^2 + q^2 / 12 + (L - B) / g

with the read noise R and the rounding q in ADU and the gain g in electron/ADU.
B stands both in its own right and inside D, but the two are made of different
frames, so that the terms are independent. With s = 1 there is no bias left in
it, and without biases s must be 1.

References
----------
.. [1] Janesick, J. R., 2007, Photon Transfer, SPIE Press, chapter 5.
.. [2] Newberry, M. V., 1991, PASP 103, 122: signal to noise of calibrated frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from toros.config.kinds import Section
from toros.preprocessor.steps.base import (
    BIAS_STACK,
    CALIBRATED_LIGHT,
    DARK_STACK,
    FLAT_STACK,
    LOW_RESPONSE,
    NODATA,
    SATURATED,
    Band,
    Setup,
    Step,
    Strip,
    Survey,
)
from toros.preprocessor.steps.noise import Array, core_sigma, median_of, quantisation_step
from toros.preprocessor.steps.stack_flat import subtract

# Of a sky near 0 the charge that is seen is below 0 in half of the pixels.
# Cut off at 0, the mean variance would be too large; without any limit, single
# pixels would be left without noise.
_LOWEST_SHARE = 0.25


class CorrectLightSettings(Section):
    """Settings of `correct_light`: it needs none."""


@dataclass(frozen=True)
class LightNumbers:
    """What the survey found.

    Attributes
    ----------
    read_variance : float
        Variance of the light without signal [ADU^2]; NaN if unknown.
    zero_adu : float
        Level of no signal where there is no bias stack [ADU]; NaN if unknown.
    """

    read_variance: float
    zero_adu: float


def survey(setup: Setup, sample: Band) -> Survey:
    """Find what the uncertainty rests on, and the noise before and after."""
    numbers, notes = _numbers(setup, sample)
    light = sample.frames[0]
    dark_off = subtract(light, sample, setup, 0)
    strip = _reduce(setup, numbers, sample)
    good = (strip.mask & (NODATA | LOW_RESPONSE | SATURATED)) == 0
    scalars: dict[str, float] = {}
    for name, image in (("before", light), ("dark", dark_off), ("after", strip.data)):
        kept = image[good]
        scalars[f"level_{name}_adu"] = median_of(kept)
        scalars[f"noise_{name}_adu"] = core_sigma(kept)
        scalars[f"spread_{name}_adu"] = float(kept.std(dtype=np.float64)) if kept.size else math.nan
    sigma = strip.sigma[good]
    scalars["noise_expected_adu"] = median_of(sigma)
    scalars["gain_e_adu"] = setup.noise.gain_e_adu or math.nan
    scalars["read_noise_adu"] = _or_nan(setup.noise.read_noise_adu)
    scalars["read_noise_e"] = scalars["read_noise_adu"] * scalars["gain_e_adu"]
    scalars["dark_scale"] = math.nan if setup.dark_of[0] is None else setup.dark_scale[0]
    return Survey(numbers, scalars, (0,), (), notes)


def reduce(setup: Setup, found: Survey, band: Band) -> Strip:
    """Correct a band of a light."""
    return _reduce(setup, found.numbers, band)


def _reduce(setup: Setup, numbers: LightNumbers, band: Band) -> Strip:
    light = band.frames[0]
    data = subtract(light, band, setup, 0)
    variance = light_variance(setup, numbers, band) + masters_variance(setup, band)
    mask = np.zeros(light.shape, np.uint8)
    mask[light >= setup.saturation_adu] |= SATURATED
    which = setup.dark_of[0]
    bias = band.bias if which is None or setup.dark_scale[0] != 1 else None
    for plane in (bias, band.flat, band.darks[which] if which is not None else None):
        if plane is not None:
            mask |= plane.mask & ~np.uint8(SATURATED)
    if band.flat is not None:
        data, variance = divide(data, variance, band.flat.data, band.flat.sigma)
    bad = ~np.isfinite(data)
    data[bad] = np.nan
    mask[bad] |= NODATA
    with np.errstate(invalid="ignore"):
        sigma = np.sqrt(variance)
    sigma[bad] = np.nan
    return Strip(data, sigma, mask)


def light_variance(setup: Setup, numbers: LightNumbers, band: Band) -> Array:
    """Compute the variance of the raw light itself, from its own charge [ADU^2].

    Returns
    -------
    ndarray of float32, shape (rows, nx)
        NaN where the gain, the read noise or the level of no signal is unknown.
    """
    gain = setup.noise.gain_e_adu
    light = band.frames[0]
    if gain is None or not math.isfinite(numbers.read_variance):
        return np.full(light.shape, np.nan, np.float32)
    zero = band.bias.data if band.bias is not None else np.float32(numbers.zero_adu)
    variance = (light - zero) / np.float32(gain)
    variance += np.float32(numbers.read_variance)
    return np.asarray(np.maximum(variance, np.float32(_LOWEST_SHARE * numbers.read_variance)))


def masters_variance(setup: Setup, band: Band) -> Array | np.float32:
    """Compute the variance that bias and dark stack bring in [ADU^2]."""
    which = setup.dark_of[0]
    if which is None:
        return band.bias.sigma**2 if band.bias is not None else np.float32(0)
    scale = setup.dark_scale[0]
    variance = np.float32(scale**2) * band.darks[which].sigma ** 2
    if band.bias is not None and scale != 1:
        variance += np.float32((1 - scale) ** 2) * band.bias.sigma**2
    return variance


def divide(data: Array, variance: Array, flat: Array, flat_sigma: Array) -> tuple[Array, Array]:
    """Divide by a flat, and propagate both variances; NaN where there is no response."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        response = np.where(flat > 0, flat, np.float32(np.nan))
        corrected: Array = np.asarray(data / response, np.float32)
        noise = variance + (corrected * flat_sigma) ** 2
        return corrected, np.asarray(noise / response**2, np.float32)


def _numbers(setup: Setup, sample: Band) -> tuple[LightNumbers, tuple[str, ...]]:
    noise = setup.noise
    step = quantisation_step(sample.frames)
    read_variance = _or_nan(noise.read_noise_adu) ** 2 + step**2 / 12
    which = setup.dark_of[0]
    zero = math.nan
    if which is not None:
        # A dark's usual pixel: hot ones keep the noise of their charge.
        zero = median_of(sample.darks[which].data)
    lacking = [
        name
        for name, value in (
            ("gain", noise.gain_e_adu),
            ("read noise", noise.read_noise_adu),
            ("level of no signal", 0.0 if sample.bias is not None or which is not None else None),
        )
        if value is None
    ]
    notes = (f"uncertainty unknown, for want of: {', '.join(lacking)}",) if lacking else ()
    return LightNumbers(read_variance, zero), notes


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


STEP = Step(
    name="correct_light",
    summary="subtracts bias and dark from each light, divides by the flat, masks bad pixels",
    consumes="light",
    makes=CALIBRATED_LIGHT,
    unit="adu",
    combines=False,
    group_by=(),
    needs=(BIAS_STACK, DARK_STACK, FLAT_STACK),
    welcomes=(),
    settings=CorrectLightSettings,
    survey=survey,
    reduce=reduce,
)
