"""The packets of the VOEvent Transport Protocol: what they are, and the answers to them.

A packet is its length in four bytes, the highest first, and as many bytes of XML: a VOEvent, or
a Transport message of the role iamalive, authenticate, ack or nak.

References
----------
.. [1] A. Allan, R. B. Denny and J. D. Swinbank, "VOEvent Transport Protocol", version 2.0,
   IVOA Recommendation of 2017-03-20, sections 3 and 4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

IDENTITY = "ivo://toros/alert-robot"
"""Who answers, in Transport messages."""

HEADER = struct.Struct("!I")
_ROLES = ("iamalive", "authenticate", "ack", "nak")
_TRANSPORT_BYTES = 64_000
_NAMESPACE = "http://telescope-networks.org/schema/Transport/v1.1"


@dataclass(frozen=True)
class Packet:
    """What a packet is, as far as the transport needs to know."""

    kind: str
    """voevent; iamalive, authenticate, ack, nak: the role of a Transport message; unknown."""
    identity: str = ""
    """Of a VOEvent its ivorn, of a Transport message its Origin; empty where there is none."""


class _Enough(Exception):
    """Ends the reading of XML early."""


class _Reader:
    """Reads the root element, and a Transport message's Origin: nothing deep or long."""

    def __init__(self) -> None:
        self.kind = "unknown"
        self.identity = ""
        self._depth = 0
        self._in_origin = False
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _refuse(self, *_: object) -> None:
        raise _Enough

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        self._depth += 1
        if self._depth == 1:
            if local == "VOEvent":
                self.kind, self.identity = "voevent", attributes.get("ivorn", "")
                raise _Enough
            if local != "Transport":
                raise _Enough
            role = attributes.get("role", "")
            self.kind = role if role in _ROLES else "unknown"
        self._in_origin = self._depth == 2 and local == "Origin"

    def _end(self, _name: str) -> None:
        self._depth -= 1
        if self._in_origin:
            raise _Enough

    def _text(self, text: str) -> None:
        if self._in_origin:
            self.identity += text


def read_packet(raw: bytes) -> Packet:
    """Tell what a packet is; `unknown` for anything that is none of the protocol.

    Parameters
    ----------
    raw : bytes
        A packet without its length. Of a VOEvent only the beginning is read; XML with a
        document type is unknown, since its entities may grow without end.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(raw[:_TRANSPORT_BYTES], False)
    except _Enough:
        pass
    except (expat.ExpatError, ValueError, LookupError):
        return Packet("unknown")
    return Packet(reader.kind, reader.identity.strip())


def with_length(content: bytes) -> bytes:
    """Return a packet: the length of `content`, and `content`."""
    return HEADER.pack(len(content)) + content


def message(role: str, origin: str, now: datetime, response: str = "") -> bytes:
    """Return a Transport message as a packet.

    Parameters
    ----------
    role : {"iamalive", "authenticate", "ack", "nak"}
    origin : str
        Of an answer what is answered: an ivorn, or the Origin of the message; else the sender.
    now : datetime, aware
    response : str
        Of an answer who answers.
    """
    answer = f"<Response>{escape(response)}</Response>" if response else ""
    return with_length(
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<trn:Transport role={quoteattr(role)} version="1.0" xmlns:trn="{_NAMESPACE}">'
        f"<Origin>{escape(origin)}</Origin>{answer}"
        f"<TimeStamp>{now:%Y-%m-%dT%H:%M:%SZ}</TimeStamp></trn:Transport>".encode()
    )
