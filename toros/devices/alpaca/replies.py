"""What an Alpaca server's reply means: its value, or one of our errors.

References
----------
ASCOM Alpaca API Reference, sections 2.8 (error numbers) and 2.9 (HTTP status codes).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

from toros.errors import (
    DeviceError,
    DeviceFault,
    DeviceLacks,
    DeviceNonsense,
    DeviceNotConnected,
    DeviceRefused,
)

Choice = TypeVar("Choice", bound=Enum)

_NUMBERS: Mapping[int, tuple[type[DeviceError], str]] = {
    0x400: (DeviceLacks, "not implemented"),
    0x401: (DeviceRefused, "invalid value"),
    0x402: (DeviceRefused, "value not set"),
    0x407: (DeviceNotConnected, "not connected"),
    0x408: (DeviceRefused, "parked"),
    0x409: (DeviceRefused, "slaved"),
    0x40B: (DeviceRefused, "invalid operation"),
    0x40C: (DeviceLacks, "action not implemented"),
    0x40E: (DeviceRefused, "operation cancelled"),
}


def shown(value: object, limit: int = 200) -> str:
    """Write what a device sent on one line of a message, cut where it is long."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else " " for c in text[: 2 * limit]).strip()
    return text if len(text) <= limit else f"{text[:limit]} ..."


def error_of(call: str, number: object, message: object) -> DeviceError | None:
    """Make the error that an Alpaca error number stands for; None for success.

    Parameters
    ----------
    call : str
        Device and call, for the message.
    number : object
        The reply's ErrorNumber.
    message : object
        The reply's ErrorMessage.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        return DeviceNonsense(f"{call}: the error number {shown(number)} is none")
    if number == 0:
        return None
    # Numbers from 0x500 on are the driver's own; unassigned ones below count like them.
    cls, words = _NUMBERS.get(number, (DeviceFault, "error of the driver"))
    said = f": {shown(message)}" if isinstance(message, str) and message.strip() else ""
    return cls(f"{call}: {words} (0x{number:X}){said}")


def error_of_status(call: str, status: int, text: str) -> DeviceError | None:
    """Make the error that an HTTP status stands for; None for 200."""
    if status == 200:
        return None
    what = f"{call}: the server answered HTTP {status}: {shown(text) or '(nothing)'}"
    if 400 <= status < 500:
        return DeviceRefused(what)
    return DeviceFault(what) if status >= 500 else DeviceNonsense(what)


def parse(call: str, body: bytes) -> dict[str, Any]:
    """Read a reply's JSON object.

    Raises
    ------
    DeviceNonsense
        It is none.
    """
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DeviceNonsense(
            f"{call}: the answer is no JSON: {shown(body[:80])} ({shown(str(error), 80)})"
        ) from None
    if not isinstance(reply, dict) or "ErrorNumber" not in reply:
        raise DeviceNonsense(f"{call}: the answer is none of Alpaca's: {shown(body[:80])}")
    return reply


# What a value must be: each check returns the value or raises a ValueError that says what is
# expected. `AlpacaDevice` adds device and call.


def flag(value: object) -> bool:
    """Take true or false."""
    if not isinstance(value, bool):
        raise ValueError("expected true or false")  # noqa: TRY004  one kind of error for all
    return value


def text(value: object) -> str:
    """Take a text."""
    if not isinstance(value, str):
        raise ValueError("expected a text")  # noqa: TRY004
    return value


def texts(value: object) -> tuple[str, ...]:
    """Take a list of texts."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("expected a list of texts")
    return tuple(value)


def number(low: float, high: float, unit: str = "") -> Callable[[object], float]:
    """Make a check that takes a finite number from `low` to `high`."""
    expected = f"expected a number from {low:g} to {high:g} {unit}".rstrip()

    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(expected)  # noqa: TRY004
        # NaN compares false; integers of any length compare with floats without overflow.
        if not low <= value <= high or not math.isfinite(value):
            raise ValueError(expected)
        return float(value)

    return check


def whole(low: int, high: int) -> Callable[[object], int]:
    """Make a check that takes a whole number from `low` to `high`."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return value

    return check


def one_of(choices: Mapping[int, Choice]) -> Callable[[object], Choice]:
    """Make a check that takes one of Alpaca's numbers, and returns what it means."""

    def check(value: object) -> Choice:
        if isinstance(value, bool) or not isinstance(value, int) or value not in choices:
            raise ValueError(f"expected one of {', '.join(map(str, choices))}")
        return choices[value]

    return check
