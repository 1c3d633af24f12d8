"""The scalar types of XML-RPC, each read from its text or refused with the reason.

Every function here takes the text of an element and returns the value, or
raises ValueError with a clause that says what is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TypeAlias

from toros import clock

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"
"""What travels: the plain values of XML-RPC, and None for nil."""

INT_MIN, INT_MAX = -(2**31), 2**31 - 1

_SHOWN_CHARS = 40
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_DOUBLE = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_MOMENT = re.compile(
    r"[0-9]{4}(-?)[0-9]{2}\1[0-9]{2}T[0-9]{2}:?[0-9]{2}:?[0-9]{2}([.,][0-9]{1,9})?"
    r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
)


def shown(text: str) -> str:
    """Write a text from outside for a message: short, quoted, escaped."""
    return ascii(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")


def _integer(text: str) -> Value:
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{shown(text)} is no integer (digits with an optional sign)")
    number = int(text)
    if not INT_MIN <= number <= INT_MAX:
        raise ValueError(
            f"the integer {number} is beyond 32 bits ({INT_MIN} to {INT_MAX}); "
            "send larger integers as strings"
        )
    return number


def _boolean(text: str) -> Value:
    if text not in ("0", "1"):
        raise ValueError(f"{shown(text)} is no boolean; it is 0 or 1")
    return text == "1"


def _double(text: str) -> Value:
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(
            f"{shown(text)} is not a finite number; send nil for a value that is not known"
        )
    if len(text) > 1000 or not _DOUBLE.fullmatch(text):
        raise ValueError(f"{shown(text)} is no decimal number")
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{shown(text)} is beyond the range of a double (about 1.8e308)")
    return number


def _moment(text: str) -> Value:
    if not _MOMENT.fullmatch(text):
        raise ValueError(f"{shown(text)} is no date and time like 20190305T14:34:54")
    try:
        return clock.to_iso(clock.from_iso(text))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{shown(text)} is no date and time: {error}") from None


def _nil(text: str) -> Value:
    if text.strip():
        raise ValueError(f"nil is empty, and this one holds {shown(text)}")
    return None


def _base64(text: str) -> Value:
    raise ValueError("base64 is not taken: no work order carries binary data; send an url")


SCALARS: dict[str, Callable[[str], Value]] = {
    "i4": _integer,
    "int": _integer,
    "i8": _integer,
    "ex:i8": _integer,
    "boolean": _boolean,
    "string": str,
    "double": _double,
    "dateTime.iso8601": _moment,
    "nil": _nil,
    "ex:nil": _nil,
    "base64": _base64,
}
