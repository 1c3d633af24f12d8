"""HTTP/1.1 as a proxy needs it: heads are read, bodies pass by in pieces as they are.

References
----------
.. [1] RFC 9112, section 6.3: how long a body is; section 7.1: chunked bodies.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

HEAD_LIMIT = 65536  # bytes of a head, or of a line of a chunked body
REQUEST_LIMIT = 1 << 20  # bytes of a request's body; Alpaca's commands are short
PIECE = 65536  # bytes of a body that are in memory at a time

_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?\r\n", re.DOTALL)
_FIRST_LINE = re.compile(r"(?:([A-Z]+) (\S+) HTTP/1\.[01]|HTTP/1\.[01] ([1-5][0-9]{2})(?: .*)?)")


class NotHttp(Exception):
    """What came over a connection is no HTTP/1.1 that can be relayed."""


@dataclass(frozen=True)
class Head:
    """The first line and the fields of a request or a reply."""

    first: str
    fields: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """Return a field's value, joined by commas where it is repeated; "" where it is not."""
        return ", ".join(value for key, value in self.fields if key.lower() == name.lower())

    def replaced(self, name: str, value: str) -> Head:
        """Return the head with a field set anew."""
        others = [pair for pair in self.fields if pair[0].lower() != name.lower()]
        return Head(self.first, ((name, value), *others))

    def to_bytes(self) -> bytes:
        """Write the head as it goes over the wire."""
        lines = [self.first, *(f"{key}: {value}" for key, value in self.fields), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    @property
    def verb(self) -> str:
        """A request's verb."""
        return self.first.split(" ")[0]

    @property
    def target(self) -> str:
        """A request's path with its query."""
        return self.first.split(" ")[1]

    @property
    def status(self) -> int:
        """A reply's status."""
        return int(self.first.split(" ")[1])

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection may serve for another call."""
        said = [word.strip().lower() for word in self.get("Connection").split(",")]
        return "close" not in said and ("HTTP/1.1" in self.first or "keep-alive" in said)

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self.get("Transfer-Encoding").lower().strip() == "chunked"

    @property
    def length(self) -> int | None:
        """Length of the body as the head states it [bytes]; None where it does not.

        Raises
        ------
        NotHttp
        """
        stated = self.get("Content-Length")
        if not stated:
            return None
        if not _LENGTH.fullmatch(stated):
            raise NotHttp(f"Content-Length: {stated[:40]!r} is no number of bytes")
        return int(stated)


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read a head; None when the connection ends before one begins.

    Raises
    ------
    NotHttp
    ConnectionError
        The connection ends within it.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise ConnectionResetError("the connection ended within a head") from error
    except asyncio.LimitOverrunError as error:
        raise NotHttp(f"a head is longer than {HEAD_LIMIT} bytes") from error
    first, *lines = raw.decode("latin-1")[:-4].split("\r\n")
    if not _FIRST_LINE.fullmatch(first):
        raise NotHttp(f"{first[:80]!r} does not begin a message of HTTP/1.1")
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise NotHttp(f"{line[:80]!r} is no header field")
        fields.append((name.strip(), value.strip()))
    return Head(first, tuple(fields))


async def body_pieces(
    reader: asyncio.StreamReader, head: Head, *, bodiless: bool = False, to_end: bool = False
) -> AsyncIterator[bytes]:
    """Yield a body as it stands on the wire, the frames of chunks included.

    Parameters
    ----------
    reader : asyncio.StreamReader
    head : Head
    bodiless : bool
        There is no body whatever the head states: the reply to HEAD, 204, 304.
    to_end : bool
        A body of no stated length lasts until the connection ends: a reply's.

    Raises
    ------
    NotHttp
    ConnectionError
        The connection ends within the body.
    """
    try:
        if bodiless:
            return
        if head.is_chunked:
            async for piece in _chunks(reader):
                yield piece
        elif head.length is not None:
            async for piece in _exactly(reader, head.length):
                yield piece
        elif to_end:
            while piece := await reader.read(PIECE):
                yield piece
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("the connection ended within a body") from error
    except asyncio.LimitOverrunError as error:
        raise NotHttp(f"a line of a chunked body is longer than {HEAD_LIMIT} bytes") from error


async def _exactly(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    while length:
        piece = await reader.read(min(length, PIECE))
        if not piece:
            raise ConnectionResetError("the connection ended within a body")
        length -= len(piece)
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        line = await reader.readuntil(b"\r\n")
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise NotHttp(f"{line[:40]!r} is no size of a chunk")
        yield line
        size = int(match[1], 16)
        if size == 0:
            break
        async for piece in _exactly(reader, size + 2):
            yield piece
    while True:  # trailer fields, up to an empty line
        line = await reader.readuntil(b"\r\n")
        yield line
        if line == b"\r\n":
            return


async def read_request_body(reader: asyncio.StreamReader, head: Head) -> bytes:
    """Read a request's whole body as it stands on the wire.

    Raises
    ------
    NotHttp
        Also when it is longer than `REQUEST_LIMIT`.
    ConnectionError
    """
    body = bytearray()
    async for piece in body_pieces(reader, head):
        body += piece
        if len(body) > REQUEST_LIMIT:
            raise NotHttp(f"a request's body is longer than {REQUEST_LIMIT} bytes")
    return bytes(body)


class Reply:
    """A server's reply, its body not yet read."""

    def __init__(
        self, head: Head, verb: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.head = head
        bodiless = verb == "HEAD" or head.status in (204, 304)
        self.ends_connection = not head.keeps_alive or not (
            bodiless or head.is_chunked or head.length is not None
        )
        """Whether the client knows the body's end by the connection's end, or is told so."""
        self.pieces = body_pieces(reader, head, bodiless=bodiless, to_end=True)
        self._writer = writer

    async def discard(self) -> None:
        """Read the body to its end and forget it."""
        async for _ in self.pieces:
            pass

    def close(self) -> None:
        """Let the server go."""
        self._writer.close()


async def ask_server(host: str, port: int, request: Head, body: bytes) -> Reply:
    """Send a request over a connection of its own; return when the reply's head is here.

    Raises
    ------
    OSError
        The server is not reachable, or leaves without a reply.
    NotHttp
    """
    reader, writer = await asyncio.open_connection(host, port, limit=HEAD_LIMIT)
    try:
        writer.write(request.to_bytes() + body)
        await writer.drain()
        head = await _final_head(reader)
    except BaseException:
        writer.close()
        raise
    return Reply(head, request.verb, reader, writer)


async def _final_head(reader: asyncio.StreamReader) -> Head:
    """Read a reply's head, past those that only say "continue"."""
    while True:
        head = await read_head(reader)
        if head is None:
            raise ConnectionResetError("the server closed the connection without a reply")
        if head.status >= HTTPStatus.OK:
            return head


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection so that the other side sees "connection reset by peer"."""
    with suppress(OSError, ValueError):
        linger = struct.pack("ii", 1, 0)  # on, for 0 s: closing sends RST
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
