"""From what is known about an exposure to its file, and back."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from astropy.coordinates import Angle
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import PROJECT
from toros.errors import DeviceNonsense
from toros.images import read_facts
from toros.images.circumstances import Circumstances
from toros.images.headers import Origin, header_cards, read_origin, sexagesimal
from toros.images.raw import encode_card, frame_bytes, write_frame

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*dubious year"),
    pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning"),
]

FRAME = np.arange(12, dtype=np.uint16).reshape(3, 4) + 65520

FULL = Circumstances(
    exposure_type="light",
    start_utc=datetime(2026, 6, 10, 23, 59, 58, 123456, tzinfo=UTC),
    exposure_time_s=30.5,
    night=date(2026, 6, 10),
    sequence=42,
    pointing=(197.44875, -23.38389),
    pointing_asked=(197.45, -23.384),
    altitude_deg=61.25,
    azimuth_deg=12.5,
    airmass=1.14,
    dome_azimuth_deg=13.0,
    pier_side="west",
    filter="SDSS r'",
    focus_position=12034,
    temperature_c=-20.5,
    temperature_set_c=-20.0,
    focus_temperature_c=8.25,
    ambient_temperature_c=7.5,
    gain_e_adu=1.37,
    gain_setting=120,
    read_noise_e=3.1,
    saturation_adu=65000.0,
    binning=2,
    pixel_um=(9.0, 9.0),
    bayer="RGGB",
    focal_length_mm=2700.0,
    aperture_mm=600.0,
    order_id="night-7/1",
    target_id=17,
    target_name="NGC 4993",
    alert="S190425z",
    observer="Ana",
    telescope="TOROS",
    instrument="Alta U16M",
    observatory="Cordon Macon",
    longitude_deg=-67.33,
    latitude_deg=-24.63,
    height_m=4637.0,
    notes=("the camera's clock was off",),
)


def written(known, data=FRAME):
    file = io.BytesIO()
    write_frame(file, data, header_cards(known, data.shape))
    return file.getvalue()


def opened(content, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # above all a checksum that is wrong
        with fits.open(io.BytesIO(content), checksum=True, **options) as hdus:
            hdus.verify("exception")
            return hdus[0].data.copy(), hdus[0].header.copy()


def facts_of(known, folder, data=FRAME):
    path = folder / "x.fits"
    path.write_bytes(written(known, data))
    return read_facts(path, "x.fits", (), 1.0)


def test_every_fact_is_read_back_identically(tmp_path):
    facts = facts_of(FULL, tmp_path)
    assert facts.frame_type == "light"
    assert facts.start_utc == FULL.start_utc
    assert facts.exposure_time_s == FULL.exposure_time_s
    assert facts.filter == FULL.filter
    assert facts.temperature_c == FULL.temperature_c
    assert (facts.shape, facts.hdus) == ((3, 4), (0,))
    assert facts.binning == "2x2"
    assert facts.gain_e_adu == FULL.gain_e_adu
    assert facts.instrument == FULL.instrument
    assert facts.telescope == FULL.telescope
    assert facts.bayer == FULL.bayer
    assert facts.object_name == FULL.target_name
    assert (facts.ra_deg, facts.dec_deg) == FULL.pointing
    assert facts.notes == ()


def test_the_gain_setting_is_read_back(tmp_path):
    assert facts_of(FULL, tmp_path).gain_setting == "120"
    assert facts_of(replace(FULL, gain_e_adu=None, gain_setting=5), tmp_path).gain_setting == "5"


def test_a_small_gain_setting_is_never_taken_for_electrons(tmp_path):
    assert facts_of(replace(FULL, gain_e_adu=None, gain_setting=5), tmp_path).gain_e_adu is None


@pytest.mark.parametrize("kind", ["bias", "dark", "flat", "light"])
def test_types_are_read_back(kind, tmp_path):
    assert facts_of(replace(FULL, exposure_type=kind), tmp_path).frame_type == kind


@pytest.mark.parametrize("kind", ["focus", "pointing"])
def test_focus_and_pointing_frames_are_none_that_is_calibrated(kind, tmp_path):
    assert facts_of(replace(FULL, exposure_type=kind), tmp_path).frame_type == "unknown"


def test_what_is_not_known_is_not_written(tmp_path):
    least = Circumstances("bias", FULL.start_utc, 0.0, FULL.night)
    facts = facts_of(least, tmp_path)
    assert (facts.frame_type, facts.exposure_time_s) == ("bias", 0.0)
    for name in ("filter", "temperature_c", "gain_e_adu", "instrument", "ra_deg", "bayer"):
        assert getattr(facts, name) is None
    _, header = opened(written(least))
    assert not {"RA", "AIRMASS", "GAIN", "WCSAXES", "OBSGEO-B", "ORDERID", "RADESYS"} & set(header)


def finite(low, high):
    return st.floats(low, high, allow_nan=False)


words = st.text(min_size=1, max_size=300)


@settings(max_examples=150, deadline=None)
@given(
    st.builds(
        Circumstances,
        exposure_type=st.sampled_from(["bias", "dark", "flat", "light"]),
        start_utc=st.datetimes(datetime(1972, 1, 2), datetime(2100, 1, 1)).map(  # noqa: DTZ001
            lambda moment: moment.replace(tzinfo=UTC)
        ),
        exposure_time_s=finite(0, 1e5),
        night=st.dates(),
        sequence=st.integers(1, 10**6),
        pointing=st.tuples(finite(0, 359.999999), finite(-90, 90)),
        temperature_c=finite(-150, 50),
        gain_e_adu=finite(0.05, 9.5),
        binning=st.integers(1, 16),
        order_id=words,
        target_id=st.integers(1, 2**31 - 1),
        target_name=words,
        instrument=words,
        telescope=words,
        notes=st.lists(words, max_size=3),
    )
)
def test_anything_is_written_and_read_back(known):
    data, header = opened(written(known))
    assert np.array_equal(data, FRAME)
    for keyword, value in (
        ("EXPTIME", known.exposure_time_s),
        ("RA", known.pointing[0]),
        ("DEC", known.pointing[1]),
        ("CCD-TEMP", known.temperature_c),
        ("EGAIN", known.gain_e_adu),
    ):
        assert header[keyword] == value
    assert Time(header["DATE-BEG"]).utc.to_datetime() == known.start_utc.replace(tzinfo=None)
    escaped = header.get("ESCAPED", "").split(",")
    for keyword, text in (("OBJECT", known.target_name), ("TELESCOP", known.telescope)):
        found = header.get(keyword, "")
        plain = found.encode().decode("unicode_escape") if keyword in escaped else found
        assert plain == text.strip()
    wanted = known.order_id.strip() or None
    assert read_origin(header) == Origin(
        known.night.isoformat(), known.sequence, wanted, known.target_id
    )


def test_the_facts_of_odd_texts_stay_different(tmp_path):
    names = ["Ω Cen", "ω Cen", "a\nb", "a\\nb", "it's", "&", "x&", "'", "a" * 3000, "a" * 3001]
    seen = {facts_of(replace(FULL, filter=name), tmp_path).filter for name in names}
    assert len(seen) == len(names)
    assert not any(name is None or len(name) > 1000 for name in seen)


def test_a_long_text_is_shortened_and_says_so():
    _, header = opened(written(replace(FULL, target_name="x" * 5000)))
    assert len(header["OBJECT"]) == 1000
    assert "OBJECT is shortened" in " ".join(header["COMMENT"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e308])
def test_numbers_that_cannot_be_do_not_cost_the_frame(value):
    odd = replace(FULL, exposure_time_s=value, airmass=value, pointing=(value, value))
    data, header = opened(written(odd))
    assert np.array_equal(data, FRAME)
    assert header["DATE-END"] == header["DATE-BEG"]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (
            datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-01T00:00:00.000000",
        ),
        (datetime(2026, 1, 1), "2026-01-01T00:00:00.000000"),  # noqa: DTZ001
    ],
)
def test_times_are_in_utc(start, expected):
    _, header = opened(written(replace(FULL, start_utc=start)))
    assert header["DATE-OBS"] == header["DATE-BEG"] == expected


def test_times_agree_with_astropy():
    _, header = opened(written(FULL))
    start = Time(header["DATE-BEG"], scale="utc")
    assert header["MJD-BEG"] == pytest.approx(start.mjd, abs=1e-11)
    assert header["MJD-AVG"] == pytest.approx(Time(header["DATE-AVG"]).mjd, abs=1e-11)
    assert header["MJD-END"] == pytest.approx(Time(header["DATE-END"]).mjd, abs=1e-11)
    assert (Time(header["DATE-END"]) - start).sec == pytest.approx(30.5, abs=1e-6)
    assert header["TIMESYS"] == "UTC"


@pytest.mark.parametrize(
    "angle", [0.0, 1e-9, 359.99999999, 12.3456789, 180.0, 15 * (1 - 1e-12), 23.9999]
)
def test_sexagesimal_agrees_with_astropy(angle):
    hours = Angle(sexagesimal(angle / 15, signed=False), unit="hourangle")
    assert abs((hours.deg - angle + 180) % 360 - 180) < 1e-5
    for value in (angle % 90, -(angle % 90)):
        assert Angle(sexagesimal(value, signed=True), unit="deg").deg == pytest.approx(
            value, abs=2e-6
        )


def test_the_rough_wcs_puts_the_pointing_in_the_middle_and_says_what_it_is():
    _, header = opened(written(FULL))
    wcs = WCS(header)
    middle = wcs.pixel_to_world(1.5, 1.0)
    assert (middle.ra.deg, middle.dec.deg) == pytest.approx(FULL.pointing, abs=1e-9)
    assert header["PIXSCALE"] == pytest.approx(18e-3 / 2700 * 206264.806, rel=1e-6)
    assert (header["WCSNAME"], middle.frame.name) == ("APPROXIMATE", "icrs")
    assert "approximate" in " ".join(header["COMMENT"])
    _, dark = opened(written(replace(FULL, exposure_type="dark")))
    assert "WCSAXES" not in dark


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">u2", "<i4", "?"]
)
def test_pixels_are_stored_as_they_are(dtype):
    rng = np.random.default_rng(1)
    raw = rng.integers(0, 256, size=(7, 5, np.dtype(dtype).itemsize), dtype=np.uint8)
    data = raw.view(np.dtype(dtype))[..., 0] if dtype != "?" else raw[..., 0] > 100
    if np.dtype(dtype).kind == "f":
        data = rng.normal(size=(7, 5)).astype(dtype)
    found, _ = opened(written(FULL, data), uint=True)
    assert np.array_equal(found.astype(np.float64), np.asarray(data, np.float64))
    if dtype in ("u2", "i4", "f4"):
        assert found.dtype.newbyteorder("=") == data.dtype


def test_a_transposed_frame_keeps_its_rows():
    data = np.arange(6, dtype=np.uint16).reshape(2, 3).T  # as [x][y] drivers give it
    found, header = opened(written(FULL, data))
    assert np.array_equal(found, data)
    assert (header["NAXIS1"], header["NAXIS2"]) == (2, 3)


def test_large_frames_have_the_right_checksum_too():
    data = np.random.default_rng(2).integers(0, 65536, (1500, 1001), dtype=np.uint16)
    found, _ = opened(written(FULL, data))
    assert np.array_equal(found, data)


@pytest.mark.parametrize("data", [np.zeros((0, 3), "u2"), np.array(3), np.zeros((2, 2), complex)])
def test_what_is_no_frame_is_the_devices_nonsense(data):
    with pytest.raises(DeviceNonsense):
        written(FULL, data)


def test_the_same_input_gives_the_same_bytes_and_their_checksum():
    file = io.BytesIO()
    digest = write_frame(file, FRAME, header_cards(FULL, FRAME.shape))
    assert file.getvalue() == written(FULL)
    assert digest == hashlib.sha256(file.getvalue()).hexdigest()
    assert len(file.getvalue()) <= frame_bytes(FRAME.shape, 2)


def test_cards_of_another_software_are_no_origin():
    assert read_origin(fits.Header({"NIGHT": "2026-06-10", "SEQNUM": 1})) is None
    assert read_origin(fits.Header({"CREATOR": "TOROS 1", "NIGHT": "2026-06-10"})) is None


def test_comments_are_not_cut_and_units_stand_in_front():
    for keyword, value, comment in header_cards(FULL, FRAME.shape):
        if keyword not in ("COMMENT", "ESCAPED"):
            assert comment in encode_card(keyword, value, comment), keyword
        assert comment.isascii()


@pytest.mark.parametrize(
    ("keyword", "value"), [("TOOLONGKEY", 1), ("", 1), ("A B", 1), ("OBJECT", "é"), ("X", "a\nb")]
)
def test_a_card_that_breaks_the_standard_is_a_defect(keyword, value):
    with pytest.raises(ValueError):
        encode_card(keyword, value)


def documented():
    page = (PROJECT / "docs" / "reference" / "exposures.md").read_text("utf-8")
    rows = re.findall(r"^\| `([A-Z0-9-]{1,8})` \|([^|]*)\|([^|]*)\|([^|]*)\|$", page, re.M)
    return {row[0]: row[1:] for row in rows}


def test_every_keyword_is_documented_with_unit_and_source():
    odd = replace(FULL, target_name="é")
    header = fits.Header.fromfile(io.BytesIO(written(odd)))
    table = documented()
    assert set(header) == set(table), "docs/reference/exposures.md"
    for keyword, (unit, meaning, source) in table.items():
        assert meaning.strip(), keyword
        assert source.strip(), keyword
        comment = "" if keyword == "COMMENT" else str(header.comments[keyword])
        stated = re.match(r"\[(.*?)\]", comment)
        assert unit.strip() == (stated[1] if stated else ""), keyword


def test_the_fullest_exposure_leaves_nothing_out():
    assert all(getattr(FULL, field.name) is not None for field in fields(FULL))
