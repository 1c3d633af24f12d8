"""VOEvents out of XML, without anything that XML can do beside holding text.

lxml reads it with no network, no DTD, no entities and libxml2's own limits in
force. A document type is refused before the parser sees it, which leaves entities
undefined; its size and its number of elements are bounded before it is parsed.
Names are taken without their namespaces, since VOEvents 1.1 put the position into
one of its own.

References
----------
Seaman et al. 2011, IVOA Recommendation VOEvent 2.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from toros.errors import NoticeRefused
from toros.lvcgcn.notices.fields import ADDRESS_CHARACTERS, as_text, refuse, shown

XML_BYTES = 1 << 20
"""Largest VOEvent; the largest real ones have ten kilobytes."""
MARKS = 10_000
"""Most tags, and most attributes, of a VOEvent; the largest real ones have hundreds."""

_DECLARED = re.compile(rb"""(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?encoding\s*=\s*["']([^"']*)["']""")
_ENCODINGS = {b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"latin-1"}
_ROLES = ("observation", "prediction", "utility", "test")


@dataclass(frozen=True)
class Param:
    """A parameter of a VOEvent: its value and unit as they stand there."""

    value: str
    unit: str = ""


@dataclass(frozen=True)
class Coordinates:
    """A VOEvent's position as it stands there, in a system such as UTC-FK5-GEO."""

    system: str
    unit: str
    first: str
    second: str
    error: str


@dataclass(frozen=True)
class VOEvent:
    """What a VOEvent says, as texts.

    Parameters
    ----------
    ivorn, role, date, time : str
        Its name, its role, when it was written, when the event was; empty if absent.
    params : mapping of str to Param
        All parameters; those outside of groups win over those of the same name within.
    groups : mapping of str to mapping of str to Param
        By the group's type, or its name where it has no type.
    coordinates : Coordinates, optional
    citations : tuple of (how, ivorn)
    """

    ivorn: str
    role: str
    date: str = ""
    time: str = ""
    params: Mapping[str, Param] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Param]] = field(default_factory=dict)
    coordinates: Coordinates | None = None
    citations: tuple[tuple[str, str], ...] = ()

    def value(self, name: str) -> str:
        """Return a parameter's value, checked to be one line; empty if there is none."""
        param = self.params.get(name)
        return "" if param is None else as_text(name, param.value, ADDRESS_CHARACTERS)


def read_xml(raw: bytes) -> VOEvent:
    """Read a VOEvent, of version 2.0 or 1.1.

    Raises
    ------
    NoticeRefused
        For anything else, or beyond a limit.
    """
    root = _parse(raw)
    name = _local(root)
    if name != "VOEvent":
        raise NoticeRefused(f"the notice's root element is {shown(name)}; expected VOEvent")
    role = root.get("role", "observation")
    if role not in _ROLES:
        refuse("role", role, f"one of {', '.join(_ROLES)}")
    ivorn = as_text("ivorn", root.get("ivorn", ""), ADDRESS_CHARACTERS)
    if not ivorn:
        refuse("ivorn", ivorn, "the VOEvent's name")
    what = _find(root, "What")
    return VOEvent(
        ivorn=ivorn,
        role=role,
        date=_text(_find(root, "Who", "Date")),
        time=_text(_find(root, *_COORDS, "Time", "TimeInstant", "ISOTime")),
        params=_all_params(what),
        groups={
            group.get("type") or group.get("name") or "": _params(group)
            for group in reversed(list(_children(what, "Group")))
        },
        coordinates=_coordinates(root),
        citations=tuple(
            (citation.get("cite", ""), _text(citation))
            for citation in _children(_find(root, "Citations"), "EventIVORN")
        ),
    )


_COORDS = ("WhereWhen", "ObsDataLocation", "ObservationLocation", "AstroCoords")


def _parse(raw: bytes) -> Any:
    from lxml import etree

    _check(raw)
    parser = etree.XMLParser(
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        resolve_entities=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(raw.lstrip(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise NoticeRefused(
            f"the notice is no well-formed XML: {shown(str(error))}; expected one VOEvent"
        ) from error


def _check(raw: bytes) -> None:
    if len(raw) > XML_BYTES:
        raise NoticeRefused(f"the notice is {len(raw)} bytes of XML; expected at most {XML_BYTES}")
    for sign in (b"<", b"="):
        if raw.count(sign) > MARKS:
            raise NoticeRefused(
                f"the notice has {raw.count(sign)} times {sign.decode()!r}; "
                f"expected at most {MARKS}"
            )
    if b"\0" in raw:
        raise NoticeRefused("the notice has the byte 0x00; expected text in UTF-8")
    declared = _DECLARED.match(raw)
    # Another encoding, UTF-7 say, could hide a document type from the look below.
    if declared and declared[1].lower() not in _ENCODINGS:
        refuse("encoding", declared[1].decode("latin-1"), "UTF-8")
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise NoticeRefused("the notice has a document type (<!DOCTYPE); expected none")


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _children(element: Any, name: str) -> Iterator[Any]:
    if element is not None:
        yield from (child for child in element if _local(child) == name)


def _find(element: Any, *path: str) -> Any:
    for name in path:
        element = next(_children(element, name), None)
    return element


def _text(element: Any) -> str:
    return "" if element is None else (element.text or "").strip()


def _params(parent: Any) -> dict[str, Param]:
    return {
        param.get("name"): Param(_value(param), param.get("unit", ""))
        for param in _children(parent, "Param")
        if param.get("name")
    }


def _value(param: Any) -> str:
    given = param.get("value")
    return (_text(_find(param, "Value")) if given is None else given).strip()


def _all_params(what: Any) -> dict[str, Param]:
    params: dict[str, Param] = {}
    for group in _children(what, "Group"):
        params |= _params(group) | params
    return params | _params(what)


def _coordinates(root: Any) -> Coordinates | None:
    place = _find(root, *_COORDS, "Position2D")
    if place is None:
        return None
    system = _find(root, *_COORDS).get("coord_system_id", "")
    return Coordinates(
        system=system,
        unit=place.get("unit", "deg"),
        first=_text(_find(place, "Value2", "C1")),
        second=_text(_find(place, "Value2", "C2")),
        error=_text(_find(place, "Error2Radius")),
    )
