"""Copies of exposures for others: a night's or an order's, with their checksums verified."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from toros import store
from toros.database.exposures import TakenRow
from toros.errors import DamagedFile, InvalidField, NoUsableFrames
from toros.telescope import nights
from toros.telescope.outbox import is_below

CHECKSUMS = "SHA256SUMS"
"""Beside the copies: their checksums, as ``sha256sum --check`` reads them."""

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_BLOCK_BYTES = 1 << 20
_SHOWN = 5


def check_destination(destination: Path, allowed: Sequence[Path], exposures: Path) -> None:
    """Refuse a destination that orders may not write to.

    Parameters
    ----------
    destination : Path
    allowed : sequence of Path
        The folders below which it may be. An order comes over the network: it writes nowhere
        but where the configuration says.
    exposures : Path
        The folder of the exposures themselves, which takes no copies.

    Raises
    ------
    InvalidField
    """
    if not destination.is_absolute() or ".." in destination.parts:
        raise InvalidField(
            f"destination: got {str(destination)!r}; write an absolute path without .."
        )
    if not is_below(destination, allowed):
        shown = ", ".join(map(str, allowed)) or "none"
        raise InvalidField(
            f"destination: {destination} is below none of the folders that images may be copied "
            f"to: {shown}"
        )
    if is_below(destination, [exposures]):
        raise InvalidField(f"destination: {destination} is where the exposures are; name another")


def copy_exposures(
    rows: Sequence[TakenRow],
    exposures: Path,
    destination: Path,
    *,
    reserve_bytes: int,
    progress: Callable[[float, str], None],
) -> dict[str, Any]:
    """Copy exposures to a folder; what is there already is not copied again.

    A copy appears whole or not at all, and is read back from the disk. A file of the same name
    and another content stays as it is; the copy then bears its checksum in its name.

    Parameters
    ----------
    rows : sequence of TakenRow
        Which.
    exposures : Path
        The folder of the exposures.
    destination : Path
        Checked by `check_destination`.
    reserve_bytes : int
        What must stay free there.
    progress : callable
        Takes the fraction done and a line for a person; what it raises ends the work, and the
        same order again goes on with it.

    Returns
    -------
    dict
        {destination, exposures, copied, already_there, bytes}.

    Raises
    ------
    NoUsableFrames
        There is nothing to copy.
    DamagedFile
        Exposures are missing or not what was recorded; all others were copied.
    DiskFull, StorageFailed
    """
    if not rows:
        raise NoUsableFrames("there are no exposures of this night or order")
    store.make_folder(destination)
    there, absent = _sort_out(rows, destination, progress)
    needed = sum(row.size_bytes for row in absent)
    try:
        store.check_free_space(destination, needed, reserve_bytes)
    except OSError as error:
        raise store.storage_error(error, destination) from error
    bad, copied = [], 0
    for number, row in enumerate(absent):
        progress(number / len(absent), f"copying {number + 1} of {len(absent)}: {row.name}")
        try:
            there[_copy(row, exposures, destination).name] = row.sha256
            copied += 1
        except DamagedFile as error:
            bad.append(error.message)
    _write_checksums(destination, there)
    if bad:
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise DamagedFile(
            f"{len(bad)} of {len(rows)} exposures were not copied: {'; '.join(bad[:_SHOWN])}{more}"
        )
    progress(1.0, f"{copied} copied")
    return {
        "destination": str(destination),
        "exposures": len(rows),
        "copied": copied,
        "already_there": len(rows) - copied,
        "bytes": sum(row.size_bytes for row in rows),
    }


def _sort_out(
    rows: Sequence[TakenRow], destination: Path, progress: Callable[[float, str], None]
) -> tuple[dict[str, str], list[TakenRow]]:
    """Return the names and checksums of what is there, and what is not."""
    there: dict[str, str] = {}
    absent = []
    for number, row in enumerate(rows):
        progress(0.0, f"looking for {number + 1} of {len(rows)}: {row.name}")
        names = (row.name, _other_name(row))
        name = next((name for name in names if _is_copy(destination / name, row)), None)
        if name is None:
            absent.append(row)
        else:
            there[name] = row.sha256
    return there, absent


def _is_copy(path: Path, row: TakenRow) -> bool:
    is_like_it = path.is_file() and path.stat().st_size == row.size_bytes
    return is_like_it and store.sha256_of(path) == row.sha256


def _other_name(row: TakenRow) -> str:
    plain = Path(row.name)
    return f"{plain.stem}.{row.sha256[:12]}{plain.suffix}"


def _copy(row: TakenRow, exposures: Path, destination: Path) -> Path:
    """Copy one exposure.

    Raises
    ------
    DamagedFile, DiskFull, StorageFailed
    """
    source = nights.exposures_in(exposures, row.night).get(row.sequence)
    if source is None:
        raise DamagedFile(f"{exposures / row.night / row.name} is not there")
    target = destination / row.name
    if os.path.lexists(target):
        target = destination / _other_name(row)
    digest = hashlib.sha256()
    with store.whole_file(target) as file:
        for block in _blocks(source):
            digest.update(block)
            file.write(block)
        if digest.hexdigest() != row.sha256:
            raise DamagedFile(f"{source} is not what was recorded: its SHA-256 is another")
    _forget_cached(target)
    if store.sha256_of(target) != row.sha256:
        with suppress(OSError):
            target.unlink()
        raise DamagedFile(f"{target} was written and is read back as something else")
    return target


def _blocks(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block
    except OSError as error:
        raise DamagedFile(f"{source} cannot be read: {error.strerror or error}") from error


def _forget_cached(path: Path) -> None:
    """Have a file read back from the disk and not from memory, where the system can do so."""
    with suppress(OSError), path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _write_checksums(destination: Path, there: dict[str, str]) -> None:
    """Add the checksums to the list that earlier orders have left."""
    path = destination / CHECKSUMS
    try:
        text = path.read_text("utf-8", "replace") if path.is_file() else ""
    except OSError as error:
        raise store.storage_error(error, path) from error
    lines = [_LINE.fullmatch(line) for line in text.splitlines()]
    known = {line[2]: line[1] for line in lines if line}
    wanted = {**known, **there}
    if wanted != known:
        content = "".join(f"{wanted[name]}  {name}\n" for name in sorted(wanted))
        store.write_whole(path, content.encode())
