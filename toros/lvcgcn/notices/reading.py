"""The one way from the bytes of a notice to what it says."""

from __future__ import annotations

import re

from toros.errors import NoticeRefused
from toros.lvcgcn.notices import classic, lvk, own, unified
from toros.lvcgcn.notices.fields import shown
from toros.lvcgcn.notices.json_text import read_json
from toros.lvcgcn.notices.notice import Notice
from toros.lvcgcn.notices.xml_text import read_xml

LIMIT_BYTES = 5 * 1024 * 1024
"""Largest notice; the brokers' limit is 4 MiB."""

_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*(.)", re.DOTALL)


def read_notice(raw: bytes, limit_bytes: int = LIMIT_BYTES) -> Notice:
    """Read a notice of any mission, in JSON or as a VOEvent.

    Reading takes at most ten times the limit in memory, whatever the notice holds. A
    sky map within it is decoded from base64, not looked into.

    Parameters
    ----------
    raw : bytes
        The notice as it came.
    limit_bytes : int, optional
        The largest that is read.

    Returns
    -------
    Notice
        Of an unknown kind (`is_known` is False) with what can be read of any.

    Raises
    ------
    NoticeRefused
        Which field cannot be read, what it holds, what would be right.
    """
    if len(raw) > limit_bytes:
        raise NoticeRefused(f"the notice is {len(raw)} bytes long; expected at most {limit_bytes}")
    start = _START.match(raw)
    first = start[1] if start else b""
    if first == b"{":
        return _read_json(raw)
    if first == b"<":
        return _read_voevent(raw)
    raise NoticeRefused(
        f"the notice begins with {shown(raw[:30].decode('latin-1'))}; "
        "expected a JSON object or a VOEvent in XML"
    )


def _read_json(raw: bytes) -> Notice:
    values = read_json(raw)
    if lvk.is_lvk_json(values):
        return lvk.read_lvk_json(values)
    return unified.read_unified(values)


def _read_voevent(raw: bytes) -> Notice:
    voevent = read_xml(raw)
    if own.is_own(voevent):
        return own.read_own(voevent)
    if lvk.is_lvk_voevent(voevent):
        return lvk.read_lvk_voevent(voevent)
    return classic.read_classic(voevent)
