"""Discovery: real UDP and HTTP on loopback, with answers good and bad."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.unit.devices.stub import Stub, drip, hang, http, raw, value
from toros.devices import discovery


@contextlib.contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """Answer every discovery question so; give the UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    question, place = server.recvfrom(100)
                    if question == b"":
                        return
                    assert question == b"alpacadiscovery1"
                    for text in answers:
                        server.sendto(text, place)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"", server.getsockname())
        thread.join(5)


def find(*answers: bytes, timeout_s: float = 0.3) -> list[str]:
    with answering(*answers) as port:
        return discovery.find_servers(timeout_s, ["127.0.0.1"], port)


def test_servers_are_found_once() -> None:
    both = [json.dumps({"AlpacaPort": port}).encode() for port in (11111, 32323)]
    assert find(*both) == ["127.0.0.1:11111", "127.0.0.1:32323"]


@pytest.mark.parametrize(
    "answer",
    [b"", b"hello", b"[]", b"{}", b"null", b'{"AlpacaPort": 0}', b'{"AlpacaPort": 65536}',
     b'{"AlpacaPort": "11111"}', b'{"AlpacaPort": true}', b"[" * 1000, b"\xff"],
)  # fmt: skip
def test_junk_is_no_server(answer: bytes) -> None:
    assert find(answer, b'{"AlpacaPort": 11111}') == ["127.0.0.1:11111"]


def test_nobody_there_takes_the_time_and_no_more() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    begun = time.monotonic()
    assert discovery.find_servers(0.4, ["127.0.0.1", "not an address"], port) == []
    assert 0.3 < time.monotonic() - begun < 2


def test_all_networks_are_asked() -> None:
    places = discovery.broadcast_addresses()
    assert "127.0.0.1" in places
    assert all(not place.startswith("169.254.") for place in places)


DEVICES = [
    {"DeviceName": "Roof", "DeviceType": "Dome", "DeviceNumber": 0, "UniqueID": "a-b"},
    {"DeviceName": "Cam", "DeviceType": "Camera", "DeviceNumber": 1, "UniqueID": "c-d"},
]


def test_a_server_tells_of_its_devices(server: Stub) -> None:
    server.on("GET description", value({"ServerName": "Shed", "Location": "hill"}))
    server.on("GET configureddevices", value(DEVICES))
    (found,) = discovery.describe_servers([server.address])
    assert (found.address, found.name, found.problem) == (server.address, "Shed", None)
    assert [(d.device_type, d.number, d.name, d.unique_id) for d in found.devices] == [
        ("Camera", 1, "Cam", "c-d"),
        ("Dome", 0, "Roof", "a-b"),
    ]


@pytest.mark.parametrize(
    "answer",
    [http(404, b"no management here"), http(200, b"{"), http(200, b"[]"), value("x"),
     value([1]), value([{"DeviceType": "Dome"}]), value([{"DeviceType": 1, "DeviceNumber": 0}]),
     raw(b"SSH-2.0\r\n"), hang(5), drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 500, 0.05)],
)  # fmt: skip
def test_what_a_server_does_not_tell_is_a_problem(server: Stub, answer) -> None:  # type: ignore[no-untyped-def]
    server.on("GET configureddevices", answer)
    begun = time.monotonic()
    (found,) = discovery.describe_servers([server.address], 0.5)
    assert time.monotonic() - begun < 2
    assert found.problem is not None
    assert server.address in found.problem
    assert found.devices == ()


def test_a_server_that_is_gone_is_a_problem() -> None:
    (found,) = discovery.describe_servers(["127.0.0.1:1"], 0.5)
    assert found.problem is not None
    assert discovery.describe_servers([]) == []
