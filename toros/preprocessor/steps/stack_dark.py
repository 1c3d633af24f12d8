"""Dark stack: what the camera shows after an exposure without light, the bias included.

The bias is kept in it: where exposure times are equal, no bias is needed, and
where they are not, the bias's noise, which is then in both masters, is
propagated exactly (`correct_light`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from toros.config.kinds import Section, number
from toros.preprocessor.steps.base import (
    BIAS_STACK,
    DARK_STACK,
    HOT,
    Band,
    Setup,
    Step,
    Strip,
    Survey,
)
from toros.preprocessor.steps.noise import Array
from toros.preprocessor.steps.stack_bias import (
    clipped,
    no_data,
    read_noise,
    stack_sigma,
    survey_raw_stack,
)
from toros.preprocessor.steps.stacking import StackNoise, clip_and_average


class StackDarkSettings(Section):
    """Settings of `stack_dark`."""

    hot_limit_sigma: Annotated[float, *number(1, 1e6, "standard deviations")] = Field(
        10.0,
        alias="Hot Limit (sigma)",
        description="A pixel is masked as hot where the dark stack lies above its median by more "
        "than so many times the noise of a single frame.",
    )


@dataclass(frozen=True)
class DarkNumbers:
    """What the survey found: noise of one frame, and the level of a hot pixel [ADU]."""

    noise: StackNoise
    hot_adu: float


def survey(setup: Setup, sample: Band) -> Survey:
    """Measure the noise of a frame, the dark level, and from where on a pixel is hot."""
    noise, scalars, notes = survey_raw_stack(setup, sample.frames)
    level = scalars["level_adu"]
    hot = level + setup.settings.hot_limit_sigma * scalars["noise_before_adu"]  # type: ignore[attr-defined]
    if sample.bias is not None:
        dark = clip_and_average(sample.frames, noise.floor).data - sample.bias.data
        scalars["dark_adu"] = clipped_mean(dark)
        exposure_s = setup.exposure_s[0]
        if exposure_s:
            scalars["dark_current_adu_s"] = scalars["dark_adu"] / exposure_s
    else:
        # For want of biases; it serves lights of the same exposure time, whose dark
        # current adds the same noise.
        scalars |= read_noise(setup, noise, scalars["step_adu"])
        notes = (*notes, "read noise from darks, with the noise of the dark current")
    return Survey(DarkNumbers(noise, hot), scalars, tuple(range(len(sample.frames))), (), notes)


def reduce(setup: Setup, found: Survey, band: Band) -> Strip:
    """Average the frames of a band, and mask hot pixels."""
    numbers: DarkNumbers = found.numbers
    stacked = clip_and_average(band.frames, numbers.noise.floor)
    mask = no_data(stacked.data)
    mask[stacked.data > numbers.hot_adu] |= HOT
    sigma = stack_sigma(numbers.noise, stacked)
    return Strip(stacked.data, sigma, mask, clipped(band.frames, stacked))


def clipped_mean(values: Array) -> float:
    """Average the bulk of some values, outliers such as hot pixels left out."""
    good = values[np.isfinite(values)].astype(np.float64)
    if not good.size:
        return math.nan
    middle = np.median(good)
    width = np.median(np.abs(good - middle))
    return float(good[np.abs(good - middle) <= 7.4 * width].mean()) if width > 0 else float(middle)


STEP = Step(
    name="stack_dark",
    summary="averages dark frames of one exposure time, cosmic rays clipped; finds hot pixels",
    consumes="dark",
    makes=DARK_STACK,
    unit="adu",
    combines=True,
    group_by=("exposure_time_s", "filter"),
    needs=(),
    welcomes=(BIAS_STACK,),
    settings=StackDarkSettings,
    survey=survey,
    reduce=reduce,
)
