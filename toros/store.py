"""Files that are whole or absent.

Every file is written beside its final name, flushed to the disk (fsync), moved
to its name (rename), and the folder is flushed. A crash at any moment leaves
the old file, the new file, or a leftover whose name starts with ``.partial-``,
never half a file under its final name. The database row that speaks of the
file is committed only after that.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from toros.errors import DiskFull, StorageFailed

PARTIAL_PREFIX = ".partial-"
_NAME_BYTES = 250
_FLUSHED_AT_A_TIME = 16


def storage_error(error: OSError, path: Path) -> DiskFull | StorageFailed:
    """Turn an operating system's error on `path` into the one of ours that fits."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"{path}: {reason}; free some space and send the order again")
    return StorageFailed(f"{path}: {reason}")


def fsync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, each flushed into its own parent.

    Raises
    ------
    DiskFull, StorageFailed
    """
    if folder.is_dir():
        return
    try:
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        fsync_folder(folder.parent)
    except OSError as error:
        raise storage_error(error, folder) from error


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears under its name only when the block ends well.

    Parameters
    ----------
    path : Path
        The final name; an existing file is replaced in one step.

    Yields
    ------
    BinaryIO
        A new, empty file beside `path`, for reading and writing.

    Raises
    ------
    DiskFull, StorageFailed
        The file could not be written; nothing is left under `path` that was
        not there before.
    """
    make_folder(path.parent)
    partial = path.parent / f"{PARTIAL_PREFIX}{secrets.token_hex(6)}-{path.name}"[:_NAME_BYTES]
    try:
        with partial.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> str:
    """Write `content` to `path`, whole or not at all; return its SHA-256 in hex.

    Raises
    ------
    DiskFull, StorageFailed
    """
    with whole_file(path) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def write_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write some files into a folder, each whole or not at all; all are there when it returns.

    They are flushed at the same time, which journalling file systems do about as fast as one. A
    crash in between may leave some of them.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    contents : mapping of str to bytes
        By the files' names; existing files are replaced, each in one step.

    Raises
    ------
    DiskFull, StorageFailed
    """
    if not contents:
        return
    make_folder(folder)
    partial = {
        name: folder / f"{PARTIAL_PREFIX}{secrets.token_hex(6)}-{name}"[:_NAME_BYTES]
        for name in contents
    }
    try:
        with ThreadPoolExecutor(min(len(contents), _FLUSHED_AT_A_TIME)) as pool:
            # The results are asked for, so that no thread's error is lost.
            list(pool.map(_write_flushed, partial.values(), contents.values()))
        for name, path in partial.items():
            path.replace(folder / name)
        fsync_folder(folder)
    except OSError as error:
        raise storage_error(error, folder) from error
    finally:
        for path in partial.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _write_flushed(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hex.

    Raises
    ------
    StorageFailed
        The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise storage_error(error, path) from error


def clear_partial(folder: Path) -> int:
    """Remove what interrupted writes left below `folder`; return how many files.

    Only for a folder that no other process is writing to.

    Raises
    ------
    StorageFailed
    """
    leftovers = [path for path in folder.rglob(f"{PARTIAL_PREFIX}*") if path.is_file()]
    for path in leftovers:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, path) from error
    return len(leftovers)


def check_free_space(folder: Path, needed_bytes: int, reserve_bytes: int) -> None:
    """Refuse to begin what would eat into the reserve of free space.

    Parameters
    ----------
    folder : Path
        An existing folder on the file system in question.
    needed_bytes : int
        What the work is going to write.
    reserve_bytes : int
        What must stay free afterwards.

    Raises
    ------
    DiskFull
    """
    free = shutil.disk_usage(folder).free
    if free - needed_bytes < reserve_bytes:
        raise DiskFull(
            f"{folder}: {free / 1e6:.0f} MB are free, {needed_bytes / 1e6:.0f} MB are needed and "
            f"{reserve_bytes / 1e6:.0f} MB must stay free; remove or move what is no longer used"
        )
