"""Calls to Alpaca devices: answers, refusals, trouble, deadlines, repeats."""

from __future__ import annotations

import threading
import time

import pytest

from tests.conftest import free_port
from tests.unit.devices.stub import Stub, drip, hang, http, raw, reply, reset, value
from toros.config.hardware import Device
from toros.devices.alpaca import AlpacaCamera, AlpacaDome, AlpacaMount, open_alpaca
from toros.errors import (
    DeviceError,
    DeviceFault,
    DeviceLacks,
    DeviceNonsense,
    DeviceNotConnected,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnreachable,
)

ERRORS = {
    0x400: DeviceLacks,
    0x401: DeviceRefused,
    0x402: DeviceRefused,
    0x403: DeviceFault,
    0x404: DeviceFault,
    0x405: DeviceFault,
    0x406: DeviceFault,
    0x407: DeviceNotConnected,
    0x408: DeviceRefused,
    0x409: DeviceRefused,
    0x40A: DeviceFault,
    0x40B: DeviceRefused,
    0x40C: DeviceLacks,
    0x40D: DeviceFault,
    0x40E: DeviceRefused,
    0x40F: DeviceFault,
    0x4FF: DeviceFault,
    0x500: DeviceFault,
    0xFFF: DeviceFault,
    -1: DeviceNonsense,
}


@pytest.mark.parametrize("number", ERRORS, ids=hex)
def test_every_error_number_is_an_error_of_ours(server: Stub, number: int) -> None:
    server.on("PUT closeshutter", reply(number, "the motor\nsays no"))
    with pytest.raises(DeviceError) as caught:
        AlpacaDome(server.settings()).close_shutter()
    assert type(caught.value) is ERRORS[number]
    assert f"dome {server.address}/0: closeshutter" in caught.value.message
    if number > 0:
        assert f"0x{number:X}" in caught.value.message
        assert "the motor says no" in caught.value.message
    assert server.calls() == ["PUT closeshutter"]


@pytest.mark.parametrize(
    ("status", "error"), [(400, DeviceRefused), (404, DeviceRefused), (500, DeviceFault),
                          (503, DeviceFault), (302, DeviceNonsense), (204, DeviceNonsense)],
)  # fmt: skip
def test_http_statuses_are_told(server: Stub, status: int, error: type[DeviceError]) -> None:
    server.on("GET shutterstatus", http(status, b"what it says"))
    with pytest.raises(error, match=f"HTTP {status}"):
        AlpacaDome(server.settings(retries=0)).shutter()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"{}", b'{"Value": 1}', b'{"ErrorNumber": "0", "Value": 1}',
     b'{"ErrorNumber": true, "Value": 1}', b'{"ErrorNumber": 0}', b"\xff\xfe", b"[" * 100_000,
     b'{"ErrorNumber": 0, "Value": ' + b"9" * 5000 + b"}", b"<html>router</html>"],
)  # fmt: skip
def test_garbage_is_told(server: Stub, body: bytes) -> None:
    server.on("GET shutterstatus", http(200, body))
    with pytest.raises(DeviceNonsense):
        AlpacaDome(server.settings(retries=0)).shutter()


@pytest.mark.parametrize(
    "data",
    [b"garbage\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n" * 4,
     b"HTTP/1.1 200 x\r\n" + b"a: b\r\n" * 500 + b"\r\n",
     b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
)  # fmt: skip
def test_what_is_no_http_is_told(server: Stub, data: bytes) -> None:
    server.on("GET shutterstatus", raw(data))
    with pytest.raises((DeviceNonsense, DeviceUnreachable)):
        AlpacaDome(server.settings(retries=0)).shutter()


def test_an_endless_answer_is_cut(server: Stub) -> None:
    server.on("GET shutterstatus", http(200, b" " * (1 << 21)))
    with pytest.raises(DeviceNonsense, match="longer than"):
        AlpacaDome(server.settings(retries=0)).shutter()


def test_a_question_is_asked_again(server: Stub) -> None:
    server.on("GET slewing", reset, http(500, b"oops"), value(True))
    assert AlpacaDome(server.settings(retries=2)).slewing() is True
    assert server.calls() == ["GET slewing"] * 3


def test_a_question_that_hangs_is_asked_again(server: Stub) -> None:
    server.on("GET slewing", hang(5), value(False))
    assert AlpacaMount(server.settings(timeout_s=0.3, retries=1)).slewing() is False


def test_the_retries_end(server: Stub) -> None:
    server.on("GET slewing", reset)
    with pytest.raises(DeviceUnreachable, match="broke"):
        AlpacaMount(server.settings(retries=1)).slewing()
    assert server.calls() == ["GET slewing"] * 2


def test_an_answer_is_not_asked_for_again(server: Stub) -> None:
    server.on("GET slewing", reply(0x500, "broken"))
    with pytest.raises(DeviceFault):
        AlpacaMount(server.settings()).slewing()
    assert server.calls() == ["GET slewing"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [(hang(5), DeviceTimeout), (reset, DeviceUnreachable), (http(500, b""), DeviceFault),
     (http(200, b"{"), DeviceNonsense)],
)  # fmt: skip
def test_a_command_is_never_sent_again(server: Stub, answer, error) -> None:  # type: ignore[no-untyped-def]
    server.on("PUT unpark", answer)
    with pytest.raises(error) as caught:
        AlpacaMount(server.settings(timeout_s=0.3)).unpark()
    if error in (DeviceTimeout, DeviceUnreachable):
        assert "may have been carried out" in caught.value.message
    assert server.calls() == ["PUT unpark"]


def test_a_command_that_was_not_sent_is_tried_again(server: Stub) -> None:
    port = free_port()
    mount = AlpacaMount(Device(driver="alpaca", address=f"127.0.0.1:{port}", retries=5))
    late = Stub.__new__(Stub)

    def start() -> None:
        time.sleep(0.3)
        import socket

        late.answers, late.seen, late._connections = {"PUT unpark": [reply()]}, [], []
        late._socket = socket.create_server(("127.0.0.1", port))
        late._accept()

    threading.Thread(target=start, daemon=True).start()
    try:
        mount.unpark()
        assert late.calls() == ["PUT unpark"]
    finally:
        late.close()


def test_nobody_there_is_told_at_once() -> None:
    mount = AlpacaMount(Device(driver="alpaca", address=f"127.0.0.1:{free_port()}", retries=1))
    with pytest.raises(DeviceUnreachable, match="cannot be reached"):
        mount.slewing()


@pytest.mark.parametrize("address", ["no-such-host.invalid:1", "[::1]:1"])
def test_names_and_ipv6_addresses_are_taken(address: str) -> None:
    with pytest.raises(DeviceUnreachable):
        AlpacaMount(Device(driver="alpaca", address=address, retries=0)).slewing()


def test_a_byte_now_and_then_does_not_move_the_deadline(server: Stub) -> None:
    server.on("GET slewing", drip(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000, 0.05))
    begun = time.monotonic()
    with pytest.raises(DeviceTimeout, match=r"within 0.5 s"):
        AlpacaMount(server.settings(timeout_s=0.5, retries=0)).slewing()
    assert time.monotonic() - begun < 2


def test_the_shutter_takes_one_timeout_however_often_it_is_asked(server: Stub) -> None:
    server.on("GET shutterstatus", hang(5))
    begun = time.monotonic()
    with pytest.raises(DeviceTimeout):
        AlpacaDome(server.settings(timeout_s=0.5, retries=10)).shutter()
    assert time.monotonic() - begun < 2
    assert server.calls() == ["GET shutterstatus"]


def test_no_call_delays_another(server: Stub) -> None:
    """Closing waits neither for this device's other calls nor for another device's image."""
    server.on("GET imagearray", hang(10))
    server.on("GET azimuth", hang(10))
    server.on("PUT closeshutter", reply())
    server.on("GET shutterstatus", value(3))
    dome = AlpacaDome(server.settings(timeout_s=5.0))
    camera = AlpacaCamera(server.settings(timeout_s=5.0))

    def quietly(call) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(DeviceError):
            call()

    others = [
        threading.Thread(target=quietly, args=(call,), daemon=True)
        for call in (dome.azimuth, dome.azimuth, lambda: camera.download(lambda: None))
    ]
    for other in others:
        other.start()
    while len(server.seen) < 3:
        time.sleep(0.01)
    begun = time.monotonic()
    dome.close_shutter()
    assert dome.shutter() == "closing"
    assert time.monotonic() - begun < 1.0
    assert all(other.is_alive() for other in others)


def test_the_fields_are_alpacas(server: Stub) -> None:
    server.on("GET slaved", value(False))
    server.on("PUT slewtoazimuth", reply())
    AlpacaDome(server.settings(number=7)).slew_to_azimuth(12.5)
    call, fields = server.seen[-1]
    assert call == "PUT slewtoazimuth"
    assert fields["Azimuth"] == "12.5"
    assert 1 <= int(fields["ClientID"]) <= 65535
    assert int(fields["ClientTransactionID"]) >= 1


def test_an_unknown_kind_is_a_defect() -> None:
    with pytest.raises(ValueError, match="expected one of dome"):
        open_alpaca("kettle", Device(driver="alpaca", address="127.0.0.1:1"))
