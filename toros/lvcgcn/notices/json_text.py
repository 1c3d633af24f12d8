"""JSON, strictly, and within limits that are checked before it is read.

What a hostile notice can cost is bounded by its size in bytes and by the number of
its values, both counted on the raw bytes: one pass, no copy. Sky maps are one long
text, of which the counted signs are no part.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, NoReturn

from toros.errors import NoticeRefused
from toros.lvcgcn.notices.fields import shown

VALUES = 20_000
"""Most commas, colons, lists and objects in a notice; the largest real ones have hundreds."""
DEPTH = 32
"""Deepest nesting; the deepest real notices have five levels."""
WIDE_BYTES = 1 << 20
"""Largest notice with text beyond ASCII, which may take four bytes a character."""
PLAIN_CHARACTERS = 1 << 16
"""Longest text beyond ASCII; what is longer is a file in base64."""

_DIGITS = 40


def read_json(raw: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    NoticeRefused
        For anything but an object in JSON as RFC 8259 has it, in UTF-8: a number
        that is not finite, a field given twice, text that is no Unicode.
    """
    _check_size(raw)
    try:
        value = _DECODER.decode(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise NoticeRefused(
            f"the notice's byte {error.start} is {raw[error.start]:#04x}; expected text in UTF-8"
        ) from error
    except json.JSONDecodeError as error:
        raise NoticeRefused(
            f"the notice ends being JSON at character {error.pos} ({error.msg.lower()}): "
            f"{shown(error.doc[error.pos : error.pos + 30])}; expected one whole JSON object"
        ) from error
    except RecursionError as error:
        raise _too_deep() from error
    if not isinstance(value, dict):
        raise NoticeRefused(f"the notice is {shown(value)}; expected a JSON object")
    _check_values(value)
    return value


def canonical(value: object) -> bytes:
    """Write a JSON value the one way that is the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _check_size(raw: bytes) -> None:
    for sign in (b",", b":", b"[", b"{"):
        count = raw.count(sign)
        if count > VALUES:
            raise NoticeRefused(
                f"the notice has {count} times {sign.decode()!r}; expected at most {VALUES}"
            )
    if len(raw) > WIDE_BYTES and not raw.isascii():
        raise NoticeRefused(
            f"the notice is {len(raw)} bytes of text beyond ASCII; expected at most {WIDE_BYTES}"
        )


def _check_values(root: dict[str, Any]) -> None:
    """Check what the decoder lets pass: depth, and texts that are no Unicode."""
    level: list[Any] = [root]
    for _ in range(DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str) and not value.isascii():
                _check_text(value)
        level = below
        if not level:
            return
    raise _too_deep()


def _check_text(text: str) -> None:
    if len(text) > PLAIN_CHARACTERS:
        raise NoticeRefused(
            f"the notice has a text of {len(text)} characters that begins {shown(text)}; "
            f"expected at most {PLAIN_CHARACTERS} characters where they are not all ASCII"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NoticeRefused(
            f"the notice has half a character in {shown(text)}; expected whole ones"
        ) from error


def _too_deep() -> NoticeRefused:
    return NoticeRefused(f"the notice is nested deeper than {DEPTH}; expected at most that")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise NoticeRefused(f"the notice's {shown(twice)} is there twice; expected once")
    return fields


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise NoticeRefused(f"the notice has the number {shown(digits)}; expected a finite one")
    return number


def _int(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise NoticeRefused(
            f"the notice has a number of {len(digits)} digits; expected at most {_DIGITS}"
        )
    return int(digits)


def _constant(name: str) -> NoReturn:
    raise NoticeRefused(f"the notice has the number {name}; expected a finite one")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_float, parse_int=_int, parse_constant=_constant
)
