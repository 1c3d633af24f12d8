"""The start of an exposure out of the many ways in which headers state it.

References
----------
FITS Standard 4.0, section 9 and section 4.4.2.1 (``DD/MM/YY`` is of 19YY).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from astropy.time import Time

from toros.images import keywords
from toros.images.cards import Entry, HeaderView

_DATE = r"(?P<year>\d{4})[-/](?P<month>\d{1,2})[-/](?P<day>\d{1,2})"
_CLOCK = r"(?P<hour>\d{1,2})[: ](?P<minute>\d{1,2})(?:[: ](?P<second>\d{1,2}(?:[.,]\d*)?))?"
_ZONE = r"(?P<zone>Z|UTC?|GMT|[+-]\d{2}:?\d{2})?"
_DATE_TIME = re.compile(rf"{_DATE}(?:(?:T|\s+){_CLOCK}\s*{_ZONE})?", re.ASCII | re.IGNORECASE)
_OLD_DATE = re.compile(r"(?P<day>\d{1,2})/(?P<month>\d{1,2})/(?P<year>\d{2}|\d{4})", re.ASCII)
_CLOCK_ONLY = re.compile(rf"{_CLOCK}\s*(?:Z|UTC?|GMT)?", re.ASCII | re.IGNORECASE)
_LOCAL = re.compile(r"\blocal\b|\bLT\b", re.IGNORECASE)
_END = re.compile(r"\bend\b", re.IGNORECASE)

_SCALES = {"TAI": "tai", "TT": "tt", "TDT": "tt", "ET": "tt", "TDB": "tdb", "TCG": "tcg"}
# What clocks show that were never set, and what software writes for "no date".
_PLACEHOLDERS = {
    "0001-01-01T00:00:00",
    "1601-01-01T00:00:00",
    "1899-12-30T00:00:00",
    "1900-01-01T00:00:00",
    "1970-01-01T00:00:00",
}
_MJD_RANGE = (15000.0, 100000.0)  # the years 1899 to 2132
_MJD_OF_JD = 2400000.5


def read_start(view: HeaderView, first: str | None = None) -> datetime | None:
    """Read the start of the exposure.

    Parameters
    ----------
    view : HeaderView
        The frame's headers.
    first : str, optional
        A keyword to try before all others (site rule).

    Returns
    -------
    datetime or None
        Aware, UTC; None when no keyword gives both date and time. The view's
        notes say why.
    """
    scale = _time_scale(view)
    if scale is None:
        return None
    start, date = _from_dates(view, scale, first)
    if start is None and date is not None:
        start = _from_clock(view, scale, date)
    return start or _from_day_numbers(view, scale)


def _time_scale(view: HeaderView) -> str | None:
    entry = view.find("TIMESYS")
    if entry is None:
        return "utc"
    name = entry.text.upper()
    if name.startswith(("UT", "GMT")):
        return "utc"
    scale = _SCALES.get(name)
    if scale is None:
        view.note(f"no start: {entry} is no time scale known here (UTC, TAI, TT, TDB)")
    return scale


def _from_dates(
    view: HeaderView, scale: str, first: str | None
) -> tuple[datetime | None, str | None]:
    """Return the first full date and time; else the first date alone, as YYYY-MM-DD."""
    date = None
    candidates = keywords.DATE_TIME if first is None else (first, *keywords.DATE_TIME)
    for entry in view.find_all(candidates):
        if not isinstance(entry.value, str):
            if start := _from_day_number(view, scale, entry):
                return start, None
            continue
        found = _DATE_TIME.fullmatch(entry.value)
        if _LOCAL.search(entry.comment) and not (found and found["zone"]):
            view.note(f"{entry} is local time without its offset; not used")
        elif found is None:
            date = date or _old_date(view, entry)
        elif found["hour"] is None:
            date = date or _iso_date(found)
        elif start := _moment(view, entry, found, scale):
            return start, None
    return None, date


def _iso_date(found: re.Match[str]) -> str:
    return f"{found['year']}-{int(found['month']):02}-{int(found['day']):02}"


def _old_date(view: HeaderView, entry: Entry) -> str | None:
    found = _OLD_DATE.fullmatch(entry.text)
    if found is None:
        if _CLOCK_ONLY.fullmatch(entry.text) is None:
            view.note(f"{entry} is no date that can be read")
        return None
    day, month, year = int(found["day"]), int(found["month"]), int(found["year"])
    if year < 100:
        return f"{1900 + year}-{month:02}-{day:02}"
    if month > 12 >= day:
        day, month = month, day
    elif month <= 12 and day <= 12 and day != month:
        view.note(f"{entry} may be day/month or month/day; write it as YYYY-MM-DD")
        return None
    return f"{year:04}-{month:02}-{day:02}"


def _clock(found: re.Match[str]) -> str:
    second = (found["second"] or "0").replace(",", ".")
    whole, _, fraction = second.partition(".")
    return f"{int(found['hour']):02}:{int(found['minute']):02}:{int(whole):02}.{fraction or '0'}"


def _moment(view: HeaderView, entry: Entry, found: re.Match[str], scale: str) -> datetime | None:
    zone = (found["zone"] or "").upper()
    offset = timedelta(0)
    if zone.startswith(("+", "-")):
        digits = zone[1:].replace(":", "")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        offset = -offset if zone.startswith("-") else offset
        scale = "utc"  # a time with an offset is civil time, whatever TIMESYS says
    return _utc(view, str(entry), f"{_iso_date(found)}T{_clock(found)}", scale, offset)


def _from_clock(view: HeaderView, scale: str, date: str) -> datetime | None:
    for entry in view.find_all(keywords.TIME_OF_DAY):
        if _END.search(entry.comment) or _LOCAL.search(entry.comment):
            continue
        source = f"{date} and {entry}"
        if (found := _CLOCK_ONLY.fullmatch(entry.text)) is not None:
            start = _utc(view, source, f"{date}T{_clock(found)}", scale)
        elif (full := _DATE_TIME.fullmatch(entry.text)) is not None and full["hour"]:
            start = _moment(view, entry, full, scale)
        elif (hours := entry.number) is not None and 0 <= hours < 24:
            start = _utc(view, source, f"{date}T00:00:00", scale, -timedelta(hours=hours))
        else:
            view.note(f"{entry} is no time of day that can be read")
            continue
        if start is not None:
            return start
    view.note(f"the date {date} stands without a time of day")
    return None


def _utc(
    view: HeaderView, source: str, text: str, scale: str, offset: timedelta = timedelta(0)
) -> datetime | None:
    if text.partition(".")[0] in _PLACEHOLDERS and not offset:
        view.note(f"{source} is a placeholder, no date")
        return None
    try:
        time = Time(text, format="isot", scale=scale).utc.to_datetime()
        return _aware(time - offset)
    except (ValueError, OverflowError):
        view.note(f"{source} is no valid date and time")
        return None


def _aware(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC)


def _from_day_numbers(view: HeaderView, scale: str) -> datetime | None:
    for entry in view.find_all((*keywords.MJD, *keywords.JD)):
        if start := _from_day_number(view, scale, entry):
            return start
    return None


def _from_day_number(view: HeaderView, scale: str, entry: Entry) -> datetime | None:
    """Read a (modified) Julian date [day]; a whole MJD is a date that lost its time."""
    number = entry.number
    if number is None:
        return None
    is_jd = number > _MJD_OF_JD
    mjd = number - _MJD_OF_JD if is_jd else number
    if not _MJD_RANGE[0] < mjd < _MJD_RANGE[1]:
        view.note(f"{entry} is no (modified) Julian date of our time")
        return None
    if mjd == int(mjd):
        view.note(f"{entry} is cut to whole days; not used")
        return None
    if not is_jd and abs(mjd * 1e4 - round(mjd * 1e4)) < 1e-6:
        view.note(f"{entry} gives the start to some ten seconds only")
    try:
        return _aware(Time(mjd, format="mjd", scale=scale).utc.to_datetime())
    except ValueError:  # within a leap second, which datetime cannot hold
        view.note(f"{entry} lies within a leap second")
        return None
