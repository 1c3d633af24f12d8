"""Single dialects, and that no header content breaks the reading of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from astropy.coordinates import FK5, SkyCoord
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.images.make import card, cards
from toros.images import FRAME_TYPES, FrameFacts, keywords, translate


@dataclass(frozen=True)
class Rule:
    """The least that satisfies the protocol `HeaderRule`."""

    file_name: str | None = None
    header: dict[str, str] = field(default_factory=dict)
    set: dict[str, str | float | None] = field(default_factory=dict)
    keywords: dict[str, str] = field(default_factory=dict)


def facts(*rules: Rule, name: str = "a/b.fits", **values: object) -> FrameFacts:
    return translate([cards(**values)], name, rules)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"IMAGETYP": "Light Frame"}, "light"),
        ({"IMAGETYP": "  dark "}, "dark"),
        ({"IMAGETYP": "Flat-Field"}, "flat"),
        ({"IMAGETYP": "ZERO"}, "bias"),
        ({"OBSTYPE": "EXPOSE"}, "light"),
        ({"OBSTYPE": "ARC"}, "unknown"),
        ({"IMAGETYP": "Master Dark"}, "unknown"),
        ({"FRAME": "FK5"}, "unknown"),
        ({"FRAME": "FK5", "HIERARCH ESO DPR TYPE": "FLAT,SKY"}, "flat"),
        ({"IMAGETYP": "", "OBSTYPE": "BIAS"}, "bias"),
        ({"IMAGETYP": 3}, "unknown"),
    ],
)
def test_type(values: dict[str, object], expected: str) -> None:
    found = facts(**values)
    assert found.frame_type == expected
    assert bool(found.notes) == (expected == "unknown")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"DATE__OBS": "2020-02-29T23:59:59.9"}, "2020-02-29T23:59:59.900"),
        ({"DATE__OBS": "2020-02-29 23:59:59Z"}, "2020-02-29T23:59:59"),
        ({"DATE__OBS": "2020/02/29", "TIME__OBS": "01:02:03,5"}, "2020-02-29T01:02:03.500"),
        ({"DATE__OBS": "2020-02-29", "UT": 1.5}, "2020-02-29T01:30:00"),
        ({"DATE__OBS": "2020-02-29", "UT": "1.5"}, "2020-02-29T01:30:00"),
        ({"DATE__OBS": "2020-02-29", "UTSTART": "01 02 03"}, "2020-02-29T01:02:03"),
        ({"DATE__OBS": "29/11/51", "UT": "10:00"}, "1951-11-29T10:00:00"),
        ({"DATE__OBS": "29/11/2001", "UT": "10:00"}, "2001-11-29T10:00:00"),
        ({"DATE__OBS": "11/29/2001", "UT": "10:00"}, "2001-11-29T10:00:00"),
        ({"DATE__OBS": "03/04/2001", "UT": "10:00"}, None),
        ({"DATE__OBS": "01/01/00", "UT": "00:00:00"}, None),
        ({"DATE__OBS": "2020-02-29", "UT": ("10:00", "UT at end")}, None),
        ({"DATE__OBS": "2017-12-19T18:33:43.317-0700"}, "2017-12-20T01:33:43.317"),
        ({"DATE__OBS": ("2017-12-19T18:00:00", "local time")}, None),
        (
            {
                "DATE__OBS": ("2017-12-19T18:00:00", "local time"),
                "UT__OBS": "2017-12-20T01:00:00-0000",
            },
            "2017-12-20T01:00:00",
        ),
        ({"DATE__OBS": "2020-02-30T00:00:01"}, None),
        ({"DATE__OBS": "2020-02-29T25:00:00"}, None),
        ({"DATE__OBS": "2016-12-31T23:59:60.5"}, None),
        ({"DATE__OBS": "yesterday", "MJD__OBS": 58107.0651}, "2017-12-20T01:33:44.640"),
        ({"MJD__OBS": 56486.0}, None),
        ({"MJD": 58738.651154}, "2019-09-12T15:37:39.706"),
        ({"JD": 2456362.6495370371}, "2013-03-11T03:35:20"),
        ({"MJD": 1e300}, None),
        ({"DATE__OBS": "2020-01-01T00:01:09.184", "TIMESYS": "TT"}, "2020-01-01T00:00:00"),
        ({"DATE__OBS": "2020-01-01T00:00:37", "TIMESYS": "TAI"}, "2020-01-01T00:00:00"),
        ({"DATE__OBS": "2020-01-01T10:00:37", "TIMESYS": "SANTIAGO"}, None),
        ({"DATE": "2020-01-01T10:00:37"}, None),
    ],
)
def test_start(values: dict[str, object], expected: str | None) -> None:
    found = facts(**values)
    if expected is None:
        assert found.start_utc is None
    else:
        assert found.start_utc is not None
        assert abs(found.start_utc - utc(expected)) < timedelta(milliseconds=1)
    assert len(found.notes) > 1 or expected is not None or "DATE" in values


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"EXPTIME": 60}, 60.0),
        ({"EXPTIME": -1, "EXPOSURE": 3.5}, 3.5),
        ({"EXPOSURE": "12.5 s"}, 12.5),
        ({"EXPOSURE": (250, "exposure [ms]")}, 0.25),
        ({"EXPTIME": -3.0}, None),
        ({"EXPTIME": True}, None),
        ({"EXPTIME": "long"}, None),
        ({}, None),
    ],
)
def test_exposure_time(values: dict[str, object], expected: float | None) -> None:
    assert facts(**values).exposure_time_s == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"CCD__TEMP": -20.5}, -20.5),
        ({"CCD__TEMP": 180.2}, -92.95),
        ({"CAMTEMP": (271.0, "Kelvin, =-1 if no data")}, -2.15),
        ({"CAMTEMP": (-1, "Kelvin, =-1 if no data")}, None),
        ({"CAMTEMP": "44 C"}, 44.0),
        ({"CAMTEMP": (77.0, "[K]")}, -196.15),
        ({"CCD__TEMP": -1.0}, None),
        ({"CCD__TEMP": -1.0, "SET__TEMP": 0.0}, -1.0),
        ({"CCD__TEMP": 999.0, "TEMPERAT": -5.0}, -5.0),
        ({"SET__TEMP": -30.0}, None),
    ],
)
def test_temperature(values: dict[str, object], expected: float | None) -> None:
    found = facts(**values).temperature_c
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-6))


@pytest.mark.parametrize(
    ("values", "expected", "bayer"),
    [
        ({"FILTER": " V "}, "V", None),
        ({"FILTER": "RGGB"}, None, "RGGB"),
        ({"FILTER": "L", "BAYERPAT": "GBRG"}, "L", "GBRG"),
        ({"FILTER": "None"}, None, None),
        ({"FILTERS": 48}, "48", None),
        ({"FILTER1": "g", "FILTER2": "open2-8"}, "g", None),
        ({"FILTER1": "clear", "FILTER2": "open"}, "clear", None),
        ({"FILTER1": "g", "FILTER2": "ND1"}, "g+ND1", None),
    ],
)
def test_filter(values: dict[str, object], expected: str | None, bayer: str | None) -> None:
    found = facts(**values)
    assert (found.filter, found.bayer) == (expected, bayer)


@pytest.mark.parametrize(
    ("values", "gain", "setting"),
    [
        ({"GAIN": 1500}, None, "1500"),
        ({"GAIN": 1.9}, 1.9, None),
        ({"EGAIN": 0.8, "GAIN": 120}, 0.8, "120"),
        ({"GAIN": 30}, None, "30"),
        ({"GAIN": (30, "[e-/ADU]")}, 30.0, None),
        ({"GAIN": 0.0}, None, "0.0"),
        ({"ISO": 100}, None, "100"),
    ],
)
def test_gain(values: dict[str, object], gain: float | None, setting: str | None) -> None:
    found = facts(**values)
    assert (found.gain_e_adu, found.gain_setting) == (gain, setting)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"XBINNING": 2, "YBINNING": 1}, "2x1"),
        ({"CCDSUM": "2 2"}, "2x2"),
        ({"BINNING": 3}, "3x3"),
        ({"XBINNING": 0, "YBINNING": 0}, None),
    ],
)
def test_binning(values: dict[str, object], expected: str | None) -> None:
    assert facts(**values).binning == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"RA": " 22:04:08", "DEC": "-00:55:31"}, (331.033333, -0.925278)),
        ({"RA": 31.312099, "DEC": 46.769}, (31.312099, 46.769)),
        ({"RA": ("2.5", "[h]"), "DEC": "46.769"}, (37.5, 46.769)),
        ({"OBJCTRA": "14 03 13", "OBJCTDEC": "+54 20 41"}, (210.804167, 54.344722)),
        ({"RA": "", "DEC": "", "RA__MNT": 301.5, "DEC__MNT": 44.4}, (301.5, 44.4)),
        ({"RA": 370.0, "DEC": 91.0}, (None, None)),
        ({"RA": "12:61:00", "DEC": 0.0}, (None, None)),
    ],
)
def test_pointing(values: dict[str, object], expected: tuple[float | None, ...]) -> None:
    found = facts(**values)
    assert (found.ra_deg, found.dec_deg) == pytest.approx(expected, abs=1e-5)


def test_pointing_of_an_old_equinox_is_converted() -> None:
    found = facts(RA=100.0, DEC=20.0, EQUINOX=2013.5, RADESYS="FK5")
    truth = SkyCoord(100.0, 20.0, unit="deg", frame=FK5(equinox="J2013.5")).icrs
    assert (found.ra_deg, found.dec_deg) == pytest.approx((truth.ra.deg, truth.dec.deg), abs=1e-7)
    b1950 = facts(RA=100.0, DEC=20.0, EQUINOX=1950.0)
    assert b1950.ra_deg == pytest.approx(100.740, abs=0.002)


def test_later_rules_win_and_rules_win_over_headers() -> None:
    rules = (
        Rule(file_name="FLAT*", set={"type": "flat", "filter": "U"}),
        Rule(header={"instrume": "cam*"}, set={"filter": None}, keywords={"type": "SORT"}),
    )
    values = {"IMAGETYP": "LIGHT", "INSTRUME": "Cam 1", "SORT": "dark", "FILTER": "V"}
    first = facts(rules[0], name="night/flat_1.fits", **values)
    assert (first.frame_type, first.filter) == ("flat", "U")
    both = facts(*rules, name="night/flat_1.fits", **values)
    assert (both.frame_type, both.filter) == ("dark", None)
    reverse = facts(*reversed(rules), name="night/flat_1.fits", **values)
    assert (reverse.frame_type, reverse.filter) == ("flat", "U")
    assert facts(*rules, name="night/x.fits", **{**values, "INSTRUME": "B"}).frame_type == "light"


def test_rules_name_keywords_and_values() -> None:
    rule = Rule(
        file_name="raw/*.fits",
        set={"exposure_time_s": 5, "instrument": "main"},
        keywords={"start_utc": "T0", "temperature_c": "SENSOR"},
    )
    found = facts(
        rule, name="raw/1.fits", T0=58107.5, SENSOR=-7, CCD__TEMP=3, DATE__OBS="2001-01-01T00:00:01"
    )
    assert found.exposure_time_s == 5.0
    assert found.instrument == "main"
    assert found.temperature_c == -7.0
    assert found.start_utc == utc("2017-12-20T12:00:00")


def test_the_primary_header_comes_first() -> None:
    found = translate(
        [cards(FILTER="V", OBJECT=""), cards(FILTER="B", OBJECT="M1", IMAGETYP="flat")], "a", []
    )
    assert (found.filter, found.object_name, found.frame_type) == ("V", "M1", "flat")


def test_a_card_that_cannot_be_parsed_is_noted() -> None:
    broken = fits.Header.fromstring(b"EXPTIME = 12abc 3".ljust(80).decode())
    found = translate([broken], "a", [])
    assert found.exposure_time_s is None
    assert any("EXPTIME" in note for note in found.notes)


KNOWN = sorted(
    {
        *keywords.TYPE, *keywords.DATE_TIME, *keywords.TIME_OF_DAY, *keywords.MJD, *keywords.JD,
        *keywords.EXPOSURE, *keywords.TEMPERATURE, *keywords.SET_POINT, *keywords.FILTER,
        *keywords.FILTER_WHEELS, *keywords.BAYER, *keywords.GAIN, *keywords.GAIN_SETTING,
        *keywords.BINNING_TEXT, *keywords.INSTRUMENT, "TIMESYS", "EQUINOX", "RADESYS", "XBINNING",
        "YBINNING", *(k for pair in keywords.POINTING for k in pair),
    } - {"ESO DPR TYPE", "ESO INS FILT1 NAME"}
)  # fmt: skip
PLAUSIBLE = st.sampled_from(
    [
        *("2020-02-29", "2020-02-29T23:59:59", "31/12/99", "23:59:60", "24:00:00", "-00:00:00.1"),
        *("9999-12-31T23:59:59-1400", "0001-01-01T00:00:00+1400", "0000-00-00T00:00:00", "1:2"),
        *("-0700", "TT", "RGGB", "nan", "inf", "1e999", "-1", "FK4", "1950", "271 K", "12h30m"),
        *("Light Frame", "2x2"),
    ]
)
VALUES = st.one_of(
    PLAUSIBLE,
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    st.integers(),
    st.floats(),
    st.booleans(),
)


def raw_card(keyword: str, value: object) -> str:
    if isinstance(value, str):
        value = "'" + value.replace("'", "''") + "'"
    return f"{keyword:8}= {value}"[:80].ljust(80)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(KNOWN), VALUES, max_size=12))
def test_no_value_makes_the_reading_fail(values: dict[str, object]) -> None:
    found = translate(
        [fits.Header.fromstring("".join(raw_card(k, v) for k, v in values.items()))], "x.fits", []
    )
    assert found.frame_type in FRAME_TYPES
    assert found.exposure_time_s is None or 0 <= found.exposure_time_s <= 1e6
    assert found.temperature_c is None or -274 < found.temperature_c < 100
    assert found.ra_deg is None or 0 <= found.ra_deg < 360
    assert found.start_utc is None or found.start_utc.tzinfo is UTC


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(KNOWN), st.binary(max_size=72)).map(
            lambda pair: (pair[0].ljust(8).encode() + pair[1])[:80].ljust(80)
        ),
        max_size=8,
    )
)
def test_no_bytes_make_the_reading_fail(lines: list[bytes]) -> None:
    text = b"".join(lines).decode("ascii", "replace").replace("\ufffd", "?")
    assert translate([fits.Header.fromstring(text)], "x.fits", []).frame_type in FRAME_TYPES


def test_card_maker_writes_cards() -> None:
    assert len(card("A", 1)) == 80
