"""Images as Alpaca servers send them: ImageBytes, or JSON where a server knows no better.

References
----------
ASCOM Alpaca ImageBytes, version 1: a header of eleven little-endian 32-bit integers, then the
pixels, the last dimension varying fastest. The first dimension is x.
"""

from __future__ import annotations

import struct
from http.client import HTTPResponse
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from toros.devices.alpaca.replies import error_of, parse, shown
from toros.errors import DeviceLacks, DeviceNonsense

IMAGE_BYTES = "application/imagebytes"
ACCEPT = f"{IMAGE_BYTES}, application/json;q=0.5"

SIZE_LIMIT = 2**31
"""The largest image that is taken [bytes]."""

_HEADER = struct.Struct("<iiIIiiiiiii")
_SIDE_LIMIT = 1_000_000

Pixels = npt.NDArray[np.uint16] | npt.NDArray[np.int32] | npt.NDArray[np.float32]

# Transmitted as -> kept as. 64-bit and unsigned 32-bit pixels are kept where they fit.
_TYPES: dict[int, tuple[str, type[np.generic]]] = {
    1: ("<i2", np.int32),
    2: ("<i4", np.int32),
    3: ("<f8", np.float32),
    4: ("<f4", np.float32),
    5: ("<u8", np.int32),
    6: ("u1", np.uint16),
    7: ("<i8", np.int32),
    8: ("<u2", np.uint16),
    9: ("<u4", np.int32),
}


class Header(NamedTuple):
    """What an ImageBytes header says of the pixels after it."""

    data_start: int
    """Where they begin, from the first byte of all."""
    dtype: np.dtype[np.generic]
    """As they are transmitted."""
    kept_as: type[np.generic]
    size_x: int
    size_y: int

    @property
    def data_bytes(self) -> int:
        """How many bytes the pixels take."""
        return self.size_x * self.size_y * self.dtype.itemsize


def read_image(call: str, reply: HTTPResponse) -> Pixels:
    """Read an image from an open reply.

    Parameters
    ----------
    call : str
        Device and call, for messages.
    reply : HTTPResponse

    Returns
    -------
    ndarray, shape (ny, nx)
        uint16, int32 or float32, as the pixels need.

    Raises
    ------
    DeviceNonsense
        It is no image, or only part of one.
    DeviceLacks
        It is one in colours: the camera cannot give the pixels as they were read.
    DeviceError
        The server sent an error instead.
    """
    kind = (reply.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if kind == IMAGE_BYTES:
        return _read_bytes(call, reply)
    if kind in ("application/json", "text/json"):
        body = reply.read(SIZE_LIMIT + 1)
        if len(body) > SIZE_LIMIT:
            raise DeviceNonsense(f"{call}: the image is larger than {SIZE_LIMIT} bytes")
        return parse_json(call, body)
    raise DeviceNonsense(f"{call}: content type {shown(kind) or '(none)'} is no image")


def _read_bytes(call: str, reply: HTTPResponse) -> Pixels:
    start = reply.read(_HEADER.size)
    if len(start) == _HEADER.size and (number := _HEADER.unpack(start)[1]) != 0:
        skipped = _HEADER.unpack(start)[4] - _HEADER.size
        text = reply.read(4096)[max(skipped, 0) :].decode("utf-8", "replace")
        raise error_of(call, number, text.rstrip("\0")) or AssertionError
    header = parse_header(call, start)
    gap = header.data_start - _HEADER.size
    data = np.empty(header.data_bytes, np.uint8)
    whole = memoryview(data.data)
    got = 0
    if len(reply.read(gap)) == gap:
        while got < len(whole) and (count := reply.readinto(whole[got:])):
            got += count
    if got < len(whole) or reply.read(1):
        much = f"{got} of" if got < len(whole) else "more than"
        raise DeviceNonsense(
            f"{call}: the image has {much} the {len(whole)} bytes of its header: "
            f"{header.size_x} x {header.size_y} pixels of {header.dtype.itemsize} bytes"
        )
    pixels = data.view(header.dtype).reshape(header.size_x, header.size_y)
    return _kept(call, pixels, header.kept_as)


def parse_header(call: str, start: bytes) -> Header:
    """Read an ImageBytes header that reports no error.

    Parameters
    ----------
    call : str
        Device and call, for messages.
    start : bytes
        The first 44 bytes.

    Raises
    ------
    DeviceNonsense
        It is none, or says what cannot be.
    DeviceLacks
        The image has three dimensions: it is one in colours.
    """
    if len(start) != _HEADER.size:
        raise DeviceNonsense(f"{call}: an image of {len(start)} bytes has no header")
    version, _, _, _, data_start, _, sent_as, rank, size_x, size_y, _ = _HEADER.unpack(start)
    if version != 1:
        raise DeviceNonsense(f"{call}: image metadata of version {version}: expected 1")
    if rank == 3:
        raise DeviceLacks(f"{call}: the image is in colours (rank 3): expected one of rank 2")
    if rank != 2:
        raise DeviceNonsense(f"{call}: an image of rank {rank}: expected 2")
    if not _HEADER.size <= data_start <= 1 << 16:
        raise DeviceNonsense(f"{call}: image data begin at {data_start}: expected 44 to 65536")
    if sent_as not in _TYPES:
        raise DeviceNonsense(f"{call}: pixels of the type {sent_as}: expected 1 to 9")
    sent, kept_as = _TYPES[sent_as]
    header = Header(data_start, np.dtype(sent), kept_as, size_x, size_y)
    sides = f"{call}: an image of {size_x} x {size_y} pixels"
    if not (0 < size_x <= _SIDE_LIMIT and 0 < size_y <= _SIDE_LIMIT):
        raise DeviceNonsense(f"{sides}: expected 1 to {_SIDE_LIMIT} along each side")
    if header.data_bytes > SIZE_LIMIT:
        raise DeviceNonsense(f"{sides}: expected at most {SIZE_LIMIT} bytes")
    return header


def parse_json(call: str, body: bytes) -> Pixels:
    """Read an image from the JSON of an ImageArray.

    Returns
    -------
    ndarray, shape (ny, nx)
        int32 or float32.

    Raises
    ------
    DeviceNonsense
        It is no image.
    DeviceLacks
        It is one in colours.
    DeviceError
        The server sent an error instead.
    """
    reply = parse(call, body)
    if error := error_of(call, reply["ErrorNumber"], reply.get("ErrorMessage")):
        raise error
    try:
        pixels = np.array(reply.get("Value"))
    except (ValueError, OverflowError) as error:
        raise DeviceNonsense(f"{call}: the image is no table of numbers ({error})") from None
    if pixels.ndim == 3:
        raise DeviceLacks(f"{call}: the image is in colours (rank 3): expected one of rank 2")
    if pixels.ndim != 2 or not pixels.size or pixels.dtype.kind not in "iuf":
        raise DeviceNonsense(f"{call}: the image is no table of numbers")
    return _kept(call, pixels, np.float32 if pixels.dtype.kind == "f" else np.int32)


def _kept(call: str, pixels: npt.NDArray[np.generic], kept_as: type[np.generic]) -> Pixels:
    """Turn [x][y] into [y][x], in a type that holds the values."""
    if kept_as is np.int32 and pixels.dtype.itemsize >= 4 and pixels.dtype != np.dtype("<i4"):
        limits = np.iinfo(np.int32)
        low, high = int(pixels.min()), int(pixels.max())
        if low < limits.min or high > limits.max:
            raise DeviceNonsense(
                f"{call}: pixels from {low} to {high}: expected {limits.min} to {limits.max}"
            )
    turned: Pixels = np.ascontiguousarray(pixels.T, dtype=kept_as)
    return turned
