"""Archives: what kind a file is, and unpacking it into the staging folder.

Python's own extraction is not used: the safe filter of `tarfile` is missing in
Python 3.11.2, and nothing there or in `zipfile` bounds what is written. Every
rule is checked here before a member is created, and every limit on the bytes
that really come, whatever the headers claim.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, BinaryIO

from toros.errors import SourceIncomplete, StorageFailed, UnsafeArchive
from toros.preprocessor.sources import tarball, zipball
from toros.preprocessor.sources.members import Budget, Member
from toros.preprocessor.sources.names import Names, broken_rule, quoted, relative, unwanted
from toros.preprocessor.sources.rules import Fetched, SourceFile
from toros.preprocessor.sources.staging import BLOCK_BYTES, Staging

HEAD_BYTES = 512
_XZ_MEMORY_BYTES = 128 << 20  # `xz -9` needs 65 MiB
_MAGIC = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # one without members
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"SIMPLE  =": "fits",
    b"7z\xbc\xaf\x27\x1c": "7z archive",
    b"Rar!\x1a\x07": "rar archive",
    b"\x28\xb5\x2f\xfd": "zstandard file",
}
_UNREADABLE = ("7z archive", "rar archive", "zstandard file")
# What the decompressors raise on bytes that are none of theirs. bz2 and gzip
# raise a bare OSError, which has no errno.
_DAMAGE = (
    EOFError,
    NotImplementedError,
    UnicodeDecodeError,
    lzma.LZMAError,
    struct.error,
    tarfile.HeaderError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Kind:
    """What a file is by its content.

    Parameters
    ----------
    name : str
        ``zip``, ``tar``, ``fits``, ``unreadable`` (an archive of another kind) or ``other``.
    packing : str
        ``""``, ``gzip``, ``bzip2`` or ``xz`` around it; for ``unreadable`` what it is.
    """

    name: str
    packing: str = ""

    @property
    def is_archive(self) -> bool:
        """Whether it is an archive that `unpack` takes."""
        return self.name in ("zip", "tar")


class _Unpacked:
    """Read bzip2 or xz, one or several streams after another, in bounded memory."""

    def __init__(
        self, file: IO[bytes], make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]
    ) -> None:
        self._file, self._make = file, make
        self._stream = make()

    def read(self, size: int) -> bytes:
        while True:
            if self._stream.eof:
                rest = self._stream.unused_data or self._file.read(BLOCK_BYTES)
                if not rest.strip(b"\0"):  # xz pads its streams with NULs
                    return b""
                self._stream = self._make()
            elif self._stream.needs_input:
                rest = self._file.read(BLOCK_BYTES)
                if not rest:
                    raise EOFError
            else:
                rest = b""
            if block := self._stream.decompress(rest, size):
                return block


def _unpacking(file: IO[bytes], packing: str) -> Callable[[int], bytes]:
    """Return what reads at most so many unpacked bytes of `file`, from its beginning."""
    file.seek(0)
    if packing == "gzip":
        return gzip.GzipFile(fileobj=file).read1
    if packing == "bzip2":
        return _Unpacked(file, bz2.BZ2Decompressor).read
    if packing == "xz":
        limited = _XZ_MEMORY_BYTES
        return _Unpacked(file, lambda: lzma.LZMADecompressor(memlimit=limited)).read
    return file.read


@contextmanager
def named_damage(label: str) -> Iterator[None]:
    """Turn the complaint of a decompressor or of the disk into an error of ours.

    Raises
    ------
    SourceIncomplete
        The archive is damaged or breaks off.
    UnsafeArchive
        It needs too much memory.
    StorageFailed
        It cannot be read.
    """
    try:
        yield
    except _DAMAGE as error:
        if "emory" in str(error):
            raise UnsafeArchive(
                f"{label} needs more than {_XZ_MEMORY_BYTES >> 20} MiB of memory to unpack"
            ) from error
        raise SourceIncomplete(f"{label} is damaged or breaks off: {error or 'no end'}") from error
    except OSError as error:
        if error.errno is not None:
            raise StorageFailed(f"{label} cannot be read: {error.strerror}") from error
        raise SourceIncomplete(f"{label} is damaged: {error}") from error


def stream(file: IO[bytes], packing: str, budget: Budget | None = None) -> Callable[[int], bytes]:
    """Return what reads exactly so many unpacked bytes, or fewer at the end.

    Parameters
    ----------
    file : BinaryIO
        Read from its beginning.
    packing : str
        ``""``, ``gzip``, ``bzip2`` or ``xz``.
    budget : Budget, optional
        Spent by every byte that comes out.
    """
    read = _unpacking(file, packing)

    def take(size: int) -> bytes:
        taken = bytearray()
        while len(taken) < size and (block := read(min(size - len(taken), BLOCK_BYTES))):
            if budget is not None:
                budget.spend(len(block))
            taken += block
        return bytes(taken)

    return take


def kind_of(file: BinaryIO, label: str) -> Kind:
    """Tell by its content what a file is.

    Raises
    ------
    SourceIncomplete
        It is packed and breaks off, or is damaged, before that can be told.
    UnsafeArchive, StorageFailed
    """
    with named_damage(label):
        file.seek(0)
        found = kind_of_head(file.read(HEAD_BYTES))
        if found.packing in ("gzip", "bzip2", "xz"):
            inner = kind_of_head(stream(file, found.packing)(HEAD_BYTES)).name
            return Kind(inner if inner in ("tar", "fits") else "other", found.packing)
    return found


def kind_of_head(head: bytes) -> Kind:
    """Tell by its first `HEAD_BYTES` what a file is, as far as these tell."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            if name in _UNREADABLE:
                return Kind("unreadable", name)
            return Kind(name) if name in ("zip", "fits") else Kind("other", name)
    with suppress(tarfile.HeaderError):
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")  # verifies a checksum
        return Kind("tar")
    return Kind("other")


def unpack(file: BinaryIO, kind: Kind, label: str, staging: Staging) -> Fetched:
    """Unpack an archive into the staging folder.

    Archives inside it stay as they are.

    Parameters
    ----------
    file : BinaryIO
        The archive, seekable.
    kind : Kind
        What `kind_of` told.
    label : str
        The archive's name for messages.
    staging : Staging

    Raises
    ------
    UnsafeArchive
        A member breaks a rule, or the whole a limit.
    SourceIncomplete
        It is damaged or breaks off.
    DiskFull, StorageFailed, Stopping
    """
    rules = staging.rules
    size = file.seek(0, 2)
    budget = Budget(label, size, rules.download_limit_bytes, rules.ratio_limit, staging.watch)
    members = (
        zipball.members(file, label, budget, rules.members_limit)
        if kind.name == "zip"
        else tarball.members(stream(file, kind.packing, budget), label)
    )
    files: list[SourceFile] = []
    left_out: list[tuple[str, str]] = []
    names = Names()
    with named_damage(label):
        for count, member in enumerate(members, 1):
            staging.watch.check()
            if count > rules.members_limit:
                raise UnsafeArchive(
                    f"{label} has more than {rules.members_limit} members "
                    "(Preprocessor / Sources / Members Limit)"
                )
            name = _checked(member, label)
            if member.is_folder or not name:
                continue
            if (clash := names.clash(name)) is not None:
                raise UnsafeArchive(f"{label}: member {quoted(member.name)} is refused: {clash}")
            names.take(name)
            staging.watch.progress(min(file.tell() / max(size, 1), 1.0), f"unpacking {name}")
            if (reason := unwanted(name)) is not None:
                left_out.append((name, reason))
                continue
            with staging.create(name, min(member.size, rules.download_limit_bytes)) as writer:
                for block in member.blocks():
                    writer.write(block)
            files.append(staging.described(name))
    return Fetched(tuple(sorted(files, key=lambda f: f.name)), False, tuple(sorted(left_out)))


def _checked(member: Member, label: str) -> str:
    rule = broken_rule(member.name)
    name = "" if rule else relative(member.name)
    if not rule and not name and not member.is_folder:
        rule = "it is empty"
    if rule:
        raise UnsafeArchive(f"{label}: member {quoted(member.name)} is refused: {rule}")
    return name
