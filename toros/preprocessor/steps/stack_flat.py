"""Flat stack: the response of each pixel, relative to the median pixel.

Each flat is freed of bias and dark, divided by its own level, and only then
combined: clipping frames of different levels would reject by brightness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from toros.config.kinds import Section, number
from toros.errors import StackingFailed
from toros.preprocessor.steps.base import (
    BIAS_STACK,
    DARK_STACK,
    FLAT_STACK,
    LOW_RESPONSE,
    Band,
    Setup,
    Step,
    Strip,
    Survey,
)
from toros.preprocessor.steps.noise import Array, Doubles, Flags, median_of, quantisation_step
from toros.preprocessor.steps.photon_transfer import measure_gain
from toros.preprocessor.steps.stack_bias import clipped, no_data, stack_sigma
from toros.preprocessor.steps.stacking import StackNoise, clip_and_average, survey_noise

# A flat's usual pixels leave the linear range before the converter ends.
_NEAR_SATURATION = 0.9


class StackFlatSettings(Section):
    """Settings of `stack_flat`."""

    minimum_level_adu: Annotated[float, *number(0, 1e9, "ADU")] = Field(
        500.0,
        alias="Minimum Level (ADU)",
        description="A flat whose median, bias and dark subtracted, is lower is left out.",
    )
    saturated_fraction: Annotated[float, *number(0, 1)] = Field(
        0.01,
        alias="Saturated Fraction",
        description="A flat is left out if more than this fraction of its pixels is saturated.",
    )
    low_response: Annotated[float, *number(0, 1)] = Field(
        0.25,
        alias="Low Response",
        description="A pixel is masked as dead or vignetted below this response, in units of "
        "the median pixel's.",
    )


@dataclass(frozen=True)
class FlatNumbers:
    """What the survey found.

    Attributes
    ----------
    noise : StackNoise
        Of one scaled flat [relative].
    levels : tuple of float
        Level of each frame that is used [ADU].
    used : tuple of int
        Which of the frames these are.
    norm : float
        Median of the stack of scaled frames, which it is divided by.
    """

    noise: StackNoise
    levels: tuple[float, ...]
    used: tuple[int, ...]
    norm: float


def survey(setup: Setup, sample: Band) -> Survey:
    """Measure levels, choose the frames that are good enough, measure noise and gain.

    Raises
    ------
    StackingFailed
        No frame is good enough; the message says why for each.
    """
    everything = tuple(range(len(sample.frames)))
    signals = calibrated(setup, sample, everything)
    good = usable_pixels(sample)
    levels = np.array([median_of(signal[good]) for signal in signals])
    reasons = {
        i: reason
        for i in everything
        if (reason := _unusable(setup, sample.frames[i], float(levels[i])))
    }
    if len(reasons) == len(everything):
        every = "; ".join(f"{setup.names[i]}: {reason}" for i, reason in reasons.items())
        raise StackingFailed(f"no flat of this group can be used: {every}")
    used = tuple(i for i in everything if i not in reasons)
    index = list(used)
    scaled = _scale(signals[index], levels[index])
    noise = survey_noise(scaled)
    stack = clip_and_average(scaled, noise.floor).data
    norm = median_of(stack[good])
    numbers = FlatNumbers(noise, tuple(float(level) for level in levels[index]), used, norm)
    scalars = _scalars(setup, sample, signals, numbers)
    notes = ("a stack of one frame",) if len(used) == 1 else ()
    return Survey(numbers, scalars, used, tuple(sorted(reasons.items())), notes)


def reduce(setup: Setup, found: Survey, band: Band) -> Strip:
    """Calibrate, scale and average the frames of a band, and mask pixels of low response.

    `band` holds the used frames only.
    """
    numbers: FlatNumbers = found.numbers
    scaled = _scale(calibrated(setup, band, numbers.used), np.array(numbers.levels))
    stacked = clip_and_average(scaled, numbers.noise.floor)
    own = stack_sigma(numbers.noise, stacked)
    sigma = np.sqrt(own**2 + shared_variance(setup, band, numbers))
    norm = np.float32(numbers.norm)
    data: Array = stacked.data / norm
    mask = no_data(data)
    mask[data < setup.settings.low_response] |= LOW_RESPONSE  # type: ignore[attr-defined]
    return Strip(data, np.asarray(sigma / norm), mask, clipped(scaled, stacked))


def calibrated(setup: Setup, band: Band, used: tuple[int, ...]) -> Array:
    """Subtract bias and scaled dark from frames.

    Parameters
    ----------
    setup : Setup
        Which dark, and how scaled, for each frame of the job.
    band : Band
        Its frames are those numbered `used`.
    used : tuple of int
        Frames of the job, in their order.

    Returns
    -------
    ndarray of float32, shape (len(used), rows, nx)
        A new array [ADU].
    """
    signals = np.empty_like(band.frames)
    for number_in_band, i in enumerate(used):
        signals[number_in_band] = subtract(band.frames[number_in_band], band, setup, i)
    return signals


def subtract(frame: Array, band: Band, setup: Setup, i: int) -> Array:
    """Compute F - (1 - s) B - s D for a frame F, of bias B and dark D (bias in it).

    Without a dark it is F - B; without a bias s is 1, since a dark of another
    exposure time could not be scaled; without both it is F.
    """
    which = setup.dark_of[i]
    if which is None:
        return frame - band.bias.data if band.bias is not None else frame.copy()
    scale = np.float32(setup.dark_scale[i])
    dark = band.darks[which].data
    if band.bias is None or scale == 1:
        return frame - dark
    return np.asarray(frame - ((1 - scale) * band.bias.data + scale * dark))


def shared_variance(setup: Setup, band: Band, numbers: FlatNumbers) -> Array:
    """Compute the variance that the masters bring into the mean of scaled flats [relative^2].

    The same noise of a master is in every frame, so it adds up before it is squared.
    """
    weights = np.array([1 / (level * len(numbers.levels)) for level in numbers.levels])
    scales = np.array([setup.dark_scale[i] for i in numbers.used])
    has_dark = np.array([setup.dark_of[i] is not None for i in numbers.used])
    variance = np.zeros(band.frames.shape[1:], np.float32)
    if band.bias is not None:
        share = float(np.sum(weights * np.where(has_dark, 1 - scales, 1.0)))
        variance += np.float32(share**2) * band.bias.sigma**2
    for which, dark in enumerate(band.darks):
        mine = np.array([setup.dark_of[i] == which for i in numbers.used])
        share = float(np.sum(weights[mine] * scales[mine]))
        variance += np.float32(share**2) * dark.sigma**2
    return variance


def usable_pixels(band: Band) -> Flags:
    """Choose the pixels that levels are measured in: not hot, and with data."""
    good: Flags = np.asarray(np.isfinite(band.frames).all(axis=0))
    for plane in (*((band.bias,) if band.bias is not None else ()), *band.darks):
        good &= (plane.mask & ~np.uint8(LOW_RESPONSE)) == 0
    return good if good.any() else np.ones_like(good)


def _scale(signals: Array, levels: Doubles) -> Array:
    """Divide frames by their levels, in place."""
    signals /= levels.astype(np.float32)[:, None, None]
    return signals


def _unusable(setup: Setup, frame: Array, level: float) -> str:
    settings = setup.settings
    least, most = settings.minimum_level_adu, settings.saturated_fraction  # type: ignore[attr-defined]
    saturated = float(np.mean(frame >= setup.saturation_adu))
    raw = median_of(frame)
    if not math.isfinite(level):
        return "it has no finite pixel"
    if raw >= _NEAR_SATURATION * setup.saturation_adu or saturated > most:
        return (
            f"saturated: median {raw:.0f} ADU, {100 * saturated:.3g} % of its pixels at "
            f"{setup.saturation_adu:.0f} ADU or more; at most {100 * most:.2g} % may be"
        )
    if level < least or level <= 0:
        return f"too faint: median {level:.0f} ADU above bias and dark, at least {least:.0f} needed"
    return ""


def _scalars(setup: Setup, sample: Band, signals: Array, numbers: FlatNumbers) -> dict[str, float]:
    index = list(numbers.used)
    levels = np.array(numbers.levels)
    one = math.sqrt(float(numbers.noise.model.at(1.0)))
    scalars = {
        "level_adu": float(np.median(levels)),
        "noise_before": one,
        "noise_after": one / math.sqrt(len(index)),
    }
    read_noise_adu = setup.noise.read_noise_adu
    step = quantisation_step(sample.frames)
    read_variance = (read_noise_adu or 0.0) ** 2 + step**2 / 12
    pixels = usable_pixels(sample)
    for i in index:
        pixels &= sample.frames[i] < setup.saturation_adu
    gain = measure_gain(signals[index], levels.astype(np.float32), pixels, read_variance)
    if math.isfinite(gain):
        scalars["gain_e_adu"] = gain
        if read_noise_adu is not None:
            scalars["read_noise_e"] = gain * read_noise_adu
    return scalars


STEP = Step(
    name="stack_flat",
    summary="frees flats of bias and dark, scales and averages them; measures the gain",
    consumes="flat",
    makes=FLAT_STACK,
    unit="",
    combines=True,
    group_by=("filter",),
    needs=(BIAS_STACK, DARK_STACK),
    welcomes=(),
    settings=StackFlatSettings,
    survey=survey,
    reduce=reduce,
)
