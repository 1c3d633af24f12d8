"""Values out of a notice, each checked: its type, its range, its length.

A value that is not what it must be refuses the notice, by name: which field, what
it holds (shortened), what would be right.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from toros.errors import NoticeRefused

TEXT_CHARACTERS = 256
"""No name, number or time in a notice is longer."""
ADDRESS_CHARACTERS = 2048

_SHOWN_CHARACTERS = 60
_LARGEST_SERIAL = 2**53
_FIRST_YEAR, _LAST_YEAR = 1970, 2099
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))?\s*(Z|UTC?|[+-]\d\d:?\d\d)?", re.ASCII
)
Result = TypeVar("Result")

_UNFIT = re.compile(r"[^A-Za-z0-9_.+-]+")


def shown(value: object) -> str:
    """Write a value as an error's text shows it: short, on one line."""
    if isinstance(value, str):
        value = value[: _SHOWN_CHARACTERS + 1]
    elif isinstance(value, Mapping):
        return f"an object of {len(value)} fields"
    elif isinstance(value, list):
        return f"a list of {len(value)}"
    text = ascii(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def refuse(field: str, value: object, expected: str) -> NoReturn:
    """Refuse the notice for one of its fields.

    Raises
    ------
    NoticeRefused
        Always.
    """
    raise NoticeRefused(f"the notice's {field} is {shown(value)}; expected {expected}")


def quietly(read: Callable[[], Result | None]) -> Result | None:
    """Read what need not be there; None where it cannot be read."""
    try:
        return read()
    except NoticeRefused:
        return None


def as_text(field: str, value: object, characters: int = TEXT_CHARACTERS) -> str:
    """Take a short text of one line."""
    if not isinstance(value, str):
        refuse(field, value, "a text")
    if len(value) > characters:
        refuse(field, value, f"at most {characters} characters, not {len(value)}")
    if not value.isprintable():
        refuse(field, value, "characters that can be printed")
    return value.strip()


def as_number(field: str, value: object, low: float = -math.inf, high: float = math.inf) -> float:
    """Take a finite number within a range, bounds included."""
    if isinstance(value, str) and len(value) <= TEXT_CHARACTERS and _NUMBER.fullmatch(value):
        number = float(value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        refuse(field, value, "a number")
    else:
        number = float(value)
    if not math.isfinite(number) or not low <= number <= high:
        bounds = "" if math.isinf(low) else f", {low:g} to {high:g}"
        refuse(field, value, f"a finite number{bounds}")
    return number


def as_serial(field: str, value: object) -> int:
    """Take a counting number."""
    number = as_number(field, value)
    if number != int(number) or not 0 <= number <= _LARGEST_SERIAL:
        refuse(field, value, "a whole number of 0 or more")
    return int(number)


def as_flag(field: str, value: object) -> bool:
    """Take yes or no: a boolean, 0 or 1, or one of these words."""
    flag = {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().lower())
    if flag is None or isinstance(value, float):
        refuse(field, value, "true or false")
    return flag


def as_time(field: str, value: object) -> datetime:
    """Take an instant in ISO 8601; without a zone it is UTC.

    Returns
    -------
    datetime
        Aware, UTC, of the years 1970 to 2099.
    """
    expected = f"a time as 2019-08-14T21:10:39Z of the years {_FIRST_YEAR} to {_LAST_YEAR}"
    text = as_text(field, value)
    parts = _TIME.fullmatch(text)
    if parts is None or not f"{_FIRST_YEAR}" <= text[:4] <= f"{_LAST_YEAR}":
        refuse(field, text, expected)
    day, clock, fraction, zone = parts.groups()
    zone = "+00:00" if zone is None or zone[0] in "ZU" else zone
    written = f"{day}T{clock}{'.' + fraction[:6] if fraction and clock.count(':') == 2 else ''}"
    try:
        return datetime.fromisoformat(written + zone).astimezone(UTC)
    except ValueError:
        refuse(field, text, expected)


def as_address(field: str, value: object) -> str:
    """Take an address, or a path relative to one: any characters but blanks."""
    text = as_text(field, value, ADDRESS_CHARACTERS)
    if not text or " " in text:
        refuse(field, value, "an address without blanks")
    return text


def is_link(value: object) -> bool:
    """Tell an address that people may follow from anything else."""
    if not isinstance(value, str) or len(value) > ADDRESS_CHARACTERS or not value.isprintable():
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and not re.search(r"\s", value)


def as_content(field: str, value: object) -> bytes:
    """Decode base64, strictly: nothing beside its alphabet, nothing after its end."""
    if not isinstance(value, str):
        refuse(field, value, "a text in base64")
    try:
        content = binascii.a2b_base64(value, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        refuse(field, value, f"base64 ({error})")
    if not content:
        refuse(field, value, "the base64 of a FITS file")
    return content


def as_name(field: str, *parts: str) -> str:
    """Join what identifies an event into a name fit for files, tables and mails.

    Raises
    ------
    NoticeRefused
        Where nothing is left of a part, or the whole is too long.
    """
    fit = [_UNFIT.sub("_", part.replace(" ", "")).strip("_.") for part in parts]
    if not all(fit) or sum(map(len, fit)) > TEXT_CHARACTERS // 2:
        refuse(field, " ".join(parts), "a name of 1 to 128 characters")
    return "-".join(fit)


class Fields:
    """The fields of a JSON object, read by type; null is the same as absent.

    Parameters
    ----------
    values : mapping
    within : str, optional
        Name of the object, for the errors.
    """

    def __init__(self, values: Mapping[str, Any], within: str = "") -> None:
        self.values = values
        self.within = within

    def _named(self, name: str) -> str:
        return f"{self.within}.{name}" if self.within else name

    def _given(self, name: str, required: bool = False) -> Any:
        value = self.values.get(name)
        if value is None and required:
            refuse(self._named(name), None, "a value: it must be there")
        return value

    def text(self, name: str, required: bool = False) -> str:
        """Return a short text; empty where there is none."""
        value = self._given(name, required)
        return "" if value is None else as_text(self._named(name), value)

    def number(self, name: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """Return a finite number; digits in quotes are none."""
        value = self._given(name)
        if isinstance(value, str):
            refuse(self._named(name), value, "a number")
        return None if value is None else as_number(self._named(name), value, low, high)

    def serial(self, name: str) -> int:
        """Return a counting number; 0 where there is none."""
        value = self._given(name)
        return 0 if value is None else as_serial(self._named(name), value)

    def flag(self, name: str) -> bool | None:
        """Return a boolean."""
        value = self._given(name)
        if value is not None and not isinstance(value, bool):
            refuse(self._named(name), value, "true or false")
        return value

    def time(self, name: str, required: bool = False) -> datetime | None:
        """Return an instant, aware, UTC."""
        value = self._given(name, required)
        return None if value is None else as_time(self._named(name), value)

    def inner(self, name: str) -> Fields | None:
        """Return an object within this one."""
        value = self._given(name)
        if value is not None and not isinstance(value, dict):
            refuse(self._named(name), value, "an object")
        return None if value is None else Fields(value, self._named(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of a list; one text or whole number alone is a list of one."""
        value = self._given(name)
        members = value if isinstance(value, list) else [] if value is None else [value]
        if any(isinstance(member, bool | float) for member in members):
            refuse(self._named(name), value, "texts")
        return tuple(
            as_text(self._named(name), str(member) if isinstance(member, int) else member)
            for member in members
        )

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return the numbers of a list; one number alone is a list of one."""
        value = self._given(name)
        members = value if isinstance(value, list) else [] if value is None else [value]
        return tuple(as_number(self._named(name), member) for member in members)

    def fractions(self, name: str) -> dict[str, float]:
        """Return an object of probabilities; those that are null are left out."""
        inner = self.inner(name)
        given = {} if inner is None else inner.values
        return {
            as_text(self._named(name), key): as_number(f"{self._named(name)}.{key}", value, 0, 1)
            for key, value in given.items()
            if value is not None
        }

    def content(self, name: str) -> bytes | None:
        """Return a file that is within the notice, in base64."""
        value = self._given(name)
        return None if value is None else as_content(self._named(name), value)
