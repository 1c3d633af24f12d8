"""Images from Alpaca cameras: ImageBytes, JSON, and what breaks them."""

from __future__ import annotations

import json
import struct
import time
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.unit.devices.stub import Stub, drip, hang, http, raw, reply, value
from toros.devices.alpaca import AlpacaCamera
from toros.devices.alpaca.image import parse_header
from toros.devices.protocols import RawFrame
from toros.errors import (
    DeviceError,
    DeviceFault,
    DeviceLacks,
    DeviceNonsense,
    DeviceTimeout,
    DeviceUnreachable,
    Interrupted,
)

KIND = "application/imagebytes"
PIXELS = np.arange(6, dtype=np.uint16).reshape(2, 3)
"""ny = 2, nx = 3: never symmetric."""


def header(
    sent_as: int = 8, nx: int = 3, ny: int = 2, *, version: int = 1, error: int = 0,
    start: int = 44, rank: int = 2, nz: int = 0,
) -> bytes:  # fmt: skip
    return struct.pack("<iiIIiiiiiii", version, error, 1, 1, start, 2, sent_as, rank, nx, ny, nz)


def image(pixels: np.ndarray, sent_as: int = 8) -> bytes:
    ny, nx = pixels.shape
    return header(sent_as, nx, ny) + pixels.T.tobytes()


def download(server: Stub, answer, **settings) -> RawFrame:  # type: ignore[no-untyped-def]
    server.on("GET imagearray", answer)
    server.on("GET lastexposurestarttime", value("2026-06-10T04:00:00.1234567"))
    server.on("GET lastexposureduration", value(30))
    return AlpacaCamera(server.settings(**{"retries": 0, **settings})).download(lambda: None)


@pytest.mark.parametrize(
    ("sent_as", "sent", "kept"),
    [(1, "<i2", np.int32), (2, "<i4", np.int32), (3, "<f8", np.float32), (4, "<f4", np.float32),
     (5, "<u8", np.int32), (6, "u1", np.uint16), (7, "<i8", np.int32), (8, "<u2", np.uint16),
     (9, "<u4", np.int32)],
)  # fmt: skip
def test_every_type_of_pixel_is_read(server: Stub, sent_as: int, sent: str, kept: type) -> None:
    frame = download(server, http(200, image(PIXELS.astype(sent), sent_as), KIND))
    assert frame.data.dtype == kept
    assert frame.data.flags.c_contiguous
    np.testing.assert_array_equal(frame.data, PIXELS)
    assert frame.start == datetime(2026, 6, 10, 4, 0, 0, 123456, UTC)
    assert frame.exposure_time_s == 30.0


def test_signed_pixels_stay_signed(server: Stub) -> None:
    pixels = np.array([[-5, 5]], np.int16)
    np.testing.assert_array_equal(download(server, http(200, image(pixels, 1), KIND)).data, pixels)


def test_bytes_before_the_data_are_skipped(server: Stub) -> None:
    body = header(start=60) + b"x" * 16 + PIXELS.T.tobytes()
    np.testing.assert_array_equal(download(server, http(200, body, KIND)).data, PIXELS)


def test_chunked_images_are_read(server: Stub) -> None:
    body = image(PIXELS)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:7], body[7:50], body[50:]))
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {KIND}; charset=x\r\n".encode()
    answer = raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    np.testing.assert_array_equal(download(server, answer).data, PIXELS)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", DeviceNonsense),
        (header()[:43], DeviceNonsense),
        (header(), DeviceNonsense),
        (image(PIXELS)[:-1], DeviceNonsense),
        (image(PIXELS) + b"x", DeviceNonsense),
        (header(version=2) + b"x" * 12, DeviceNonsense),
        (header(rank=3, nz=3) + b"x" * 36, DeviceLacks),
        (header(rank=-1) + b"x" * 12, DeviceNonsense),
        (header(start=43) + b"x" * 12, DeviceNonsense),
        (header(start=-1) + b"x" * 12, DeviceNonsense),
        (header(start=2**31 - 1) + b"x" * 12, DeviceNonsense),
        (header(0) + b"x" * 12, DeviceNonsense),
        (header(10) + b"x" * 12, DeviceNonsense),
        (header(nx=0) + b"x" * 12, DeviceNonsense),
        (header(ny=-3) + b"x" * 12, DeviceNonsense),
        (header(nx=2**31 - 1, ny=2**31 - 1) + b"x" * 12, DeviceNonsense),
        (header(nx=100_000, ny=100_000) + b"x" * 12, DeviceNonsense),
        (header(error=0x40B) + b"no image is ready", DeviceError),
        (header(error=0x501, start=48) + b"....the card broke", DeviceFault),
        (header(error=-7, start=-5), DeviceNonsense),
    ],
)
def test_what_is_no_image_is_refused(server: Stub, body: bytes, error: type) -> None:
    with pytest.raises(error, match="imagearray"):
        download(server, http(200, body, KIND))


def test_the_servers_words_are_told(server: Stub) -> None:
    with pytest.raises(DeviceFault, match=r"\(0x501\): the card broke"):
        download(server, http(200, header(error=0x501) + b"the card broke", KIND))


def test_pixels_that_fit_no_image_are_refused(server: Stub) -> None:
    pixels = np.array([[2**31, 0]], np.uint32)
    with pytest.raises(DeviceNonsense, match="2147483648"):
        download(server, http(200, image(pixels, 9), KIND))


@pytest.mark.parametrize(
    ("table", "kept"),
    [(PIXELS.T.tolist(), np.int32), ((PIXELS.T + 0.5).tolist(), np.float32)],
)
def test_json_is_taken_where_there_is_nothing_better(server: Stub, table, kept) -> None:  # type: ignore[no-untyped-def]
    frame = download(server, reply(Type=2, Rank=2, Value=table))
    assert frame.data.dtype == kept
    np.testing.assert_array_equal(frame.data, np.array(table, kept).T)


@pytest.mark.parametrize(
    ("said", "error"),
    [(None, DeviceNonsense), ([], DeviceNonsense), ([[]], DeviceNonsense), ([1], DeviceNonsense),
     ([[1], [1, 2]], DeviceNonsense), ([["a"]], DeviceNonsense), ([[None]], DeviceNonsense),
     ([[2**40]], DeviceNonsense), ([[10**30]], DeviceNonsense), ([[[1, 2, 3]]], DeviceLacks),
     ([[True]], DeviceNonsense)],
)  # fmt: skip
def test_json_that_is_no_image_is_refused(server: Stub, said: object, error: type) -> None:
    with pytest.raises(error):
        download(server, reply(Value=said))


def test_an_error_in_json_is_told(server: Stub) -> None:
    with pytest.raises(DeviceError, match="0x40B"):
        download(server, reply(0x40B, "no image"))


@pytest.mark.parametrize("kind", ["text/html", "", "image/fits"])
def test_another_content_is_refused(server: Stub, kind: str) -> None:
    with pytest.raises(DeviceNonsense, match="content type"):
        download(server, http(200, image(PIXELS), kind))


def test_a_broken_download_is_begun_again(server: Stub) -> None:
    server.on("GET lastexposurestarttime", reply(0x402))
    server.on("GET lastexposureduration", http(500, b""))
    server.on(
        "GET imagearray", http(503, b""), http(200, image(PIXELS)[:-3], KIND),
        http(200, image(PIXELS), KIND),
    )  # fmt: skip
    frame = AlpacaCamera(server.settings(retries=2)).download(lambda: None)
    np.testing.assert_array_equal(frame.data, PIXELS)
    assert frame.start is None  # a frame is not lost for want of its time
    assert frame.exposure_time_s is None


def test_a_silent_server_ends_a_download_but_a_slow_one_does_not(server: Stub) -> None:
    body = image(PIXELS)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {KIND}\r\nContent-Length: {len(body)}\r\n\r\n"
    pulses: list[float] = []
    server.on("GET lastexposurestarttime", value("yesterday"))
    server.on("GET lastexposureduration", value(1))
    server.on("GET imagearray", drip(head.encode() + body, 0.012))
    camera = AlpacaCamera(server.settings(timeout_s=0.8, retries=3))
    begun = time.monotonic()
    frame = camera.download(lambda: pulses.append(time.monotonic()))
    assert time.monotonic() - begun > 1.2
    np.testing.assert_array_equal(frame.data, PIXELS)
    beats = np.diff([begun, *pulses])
    assert len(beats) >= 3
    assert max(beats) <= 0.5

    def stalls(connection) -> None:  # type: ignore[no-untyped-def]
        connection.sendall(head.encode() + body[:50])
        time.sleep(5)

    server.on("GET imagearray", stalls)
    pulses.clear()
    begun = time.monotonic()
    with pytest.raises(DeviceTimeout, match="imagearray"):
        camera.download(lambda: pulses.append(time.monotonic()))
    assert time.monotonic() - begun < 3  # it is not asked to send it all again
    assert len(pulses) >= 2


def test_a_connection_that_breaks_is_told(server: Stub) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {KIND}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with pytest.raises((DeviceUnreachable, DeviceNonsense)):
        download(server, raw(head.encode() + b"ff\r\n" + header()))


@pytest.mark.parametrize("error", [Interrupted("the roof closes"), OSError("of the pulse's own")])
def test_what_the_pulse_raises_ends_the_download(server: Stub, error: Exception) -> None:
    server.on("GET imagearray", hang(5))

    def pulse() -> None:
        raise error

    with pytest.raises(type(error), match=str(error)):
        AlpacaCamera(server.settings(timeout_s=4)).download(pulse)


def test_a_header_says_where_its_pixels_are() -> None:
    found = parse_header("camera", header(2, 4096, 2048))
    assert (found.size_x, found.size_y, found.data_start) == (4096, 2048, 44)
    assert found.data_bytes == 4096 * 2048 * 4


def test_json_is_parsed_as_alpyca_would_send_it(server: Stub) -> None:
    body = json.dumps({"Type": 2, "Rank": 2, "Value": PIXELS.T.tolist(), "ErrorNumber": 0})
    frame = download(server, http(200, body.encode(), "application/json; charset=utf-8"))
    np.testing.assert_array_equal(frame.data, PIXELS)
