"""Seeded bytes for a front desk: from plain work orders to plain nonsense.

``inputs(seed, count)`` gives the same bytes for the same arguments. By kind,
with the shares of `KINDS`:

- *plain*: a work order that a preprocessor accepts, with odd extra keys;
- *queued*: the same for ``calibrate_file_batch`` (one id in four has come before);
- *odd*: a known request with one value replaced by any other;
- *any*: any value in the place of the work order;
- *spoilt*: the XML of one of these with some bytes changed;
- *nasty*: XML that is known to hurt (entities, depth, NaN, huge numbers, …);
- *http*: a good body under a head that is wrong in one way;
- *torn*: a message that breaks off, and noise.

*plain*, *queued*, *odd*, *any* and a part of *spoilt* pass the XML parser.
"""

from __future__ import annotations

import random
import string
import xmlrpc.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

KINDS = {
    "plain": 14,
    "queued": 16,
    "odd": 22,
    "any": 8,
    "spoilt": 18,
    "nasty": 12,
    "http": 10,
    "torn": 4,
}

REQUESTS = (
    "describe", "status", "list_orders", "cancel_order", "calibrate_file_batch",
    "resume_file_batch", "restart_file_batch", "observation", "open_dome", "Status", "",
)  # fmt: skip

_ODD_TEXTS = (
    "", " ", "\t", "0", "None", "null", "../../etc/passwd", "file:///etc/passwd", "%00%n%s",
    "'; DROP TABLE orders; --", "\x7f\u0085\u2028", "\u202egnp.exe", "\ud7ff\ufffd", "A" * 300,
    "line\nERROR forged line", "\U0001f52d" * 40, "é" * 200, "http://169.254.169.254/", "1e309",
)  # fmt: skip


@dataclass(frozen=True)
class Input:
    """What one connection is sent.

    ``whole`` says that the message ends where its head says, so that the
    connection can go on afterwards; otherwise the sender closes its side.
    """

    kind: str
    raw: bytes
    whole: bool


def inputs(seed: int, count: int, url: str = "/nonexistent") -> Iterator[Input]:
    """Make `count` inputs; `url` is the one that queued orders name."""
    source = _Source(random.Random(seed), url)
    makers: dict[str, Callable[[], Input]] = {
        kind: getattr(source, f"make_{kind}") for kind in KINDS
    }
    for kind in source.random.choices(list(KINDS), weights=list(KINDS.values()), k=count):
        yield makers[kind]()


def post(body: bytes, path: str = "/RPC2", extra: bytes = b"") -> bytes:
    """Write a POST of `body` as a common client does."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/xml\r\n"
        f"Content-Length: {len(body)}\r\n"
    )
    return head.encode("ascii") + extra + b"\r\n" + body


def call(order: object, method: str = "front_desk") -> bytes:
    """Encode a call by the standard library's encoder."""
    return xmlrpc.client.dumps((order,), method, allow_none=True).encode("utf-8", "replace")


class _Source:
    def __init__(self, generator: random.Random, url: str) -> None:
        self.random = generator
        self.url = url

    # -- values --------------------------------------------------------------

    def text(self) -> str:
        if self.random.random() < 0.5:
            return self.random.choice(_ODD_TEXTS)
        return "".join(self.random.choices(string.printable[:95], k=self.random.randint(0, 30)))

    def value(self, depth: int = 0) -> Any:
        kind = self.random.randrange(8 if depth < 4 else 6)
        if kind == 0:
            return None
        if kind == 1:
            return self.random.random() < 0.5
        if kind == 2:
            return self.random.choice(
                (0, 1, -1, 50, 2**31 - 1, -(2**31), self.random.randrange(999))
            )
        if kind == 3:
            return self.random.choice((0.0, -0.0, 1e308, 5e-324, self.random.gauss(0, 1e3)))
        if kind in (4, 5):
            return self.text()
        size = self.random.randint(0, 4)
        if kind == 6:
            return [self.value(depth + 1) for _ in range(size)]
        return {self.name(): self.value(depth + 1) for _ in range(size)}

    def name(self) -> str:
        known = ("id", "user", "priority", "ra", "datetime", "order", "url", "page", "note")
        return self.random.choice(known) if self.random.random() < 0.5 else self.text()

    def order(self) -> dict[str, Any]:
        """Make an immediate work order that is accepted."""
        order: dict[str, Any] = {
            "request": self.random.choice(("status", "describe", "list_orders")),
            "id": None if self.random.random() < 0.3 else f"fuzz-{self.random.getrandbits(40):x}",
            "datetime": "2019-03-05T14:34:54.234",
            "user": "fuzz",
            "priority": None,
        }
        for _ in range(self.random.randint(0, 2)):
            order[f"note_{self.random.randrange(9)}"] = self.value(depth=3)
        return order

    def calibration(self) -> dict[str, Any]:
        # Some ids come again and again: with the same content, and with other.
        number = self.random.randrange(50 if self.random.random() < 0.25 else 2**40)
        other = self.random.random() < 0.1
        return {
            "request": "calibrate_file_batch",
            "id": f"fuzz-batch-{number:x}",
            "user": "fuzz",
            "url": self.url + ("/other" if other else ""),
        }

    # -- inputs --------------------------------------------------------------

    def make_plain(self) -> Input:
        return Input("plain", post(call(self.order())), True)

    def make_queued(self) -> Input:
        return Input("queued", post(call(self.calibration())), True)

    def make_odd(self) -> Input:
        order = self.order() if self.random.random() < 0.7 else self.calibration()
        if self.random.random() < 0.4:
            order["request"] = self.random.choice(REQUESTS)
        order[self.random.choice([*order, "order", "page", "page_size", "state"])] = self.value()
        return Input("odd", post(call(order)), True)

    def make_any(self) -> Input:
        order = self.value()
        if self.random.random() < 0.3:
            return Input(
                "any", post(call(order, self.random.choice(("system.listMethods", "x")))), True
            )
        return Input("any", post(call(order)), True)

    def make_spoilt(self) -> Input:
        body = bytearray(call(self.order() if self.random.random() < 0.8 else self.value()))
        for _ in range(self.random.randint(1, 3)):
            at = self.random.randrange(len(body))
            action = self.random.randrange(4)
            if action == 0:
                body[at] = self.random.randrange(256)
            elif action == 1:
                del body[at : at + self.random.randint(1, 20)]
            elif action == 2:
                body[at:at] = body[at : at + self.random.randint(1, 40)]
            else:
                # Within a text most letters are as good as another.
                body[at:at] = self.random.choice(string.ascii_letters).encode()
            if not body:
                break
        return Input("spoilt", post(bytes(body)), True)

    def make_nasty(self) -> Input:
        return Input("nasty", post(self.random.choice(_NASTY)(self.random)), True)

    def make_http(self) -> Input:
        raw = self.random.choice(_HEADS)(call(self.order()))
        return Input("http", raw, False)

    def make_torn(self) -> Input:
        raw = post(call(self.order()))
        if self.random.random() < 0.6:
            return Input("torn", raw[: self.random.randint(1, len(raw) - 1)], False)
        return Input("torn", b"x" + self.random.randbytes(self.random.randint(1, 400)), False)


def _around(value: str) -> bytes:
    return (
        "<?xml version='1.0'?><methodCall><methodName>front_desk</methodName>"
        f"<params><param><value>{value}</value></param></params></methodCall>"
    ).encode()


def _member(value: str) -> bytes:
    return _around(
        "<struct><member><name>request</name><value>status</value></member>"
        f"<member><name>note</name><value>{value}</value></member></struct>"
    )


def _nested(depth: int) -> bytes:
    return _around("<array><data><value>" * depth + "</value></data></array>" * depth)


def _laughs(_: random.Random) -> bytes:
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    document = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "ha">{entities}]>'
    return document.encode() + _around("<string>&e9;</string>").partition(b"?>")[2]


def _numbers(generator: random.Random) -> bytes:
    return _member(
        generator.choice(
            (
                "<double>nan</double>", "<double>-inf</double>", "<double>1e999</double>",
                "<int>2147483648</int>", "<i8>99999999999</i8>", "<int>1.5</int>", "<int></int>",
                "<boolean>2</boolean>", "<base64>AAAA</base64>", f"<int>{'9' * 5000}</int>",
                "<dateTime.iso8601>20190230T00:00:00</dateTime.iso8601>", "<i4>٣</i4>",
            )
        )
    )  # fmt: skip


_NASTY: tuple[Callable[[random.Random], bytes], ...] = (
    _laughs,
    _numbers,
    _numbers,
    lambda r: _nested(r.choice((30, 40, 3000))),
    lambda r: _around("<array><data><value>" * r.choice((3, 3000))),
    lambda r: _member("&#0;"),
    lambda r: _member("&xxe;"),
    lambda r: _member("\x00\x01"),
    lambda r: _member("<nil/><nil/>"),
    lambda r: _member("<ex:nil/>"),
    lambda r: _member("text<int>1</int>"),
    lambda r: _member(f"<string>{'x' * r.choice((10, 100_000))}</string>"),
    lambda r: _member("<array><data>" + "<value/>" * r.choice((2, 5000)) + "</data></array>"),
    lambda r: _around("<struct>" + "<member><name>a</name><value/></member>" * 2 + "</struct>"),
    lambda r: b'<!DOCTYPE methodCall SYSTEM "http://127.0.0.1:9/x.dtd">' + _member("1")[21:],
    lambda r: b"<?php echo 1 ?>" + _member("1")[21:],
    lambda r: _member("1").decode().encode("utf-16"),
    lambda r: b"",
    lambda r: b"\xff\xfe\xfd",
    lambda r: b"<methodCall/>",
    lambda r: b"<methodCall><methodName>front_desk</methodName></methodCall>",
)  # fmt: skip


def _head(*lines: str) -> Callable[[bytes], bytes]:
    """Make heads of these lines; ``{n}`` stands for the length of the body."""

    def make(body: bytes) -> bytes:
        filled = [line.replace("{n}", str(len(body))) for line in lines]
        return ("\r\n".join(filled) + "\r\n\r\n").encode("latin-1") + body

    return make


_GOOD = ("POST / HTTP/1.1", "Host: localhost", "Content-Type: text/xml", "Content-Length: {n}")

_HEADS: tuple[Callable[[bytes], bytes], ...] = (
    _head(*_GOOD, "Origin: http://evil.example"),
    _head(*_GOOD, "Content-Length: 5"),
    _head(*_GOOD, "Transfer-Encoding: chunked"),
    _head(*_GOOD, "Content-Encoding: gzip"),
    _head(*_GOOD, "Expect: 100-continue"),
    _head(*_GOOD, "Expect: 200-ok"),
    _head(*_GOOD, "Authorization: Basic !!!"),
    _head(*_GOOD, "X: " + "y" * 20_000),
    _head(*_GOOD, *[f"X-{n}: y" for n in range(200)]),
    _head(*_GOOD, "Connection: close"),
    _head(*_GOOD, " folded: line"),
    _head(*_GOOD, "no colon"),
    _head(*_GOOD[:3]),
    _head(*_GOOD[:3], "Content-Length: -1"),
    _head(*_GOOD[:3], "Content-Length: 1e3"),
    _head(*_GOOD[:3], "Content-Length: 99999999999999999999999"),
    _head(*_GOOD[:3], "Content-Length: 999999999"),
    _head(*_GOOD[:2], "Content-Type: application/json", "Content-Length: {n}"),
    _head(*_GOOD[:2], "Content-Length: {n}"),
    _head(_GOOD[0], "Host: evil.example", *_GOOD[2:]),
    _head(_GOOD[0], *_GOOD[2:]),
    _head("POST /other HTTP/1.1", *_GOOD[1:]),
    _head("POST / HTTP/1.0", *_GOOD[1:]),
    _head("POST / HTTP/2.0", *_GOOD[1:]),
    _head("POST  / HTTP/1.1", *_GOOD[1:]),
    _head("PUT / HTTP/1.1", *_GOOD[1:]),
    _head("GET / HTTP/1.1", "Host: localhost"),
    _head("POST /" + "a" * 5000 + " HTTP/1.1", *_GOOD[1:]),
    lambda body: b"POST / HTTP/1.1\nHost: localhost\n\n" + body,
    lambda body: post(body) + post(body),
)
