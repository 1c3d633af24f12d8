"""How one catalogue takes the place of another while readers go on.

In a catalogue's folder every version has a folder of its own, and ``current`` is
a symbolic link to one of them. A new version is written beside, flushed, and the
link is replaced in one step (rename); then the versions that nobody will open any
more are removed. Readers that have one open keep it: the operating system frees a
file when the last map of it is gone. At no moment there is none, or a half.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toros.errors import CatalogueRefused
from toros.store import PARTIAL_PREFIX, fsync_folder, make_folder, storage_error

CURRENT = "current"
VERSION_PREFIX = "version-"
LOCK = ".lock"


def current(folder: Path) -> Path | None:
    """Return the folder of the version that is current, None where there is none."""
    try:
        return folder / (folder / CURRENT).readlink()
    except OSError:
        return None


@contextmanager
def new_version(folder: Path) -> Iterator[Path]:
    """Give an empty folder that becomes the current version when the block ends well.

    Only one at a time; leftovers of builds that were killed are removed first.

    Parameters
    ----------
    folder : Path
        The catalogue's; made where it is not there.

    Yields
    ------
    Path
        A folder; whatever is in it at the end is flushed and becomes the version.

    Raises
    ------
    CatalogueRefused
        Another build in this folder is under way.
    DiskFull, StorageFailed
        The catalogue that was current is still it.
    """
    make_folder(folder)
    with _lock(folder):
        _remove_all_but_current(folder)
        version = folder / f"{PARTIAL_PREFIX}{secrets.token_hex(6)}"
        try:
            version.mkdir()
            yield version
            _flush(version)
            _switch(folder, version)
        except OSError as error:
            raise storage_error(error, folder) from error
        finally:
            _remove_all_but_current(folder)


def _flush(version: Path) -> None:
    for path in version.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    fsync_folder(version)


def _switch(folder: Path, version: Path) -> None:
    """Give the version its name and make `current` point to it."""
    named = folder / f"{VERSION_PREFIX}{secrets.token_hex(6)}"
    version.rename(named)
    link = folder / f"{PARTIAL_PREFIX}{CURRENT}"
    link.unlink(missing_ok=True)
    link.symlink_to(named.name)
    fsync_folder(folder)
    link.replace(folder / CURRENT)
    fsync_folder(folder)


def _remove_all_but_current(folder: Path) -> None:
    keep = current(folder)
    for path in folder.iterdir():
        if path.name.startswith((VERSION_PREFIX, PARTIAL_PREFIX)) and path != keep:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    with (folder / LOCK).open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CatalogueRefused(
                f"{folder}: another build of this catalogue is under way; wait for its end"
            ) from None
        yield
