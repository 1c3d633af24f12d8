"""Header dialects: from what cameras write to `FrameFacts`.

Pure: headers, a name and rules in, facts out; no file is touched. The tables
of keywords are in `toros.images.keywords`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from astropy.io import fits

from toros.images import keywords
from toros.images.cards import Entry, HeaderView
from toros.images.facts import FRAME_TYPES, FrameFacts, FrameType, HeaderRule
from toros.images.pointing import read_pointing
from toros.images.rules import Choices, choose
from toros.images.times import read_start

_KELVIN = re.compile(r"\bkelvin\b|\[K\]|\(K\)", re.IGNORECASE)
_ELECTRONS = re.compile(r"\be-?/|electron|photo-?e", re.IGNORECASE)
_MILLISECONDS = re.compile(r"\bmilli-?sec|\[ms\]|\bmsec\b", re.IGNORECASE)
_NO_DATA = -1.0
_ZERO_C_IN_K = 273.15
_KELVIN_PLAUSIBLE = (100.0, 330.0)  # a bare number in this range is no temperature in deg C
_CELSIUS_PLAUSIBLE = (-200.0, 80.0)  # from liquid nitrogen to the inside of a hot camera
_GAIN_PLAUSIBLE = (0.05, 50.0)
_GAIN_WHOLE_PLAUSIBLE = 10.0
_EXPOSURE_LIMIT_S = 1e6
_BINNING_TEXT = re.compile(r"(\d{1,3})(?:\s*[xX*, ]\s*(\d{1,3}))?", re.ASCII)


def translate(
    headers: Sequence[fits.Header],
    name: str,
    rules: Sequence[HeaderRule],
    *,
    shape: tuple[int, int] = (0, 0),
    hdus: tuple[int, ...] = (),
    notes: Sequence[str] = (),
) -> FrameFacts:
    """Say what a frame is, from its headers and the site's rules.

    Parameters
    ----------
    headers : sequence of astropy.io.fits.Header
        The primary header, then that of the first image extension, if any. The
        first that has a value counts.
    name : str
        The file's path inside the batch folder; only rules look at it.
    rules : sequence of HeaderRule
        The site's rules; they win over the headers, later ones over earlier ones.
    shape, hdus : tuple of int
        Passed on: (ny, nx) [pixel] and the HDUs with pixels.
    notes : sequence of str
        Remarks to keep in front of those made here.

    Returns
    -------
    FrameFacts
        What is absent, unreadable or implausible is None (the type "unknown"),
        and `notes` says why. No header content makes this raise.
    """
    view = HeaderView(headers)
    with warnings.catch_warnings():
        # astropy warns of odd cards and of dates before UTC; the notes say what matters.
        warnings.simplefilter("ignore")
        choices = choose(rules, view, name)
        filter_name, bayer = _filter(view, choices)
        ra_deg, dec_deg = read_pointing(view) or (None, None)
        gain_entry = _gain(view)
        return FrameFacts(
            frame_type=_frame_type(view, choices),
            start_utc=read_start(view, choices.keywords.get("start_utc")),
            exposure_time_s=_exposure_time(view, choices),
            filter=filter_name,
            temperature_c=_temperature(view, choices),
            shape=shape,
            hdus=hdus,
            binning=_binning(view),
            gain_e_adu=gain_entry.number if gain_entry else None,
            gain_setting=_gain_setting(view, gain_entry),
            instrument=_text(view, choices, "instrument", keywords.INSTRUMENT),
            telescope=view.find_text(keywords.TELESCOPE),
            bayer=bayer,
            object_name=view.find_text(keywords.OBJECT),
            ra_deg=ra_deg,
            dec_deg=dec_deg,
            notes=(*notes, *view.notes),
        )


def _candidates(choices: Choices, quantity: str, table: tuple[str, ...]) -> tuple[str, ...]:
    chosen = choices.keywords.get(quantity)
    return table if chosen is None else (chosen, *table)


def _ruled_number(view: HeaderView, choices: Choices, quantity: str) -> float | None:
    value = choices.values[quantity]
    if value is None:
        return None
    number = Entry(quantity, value, "").number
    if number is None:
        view.note(f"the site rule's {quantity} = {value!r} is no number; not used")
    return number


def _text(view: HeaderView, choices: Choices, quantity: str, table: tuple[str, ...]) -> str | None:
    if quantity in choices.values:
        value = choices.values[quantity]
        return None if value is None else str(value)
    return view.find_text(_candidates(choices, quantity, table))


def _frame_type(view: HeaderView, choices: Choices) -> FrameType:
    if "type" in choices.values:
        value = choices.values["type"]
        ruled: FrameType | None = next((t for t in FRAME_TYPES if t == value), None)
        if ruled is None and value is not None:
            view.note(f"the site rule's type {value!r} is none of {', '.join(FRAME_TYPES)}")
        return ruled or "unknown"
    unclear = []
    for entry in view.find_all(_candidates(choices, "type", keywords.TYPE)):
        words = re.sub(r"[^a-z0-9]+", " ", entry.text.lower()).strip()
        if words in keywords.TYPE_WORDS:
            return keywords.TYPE_WORDS[words]
        unclear.append(str(entry))
    if unclear:
        view.note(f"no type: {', '.join(unclear)} names none of bias, dark, flat, light")
    else:
        view.note("no type: the header states none")
    return "unknown"


def _exposure_time(view: HeaderView, choices: Choices) -> float | None:
    """Exposure time [s]."""
    if "exposure_time_s" in choices.values:
        return _ruled_number(view, choices, "exposure_time_s")
    for entry in view.find_all(_candidates(choices, "exposure_time_s", keywords.EXPOSURE)):
        number = entry.number
        if number is None or number == _NO_DATA:
            view.note(f"{entry} is no exposure time")
            continue
        if entry.unit == "ms" or _MILLISECONDS.search(entry.comment):
            number /= 1000
        if 0 <= number <= _EXPOSURE_LIMIT_S:
            return number
        view.note(f"{entry} is no plausible exposure time [s]")
    return None


def _temperature(view: HeaderView, choices: Choices) -> float | None:
    """Measured temperature of the detector [deg C]."""
    if "temperature_c" in choices.values:
        return _ruled_number(view, choices, "temperature_c")
    for entry in view.find_all(_candidates(choices, "temperature_c", keywords.TEMPERATURE)):
        celsius = _celsius(view, entry)
        if celsius is not None:
            return celsius
    return None


def _celsius(view: HeaderView, entry: Entry) -> float | None:
    number = entry.number
    if number is None:
        view.note(f"{entry} is no temperature")
        return None
    if number == _NO_DATA and not _is_set_near(view, number):
        view.note(f"{entry} stands for no data")
        return None
    stated = entry.unit.upper() == "K" or _KELVIN.search(entry.comment) is not None
    if stated or _KELVIN_PLAUSIBLE[0] <= number <= _KELVIN_PLAUSIBLE[1]:
        if not stated:
            view.note(f"{entry} has no unit; taken as kelvin")
        number = round(number - _ZERO_C_IN_K, 6)
    if _CELSIUS_PLAUSIBLE[0] <= number <= _CELSIUS_PLAUSIBLE[1]:
        return number
    view.note(f"{entry} is no plausible temperature of a detector")
    return None


def _is_set_near(view: HeaderView, celsius: float) -> bool:
    """Whether the camera is regulated to about this temperature, so that -1 is a reading."""
    numbers = (entry.number for entry in view.find_all(keywords.SET_POINT))
    return any(number is not None and abs(number - celsius) < 5 for number in numbers)


def _filter(view: HeaderView, choices: Choices) -> tuple[str | None, str | None]:
    """Return the filter and the Bayer pattern, which some cameras write as a filter."""
    patterns = (entry.text.upper() for entry in view.find_all(keywords.BAYER))
    bayer = next((p for p in patterns if p in keywords.BAYER_PATTERNS), None)
    name = None
    for entry in view.find_all(_candidates(choices, "filter", keywords.FILTER)):
        if entry.text.upper() in keywords.BAYER_PATTERNS:
            bayer = bayer or entry.text.upper()
            view.note(f"{entry} is the detector's colour pattern, no filter")
        elif entry.text.lower() not in keywords.FILTER_ABSENT:
            name = entry.text
            break
    if "filter" in choices.values:
        value = choices.values["filter"]
        return (None if value is None else str(value)), bayer
    return name or _wheels(view), bayer


def _wheels(view: HeaderView) -> str | None:
    """Return the filter of an instrument with several wheels: what is not an empty place."""
    names = [entry.text for entry in view.find_all(keywords.FILTER_WHEELS)]
    names = [name for name in names if name.lower() not in keywords.FILTER_ABSENT]
    closed = [name for name in names if not name.lower().startswith(keywords.FILTER_OPEN)]
    return "+".join(closed or names[:1]) or None


def _gain(view: HeaderView) -> Entry | None:
    """Return the card that gives a gain in electron/ADU, if one plausibly does."""
    for entry in view.find_all(keywords.GAIN):
        number = entry.number
        if number is None or not _GAIN_PLAUSIBLE[0] <= number <= _GAIN_PLAUSIBLE[1]:
            view.note(f"{entry} is no gain in electron/ADU")
        elif (
            # CMOS cameras write their gain setting, a whole number, under the same keyword.
            entry.keyword == "GAIN"
            and number == int(number)
            and number > _GAIN_WHOLE_PLAUSIBLE
            and not _ELECTRONS.search(entry.comment)
        ):
            view.note(f"{entry} is taken as a setting, not as electron/ADU")
        else:
            return entry
    return None


def _gain_setting(view: HeaderView, gain: Entry | None) -> str | None:
    """Return the raw gain or ISO setting: a GAIN that is used as electron/ADU is none."""
    for entry in view.find_all(keywords.GAIN_SETTING):
        if gain is None or entry.keyword != "GAIN" or entry.number != gain.number:
            return entry.text
    return None


def _binning(view: HeaderView) -> str | None:
    for keyword_x, keyword_y in keywords.BINNING:
        x, y = view.find(keyword_x), view.find(keyword_y)
        numbers = [entry.number for entry in (x, y) if entry is not None]
        if len(numbers) == 2 and all(n and n >= 1 and n == int(n) for n in numbers):
            return "x".join(str(int(n)) for n in numbers if n)
    for entry in view.find_all(keywords.BINNING_TEXT):
        found = _BINNING_TEXT.fullmatch(entry.text)
        if found is not None:
            return f"{int(found[1])}x{int(found[2] or found[1])}"
    return None
