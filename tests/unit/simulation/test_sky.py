"""Stars fall where they should, with the light they should have."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toros.simulation import Optics, Star, StarField, draw_scene, draw_stars


def gnomonic(ra_deg, dec_deg, ra0_deg, dec0_deg):
    """Return standard coordinates xi (east), eta (north) [deg], by spherical trigonometry."""
    ra, dec, ra0, dec0 = (math.radians(a) for a in (ra_deg, dec_deg, ra0_deg, dec0_deg))
    cosine = math.sin(dec0) * math.sin(dec) + math.cos(dec0) * math.cos(dec) * math.cos(ra - ra0)
    xi = math.cos(dec) * math.sin(ra - ra0) / cosine
    eta = (
        math.cos(dec0) * math.sin(dec) - math.sin(dec0) * math.cos(dec) * math.cos(ra - ra0)
    ) / cosine
    return math.degrees(xi), math.degrees(eta)


class TestPlaces:
    @pytest.mark.parametrize("rotation_deg", [0.0, 30.0, 180.0])
    def test_pixels_agree_with_the_gnomonic_projection(self, rotation_deg):
        optics = Optics(rotation_deg=rotation_deg)
        field = StarField.random(10.0, -60.0, 0.1, seed=3)
        x, y = field.pixels(optics.wcs(10.02, -60.01, (400, 600)))
        scale = optics.pixel_scale_arcsec / 3600
        turn = math.radians(rotation_deg)
        for star, px, py in zip(field.stars, x, y, strict=True):
            xi, eta = gnomonic(star.ra_deg, star.dec_deg, 10.02, -60.01)
            # The y axis points at position angle `turn`, the x axis a right angle west of it.
            along_y = xi * math.sin(turn) + eta * math.cos(turn)
            along_x = -xi * math.cos(turn) + eta * math.sin(turn)
            assert px == pytest.approx(299.5 + along_x / scale, abs=1e-6)
            assert py == pytest.approx(199.5 + along_y / scale, abs=1e-6)

    def test_a_star_at_the_pointing_is_drawn_at_the_centre(self):
        field = StarField("one", 150.0, 2.0, (Star(150.0, 2.0, 12.0, 0.6),))
        scene = draw_scene(field, Optics(), (41, 61), "V")
        assert np.unravel_index(scene.argmax(), scene.shape) == (20, 30)
        np.testing.assert_allclose(scene, scene[::-1, ::-1], rtol=1e-4)

    def test_centroids_are_at_the_truth(self):
        image = np.zeros((60, 60), dtype=np.float32)
        draw_stars(image, [29.3], [30.8], [1e5], fwhm_px=2.4)
        y, x = np.mgrid[:60, :60]
        assert (image * x).sum() / image.sum() == pytest.approx(29.3, abs=2e-3)
        assert (image * y).sum() / image.sum() == pytest.approx(30.8, abs=2e-3)

    def test_a_field_covers_its_square_around_zero_hours(self):
        field = StarField.random(0.0, 0.0, 0.2, seed=2)
        ra = np.array([(star.ra_deg + 180) % 360 - 180 for star in field.stars])
        assert len(field.stars) == round(2.0 * 24**2)
        assert ra.min() == pytest.approx(-0.2, abs=0.01)
        assert ra.max() == pytest.approx(0.2, abs=0.01)
        assert all(0 <= star.ra_deg < 360 for star in field.stars)


class TestLight:
    @pytest.mark.parametrize("fwhm_px", [1.2, 2.0, 4.0])
    def test_profiles_are_integrals_over_the_pixel(self, fwhm_px):
        image = np.zeros((31, 31), dtype=np.float32)
        draw_stars(image, [15.31], [14.77], [1.0], fwhm_px=fwhm_px)
        # Brute force: the midpoint rule at 41 x 41 points a pixel.
        fine = 41
        grid = (np.arange(31 * fine) + 0.5) / fine - 0.5
        alpha2 = fwhm_px**2 / 4 / (2 ** (1 / 4.765) - 1)
        r2 = (grid[:, None] - 14.77) ** 2 + (grid[None, :] - 15.31) ** 2
        profile = 3.765 / (math.pi * alpha2) * (1 + r2 / alpha2) ** -4.765 / fine**2
        truth = profile.reshape(31, fine, 31, fine).sum(axis=(1, 3))
        np.testing.assert_allclose(image, truth, atol=2e-3 * truth.max())

    def test_all_the_light_is_there_and_the_width_is_right(self):
        image = np.zeros((101, 101), dtype=np.float32)
        draw_stars(image, [50.0], [50.0], [1.0], fwhm_px=8.0)
        assert image.sum() == pytest.approx(1, abs=2e-4)
        assert image[50, 54] / image[50, 50] == pytest.approx(0.5, abs=0.01)

    def test_stars_off_the_frame_shed_their_wings_only(self):
        image = np.zeros((20, 20), dtype=np.float32)
        draw_stars(image, [-2.0, 500.0], [10.0, 10.0], [1.0, 1.0], fwhm_px=3.0)
        assert 0.01 < image.sum() < 0.2

    def test_five_magnitudes_are_a_factor_of_a_hundred(self):
        optics = Optics()
        assert optics.flux_e_s(10.0, "R") / optics.flux_e_s(15.0, "R") == pytest.approx(100)

    def test_extinction_dims_stars_and_not_the_sky(self):
        optics = Optics()
        ratio = optics.flux_e_s(15, "B", 2.0) / optics.flux_e_s(15, "B", 1.0)
        assert -2.5 * math.log10(float(ratio)) == pytest.approx(0.22)
        empty = StarField("empty", 0, 0, ())
        low, high = (draw_scene(empty, optics, (5, 5), "B", airmass=a) for a in (1, 2))
        assert np.array_equal(low, high)
        assert low[0, 0] == pytest.approx(optics.sky_e_s("B"))

    def test_a_gradient_runs_across_the_frame(self):
        empty = StarField("empty", 0, 0, ())
        scene = draw_scene(empty, Optics(), (5, 101), "V", gradient=0.2)
        sky = Optics().sky_e_s("V")
        np.testing.assert_allclose(
            scene[:, [0, 50, -1]], [[0.9 * sky, sky, 1.1 * sky]] * 5, rtol=1e-5
        )

    def test_counts_grow_with_magnitude_as_stated(self):
        field = StarField.random(100, 20, 0.5, seed=5)
        mags = np.array([star.v_mag for star in field.stars])
        assert 11 <= mags.min() < mags.max() <= 19.5
        ratio = (mags < 19).sum() / (mags < 18).sum()
        assert ratio == pytest.approx(10**0.3, rel=0.06)

    def test_an_unknown_filter_is_refused_by_name(self):
        with pytest.raises(ValueError, match=r"filter 'Z'.*B, V, R, I"):
            Optics().sky_e_s("Z")


def test_the_same_seed_draws_the_same_stars():
    ours, theirs, others = (StarField.random(50, 10, 0.1, seed=s) for s in (4, 4, 5))
    assert ours == theirs
    assert ours != others
