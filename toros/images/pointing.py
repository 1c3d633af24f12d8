"""Where the telescope pointed, out of the many ways in which headers state it."""

from __future__ import annotations

import re

from astropy.coordinates import FK4, FK5, Angle, SkyCoord
from astropy.time import Time

from toros.images import keywords
from toros.images.cards import Entry, HeaderView

_SEXAGESIMAL = re.compile(
    r"([+-]?)\s*(\d{1,3})[:\s hdHD°]\s*(\d{1,2})[:\s mM']\s*(\d{1,2}(?:\.\d*)?)?\s*[sS\"]?",
    re.ASCII,
)
_HOURS = re.compile(r"\bhours\b|\bhrs\b|\[h\]", re.IGNORECASE)
_EQUINOX_RANGE = (1850.0, 2150.0)
# By FITS WCS Paper II (2002), section 3.1, an equinox before 1984 without a frame means FK4.
_FK4_BEFORE = 1984.0


def read_pointing(view: HeaderView) -> tuple[float, float] | None:
    """Read the pointing.

    Numbers are degrees, unless the comment says hours; a right ascension with
    colons or blanks is in hours.

    Parameters
    ----------
    view : HeaderView
        The frame's headers.

    Returns
    -------
    tuple of float or None
        Right ascension, 0 <= ra < 360, and declination, -90 <= dec <= 90; ICRS
        [deg]. The header's own WCS is not looked at: its reference point need
        not lie in the field.

    References
    ----------
    Calabretta & Greisen 2002, A&A 395, 1077 (FITS WCS Paper II), section 3.1.
    """
    for keyword_ra, keyword_dec in keywords.POINTING:
        ra, dec = view.find(keyword_ra), view.find(keyword_dec)
        if ra is None or dec is None:
            continue
        ra_deg, dec_deg = _degrees(ra, in_hours=True), _degrees(dec, in_hours=False)
        if ra_deg is None or dec_deg is None or abs(ra_deg) > 360 or abs(dec_deg) > 90:
            view.note(f"{ra}, {dec} is no position")
            continue
        return _icrs(view, ra_deg % 360.0 % 360.0, dec_deg)  # -1e-300 % 360 is 360
    return None


def _degrees(entry: Entry, *, in_hours: bool) -> float | None:
    found = _SEXAGESIMAL.fullmatch(entry.text)
    if found is None:
        number = entry.number
        if number is not None and in_hours and _HOURS.search(entry.comment):
            number *= 15
        return number
    sign, whole, minutes, seconds = found.groups()
    if int(minutes) >= 60 or float(seconds or 0) >= 60:
        return None
    text = f"{sign}{whole}:{minutes}:{seconds or 0}"
    return float(Angle(text, unit="hourangle" if in_hours else "deg").deg)


def _icrs(view: HeaderView, ra_deg: float, dec_deg: float) -> tuple[float, float] | None:
    """Convert from the header's equinox; J2000 (FK5) is within 0.1 arcsec of ICRS."""
    entry = next(view.find_all(("EQUINOX", "CAT-EQUI", "EPOCH")), None)
    equinox = entry.number if entry else None
    frame = (view.find_text(("RADESYS", "RADECSYS")) or "").upper()
    if equinox is None or frame == "ICRS" or abs(equinox - 2000.0) < 1e-3:
        return ra_deg, dec_deg
    if not _EQUINOX_RANGE[0] <= equinox <= _EQUINOX_RANGE[1]:
        view.note(f"{entry} is no plausible equinox; the position is taken as J2000")
        return ra_deg, dec_deg
    if frame.startswith("FK4") or (not frame and equinox < _FK4_BEFORE):
        old = FK4(equinox=Time(equinox, format="byear"))
    else:
        old = FK5(equinox=Time(equinox, format="jyear"))
    icrs = SkyCoord(ra_deg, dec_deg, unit="deg", frame=old).icrs
    view.note(f"the position is converted from equinox {equinox:g}")
    return float(icrs.ra.deg) % 360.0, float(icrs.dec.deg)
