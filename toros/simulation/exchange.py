"""One call through the fault proxy, and what can be done with it."""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from toros.clock import REAL, to_iso
from toros.simulation.http_relay import PIECE, Head, NotHttp, Reply, ask_server, reset

_SHORT = 4096  # bytes; a longer reply is not searched for Alpaca's error number
_JSON = "application/json; charset=utf-8"
_IMAGE_BYTES = "application/imagebytes"

_transactions = itertools.count(1)


@dataclass
class Call:
    """What the proxy knows of a call; times are of `time.monotonic`, the machine's own."""

    verb: str
    path: str
    """Such as ``dome/0/closeshutter``; outside Alpaca's device API the full path."""
    parameters: dict[str, str]
    number: int = 0
    """Counted from 1."""
    arrived: datetime = field(default_factory=REAL.now)
    arrived_s: float = field(default_factory=time.monotonic)
    forwarded_s: float | None = None
    """When it was sent to the server; None where it was not."""
    ended_s: float | None = None
    """When the client had its answer or none any more; None while it lasts."""
    fault: str | None = None
    """The kind of fault that hit it."""
    status: int | None = None
    """The HTTP status that the client got; None where it got none."""
    error_number: int | None = None
    """Alpaca's error number that the client got; None where it is not known."""
    sent_bytes: int = 0
    """Of the body, to the client."""
    outcome: str = ""
    """What became of it, for a person."""

    @property
    def device(self) -> str:
        """The device, such as ``dome/0``."""
        return self.path.rpartition("/")[0]

    @property
    def member(self) -> str:
        """The member of the device's interface, such as ``closeshutter``."""
        return self.path.rpartition("/")[2]

    def parameter(self, name: str) -> str:
        """Return a parameter whatever its case; "" where it is not given."""
        wanted = name.lower()
        return next((v for k, v in self.parameters.items() if k.lower() == wanted), "")

    def to_dict(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        return {**asdict(self), "arrived": to_iso(self.arrived)}

    def to_json(self) -> str:
        """Write everything as a line of JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def of_request(cls, head: Head, body: bytes) -> Call:
        """Read a request.

        Raises
        ------
        NotHttp
        """
        try:
            target = urlsplit(head.target)
        except ValueError as error:
            raise NotHttp(f"{head.target[:80]!r} is no path: {error}") from error
        path = target.path.strip("/").lower().removeprefix("api/v1/")
        text = target.query or body.decode("utf-8", "replace")
        return cls(head.verb, path, dict(parse_qsl(text, keep_blank_values=True)))


class Exchange:
    """A call, its client and the server.

    Parameters
    ----------
    call : Call
    request : Head
        As it goes to the server.
    body : bytes
    server : (str, int)
        Host and port.
    reader, writer
        The client's connection.
    """

    def __init__(
        self,
        call: Call,
        request: Head,
        body: bytes,
        server: tuple[str, int],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.call = call
        self.keep = request.keeps_alive
        """Whether the client's connection may serve for another call."""
        self._request, self._body, self._server = request, body, server
        self._reader, self._writer = reader, writer

    async def forward(self) -> Reply:
        """Have the server carry the call out; its reply waits to be relayed or discarded.

        Raises
        ------
        OSError, NotHttp
            The server is not reachable, or does not answer in HTTP.
        """
        self.call.forwarded_s = time.monotonic()
        return await ask_server(*self._server, self._request, self._body)

    async def execute(self) -> None:
        """Have the server carry the call out, and keep its reply from the client."""
        reply = await self.forward()
        try:
            await reply.discard()
        finally:
            reply.close()

    async def relay(self, reply: Reply, bytes_per_s: float | None = None) -> None:
        """Pass a reply on as it is, its body at a certain speed if one is given."""
        try:
            await self._send_head(reply.head)
            beginning = bytearray()
            async for piece in reply.pieces:
                await self._send_at_speed(piece, bytes_per_s)
                if len(beginning) <= _SHORT:
                    beginning += piece
            self._note_error(bytes(beginning))
            self.keep = self.keep and not reply.ends_connection
        finally:
            reply.close()

    async def relay_part(self, reply: Reply, limit: int) -> None:
        """Pass on the head and the first bytes of a body, never its last one."""
        self.keep = False
        try:
            await self._send_head(reply.head)
            held = b""
            async for piece in reply.pieces:
                await self._send(held)
                held = piece[: limit - self.call.sent_bytes]
                if len(held) < len(piece):
                    await self._send(held)
                    return
            await self._send(held[:-1])
        finally:
            reply.close()

    async def answer(self, status: int, body: bytes, content_type: str = _JSON) -> None:
        """Answer in the server's stead."""
        head = Head(
            f"HTTP/1.1 {status} {_phrase(status)}",
            (("Content-Type", content_type), ("Content-Length", str(len(body)))),
        )
        self.call.status = status
        self._writer.write(head.to_bytes())
        await self._send(b"" if self.call.verb == "HEAD" else body)

    async def answer_alpaca(self, number: int = 0, message: str = "", **value: Any) -> None:
        """Answer in the server's stead as Alpaca has it; an error or a Value.

        A client that asks for an image as ImageBytes gets an error in that form.
        """
        self.call.error_number = number
        said = self.call.parameter("ClientTransactionID")
        client = int(said) if said.isdecimal() and len(said) < 11 else 0
        server = next(_transactions)
        if number and _IMAGE_BYTES in self._request.get("Accept").lower():
            numbers = (1, number, client, server, 44, 0, 0, 0, 0, 0, 0)
            text = message.encode()
            await self.answer(HTTPStatus.OK, struct.pack("<iiIIiiiiiii", *numbers) + text,
                              _IMAGE_BYTES)  # fmt: skip
            return
        answer = {
            **value,
            "ClientTransactionID": client,
            "ServerTransactionID": server,
            "ErrorNumber": number,
            "ErrorMessage": message,
        }
        await self.answer(HTTPStatus.OK, json.dumps(answer).encode())

    async def hold(self, released: asyncio.Event) -> None:
        """Keep the client without a word until it leaves or is let go."""
        self.keep = False
        letting_go = asyncio.ensure_future(released.wait())
        leaving = asyncio.ensure_future(self._until_client_leaves())
        try:
            await asyncio.wait((letting_go, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            letting_go.cancel()
            leaving.cancel()

    def reset(self) -> None:
        """End the client's connection as a broken network does."""
        self.keep = False
        reset(self._writer)

    def close(self) -> None:
        """End the client's connection in good order."""
        self.keep = False
        self._writer.close()

    async def _until_client_leaves(self) -> None:
        try:
            while await self._reader.read(PIECE):
                pass
        except OSError:
            pass

    async def _send_head(self, head: Head) -> None:
        self.call.status = head.status
        self._writer.write(head.to_bytes())
        await self._writer.drain()

    async def _send(self, piece: bytes) -> None:
        self._writer.write(piece)
        self.call.sent_bytes += len(piece)
        await self._writer.drain()

    async def _send_at_speed(self, piece: bytes, bytes_per_s: float | None) -> None:
        if bytes_per_s is None:
            await self._send(piece)
            return
        size = max(1, round(bytes_per_s / 10))
        for start in range(0, len(piece), size):
            part = piece[start : start + size]
            await self._send(part)
            await asyncio.sleep(len(part) / bytes_per_s)

    def _note_error(self, body: bytes) -> None:
        if len(body) > _SHORT or not body.startswith(b"{"):
            return
        try:
            number = json.loads(body).get("ErrorNumber")
        except ValueError:
            return
        self.call.error_number = number if isinstance(number, int) else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Fault"
