"""The simulated camera obeys the physics its docstring promises."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from toros.simulation import Camera

# No structure but noise: what is left is gain, read noise, Poisson and rounding.
PLAIN = Camera(
    shape=(256, 256),
    bias_structure_adu=0,
    dark_current_e_s=0,
    hot_fraction=0,
    dead_fraction=0,
    dead_columns=0,
    prnu=0,
    vignetting=0,
    dust=0,
    cosmic_rays_cm2_s=0,
)


def stack_mean(frames):
    total = sum(frame.astype(np.float64) for frame in frames)
    return total / len(frames)


class TestPhotonTransfer:
    @pytest.mark.parametrize(("gain", "read_noise"), [(1.4, 6.0), (0.4, 3.5), (3.0, 12.0)])
    def test_gain_and_read_noise_are_recovered_from_pairs(self, gain, read_noise):
        camera = Camera(gain_e_adu=gain, read_noise_e=read_noise, cosmic_rays_cm2_s=0, seed=7)
        good = ~camera.bad_pixels()
        level = 0.4 * min(65535, camera.full_well_e / gain)
        flats = [camera.flat(level, number=n).astype(np.float64)[good] for n in range(12)]
        biases = [camera.bias(n).astype(np.float64)[good] for n in range(12)]

        def pair_variance(frames):
            pairs = zip(frames[::2], frames[1::2], strict=True)
            return np.mean([np.var(a - b) / 2 for a, b in pairs])

        signal = np.mean(flats) - np.mean(biases)
        measured_gain = signal / (pair_variance(flats) - pair_variance(biases))
        measured_noise = measured_gain * math.sqrt(pair_variance(biases) - 1 / 12)
        # 6 pairs of 2.6e5 pixels: 1 sigma is 0.11 % of the gain, 0.06 % of the noise more.
        assert measured_gain == pytest.approx(gain, rel=0.005)
        assert measured_noise == pytest.approx(read_noise, rel=0.01)

    def test_noise_e_is_what_a_frame_shows(self):
        for signal_e in (0.0, 30.0, 3000.0):
            frame = PLAIN.light(signal_e / 10, 10, number=3).astype(np.float64)
            shown = frame.std() * PLAIN.gain_e_adu
            assert shown == pytest.approx(float(PLAIN.noise_e(signal_e)), rel=0.012)


class TestPoisson:
    @pytest.mark.parametrize("mean", [0.5, 7.0, 90.0, 20_000.0])
    def test_mean_and_variance_are_equal(self, mean):
        camera = replace(PLAIN, gain_e_adu=1, read_noise_e=0, bias_adu=0)
        frame = camera.light(mean, 1).astype(np.float64)
        pixels = frame.size
        assert frame.mean() == pytest.approx(mean, abs=5 * math.sqrt(mean / pixels))
        spread = math.sqrt((2 * mean**2 + mean) / pixels)
        assert frame.var() == pytest.approx(mean, abs=5 * spread)

    def test_small_numbers_have_the_poisson_distribution(self):
        camera = replace(PLAIN, gain_e_adu=1, read_noise_e=0, bias_adu=0)
        counts = np.bincount(camera.light(1.5, 1).ravel(), minlength=8)[:8]
        pixels = 256 * 256
        for k, count in enumerate(counts):
            expected = pixels * math.exp(-1.5) * 1.5**k / math.factorial(k)
            assert count == pytest.approx(expected, abs=5 * math.sqrt(expected) + 1)

    def test_pixels_are_independent_of_their_neighbours_and_of_other_frames(self):
        a, b = (PLAIN.light(500.0, 1, number=n).astype(np.float64) for n in (1, 2))
        a, b = a - a.mean(), b - b.mean()
        limit = 5 / 256
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < limit
        assert abs(np.corrcoef(a[:, 1:].ravel(), a[:, :-1].ravel())[0, 1]) < limit


class TestDarkCurrent:
    def test_mean_of_darks_is_bias_and_dark_rate(self):
        camera = Camera(cosmic_rays_cm2_s=0, shape=(128, 128))
        darks = stack_mean([camera.dark(60, number=n) for n in range(30)])
        expected = camera.bias_pattern() + camera.dark_rate() * 60 / camera.gain_e_adu
        unsaturated = expected < 30_000
        noise = camera.noise_e(camera.dark_rate() * 60) / camera.gain_e_adu / math.sqrt(30)
        pull = ((darks - expected) / noise)[unsaturated]
        assert abs(pull.mean()) < 5 / math.sqrt(pull.size)
        assert pull.std() == pytest.approx(1, abs=0.03)

    def test_ordinary_pixels_have_the_stated_current(self):
        camera = Camera()
        assert camera.dark_rate()[~camera.hot_pixels()].mean() == pytest.approx(0.1, rel=0.002)

    def test_it_doubles_with_temperature(self):
        camera = Camera()
        warmer = camera.dark_rate(camera.dark_reference_c + 2 * camera.dark_doubling_c)
        np.testing.assert_allclose(warmer, 4 * camera.dark_rate(), rtol=1e-6)

    def test_hot_pixels_are_as_many_and_as_hot_as_stated(self):
        camera = Camera()
        hot = camera.hot_pixels()
        expected = camera.hot_fraction * hot.size
        assert hot.sum() == pytest.approx(expected, abs=5 * math.sqrt(expected))
        excess = camera.dark_rate()[hot] - camera.dark_current_e_s
        spread = 1.25 * camera.hot_spread / math.sqrt(hot.sum())
        assert np.log(np.median(excess)) == pytest.approx(math.log(5.0), abs=5 * spread)


class TestFlatField:
    def test_flats_divided_by_the_truth_are_even(self):
        camera = Camera(shape=(128, 128), cosmic_rays_cm2_s=0, dark_current_e_s=0, hot_fraction=0)
        level, count = 30_000, 20
        mean = stack_mean([camera.flat(level, "V", number=n) for n in range(count)])
        good = ~camera.bad_pixels()
        truth = camera.flat_field("V")[good]
        ratio = (mean - camera.bias_pattern())[good] / truth / level
        noise = (
            camera.noise_e(level * camera.gain_e_adu * truth) / camera.gain_e_adu / level / truth
        )
        pull = (ratio - 1) / noise * math.sqrt(count)
        assert abs(pull.mean()) < 5 / math.sqrt(pull.size)
        assert pull.std() == pytest.approx(1, abs=0.03)

    def test_its_median_is_one_and_dead_pixels_are_blind(self):
        camera = Camera()
        assert np.median(camera.flat_field("R")) == pytest.approx(1, abs=1e-6)
        assert (camera.flat_field("R") == 0).tolist() == camera.dead_pixels().tolist()
        assert camera.dead_pixels().sum() > 0

    def test_vignetting_takes_the_stated_share_at_the_corners(self):
        camera = replace(PLAIN, vignetting=0.15)
        flat = camera.flat_field()
        corners = flat[[0, 0, -1, -1], [0, -1, 0, -1]]
        np.testing.assert_allclose(corners / flat[127:129, 127:129].mean(), 0.85, atol=0.002)

    def test_dust_darkens_some_places_more_in_one_filter_than_in_another(self):
        camera = replace(PLAIN, dust=12)
        blue, red = camera.flat_field("B"), camera.flat_field("R")
        assert not np.array_equal(blue, red)
        assert 0.8 < blue.min() < 0.99
        assert np.corrcoef(blue.ravel(), red.ravel())[0, 1] > 0.02  # the window's is in both

    def test_non_uniformity_is_as_stated(self):
        assert replace(PLAIN, prnu=0.02).flat_field().std() == pytest.approx(0.02, rel=0.02)


class TestBias:
    def test_the_mean_of_biases_is_the_pattern(self):
        camera = Camera(shape=(128, 128))
        residual = stack_mean([camera.bias(n) for n in range(40)]) - camera.bias_pattern()
        expected = float(camera.noise_e(0)) / camera.gain_e_adu / math.sqrt(40)
        assert residual.std() == pytest.approx(expected, rel=0.03)
        assert abs(residual.mean()) < 5 * expected / 128

    def test_the_pattern_has_columns_and_rows(self):
        pattern = Camera().bias_pattern()
        assert pattern[-1].std() == pytest.approx(2.0, rel=0.15)
        assert pattern[0].mean() - pattern[-1].mean() == pytest.approx(6.0, abs=0.1)


class TestSaturation:
    def test_the_converter_stops_at_its_last_number(self):
        assert PLAIN.flat(1e6).min() == 65535
        assert replace(PLAIN, adc_bits=12, bias_adu=100).flat(1e6).min() == 4095

    def test_a_full_well_takes_no_more_charge(self):
        camera = replace(PLAIN, full_well_e=40_000.0)
        frame = camera.flat(60_000).astype(np.float64)
        expected = camera.bias_adu + 40_000 / camera.gain_e_adu
        assert frame.mean() == pytest.approx(expected, abs=0.1)
        assert frame.std() == pytest.approx(6.0 / 1.4, rel=0.03)  # read noise alone

    def test_numbers_do_not_wrap_below_zero(self):
        assert replace(PLAIN, bias_adu=0).bias().max() < 100


class TestCosmicRays:
    def test_there_are_as_many_as_the_rate_says(self):
        camera = replace(PLAIN, cosmic_rays_cm2_s=1.0, chip_um=1.0)
        hits = 0
        for number in range(40):
            # A chip this thin leaves one spot per event; count what it deposits.
            hits += camera.cosmic_rays("light", 100.0, number).sum() / 80
        expected = 40 * 1.0 * camera.area_cm2 * 100
        # Path lengths 1/cos: mean 4/3; log-normal: mean exp(0.3^2/2).
        assert hits == pytest.approx(expected * 4 / 3 * math.exp(0.045), rel=0.12)

    def test_their_charge_is_in_the_frame(self):
        camera = replace(PLAIN, cosmic_rays_cm2_s=5.0)
        quiet = replace(camera, cosmic_rays_cm2_s=0)
        charge = camera.cosmic_rays("dark", 60, 4)
        difference = camera.dark(60, number=4).astype(float) - quiet.dark(60, number=4)
        assert charge.sum() > 0
        unsaturated = charge < 80_000
        expected = charge / camera.gain_e_adu
        np.testing.assert_allclose(difference[unsaturated], expected[unsaturated], atol=1.01)

    def test_a_muon_straight_down_leaves_some_1600_electrons(self):
        charges = []
        for number in range(300):
            charge = replace(PLAIN, cosmic_rays_cm2_s=0.3).cosmic_rays("light", 10, number)
            if charge.any():
                charges.append(charge.sum())
        assert 1000 < np.percentile(charges, 5) < np.median(charges) < 4000

    def test_a_thick_chip_shows_tracks(self):
        charge = replace(PLAIN, cosmic_rays_cm2_s=0.5, chip_um=300.0).cosmic_rays("light", 60, 1)
        touched = np.count_nonzero(charge)
        events = 0.5 * PLAIN.area_cm2 * 60
        assert touched > 8 * events


class TestDeterminism:
    def test_the_same_number_gives_the_same_frame(self):
        camera, twin = Camera(shape=(64, 96)), Camera(shape=(64, 96))
        assert camera.bias(5).tobytes() == twin.bias(5).tobytes()
        assert camera.dark(30, -5, number=5).tobytes() == twin.dark(30, -5, number=5).tobytes()
        assert camera.flat(2e4, "B", number=5).tobytes() == twin.flat(2e4, "B", number=5).tobytes()
        assert camera.light(3.0, 30, number=5).tobytes() == twin.light(3.0, 30, number=5).tobytes()

    def test_another_number_or_kind_gives_other_noise(self):
        camera = replace(PLAIN, shape=(64, 64))
        frames = [camera.bias(1), camera.bias(2), camera.dark(1, number=1), camera.dark(1)]
        assert len({frame.tobytes() for frame in frames}) == 4

    def test_patterns_are_the_seeds_alone_and_cannot_be_written(self):
        camera = Camera(shape=(64, 64))
        other = replace(camera, seed=2)
        for pattern in ("bias_pattern", "dark_rate", "flat_field"):
            ours, theirs = getattr(camera, pattern)(), getattr(other, pattern)()
            assert not np.array_equal(ours, theirs)
            with pytest.raises(ValueError, match="read-only"):
                ours[0, 0] = 1

    def test_frames_are_unsigned_16_bit(self):
        frame = Camera(shape=(20, 30)).light(np.ones((20, 30)), 1)
        assert frame.dtype == np.uint16
        assert frame.shape == (20, 30)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"gain_e_adu": 0}, "gain_e_adu=0"),
        ({"read_noise_e": -1}, "read_noise_e=-1"),
        ({"adc_bits": 17}, "adc_bits=17"),
        ({"shape": (0, 5)}, "shape"),
        ({"vignetting": 1.0}, "vignetting"),
    ],
)
def test_a_camera_that_cannot_be_is_refused(wrong, named):
    with pytest.raises(ValueError, match=named):
        Camera(**wrong)


@pytest.mark.parametrize("scene", [np.ones((3, 3)), -1.0, float("nan")])
def test_a_scene_that_cannot_be_is_refused(scene):
    with pytest.raises(ValueError, match="scene_e_s"):
        PLAIN.light(scene, 1)
