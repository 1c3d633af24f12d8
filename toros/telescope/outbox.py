"""What the telescope tells others: the preprocessor of frames, web addresses of nights.

The same message has the same id whenever it is made, before and after a crash: to
post it once more costs nothing, so that whoever is not sure that it was posted
posts it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toros import store
from toros.database.exposures import TakenExposures
from toros.database.messages import NewMessage
from toros.errors import InvalidField, NoUsableFrames, SourceForbidden, SourceUnreachable

NIGHT_MESSAGE = "night"
"""What web addresses are told of: a night."""

_ID_DIGITS = 16


def exposures_taken(taken: TakenExposures, folder: Path, night: str) -> NewMessage | None:
    """Tell the preprocessor of a night's exposures so far; None where there are none.

    The night's folder is the file batch: told again it is extended by what is new. The id says
    up to which exposure, so that a night without new ones is not told again.

    Parameters
    ----------
    taken : TakenExposures
    folder : Path
        That of the exposures.
    night : str
        The local evening's date.

    Raises
    ------
    DatabaseUnavailable, DiskFull
    """
    last = taken.last_sequence(night)
    if last == 0:
        return None
    return NewMessage(
        "front_desk",
        "preprocessor",
        f"exposures-{night}-{last:05d}",
        "calibrate_file_batch",
        {"url": str(folder / night)},
    )


def frames_by_hand(folder: Path, allowed: Sequence[Path]) -> NewMessage:
    """Tell the preprocessor of a folder of frames that were taken by hand.

    The same folder with the same files is told once; with others it is told again, and its
    file batch is extended.

    Parameters
    ----------
    folder : Path
    allowed : sequence of Path
        The folders that the preprocessor may read: Preprocessor / Sources / Folders.

    Raises
    ------
    InvalidField
        The path is not absolute.
    SourceForbidden
        It is no folder, or not below one that the preprocessor may read.
    SourceUnreachable
        It is not there.
    NoUsableFrames
        There is no file in it.
    StorageFailed
        It cannot be read.
    """
    if not folder.is_absolute():
        raise InvalidField(f"folder: got {str(folder)!r}; write an absolute path")
    if not is_below(folder, allowed):
        shown = ", ".join(map(str, allowed)) or "none"
        raise SourceForbidden(
            f"folder: {folder} is below none of Preprocessor / Sources / Folders ({shown}); "
            "put the frames there, or add the folder to the setting"
        )
    try:
        if not folder.exists():
            raise SourceUnreachable(f"folder: {folder} is not there")
        if not folder.is_dir():
            raise SourceForbidden(f"folder: {folder} is a file; give the folder that it is in")
        listing = sorted(_listed(folder))
    except OSError as error:
        raise store.storage_error(error, folder) from error
    if not listing:
        raise NoUsableFrames(f"folder: there is no file in {folder}")
    digest = hashlib.sha256("\n".join([str(folder), *listing]).encode("utf-8", "surrogateescape"))
    return NewMessage(
        "front_desk",
        "preprocessor",
        f"by-hand-{digest.hexdigest()[:_ID_DIGITS]}",
        "calibrate_file_batch",
        {"url": str(folder)},
    )


def _listed(folder: Path) -> list[str]:
    """List the visible files in and below a folder: name, size, time of the last change.

    Raises
    ------
    OSError
        The folder, or one below it, cannot be read.
    """
    lines = []
    for path, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith("."):
                status = (Path(path) / name).lstat()
                lines.append(f"{path}/{name} {status.st_size} {status.st_mtime_ns}")
    return lines


def _raise(error: OSError) -> None:
    raise error


def is_below(path: Path, folders: Sequence[Path]) -> bool:
    """Whether a path, all links resolved, is one of `folders` or below one."""
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)


def night_told(
    addresses: Sequence[str], night: str, number: int, content: Mapping[str, Any]
) -> list[NewMessage]:
    """Tell web addresses what becomes of a night.

    Parameters
    ----------
    addresses : sequence of str
        Telescope / Tell.
    night : str
        The local evening's date.
    number : int
        Of what is told, within the night: part of the id.
    content : mapping
        Fit for JSON.
    """
    return [
        NewMessage(
            "web", address, f"night-{night}-{number}", NIGHT_MESSAGE, {"night": night, **content}
        )
        for address in addresses
    ]
