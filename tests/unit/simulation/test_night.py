"""A simulated night: its files are those of its truth, and broken as stated."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.io import fits
from astropy.time import Time
from astropy.utils import iers
from astropy.wcs import WCS

from toros.simulation import Camera, Night, StarField, make_night
from toros.simulation.frames import (
    SITE_HEIGHT_M,
    SITE_LATITUDE_DEG,
    SITE_LONGITUDE_DEG,
    airmass,
)

CAMERA = Camera(shape=(96, 128))
SMALL = {"camera": CAMERA, "n_bias": 2, "n_dark": 2, "n_flat": 3, "n_light": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night")
    return folder, make_night(folder, **SMALL)


def pixels_of(path):
    return fits.getdata(path)


class TestFiles:
    def test_the_folder_holds_what_the_truth_lists(self, made):
        folder, night = made
        listed = [frame.name for frame in night.frames] + [file.name for file in night.broken]
        assert sorted(path.name for path in folder.iterdir()) == sorted(listed)
        counts = Counter(frame.frame_type for frame in night.frames)
        assert counts == {"bias": 2, "dark": 2 * 3, "flat": 3 * 3, "light": 3 * 2}

    def test_bytes_are_those_of_the_checksums_and_pixels_can_be_made_anew(self, made):
        folder, night = made
        for frame in night.frames:
            path = folder / frame.name
            assert hashlib.sha256(path.read_bytes()).hexdigest() == frame.sha256
            data = pixels_of(path)
            assert data.dtype == np.uint16
            assert np.array_equal(data, night.pixels(frame))

    def test_the_same_seed_gives_the_same_bytes(self, made, tmp_path):
        folder, night = made
        again = make_night(tmp_path, **SMALL)
        assert again == night
        for path in folder.iterdir():
            assert (tmp_path / path.name).read_bytes() == path.read_bytes()

    def test_another_seed_is_another_night_of_the_same_camera_and_sky(self, made, tmp_path):
        _, night = made
        other = make_night(tmp_path, seed=2, **SMALL)
        assert other.camera == night.camera
        assert other.field == night.field
        checksums = {frame.sha256 for n in (night, other) for frame in n.frames}
        assert len(checksums) == 2 * len(night.frames)

    def test_progress_is_told_to_the_end(self, tmp_path):
        told = []
        make_night(tmp_path, **SMALL, progress=lambda done, total: told.append((done, total)))
        assert told == [(done, 30) for done in range(1, 31)]

    def test_without_broken_files_there_are_none(self, tmp_path):
        night = make_night(tmp_path, **{**SMALL, "n_flat": 0, "n_dark": 0}, broken=False)
        assert night.broken == ()
        assert len(list(tmp_path.iterdir())) == len(night.frames) == 8


class TestHeaders:
    def test_they_say_what_is_true(self, made):
        folder, night = made
        types = {
            "bias": "Bias Frame",
            "dark": "Dark Frame",
            "flat": "Flat Field",
            "light": "Light Frame",
        }
        for frame in night.frames:
            header = fits.getheader(folder / frame.name)
            assert header["IMAGETYP"] == types[frame.frame_type]
            assert datetime.fromisoformat(header["DATE-OBS"] + "+00:00") == frame.start_utc
            assert header["MJD-OBS"] == pytest.approx(Time(header["DATE-OBS"]).mjd, abs=1e-9)
            assert header["EXPTIME"] == frame.exposure_time_s
            assert header.get("FILTER") == frame.filter
            assert header["CCD-TEMP"] == frame.temperature_c
            assert header["EGAIN"] == CAMERA.gain_e_adu
            assert abs(frame.temperature_c + 10) < 0.2

    def test_fits_verifies_them(self, made):
        folder, night = made
        for frame in night.frames:
            with fits.open(folder / frame.name) as hdus:
                hdus.verify("exception")

    def test_no_two_frames_overlap_in_time(self, made):
        _, night = made
        for before, after in zip(night.frames, night.frames[1:], strict=False):
            pause = (after.start_utc - before.start_utc).total_seconds()
            assert pause >= before.exposure_time_s + 5

    def test_a_lights_header_places_its_stars(self, made):
        folder, night = made
        light = night.select("light", "V", 120.0)[0]
        header = fits.getheader(folder / light.name)
        scene = night.scene(light)
        x, y = night.field.pixels(WCS(header))
        bright = np.argsort([star.v_mag for star in night.field.stars])
        inside = next(i for i in bright if 3 <= x[i] < 125 and 3 <= y[i] < 93)
        cx, cy = round(x[inside]), round(y[inside])
        near = scene[cy - 2 : cy + 3, cx - 2 : cx + 3]
        assert np.unravel_index(near.argmax(), near.shape) == (2, 2)
        both = SkyCoord(f"{header['OBJCTRA']} {header['OBJCTDEC']}", unit=("hourangle", "deg"))
        assert both.separation(SkyCoord(light.ra_deg, light.dec_deg, unit="deg")).arcsec < 0.2

    def test_airmass_agrees_with_an_independent_computation(self):
        site = EarthLocation(
            lon=SITE_LONGITUDE_DEG * u.deg,
            lat=SITE_LATITUDE_DEG * u.deg,
            height=SITE_HEIGHT_M * u.m,
        )
        place = SkyCoord(146.4117, -31.1911, unit="deg")
        with iers.conf.set_temp("auto_download", False):
            for hour in (0, 2, 5):
                moment = datetime(2026, 3, 15, hour, tzinfo=UTC)
                altitude = place.transform_to(AltAz(obstime=Time(moment), location=site)).alt
                expected = 1 / np.sin(altitude.to_value("rad"))
                assert airmass(moment, place.ra.deg, place.dec.deg) == pytest.approx(
                    expected, rel=0.01
                )


class TestPhysics:
    def test_a_perfect_reduction_gives_the_scene_back(self, made):
        folder, night = made
        camera = night.camera
        light = night.select("light", "R", 120.0)[0]
        data = pixels_of(folder / light.name).astype(np.float64)
        flat = camera.flat_field("R")
        dark_e = camera.dark_rate(light.temperature_c) * light.exposure_time_s
        cosmic = camera.cosmic_rays("light", light.exposure_time_s, light.number)
        good = ~camera.bad_pixels() & (data < 60_000) & (cosmic == 0)
        signal_e = (data - camera.bias_pattern()) * camera.gain_e_adu - dark_e
        truth_e = night.scene(light) * light.exposure_time_s * flat
        pull = ((signal_e - truth_e) / camera.noise_e(truth_e + dark_e))[good]
        assert abs(pull.mean()) < 5 / np.sqrt(pull.size)
        assert pull.std() == pytest.approx(1, abs=0.03)

    def test_flats_fall_with_the_twilight_and_stay_off_the_ends(self, made):
        folder, night = made
        for filter_name in ("B", "V", "R"):
            flats = night.select("flat", filter_name)
            levels = [flat.level_adu for flat in flats]
            assert levels == sorted(levels, reverse=True)
            assert 14_000 < levels[-1] < levels[0] < 37_000
            for flat in flats:
                median = np.median(pixels_of(folder / flat.name)) - CAMERA.bias_adu
                assert median == pytest.approx(flat.level_adu, rel=0.005)


class TestTruth:
    def test_it_travels_as_json(self, made):
        _, night = made
        again = Night.from_json(night.to_json())
        assert again == night
        light = night.select("light")[0]
        assert np.array_equal(again.pixels(light), night.pixels(light))

    def test_json_that_is_no_night_is_refused_with_the_field(self, made):
        _, night = made
        with pytest.raises(ValueError, match=r"camera\.gain\b"):
            Night.from_json(night.to_json().replace('"gain_e_adu"', '"gain"'))
        with pytest.raises(ValueError, match="seed"):
            Night.from_json(night.to_json().replace('"seed"', '"sed"'))

    def test_only_lights_have_a_scene(self, made):
        _, night = made
        with pytest.raises(ValueError, match="points nowhere"):
            night.scene(night.select("bias")[0])


class TestBrokenFiles:
    @pytest.fixture
    def of(self, made):
        folder, night = made
        return {file.fault: (folder / file.name, file) for file in night.broken}

    def test_each_fault_is_there_once(self, made, of):
        assert len(made[1].broken) == len(of) == 7

    def test_truncated(self, of):
        path, truth = of["truncated"]
        header = fits.Header.fromfile(path)
        promised = header["NAXIS1"] * header["NAXIS2"] * 2
        assert path.stat().st_size < promised
        assert truth.fate == "quarantined"

    def test_text_and_empty(self, of):
        assert b"dome open" in of["text"][0].read_bytes()
        assert of["text"][0].suffix == ".fits"
        assert of["empty"][0].stat().st_size == 0

    def test_petabyte(self, of):
        path, _ = of["petabyte"]
        assert path.stat().st_size < 20_000
        header = fits.Header.fromfile(path)
        assert header["NAXIS1"] * header["NAXIS2"] * 2 > 1e15

    def test_no_type(self, of):
        path, truth = of["no type"]
        assert "IMAGETYP" not in fits.getheader(path)
        assert pixels_of(path).shape == CAMERA.shape
        assert truth.fate == "unknown"

    def test_other_shape(self, of):
        path, truth = of["other shape"]
        header = fits.getheader(path)
        assert (header["NAXIS2"], header["NAXIS1"]) == (48, 64)
        assert header["XBINNING"] == 2
        assert truth.frame_type == "dark"

    def test_saturated(self, of):
        path, _ = of["saturated"]
        data = pixels_of(path)
        assert np.mean(data == 65535) > 0.98

    def test_there_must_be_something_to_break(self, tmp_path):
        with pytest.raises(ValueError, match="at least one dark"):
            make_night(tmp_path, **{**SMALL, "n_dark": 0})
        assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="filter 'H'"):
        make_night(tmp_path, **SMALL, filters=("V", "H"))
    with pytest.raises(ValueError, match="time zone"):
        make_night(tmp_path, **SMALL, start=datetime(2026, 3, 14))  # noqa: DTZ001
    assert list(tmp_path.iterdir()) == []


def test_a_field_and_a_camera_of_ones_own(tmp_path):
    field = StarField.random(83.8, -5.4, 0.05, name="M 42", seed=9)
    camera = replace(CAMERA, gain_e_adu=0.8, full_well_e=20_000.0)
    night = make_night(
        tmp_path, camera=camera, field=field, filters=("I",), n_bias=0, n_dark=1, n_flat=2
    )
    light = night.select("light")[0]
    assert light.name.endswith("_m42_I_30s.fits")
    assert fits.getheader(tmp_path / light.name)["OBJECT"] == "M 42"
    # Flats stay below the full well, which is reached before the converter's end.
    assert max(flat.level_adu for flat in night.select("flat")) < 0.6 * 20_000 / 0.8
