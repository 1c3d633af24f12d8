"""The header of an exposure: from what is known about it to the cards of its file.

What is not known has no card. Texts that FITS cannot hold are written with
escapes, and ESCAPED names their cards; texts without end are shortened, and
a COMMENT says so: an odd name never costs a frame.

References
----------
FITS Standard 4.0 (2018): section 4.3.2 (units in comments), 4.4.2 (reserved
keywords), 8 and 9 (coordinates and times). SBFITSEXT 1.0 and its use by MaxIm DL
(IMAGETYP, SET-TEMP, FOCALLEN, XPIXSZ, OBJCTRA and others).
Calabretta & Greisen 2002, A&A 395, 1077, section 5.1.3 (TAN).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from astropy.io import fits

from toros.images.cards import HeaderView
from toros.images.circumstances import Circumstances, ExposureType
from toros.images.products import Card, CardValue

_IMAGE_TYPES: dict[ExposureType, str] = {
    "bias": "Bias Frame",
    "dark": "Dark Frame",
    "flat": "Flat Field",
    "light": "Light Frame",
    # No words of the dialects: such frames are of no use for the calibration.
    "focus": "Focus Frame",
    "pointing": "Pointing Frame",
    "test": "Test Frame",
}
_ON_SKY: frozenset[ExposureType] = frozenset({"light", "focus", "pointing"})
_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)
_LONGEST_S = 1e7
_TEXT_LIMIT = 1000
_MARK_CHARS = 9


class Origin(NamedTuple):
    """Why and as which of its night an exposure of ours was taken."""

    night: str
    """The local evening's date, YYYY-MM-DD."""
    sequence: int
    order_id: str | None
    target_id: int | None


def header_cards(known: Circumstances, shape: tuple[int, ...]) -> list[Card]:
    """Write down what is known about an exposure.

    Parameters
    ----------
    known : Circumstances
    shape : tuple of int
        (ny, nx) [pixel] of the frame.

    Returns
    -------
    list of (keyword, value, comment)
        For `toros.images.raw.write_frame`: only what has a value, texts in ASCII.
    """
    parts = (_what, _when, _where_to, _camera, _optics, _why, _who)
    cards = [card for part in parts for card in part(known)]
    remarks = list(known.notes)
    if wcs := list(_rough_wcs(known, shape)):
        cards += wcs
        remarks.append(
            "The coordinate system is approximate: as the mount points, with north up and east "
            "to the left assumed. It is no solution."
        )
    return _fit_to_travel(cards, remarks)


def read_origin(header: fits.Header) -> Origin | None:
    """Read why an exposure was taken; None for a frame that is not by this software.

    Parameters
    ----------
    header : astropy.io.fits.Header
        The primary header.
    """
    view = HeaderView([header])
    escaped = (view.find_text(["ESCAPED"]) or "").split(",")

    def text(keyword: str) -> str | None:
        value = view.find_text([keyword])
        return _unescaped(value) if value and keyword in escaped else value

    creator, night = text("CREATOR"), text("NIGHT")
    sequence, target = view.find("SEQNUM"), view.find("TARGETID")
    if night is None or not (creator or "").startswith("TOROS "):
        return None
    if sequence is None or not isinstance(sequence.value, int):
        return None
    target_id = target.value if target and isinstance(target.value, int) else None
    return Origin(night, sequence.value, text("ORDERID"), target_id)


def _what(known: Circumstances) -> Iterator[Card]:
    yield "IMAGETYP", _IMAGE_TYPES[known.exposure_type], "type of the frame"
    yield "OBJECT", known.target_name, "name of the target"
    yield "BUNIT", "adu", "unit of the pixels"
    yield "EXPTIME", float(known.exposure_time_s), "[s] exposure time"
    yield "XPOSURE", float(known.exposure_time_s), "[s] exposure time"
    yield "FILTER", known.filter, "filter"


def _when(known: Circumstances) -> Iterator[Card]:
    start = known.start_utc
    start = start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
    # What no exposure can last is the camera's nonsense: it must not cost the frame.
    length_s = known.exposure_time_s if 0 <= known.exposure_time_s < _LONGEST_S else 0.0
    middle, end = (start + timedelta(seconds=length_s * part) for part in (0.5, 1.0))
    yield "TIMESYS", "UTC", "time scale of this header"
    yield "TREFPOS", "TOPOCENTER", "times are those at the telescope"
    yield "DATE-OBS", _iso(start), "start of the exposure"
    yield "DATE-BEG", _iso(start), "start of the exposure"
    yield "DATE-AVG", _iso(middle), "middle of the exposure"
    yield "DATE-END", _iso(end), "end of the exposure"
    yield "MJD-BEG", _mjd(start), "[d] start as modified Julian date"
    yield "MJD-AVG", _mjd(middle), "[d] middle as modified Julian date"
    yield "MJD-END", _mjd(end), "[d] end as modified Julian date"
    yield "NIGHT", known.night.isoformat(), "date of the evening at the site"
    yield "SEQNUM", known.sequence or None, "number of the exposure in its night"


def _where_to(known: Circumstances) -> Iterator[Card]:
    asked, told = _place(known.pointing_asked), _place(known.pointing)
    place, by = (told, "as the mount tells") if told else (asked, "as asked")
    if place is not None:
        yield "RADESYS", "ICRS", "frame of all directions on the sky"
        yield "RA", place[0], f"[deg] right ascension, {by}"
        yield "DEC", place[1], f"[deg] declination, {by}"
    if asked is not None:
        yield "OBJCTRA", sexagesimal(asked[0] / 15, signed=False), "[h m s] as asked"
        yield "OBJCTDEC", sexagesimal(asked[1], signed=True), "[d m s] as asked"
    yield "ALTITUDE", known.altitude_deg, "[deg] above the horizon, at the start"
    yield "AZIMUTH", known.azimuth_deg, "[deg] from north over east, at the start"
    yield "AIRMASS", known.airmass, "airmass at the start"
    yield "PIERSIDE", known.pier_side and known.pier_side.upper(), "side of the pier"
    yield "DOMEAZ", known.dome_azimuth_deg, "[deg] where the dome looks"


def _camera(known: Circumstances) -> Iterator[Card]:
    yield "INSTRUME", known.instrument, "camera"
    yield "CCD-TEMP", known.temperature_c, "[deg C] measured at the detector"
    yield "SET-TEMP", known.temperature_set_c, "[deg C] asked of the cooler"
    yield "GAIN", known.gain_e_adu, "[electron/adu] gain"
    yield "EGAIN", known.gain_e_adu, "[electron/adu] gain"
    yield "GAINSET", known.gain_setting, "gain number of the camera"
    yield "RDNOISE", known.read_noise_e, "[electron] read noise, 1 sigma"
    yield "SATURATE", known.saturation_adu, "[adu] pixels are saturated from here on"
    yield "XBINNING", known.binning, "[pixel] columns binned"
    yield "YBINNING", known.binning, "[pixel] rows binned"
    if known.pixel_um is not None:
        yield "XPIXSZ", known.pixel_um[0] * known.binning, "[um] width of a binned pixel"
        yield "YPIXSZ", known.pixel_um[1] * known.binning, "[um] height of a binned pixel"
    yield "BAYERPAT", known.bayer, "colour pattern from the first pixel"


def _optics(known: Circumstances) -> Iterator[Card]:
    yield "TELESCOP", known.telescope, "telescope"
    yield "FOCALLEN", known.focal_length_mm, "[mm] focal length"
    yield "APTDIA", known.aperture_mm, "[mm] diameter of the aperture"
    if (scale := _scale_deg(known)) is not None:
        yield "PIXSCALE", scale[0] * 3600, "[arcsec/pixel] by focal length and pixel"
    yield "FOCUSPOS", known.focus_position, "[step] position of the focuser"
    yield "FOCTEMP", known.focus_temperature_c, "[deg C] at the focuser"
    yield "AMBTEMP", known.ambient_temperature_c, "[deg C] of the air"


def _why(known: Circumstances) -> Iterator[Card]:
    yield "ORDERID", known.order_id, "id of the work order"
    yield "TARGETID", known.target_id, "number of the target"
    yield "ALERT", known.alert, "event of the alert"


def _who(known: Circumstances) -> Iterator[Card]:
    yield "OBSERVER", known.observer, "who asked for it"
    yield "OBSERVAT", known.observatory, "observatory"
    yield "OBSGEO-B", known.latitude_deg, "[deg] geodetic latitude, WGS 84"
    yield "OBSGEO-L", known.longitude_deg, "[deg] geodetic longitude, WGS 84, east positive"
    yield "OBSGEO-H", known.height_m, "[m] above the ellipsoid"
    yield "ORIGIN", known.observatory, "who made this file"
    yield "CREATOR", known.software, "software that wrote this file"


def _rough_wcs(known: Circumstances, shape: tuple[int, ...]) -> Iterator[Card]:
    """Yield a tangential projection around the pointing, where there is enough to know."""
    place, scale = _place(known.pointing) or _place(known.pointing_asked), _scale_deg(known)
    if place is None or scale is None or len(shape) != 2 or known.exposure_type not in _ON_SKY:
        return
    ny, nx = shape
    yield "WCSAXES", 2, "axes of the coordinate system"
    yield "WCSNAME", "APPROXIMATE", "by the pointing only, see COMMENT"
    yield "CTYPE1", "RA---TAN", "right ascension, gnomonic"
    yield "CTYPE2", "DEC--TAN", "declination, gnomonic"
    yield "CUNIT1", "deg", "unit of axis 1"
    yield "CUNIT2", "deg", "unit of axis 2"
    yield "CRVAL1", place[0], "[deg] at the reference pixel"
    yield "CRVAL2", place[1], "[deg] at the reference pixel"
    yield "CRPIX1", (nx + 1) / 2, "[pixel] middle of the frame"
    yield "CRPIX2", (ny + 1) / 2, "[pixel] middle of the frame"
    yield "CDELT1", -scale[0], "[deg/pixel] orientation assumed"
    yield "CDELT2", scale[1], "[deg/pixel] orientation assumed"


def _place(pointing: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return a direction that is one: 0 <= ra < 360, -90 <= dec <= 90."""
    if pointing is None or not all(math.isfinite(angle) for angle in pointing):
        return None
    ra, dec = float(pointing[0]) % 360.0 % 360.0, float(pointing[1])  # -1e-300 % 360 is 360
    return (ra, dec) if abs(dec) <= 90 else None


def _scale_deg(known: Circumstances) -> tuple[float, float] | None:
    """Return the angle of a binned pixel along x and y [deg]."""
    if known.pixel_um is None or not known.focal_length_mm:
        return None
    binned_mm = (size * known.binning * 1e-3 for size in known.pixel_um)
    x, y = (math.degrees(math.atan(size / known.focal_length_mm)) for size in binned_mm)
    return x, y


def sexagesimal(value: float, *, signed: bool) -> str:
    """Write hours, or degrees if `signed`, as ``HH MM SS.sss`` or ``+DD MM SS.ss``."""
    digits = 2 if signed else 3
    unit = 10**digits
    units = round(abs(value) * 3600 * unit)
    if not signed:
        units %= 24 * 3600 * unit
    seconds, fraction = divmod(units, unit)
    minutes, seconds = divmod(seconds, 60)
    whole, minutes = divmod(minutes, 60)
    sign = ("-" if value < 0 and units else "+") if signed else ""
    return f"{sign}{whole:02d} {minutes:02d} {seconds:02d}.{fraction:0{digits}d}"


def _iso(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")


def _mjd(moment: datetime) -> float:
    """Return the modified Julian date, by civil days of 86400 s."""
    return round((moment - _MJD_ZERO) / timedelta(days=1), 11)


def _fit_to_travel(cards: Sequence[Card], remarks: list[str]) -> list[Card]:
    """Leave out what has no value, and bring texts into a form that FITS can hold."""
    fit: list[Card] = []
    escaped = []
    for keyword, value, comment in cards:
        if isinstance(value, str):
            text, had_odd, was_long = _plain(value)
            if had_odd:
                escaped.append(keyword)
            if was_long:
                remarks.append(
                    f"{keyword} is shortened to {_TEXT_LIMIT} characters; the last "
                    f"{_MARK_CHARS - 1} are of the SHA-256 of the whole."
                )
            if text:
                fit.append((keyword, text, comment))
        elif _has_value(value):
            fit.append((keyword, value, comment))
    if escaped:
        fit.append(("ESCAPED", ",".join(escaped), r"cards with escapes such as \xe9"))
    fit.extend(("COMMENT", _plain(remark)[0], "") for remark in remarks)
    return fit


def _has_value(value: CardValue) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _plain(value: str) -> tuple[str, bool, bool]:
    """Return a text in printable ASCII, whether it has escapes, whether it was shortened."""
    text = value.strip()
    is_long = len(text) > _TEXT_LIMIT
    if is_long:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        text = f"{text[: _TEXT_LIMIT - _MARK_CHARS]}~{digest[: _MARK_CHARS - 1]}"
    # A backslash is written as two, lest another text's escapes look the same.
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text, False, is_long
    return text.encode("unicode_escape").decode("ascii"), True, is_long


def _unescaped(text: str) -> str:
    try:
        return text.encode("ascii").decode("unicode_escape")
    except ValueError:  # changed by another program
        return text
