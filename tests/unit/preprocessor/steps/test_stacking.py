"""The mathematics of stacking, against plain implementations and ccdproc itself."""

from __future__ import annotations

import bottleneck
import ccdproc
import numpy as np
import pytest
from astropy import units
from astropy.nddata import CCDData

from toros.preprocessor.steps.medians import median, network
from toros.preprocessor.steps.noise import NoiseModel, core_sigma, core_variance, fit_line, in_bins
from toros.preprocessor.steps.stacking import clip_and_average


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 20, 31, 64, 128, 129])
@pytest.mark.parametrize("spoilt", [False, True])
def test_the_median_is_bottleneck_s_to_the_bit(count: int, spoilt: bool) -> None:
    rng = np.random.default_rng(count)
    cube = rng.normal(1000, 30, (count, 5, 301)).astype(np.float32)
    cube[:, 0] = np.rint(cube[:, 0])  # ties
    if spoilt:
        cube[rng.random(cube.shape) < 0.02] = np.nan
        cube[:, 2, 3] = np.nan
    before = cube.copy()
    found = median(cube)
    with np.errstate(invalid="ignore"):
        expected = bottleneck.nanmedian(cube, axis=0)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(cube, before)


@pytest.mark.parametrize("count", range(3, 11))
def test_the_network_finds_the_middle_of_everything(count: int) -> None:
    # The zero-one principle: a network that sorts all zeros and ones sorts everything.
    numbers = np.arange(2**count)
    planes = [((numbers >> i) & 1).astype(np.float32) for i in range(count)]
    expected = np.median(planes, axis=0)
    places = [plane.copy() for plane in planes]
    for low, high, _, _ in network(count):
        places[low], places[high] = (
            np.minimum(places[low], places[high]),
            np.maximum(places[low], places[high]),
        )
    middle = count // 2
    found = places[middle] if count % 2 else (places[middle - 1] + places[middle]) / 2
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", [5, 8, 20])
def test_stack_is_ccdproc_s_where_the_floor_does_not_matter(count: int) -> None:
    rng = np.random.default_rng(count)
    cube = rng.normal(1000, 5, (count, 32, 40)).astype(np.float32)
    cube[rng.random(cube.shape) < 0.01] += 500
    combiner = ccdproc.Combiner(
        [CCDData(frame, unit=units.adu) for frame in cube], dtype=np.float32
    )
    combiner.sigma_clipping(low_thresh=5, high_thresh=5, func="median", dev_func="mad_std")
    expected = combiner.average_combine().data
    found = clip_and_average(cube, NoiseModel(0.0))
    np.testing.assert_array_equal(found.data, expected)
    np.testing.assert_array_equal(found.count, count - combiner.data_arr.mask.sum(axis=0))


def test_a_band_is_a_part_of_the_whole() -> None:
    rng = np.random.default_rng(2)
    cube = rng.normal(1000, 5, (7, 40, 50)).astype(np.float32)
    cube[rng.random(cube.shape) < 0.02] += 300
    cube[3, 20, 20] = np.nan
    whole = clip_and_average(cube, NoiseModel(25.0))
    for y0, y1 in ((0, 1), (1, 18), (18, 40)):
        part = clip_and_average(cube[:, y0:y1], NoiseModel(25.0))
        np.testing.assert_array_equal(part.data, whole.data[y0:y1])
        np.testing.assert_array_equal(part.count, whole.count[y0:y1])


def test_values_that_are_none_do_not_spoil_their_pixel() -> None:
    cube = np.full((5, 2, 2), 10.0, np.float32)
    cube[0, 0, 0] = np.nan
    cube[1, 0, 0] = 900.0
    cube[:, 1, 1] = np.nan
    stacked = clip_and_average(cube, NoiseModel(1.0))
    assert stacked.data[0, 0] == 10.0
    assert stacked.count[0, 0] == 3
    assert np.isnan(stacked.data[1, 1])
    assert stacked.count[1, 1] == 0


def test_frames_that_are_all_equal_are_kept() -> None:
    stacked = clip_and_average(np.full((4, 3, 3), 7.0, np.float32), NoiseModel(0.0))
    assert (stacked.data == 7).all()
    assert (stacked.count == 4).all()


def test_core_variance_does_not_see_outliers() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(0, 3, 100_000)
    values[:1000] = 1e5
    assert core_sigma(values) == pytest.approx(3, rel=0.01)
    assert core_variance(np.append(values, np.nan), about=0.0) == pytest.approx(9, rel=0.02)


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.0, 3.0])
def test_core_sigma_of_whole_numbers(sigma: float) -> None:
    # The median absolute deviation of these would be 0 or 1.
    values = np.rint(np.random.default_rng(6).normal(100, sigma, 200_000))
    assert core_sigma(values) == pytest.approx(values.std(), rel=0.03)


def test_core_variance_of_next_to_nothing() -> None:
    assert np.isnan(core_variance([]))
    assert np.isnan(core_variance([1.0, np.nan]))
    assert core_variance([2.0, 2.0, 2.0]) == 0.0


def test_a_line_is_found_and_a_slope_out_of_noise_is_not() -> None:
    rng = np.random.default_rng(7)
    levels = np.array([100.0, 300.0, 1000.0, 5000.0])
    freedom = np.array([1e5, 1e4, 1e3, 1e3])
    truth = 20 + 0.5 * levels
    found = fit_line(levels, truth * rng.chisquare(freedom) / freedom, freedom)
    assert found.at(5000.0) == pytest.approx(2520, rel=0.05)
    assert found.slope == pytest.approx(0.5, rel=0.05)
    flat = fit_line(levels, 20 * rng.chisquare(freedom) / freedom, freedom)
    assert flat.slope == 0
    assert flat.at(1e4) == pytest.approx(20, rel=0.02)


def test_every_pixel_is_in_one_bin_and_hot_ones_are_apart() -> None:
    rng = np.random.default_rng(8)
    levels = rng.normal(100, 1, 10_000)
    levels[:100] += rng.exponential(1000, 100) + 20
    levels[7] = np.nan
    bins = in_bins(levels, 1.0)
    together = np.concatenate(bins)
    assert len(together) == len(set(together))
    assert len(together) > 9_950
    usual = max(bins, key=len)
    assert np.nanmax(levels[usual]) < 105
