"""The members of a tar archive, read forward once.

The headers are decoded by `tarfile`; going from one to the next is done here,
since `tarfile` reads extended headers of any claimed size into memory, and
its patch releases differ in what they refuse.

References
----------
POSIX.1-2017, pax: "ustar Interchange Format" and "pax Extended Header".
GNU tar manual, "Basic Tar Format" (types L, K, S).
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator

from toros.errors import SourceIncomplete, UnsafeArchive
from toros.preprocessor.sources.members import Member
from toros.preprocessor.sources.names import quoted
from toros.preprocessor.sources.staging import BLOCK_BYTES

_BLOCK = tarfile.BLOCKSIZE
_EXTENDED_BYTES = 64 << 10  # a long name or a pax header; fair ones take some hundred bytes
_EXTENDED_IN_A_ROW = 8
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.XGLTYPE)
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_WHAT = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}

Take = Callable[[int], bytes]


def members(take: Take, label: str) -> Iterator[Member]:
    """Go through a tar archive.

    Parameters
    ----------
    take : callable
        Returns exactly so many bytes of the archive, fewer only at its end.
    label : str
        The archive's name for messages.

    Yields
    ------
    Member
        Its content must be read before the next one is asked for, or it is skipped.

    Raises
    ------
    UnsafeArchive
        A member is a link, a device, a FIFO, sparse, or of an unknown type.
    SourceIncomplete
        The archive is damaged or breaks off.
    """
    found: dict[str, str] = {}  # what extended headers say of the next member
    in_a_row = 0
    while (info := _next_header(take, label)) is not None:
        if info.type in _LONG or info.type in _PAX:
            in_a_row += 1
            if in_a_row > _EXTENDED_IN_A_ROW:
                raise UnsafeArchive(f"{label}: more than {_EXTENDED_IN_A_ROW} headers in a row")
            _read_extended(take, info, label, found)
            continue
        name, size = _name_and_size(info, found, label)
        found, in_a_row = {}, 0
        _check_type(info, name, label)
        content = _Content(take, size, f"{label}: member {quoted(name)}")
        yield Member(name, info.isdir(), size, content.blocks)
        content.skip_rest()
    while take(BLOCK_BYTES):  # to the end, so that the checksum of the packing is verified
        pass


class _Content:
    """What one member holds."""

    def __init__(self, take: Take, size: int, label: str) -> None:
        self._take, self._left, self._label = take, size, label
        self._padding = -size % _BLOCK

    def blocks(self) -> Iterator[bytes]:
        while self._left:
            block = self._take(min(self._left, BLOCK_BYTES))
            if not block:
                raise SourceIncomplete(f"{self._label} breaks off")
            self._left -= len(block)
            yield block

    def skip_rest(self) -> None:
        for _ in self.blocks():
            pass
        if len(self._take(self._padding)) != self._padding:
            raise SourceIncomplete(f"{self._label} breaks off")


def _next_header(take: Take, label: str) -> tarfile.TarInfo | None:
    """Read a header; None is the end mark, a block of NULs."""
    block = take(_BLOCK)
    if len(block) < _BLOCK:
        raise SourceIncomplete(f"{label} breaks off: it has no end mark")
    if not block.strip(b"\0"):
        return None
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        raise SourceIncomplete(f"{label} is damaged: {error}") from error
    if info.size < 0:
        raise UnsafeArchive(f"{label}: member {quoted(info.name)} has a negative size")
    return info


def _read_extended(take: Take, info: tarfile.TarInfo, label: str, found: dict[str, str]) -> None:
    if info.size > _EXTENDED_BYTES:
        raise UnsafeArchive(
            f"{label}: a header of {info.size} bytes; over {_EXTENDED_BYTES} are refused"
        )
    content = b"".join(_Content(take, info.size, f"{label}: a header").blocks())
    take(-info.size % _BLOCK)
    if info.type == tarfile.GNUTYPE_LONGNAME:
        found["path"] = content.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
    elif info.type in _PAX:
        records = dict(_pax_records(content, label))
        if any(key.startswith("GNU.sparse") for key in records):
            raise UnsafeArchive(f"{label}: sparse files are refused")
        if info.type != tarfile.XGLTYPE:
            found.update(records)
        elif records.keys() & {"path", "size"}:
            raise UnsafeArchive(f"{label}: one name or size for all members is refused")


def _pax_records(content: bytes, label: str) -> Iterator[tuple[str, str]]:
    """Read records of the form "length keyword=value" and a line feed."""
    while content.strip(b"\0"):
        digits, space, _ = content[:12].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        record = content[len(digits) + 1 : length - 1]
        keyword, equals, value = record.partition(b"=")
        if length > len(content) or not equals or content[length - 1 : length] != b"\n":
            raise SourceIncomplete(f"{label} is damaged: a pax header cannot be read")
        yield keyword.decode("utf-8", "replace"), value.decode("utf-8", "surrogateescape")
        content = content[length:]


def _name_and_size(info: tarfile.TarInfo, found: dict[str, str], label: str) -> tuple[str, int]:
    name = found.get("path", info.name)
    text = found.get("size", str(info.size))
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise UnsafeArchive(f"{label}: member {quoted(name)} has the size {quoted(text)}")
    # Only regular files have content; the size of a folder or link is to be ignored.
    return name, int(text) if info.type in _REGULAR else 0


def _check_type(info: tarfile.TarInfo, name: str, label: str) -> None:
    if info.type not in _REGULAR and info.type != tarfile.DIRTYPE:
        what = _WHAT.get(info.type, f"of the unknown type {info.type!r}")
        raise UnsafeArchive(f"{label}: member {quoted(name)} is refused: it is {what}")
