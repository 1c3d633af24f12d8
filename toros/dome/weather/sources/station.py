"""A weather station's JSON: which value means what, and how old it is.

The values are in the units of `toros.devices.protocols.QUANTITIES`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, NoReturn

from toros.clock import Clock, boot_time, from_iso
from toros.devices.protocols import QUANTITIES, Reading
from toros.dome.weather.observation import SAFE, Observation, checked
from toros.errors import DeviceNonsense

MAX_BYTES = 256 << 10
"""The most that a station's data may be long [byte]."""
FUTURE_S = 5.0
"""How far a station's time may be ahead of ours: clocks differ a little [s]."""
TIME = "time"

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_LEAP = re.compile(r"(\d\d:?\d\d:?)60")
_SHOWN_CHARS = 40
_MISSING = object()


class Report(NamedTuple):
    """What a station's JSON holds.

    Attributes
    ----------
    values : dict of str to float
        By quantity; `SAFE` is 1 or 0.
    problems : dict of str to str
        Why a value that is there, or is named in the configuration, is unknown.
    time : datetime or None
        When it was measured, UTC; None if it does not tell.
    """

    values: dict[str, float]
    problems: dict[str, str]
    time: datetime | None


def parse(content: bytes, fields: Mapping[str, str]) -> Report:
    """Read a station's JSON.

    Parameters
    ----------
    content : bytes
    fields : mapping of str to str
        The station's names of the quantities, of ``time`` and of ``safe``; dots lead into
        nested objects and, with a number, into lists. By default the quantities' own names.
        What is named here must be there.

    Raises
    ------
    DeviceNonsense
        It is no JSON object, or its time cannot be read.
    """
    try:
        document = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise DeviceNonsense(f"no JSON: {str(error)[:_SHOWN_CHARS] or type(error)}") from None
    if not isinstance(document, dict):
        raise DeviceNonsense(f"a JSON {type(document).__name__}; expected an object with names")
    report = Report({}, {}, _time(document, fields))
    for name in (*QUANTITIES, SAFE):
        found = _find(document, fields.get(name, name))
        if found is _MISSING and name not in fields:
            continue
        try:
            report.values[name] = _word(found) if name == SAFE else _number(found)
        except ValueError as error:
            report.problems[name] = str(error)
    return report


class Ages:
    """How old a station's data are.

    An age is the difference of two clocks that can be set: the station's and ours. So that
    data do not grow younger when ours is set back, the age of one and the same stamp grows at least
    as fast as the time that no one can set.

    Parameters
    ----------
    clock : Clock
        What the stamps are compared with.
    real : callable
        Returns the real time [s].
    """

    def __init__(self, clock: Clock, real: Callable[[], float] = boot_time) -> None:
        self._clock = clock
        self._real = real
        self._stamp: datetime | None = None
        self._seen_s = 0.0
        self._age_then_s = 0.0

    def age_s(self, stamp: datetime) -> float:
        """Return the age now [s], at least 0.

        Raises
        ------
        DeviceNonsense
            The stamp is more than `FUTURE_S` ahead.
        """
        now, real_s = self._clock.now(), self._real()
        ahead_s = (stamp - now).total_seconds()
        if ahead_s > FUTURE_S:
            raise DeviceNonsense(
                f"its time is {ahead_s:.0f} s in the future; one of the clocks is wrong"
            )
        age_s = max(0.0, -ahead_s)
        if stamp == self._stamp:
            passed_s = (real_s - self._seen_s) * self._clock.rate
            return max(age_s, self._age_then_s + passed_s)
        self._stamp, self._seen_s, self._age_then_s = stamp, real_s, age_s
        return age_s


def observe(report: Report, age_s: float) -> Observation:
    """Make an observation of a report that is `age_s` [s] old."""
    return checked(
        {name: Reading(value, age_s) for name, value in report.values.items()}, report.problems
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no value")


def _find(document: object, path: str) -> object:
    if isinstance(document, dict) and path in document:
        return document[path]
    for part in path.split("."):
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return _MISSING
    return document


def _number(found: object) -> float:
    if isinstance(found, str) and _NUMBER.fullmatch(found):
        return float(found)
    if isinstance(found, int | float) and not isinstance(found, bool):
        try:
            return float(found)
        except OverflowError:
            return math.inf
    raise ValueError(f"{_shown(found)}; expected a number")


def _word(found: object) -> float:
    if isinstance(found, bool):
        return float(found)
    raise ValueError(f"{_shown(found)}; expected true or false")


def _time(document: object, fields: Mapping[str, str]) -> datetime | None:
    path = fields.get(TIME, TIME)
    found = _find(document, path)
    if found is _MISSING and TIME not in fields:
        return None
    try:
        if isinstance(found, str) and not _NUMBER.fullmatch(found):
            return _moment(found)
        return datetime.fromtimestamp(_number(found), UTC)
    except (ValueError, OverflowError, OSError):
        raise DeviceNonsense(
            f"its time {path!r} is {_shown(found)}; "
            "expected ISO 8601 in UTC, or unix time in seconds"
        ) from None


def _moment(text: str) -> datetime:
    leap = _LEAP.search(text)
    if leap is None:
        return from_iso(text)
    # A leap second is the 61st of its minute, which Python's datetime does not know.
    return from_iso(text[: leap.start()] + leap[1] + "59" + text[leap.end() :]) + timedelta(
        seconds=1
    )


def _shown(found: object) -> str:
    if found is _MISSING:
        return "missing"
    text = repr(found)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."
