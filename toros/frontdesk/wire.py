r"""XML-RPC as bytes: what arrives is decoded strictly, what leaves is encoded plainly.

Everything that Python can hold has a defined answer on its way out: None is
nil, an integer beyond 32 bits is a string, a float that is not finite is nil, a
character that XML cannot carry is written as its escape (``\x00``, ``\ud800``),
a moment is UTC ISO 8601. Anything else, a numpy scalar above all, is a defect
and raises TypeError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from toros import clock
from toros.frontdesk.decoder import WireLimits, decode_call
from toros.frontdesk.scalars import INT_MAX, INT_MIN, Value

__all__ = ["Value", "WireLimits", "decode_call", "encode_fault", "encode_result"]

# XML 1.0 (5th ed.), section 2.2, production [2] Char: all others cannot be written at all.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A bare CR would be read as a line feed (section 2.11), hence its reference.
_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_MARKUP_CHARACTER = re.compile("[&<>\r]")


def _escaped(found: re.Match[str]) -> str:
    """Write a character that XML cannot carry as Python's escape of it."""
    code = ord(found.group())
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"


def _text(text: str) -> str:
    carried = _UNWRITABLE.sub(_escaped, text)
    return _MARKUP_CHARACTER.sub(lambda found: _MARKUP[found.group()], carried)


def _string(text: str) -> str:
    return f"<value><string>{_text(text)}</string></value>"


def _integer(number: int) -> str:
    if INT_MIN <= number <= INT_MAX:
        return f"<value><int>{number}</int></value>"
    return _string(str(number))


def _double(number: float) -> str:
    if math.isfinite(number):
        return f"<value><double>{number!r}</double></value>"
    return _SCALARS[type(None)](None)


# By exact type: numpy's float64 and str_ are subclasses of Python's and must not slip through.
_SCALARS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "<value><nil/></value>",
    bool: lambda flag: f"<value><boolean>{flag:d}</boolean></value>",
    int: _integer,
    float: _double,
    str: _string,
    datetime: lambda moment: _string(clock.to_iso(moment)),
}


def _encode(value: object, path: str, out: list[str]) -> None:
    kind = type(value)
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        out.append(scalar(value))
    elif isinstance(value, dict) and kind is dict:
        out.append("<value><struct>")
        for name, member in value.items():
            if type(name) is not str:
                raise TypeError(f"{path}: the key {name!r} is no str and cannot travel")
            out.append(f"<member><name>{_text(name)}</name>")
            _encode(member, f"{path}.{name}", out)
            out.append("</member>")
        out.append("</struct></value>")
    elif isinstance(value, list | tuple) and kind in (list, tuple):
        out.append("<value><array><data>")
        for index, item in enumerate(value):
            _encode(item, f"{path}[{index}]", out)
        out.append("</data></array></value>")
    else:
        raise TypeError(f"{path}: a {kind.__module__}.{kind.__qualname__} cannot travel")


def encode_result(value: object) -> bytes:
    """Encode what the method returned as an XML-RPC ``methodResponse``.

    Parameters
    ----------
    value : Value, datetime or tuple
        None, bool, int, float, str, datetime, and lists, tuples and dicts
        (with str keys) of these.

    Returns
    -------
    bytes
        The XML document, in UTF-8.

    Raises
    ------
    TypeError
        The value holds something that cannot travel; the message says where.
    """
    out = ['<?xml version="1.0" encoding="utf-8"?>\n<methodResponse><params><param>']
    _encode(value, "result", out)
    out.append("</param></params></methodResponse>\n")
    return "".join(out).encode("utf-8")


def encode_fault(code: int, message: str) -> bytes:
    """Encode an XML-RPC fault.

    Parameters
    ----------
    code : int
        The code of a class of `toros.errors`.
    message : str
        What is wrong, for a person.

    Returns
    -------
    bytes
        The XML document, in UTF-8.
    """
    out = ['<?xml version="1.0" encoding="utf-8"?>\n<methodResponse><fault>']
    _encode({"faultCode": code, "faultString": message}, "fault", out)
    out.append("</fault></methodResponse>\n")
    return "".join(out).encode("utf-8")
