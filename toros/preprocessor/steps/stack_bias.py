"""Bias stack: the level and the pattern that the electronics add, free of noise."""

from __future__ import annotations

import math

import numpy as np

from toros.config.kinds import Section
from toros.preprocessor.steps.base import BIAS_STACK, NODATA, Band, Setup, Step, Strip, Survey
from toros.preprocessor.steps.noise import Array, median_of, quantisation_step
from toros.preprocessor.steps.stacking import Stacked, StackNoise, clip_and_average, survey_noise


class StackBiasSettings(Section):
    """Settings of `stack_bias`: it needs none."""


def survey(setup: Setup, sample: Band) -> Survey:
    """Measure the noise of a frame, and from it the read noise."""
    noise, scalars, notes = survey_raw_stack(setup, sample.frames)
    scalars |= read_noise(setup, noise, scalars["step_adu"])
    return Survey(noise, scalars, tuple(range(len(sample.frames))), (), notes)


def reduce(setup: Setup, found: Survey, band: Band) -> Strip:
    """Average the frames of a band."""
    noise: StackNoise = found.numbers
    stacked = clip_and_average(band.frames, noise.floor)
    sigma = stack_sigma(noise, stacked)
    return Strip(stacked.data, sigma, no_data(stacked.data), clipped(band.frames, stacked))


def survey_raw_stack(
    setup: Setup, frames: Array
) -> tuple[StackNoise, dict[str, float], tuple[str, ...]]:
    """Measure what stacks of raw frames have in common: noise, level, rounding.

    Parameters
    ----------
    setup : Setup
        The camera's gain gives a single frame the growth of its noise with the level.
    frames : ndarray, shape (n, rows, nx)
        Sample of the frames [ADU].

    Returns
    -------
    StackNoise
    dict
        level_adu (median), noise_before_adu and noise_after_adu (of one frame and
        of the stack, in a usual pixel), step_adu (what counts are rounded to).
    tuple of str
        Notes.
    """
    step = quantisation_step(frames)
    noise = survey_noise(frames, step**2 / 12)
    if noise.from_neighbours and setup.noise.gain_e_adu is not None:
        grown = type(noise.model)(
            noise.model.variance, 1 / setup.noise.gain_e_adu, noise.model.level
        )
        noise = StackNoise(noise.floor, grown, from_neighbours=True)
    level = median_of(frames)
    one = float(np.sqrt(noise.model.at(level))) if math.isfinite(level) else math.nan
    scalars = {
        "level_adu": level,
        "noise_before_adu": one,
        "noise_after_adu": one / math.sqrt(len(frames)),
        "step_adu": step,
    }
    alone = "a stack of one frame; its noise is that of neighbouring pixels"
    return noise, scalars, (alone,) if noise.from_neighbours else ()


def read_noise(setup: Setup, noise: StackNoise, step_adu: float) -> dict[str, float]:
    """Take the rounding's share off the noise at the usual level: read noise [ADU, electron]."""
    adu = math.sqrt(max(noise.model.variance - step_adu**2 / 12, 0.0))
    gain = setup.noise.gain_e_adu
    return {"read_noise_adu": adu} | ({} if gain is None else {"read_noise_e": adu * gain})


def stack_sigma(noise: StackNoise, stacked: Stacked) -> Array:
    """Compute the uncertainty of a mean of independent values, 1 sigma."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(noise.model.at(stacked.data) / stacked.count.astype(np.float32))


def no_data(data: Array) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Mark the pixels without a value."""
    return np.where(np.isfinite(data), 0, NODATA).astype(np.uint8)


def clipped(frames: Array, stacked: Stacked) -> int:
    """Count the values that were left out of a stack, other than for being none."""
    return int(np.count_nonzero(np.isfinite(frames))) - int(stacked.count.sum(dtype=np.int64))


STEP = Step(
    name="stack_bias",
    summary="averages bias frames, cosmic rays clipped; measures the read noise",
    consumes="bias",
    makes=BIAS_STACK,
    unit="adu",
    combines=True,
    group_by=(),
    needs=(),
    welcomes=(),
    settings=StackBiasSettings,
    survey=survey,
    reduce=reduce,
)
