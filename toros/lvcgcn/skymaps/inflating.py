"""The bytes of a file that may be gzipped, piece by piece and never more than asked for.

References
----------
.. [1] RFC 1952 (gzip).
"""

from __future__ import annotations

import time
import zlib

from toros.errors import SkyMapRefused
from toros.lvcgcn.skymaps.limits import MapLimits

_GZIP = b"\x1f\x8b"
_FED_BYTES = 1 << 16  # at a time: what zlib has not used yet is copied with each call


class Inflating:
    """Reads a file's content from the start, once.

    What has not been asked for is not inflated: a bomb costs what its reader
    wanted, which is what the header said, which was within the limits.

    Parameters
    ----------
    raw : bytes
        A file, gzipped or not.
    limits : MapLimits
    ends_at : float
        By `time.monotonic` [s].

    Raises
    ------
    SkyMapRefused
        The file is beyond the limit of bytes.
    """

    def __init__(self, raw: bytes, limits: MapLimits, ends_at: float) -> None:
        if len(raw) > limits.bytes:
            raise SkyMapRefused(
                f"sky map: {len(raw)} bytes, where at most {limits.bytes} are allowed"
            )
        self._raw = memoryview(raw)
        self._at = 0
        self._limits = limits
        self._ends_at = ends_at
        self._given = 0
        self._inflater = zlib.decompressobj(wbits=31) if raw[:2] == _GZIP else None

    def read(self, count: int) -> bytes | memoryview:
        """Return exactly `count` bytes.

        Raises
        ------
        SkyMapRefused
            The file ends before, is damaged, or is beyond a limit.
        """
        self._given += count
        if self._given > self._limits.inflated_bytes:
            raise SkyMapRefused(
                f"sky map: inflates beyond {self._limits.inflated_bytes} bytes, the limit"
            )
        piece = self._plain(count) if self._inflater is None else self._inflated(count)
        if len(piece) < count:
            raise SkyMapRefused(
                f"sky map: truncated; it ends after {self._given - count + len(piece)} bytes, "
                f"where its header promises more"
            )
        return piece

    def check_end(self) -> None:
        """Check the compressed file's own checksum, if its end is near.

        Raises
        ------
        SkyMapRefused
            The checksum is wrong, or the file ends before it.
        """
        if self._inflater is None:
            return
        beyond = self._inflated(_FED_BYTES)
        if len(beyond) < _FED_BYTES and not self._inflater.eof:
            raise SkyMapRefused("sky map: truncated; its compressed data has no end")

    def _plain(self, count: int) -> memoryview:
        self._check_time()
        piece = self._raw[self._at : self._at + count]
        self._at += len(piece)
        return piece

    def _inflated(self, count: int) -> bytes:
        assert self._inflater is not None
        pieces: list[bytes] = []
        missing = count
        while missing > 0 and not self._inflater.eof:
            self._check_time()
            fed = self._inflater.unconsumed_tail
            if not fed:
                fed = bytes(self._raw[self._at : self._at + _FED_BYTES])
                self._at += len(fed)
            try:
                piece = self._inflater.decompress(fed, missing)
            except zlib.error as error:
                raise SkyMapRefused(f"sky map: its compressed data is damaged ({error})") from error
            if not piece and not fed:
                break
            pieces.append(piece)
            missing -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _check_time(self) -> None:
        if time.monotonic() > self._ends_at:
            raise SkyMapRefused(f"sky map: not read after {self._limits.seconds:g} s, the limit")
