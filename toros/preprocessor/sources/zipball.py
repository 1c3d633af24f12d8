"""The members of a zip archive."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from toros.errors import SourceIncomplete, UnsafeArchive
from toros.preprocessor.sources.members import Budget, Member
from toros.preprocessor.sources.names import quoted
from toros.preprocessor.sources.staging import BLOCK_BYTES

_ENCRYPTED = 0x1 | 0x40 | 0x2000  # APPNOTE.TXT 4.4.4, bits 0, 6, 13
_ENTRY_BYTES = 1024  # of the central directory, per member: 46, the name and some extras
_LOCAL_HEADER_BYTES = 30
_ENTRY_MAGIC = b"PK\x01\x02"


class _Careful(io.RawIOBase):
    """A file that refuses to be read in larger pieces than a fair archive needs.

    `zipfile` reads the whole central directory into memory and makes an object
    of each entry, whatever their number.
    """

    def __init__(self, file: BinaryIO, label: str, members_limit: int) -> None:
        self._file, self._label, self._members = file, label, members_limit
        self._limit = max(members_limit * _ENTRY_BYTES, 1 << 20)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        here = self._file.tell()
        if size is None or size < 0:
            size = max(self._file.seek(0, 2) - here, 0)
            self._file.seek(here)
        if size <= self._limit:
            block = self._file.read(size)
            if size <= BLOCK_BYTES or block.count(_ENTRY_MAGIC) <= self._members:
                return block
        raise UnsafeArchive(
            f"{self._label} has more than {self._members} members, or a directory too large for "
            "them (Preprocessor / Sources / Members Limit)"
        )


def members(file: BinaryIO, label: str, budget: Budget, members_limit: int) -> Iterator[Member]:
    """Go through a zip archive.

    Parameters
    ----------
    file : BinaryIO
    label : str
        The archive's name for messages.
    budget : Budget
        Spent by every byte that comes out.
    members_limit : int

    Raises
    ------
    UnsafeArchive
        A member is encrypted, a link, a device, overlaps another, or is packed
        in another way than the two that every zip program knows.
    zipfile.BadZipFile and others
        The archive is damaged (see `archive.named_damage`).
    """
    with zipfile.ZipFile(_Careful(file, label, members_limit)) as archive:
        _check_overlaps(archive, label)
        for info in archive.infolist():
            _check(info, label)
            # The name as it stands in the archive: `filename` ends at a NUL,
            # and `is_dir` fails on an empty one.
            name = info.orig_filename
            yield Member(name, name.endswith("/"), info.file_size, _reader(archive, info, budget))


def _reader(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget
) -> Callable[[], Iterator[bytes]]:
    def blocks() -> Iterator[bytes]:
        with archive.open(info) as reader:  # verifies the CRC-32 at its end
            size = 0
            while block := reader.read(BLOCK_BYTES):
                size += len(block)
                budget.spend(len(block))
                yield block
        if size != info.file_size:
            raise SourceIncomplete(
                f"{budget.label}: member {quoted(info.filename)} has {size} bytes, "
                f"not the {info.file_size} it claims"
            )

    return blocks


def _check(info: zipfile.ZipInfo, label: str) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    problem = None
    if info.flag_bits & _ENCRYPTED:
        problem = "it is encrypted"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        problem = "it is a link or a device"
    elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        problem = f"compression {info.compress_type} is not read, only stored and deflated"
    if problem:
        raise UnsafeArchive(f"{label}: member {quoted(info.orig_filename)} is refused: {problem}")


def _check_overlaps(archive: zipfile.ZipFile, label: str) -> None:
    """Refuse members that share bytes, which turn a small file into endless ones.

    Counts the least that a member takes (its extra fields are not known yet).
    """
    end = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise UnsafeArchive(
                f"{label}: member {quoted(info.orig_filename)} is refused: "
                "it overlaps another member"
            )
        name_bytes = len(info.orig_filename)  # at most what it takes in any encoding
        end = info.header_offset + _LOCAL_HEADER_BYTES + name_bytes + info.compress_size
