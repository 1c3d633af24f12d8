"""Stacking: frames of one kind are clipped about their median and averaged, by ccdproc.

Outliers (cosmic rays, satellites) are values further than five standard
deviations from the median of their pixel. Which standard deviation is the
question: of few frames, the median absolute deviation of a pixel is often far too
small by chance, so that good values are lost and the average is biased. It is
therefore never taken to be smaller than the noise that the whole group shows at
that level (`noise.noise_between_frames`), and is not used at all below
five frames.

All arrays are float32: counts of 16 bits are exact in it, and a mean of 1000
frames of 60,000 ADU is good to 0.1 ADU, far below its own noise.

References
----------
.. [1] ccdproc, https://ccdproc.readthedocs.io: `Combiner.sigma_clipping`,
   `Combiner.average_combine`. The clipping ignores the masks of its input in
   its statistics, so these are computed here and handed over.
.. [2] Massey, P., Jacoby, G. H., 1992, ASP Conf. Ser. 23, 240: combining calibration frames.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import bottleneck
import ccdproc
import numpy as np
from astropy import units
from astropy.nddata import CCDData
from astropy.utils.exceptions import AstropyUserWarning

from toros.preprocessor.steps.medians import median
from toros.preprocessor.steps.noise import (
    CLIP_SIGMA,
    MAD_TO_SIGMA,
    Array,
    NoiseModel,
    noise_between_frames,
    noise_between_neighbours,
    noise_within_stack,
)

_FEWEST_FOR_MAD = 5


@dataclass(frozen=True)
class Stacked:
    """A band of a stack.

    Attributes
    ----------
    data : ndarray of float32, shape (rows, nx)
        Mean of what is left in each pixel [unit]; NaN where nothing is.
    count : ndarray of uint16, shape (rows, nx)
        How many values are left.
    kept : ndarray of float32, shape (n, rows, nx)
        The values, NaN where clipped.
    """

    data: Array
    count: np.ndarray[tuple[int, int], np.dtype[np.uint16]]
    kept: Array


@dataclass(frozen=True)
class StackNoise:
    """What is known of the noise of one frame of a group.

    Attributes
    ----------
    floor : NoiseModel
        For clipping: a first, robust look.
    model : NoiseModel
        For the uncertainty: from the values that clipping leaves.
    from_neighbours : bool
        There is one frame only, and its noise was taken from neighbouring pixels.
    """

    floor: NoiseModel
    model: NoiseModel
    from_neighbours: bool = False


def clip_and_average(cube: Array, floor: NoiseModel) -> Stacked:
    """Average frames pixel by pixel, leaving outliers out.

    Parameters
    ----------
    cube : ndarray of float32, shape (n, rows, nx)
        Frames, already on one scale [unit]; NaN where there is no value.
    floor : NoiseModel
        The noise of one frame, which a pixel's own is never taken to be below.
        Of two frames, nothing tells which is wrong, but cosmic rays only add:
        the higher is left out where they differ too much.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)  # NaN is "clipped", as it should be
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no value is NaN
        combiner = ccdproc.Combiner(
            [CCDData(frame, unit=units.adu) for frame in cube], dtype=np.float32
        )
        if len(cube) > 1:
            centre, deviation = _middle_and_deviation(cube, floor)
            combiner.sigma_clipping(
                low_thresh=CLIP_SIGMA,
                high_thresh=CLIP_SIGMA,
                func=lambda _, axis: centre,
                dev_func=lambda _, axis: deviation,
            )
        else:
            combiner.data_arr.mask |= ~np.isfinite(combiner.data_arr.data)
        # ccdproc's own uncertainty takes most of its time and is not used.
        data = combiner.average_combine(uncertainty_func=_no_uncertainty).data
        rejected = combiner.data_arr.mask
        kept = combiner.data_arr.data
        kept[rejected] = np.nan
    count = (len(cube) - np.count_nonzero(rejected, axis=0)).astype(np.uint16)
    return Stacked(np.where(count > 0, data, np.float32(np.nan)), count, kept)


def survey_noise(cube: Array, least_variance: float = 0.0) -> StackNoise:
    """Measure the noise of one frame of a group, from a sample of rows.

    Parameters
    ----------
    cube : ndarray of float32, shape (n, rows, nx)
        Frames on one scale [unit].
    least_variance : float
        What rounding alone makes of the clipping's floor [unit^2].
    """
    if len(cube) == 1:
        alone = noise_between_neighbours(cube[0])
        return StackNoise(alone, alone, from_neighbours=True)
    first = noise_between_frames(cube, median(cube))
    floor = NoiseModel(max(first.variance, least_variance), first.slope, first.level)
    stacked = clip_and_average(cube, floor)
    return StackNoise(floor, noise_within_stack(stacked.kept, stacked.data))


def _middle_and_deviation(cube: Array, floor: NoiseModel) -> tuple[Array, Array]:
    if len(cube) == 2:
        # The lower of two, and the noise of a difference.
        lower = bottleneck.nanmin(cube, axis=0)
        return lower, np.sqrt(2 * floor.at(lower))
    middle = median(cube)
    deviation = np.sqrt(floor.at(middle))
    if len(cube) >= _FEWEST_FOR_MAD:
        distance = cube - middle
        np.abs(distance, out=distance)
        own = median(distance)
        own *= np.float32(MAD_TO_SIGMA)
        # Where there is no value there is none either; fmax keeps the floor.
        np.fmax(deviation, own, out=deviation)
    return middle, deviation


def _no_uncertainty(data: Array, axis: int) -> Array:
    return np.zeros(data.shape[1:], data.dtype)
