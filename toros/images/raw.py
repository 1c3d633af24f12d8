"""Raw frames: FITS files of one image, as the camera gave it, with checksums.

The cards are written here and not by a library, so that the same frame and the
same cards give the same bytes whatever is installed, a float is read back as
the very float that it was, and nothing says when the file was written: the
library's own checksums carry the time in their comments.

References
----------
FITS Standard 4.0 (2018): sections 4.1 and 4.2 (cards and their values), 4.2.1.2
(long strings), 4.4.2.5 and 5.2.5 (unsigned integers by BZERO), 4.4.2.7 and
appendix J (CHECKSUM, DATASUM), 4.4.2.1 (DATE, which is left out on purpose).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toros.errors import DeviceNonsense
from toros.images.layout import BLOCK_BYTES
from toros.images.products import Card, CardValue

_CARD_CHARS = 80
_TEXT_CHARS = 67  # of a string within quotes, the & of a continued one not counted
_COMMENT_CHARS = 72
_BAND_PIXELS = 1 << 20
_ZERO_SUM = "0" * 16


class _Storage(NamedTuple):
    """How a type of pixel is stored."""

    bitpix: int
    stored: str
    bzero: int = 0


_STORAGE = {
    "u1": _Storage(8, ">u1"),
    "i2": _Storage(16, ">i2"),
    "u2": _Storage(16, ">u2", 1 << 15),
    "i4": _Storage(32, ">i4"),
    "u4": _Storage(32, ">u4", 1 << 31),
    "i8": _Storage(64, ">i8"),
    "u8": _Storage(64, ">u8", 1 << 63),
    "f4": _Storage(-32, ">f4"),
    "f8": _Storage(-64, ">f8"),
}
_WIDENED = {"b1": "u1", "i1": "i2", "f2": "f4"}


def frame_bytes(shape: tuple[int, ...], itemsize: int, header_cards: int = 200) -> int:
    """Return how many bytes a frame takes on the disk, roughly and not less.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx) [pixel].
    itemsize : int
        Bytes of a pixel.
    header_cards : int
        Cards of the header at the most.
    """
    data = math.prod(shape) * itemsize
    header = header_cards * _CARD_CHARS
    return data + -data % BLOCK_BYTES + header + -header % BLOCK_BYTES


def write_frame(file: BinaryIO, data: NDArray[Any], cards: Iterable[Card]) -> str:
    """Write a frame to an empty file; return the SHA-256 of its bytes in hex.

    Parameters
    ----------
    file : BinaryIO
        Only written to, from its beginning to its end.
    data : ndarray, shape (ny, nx) [ADU]
        Integers are stored as they are, unsigned ones by BZERO, floats too; nothing is
        rounded. Row 0 comes first in the file.
    cards : iterable of (keyword, value, comment)
        For the header, after those that describe the file itself. Keywords have up to 8
        characters; text is printable ASCII; COMMENT and HISTORY take theirs as value. None
        and numbers that are not finite become a card without a value.

    Raises
    ------
    DeviceNonsense
        Such pixels cannot be stored.
    ValueError
        A card cannot be written: a defect of its maker.
    OSError
        The file cannot be written.
    """
    if data.ndim == 0 or data.size == 0:
        raise DeviceNonsense(f"a frame of shape {data.shape}, which has no pixels")
    kind = data.dtype.str[1:]
    if kind in _WIDENED:
        data = data.astype(_WIDENED[kind])
        kind = _WIDENED[kind]
    if kind not in _STORAGE:
        raise DeviceNonsense(
            f"a frame of {data.dtype} pixels; expected integers or floats of up to 64 bits"
        )
    storage = _STORAGE[kind]
    datasum = _fold(sum(_sum(band) for band in _bands(data, storage)))
    header = _header(data.shape, storage, cards, datasum)
    digest = hashlib.sha256(header)
    file.write(header)
    for band in _bands(data, storage):
        digest.update(band)
        file.write(band)
    return digest.hexdigest()


def _bands(data: NDArray[Any], storage: _Storage) -> Iterator[bytes]:
    """Yield the stored bytes in bands, zeros to the end of the last block included."""
    flat = data.reshape(-1)
    for start in range(0, flat.size, _BAND_PIXELS):
        band = flat[start : start + _BAND_PIXELS]
        if storage.bzero:
            # The unsigned number with its top bit turned is the signed one that is stored.
            band = band ^ band.dtype.type(storage.bzero)
        yield band.astype(storage.stored).tobytes()
    yield bytes(-data.nbytes % BLOCK_BYTES)


def _sum(content: bytes) -> int:
    padded = content + bytes(-len(content) % 4)
    return int(np.frombuffer(padded, dtype=">u4").sum(dtype=np.uint64))


def _fold(total: int) -> int:
    """Return the ones' complement sum of 32 bits (FITS Standard 4.0, appendix J)."""
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _header(
    shape: tuple[int, ...], storage: _Storage, cards: Iterable[Card], datasum: int
) -> bytes:
    text = "".join(
        [
            encode_card("SIMPLE", value=True, comment="conforms to FITS standard"),
            encode_card("BITPIX", storage.bitpix, "bits of a pixel; below 0: floating point"),
            encode_card("NAXIS", len(shape), "number of axes"),
            *(
                encode_card(f"NAXIS{axis}", length, "columns" if axis == 1 else "rows")
                for axis, length in enumerate(reversed(shape), start=1)
            ),
            *(
                (
                    encode_card("BSCALE", 1, "value = BSCALE * stored + BZERO"),
                    encode_card("BZERO", storage.bzero, "makes the stored numbers unsigned"),
                )
                if storage.bzero
                else ()
            ),
            *(encode_card(*card) for card in cards),
            encode_card("DATASUM", str(datasum), "sum of the data"),
        ]
    )
    blank = text + encode_card("CHECKSUM", _ZERO_SUM, "sum of the file")
    checksum = _encode_sum(~_fold(_sum(_padded(blank)) + datasum) & 0xFFFFFFFF)
    return _padded(text + encode_card("CHECKSUM", checksum, "sum of the file"))


def _padded(header: str) -> bytes:
    text = header + "END".ljust(_CARD_CHARS)
    return (text + " " * (-len(text) % BLOCK_BYTES)).encode("ascii")


def _encode_sum(value: int) -> str:
    """Write a sum as 16 letters and digits (FITS Standard 4.0, appendix J)."""
    coded = [""] * 16
    for place, byte in enumerate(value.to_bytes(4, "big")):
        quarter = byte // 4 + ord("0")
        letters = [quarter + byte % 4, quarter, quarter, quarter]
        while any(_is_punctuation(letter) for letter in letters):
            for first in (0, 2):
                if _is_punctuation(letters[first]) or _is_punctuation(letters[first + 1]):
                    letters[first] += 1
                    letters[first + 1] -= 1
        for row, letter in enumerate(letters):
            coded[4 * row + place] = chr(letter)
    return coded[-1] + "".join(coded[:-1])


def _is_punctuation(letter: int) -> bool:
    return 0x3A <= letter <= 0x40 or 0x5B <= letter <= 0x60


def encode_card(keyword: str, value: CardValue, comment: str = "") -> str:
    """Write a card as 80 characters, or several that continue it.

    Raises
    ------
    ValueError
        It cannot be written as it is.
    """
    if not 0 < len(keyword) <= 8 or not keyword.replace("-", "_").isidentifier():
        raise ValueError(f"no keyword of FITS: {keyword!r}")
    if isinstance(value, np.generic):
        value = value.item()
    for text in (value, comment):
        if isinstance(text, str) and not (text.isascii() and text.isprintable()):
            raise ValueError(f"{keyword}: FITS holds printable ASCII, not {text!r}")
    if keyword in ("COMMENT", "HISTORY"):
        return _commentary(keyword, str(value))
    if isinstance(value, str):
        return _text_card(keyword, value, comment)
    start = f"{keyword:<8}= {_number(value):>20}"
    return f"{start} / {comment}"[:_CARD_CHARS].ljust(_CARD_CHARS)


def _number(value: bool | int | float | None) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, int):
        return str(value)
    mantissa, e, exponent = repr(value).partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}{e.upper()}{exponent}"


def _text_card(keyword: str, value: str, comment: str) -> str:
    pieces, piece = [], ""
    for character in value:
        quoted = "''" if character == "'" else character
        if len(piece) + len(quoted) > _TEXT_CHARS:
            pieces.append(piece)
            piece = ""
        piece += quoted
    pieces.append(piece)
    text = ""
    for number, piece in enumerate(pieces):
        start = "CONTINUE  " if number else f"{keyword:<8}= "
        if number < len(pieces) - 1:
            text += f"{start}'{piece}&'".ljust(_CARD_CHARS)
        else:
            quoted = f"'{piece:<8}'"
            text += f"{start}{quoted:<20} / {comment}"[:_CARD_CHARS].ljust(_CARD_CHARS)
    return text


def _commentary(keyword: str, text: str) -> str:
    lines = [text[at : at + _COMMENT_CHARS] for at in range(0, max(len(text), 1), _COMMENT_CHARS)]
    return "".join(f"{keyword:<8}{line}".ljust(_CARD_CHARS) for line in lines)
