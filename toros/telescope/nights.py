"""The folders of nights, and the names of the exposures in them.

::

    EXPOSURES FOLDER/
        2026-06-10/                                     the local evening's date
            2026-06-10_00042_light_NGC-4993.fits        number, type, target
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path

from toros import store
from toros.images.circumstances import Circumstances

_NIGHT = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_EXPOSURE = re.compile(r"(\d{4}-\d{2}-\d{2})_(\d{5,9})_[a-z]+(_[^/]*)?\.fits", re.ASCII)
_TARGET_CHARS = 40
_STAGED = f"{store.PARTIAL_PREFIX}exposure-"
_STAGED_KEPT_S = 3600.0
# File systems without hard links (FAT, some network disks) answer so.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def file_name(known: Circumstances) -> str:
    """Return the name of an exposure's file: night, number, type, target."""
    target = re.sub(r"[^A-Za-z0-9.+-]+", "-", known.target_name or "")[:_TARGET_CHARS].strip("-.")
    parts = [known.night.isoformat(), f"{known.sequence:05d}", known.exposure_type]
    return "_".join([*parts, *([target] if target else [])]) + ".fits"


def nights_in(folder: Path) -> list[str]:
    """Return the nights that have a folder, in order.

    Raises
    ------
    StorageFailed
    """
    try:
        return sorted(entry.name for entry in folder.iterdir() if _NIGHT.fullmatch(entry.name))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise store.storage_error(error, folder) from error


def exposures_in(folder: Path, night: str) -> dict[int, Path]:
    """Return a night's exposures by their numbers; files that others put there do not count.

    Raises
    ------
    StorageFailed
    """
    found = {}
    try:
        for entry in os.scandir(folder / night):
            match = _EXPOSURE.fullmatch(entry.name)
            if match and match[1] == night and entry.is_file(follow_symlinks=False):
                found[int(match[2])] = Path(entry.path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise store.storage_error(error, folder / night) from error
    return found


def last_sequence(folder: Path, night: str) -> int:
    """Return the highest number of a night's exposures, or 0.

    Raises
    ------
    StorageFailed
    """
    return max(exposures_in(folder, night), default=0)


def staged(path: Path) -> Path:
    """Return a name beside `path` under which its file is made."""
    return path.with_name(f"{_STAGED}{secrets.token_hex(6)}")


def give_name(made: Path, path: Path) -> bool:
    """Give a staged file its name, never in the place of another file.

    Returns
    -------
    bool
        False when a file of that name, or another exposure of its number, is there; the
        staged one is gone then, too.

    Raises
    ------
    DiskFull, StorageFailed
    """
    number = "_".join(path.name.split("_")[:2])
    try:
        try:
            if any(path.parent.glob(f"{number}_*.fits")):
                return False
            _link(made, path)
        except FileExistsError:
            return False
        finally:
            with suppress(FileNotFoundError):
                made.unlink()
        store.fsync_folder(path.parent)
    except OSError as error:
        raise store.storage_error(error, path) from error
    return True


def _link(made: Path, path: Path) -> None:
    try:
        os.link(made, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError(errno.EEXIST, "is there already", str(path)) from error
        made.rename(path)


def clear_staged(folder: Path) -> None:
    """Remove what interrupted writes left long ago."""
    for path in folder.glob(f"{store.PARTIAL_PREFIX}*"):
        with suppress(OSError):
            is_ours = _STAGED in path.name
            if is_ours and time.time() - path.stat().st_mtime > _STAGED_KEPT_S:
                path.unlink()
