"""The archive of what was received; its folder of incoming notices is the robot's queue.

::

    FOLDER/incoming/20261121T081530.123456Z_kafka-igwn.gwalert_0123456789abcdef.json
    FOLDER/archive/2026-11-21/20261121T081530.123456Z_kafka-igwn.gwalert_0123456789abcdef_done.json
    FOLDER/aside/20261121T081530.123456Z_folder-hand_0123456789abcdef.xml   and its .reason.txt

A notice is received once its file is in `incoming` and flushed to the disk; only then is its
sender told. It leaves `incoming` by one rename, once it is dealt with. So a kill or a power cut
at any moment leaves it in exactly one of the three, and whoever starts next goes on with what is
still in `incoming`: at least once, never half, no database needed.

What comes twice is kept twice, equal bytes too: the archive is the record of what came, when and
from where. That a notice is the same as another one is for its reader to find, who also sees it
where the bytes differ.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from toros import store
from toros.clock import Clock
from toros.errors import TorosError

log = logging.getLogger(__name__)

_TIME = "%Y%m%dT%H%M%S.%fZ"
_SOURCE_CHARS = 60
_OUTCOME_CHARS = 40
_SHA_DIGITS = 16
_REASON_BYTES = 64_000
_NAME = re.compile(
    r"(?P<time>\d{8}T\d{6}\.\d{6}Z)_(?P<source>[A-Za-z0-9.-]{1,60})_(?P<sha>[0-9a-f]{16})"
    r"(?:_(?P<outcome>[A-Za-z0-9.-]{1,40}))?\.(?P<kind>json|xml|bin)"
)


@dataclass(frozen=True)
class Kept:
    """A notice in the archive: its file, and what the file's name tells."""

    path: Path
    received: datetime
    """When it came, aware, in UTC."""
    source: str
    """Where it came from, of letters, digits, points and hyphens."""
    sha256: str
    """The first 16 hexadecimal digits of the SHA-256 of its bytes."""

    @classmethod
    def from_path(cls, path: Path) -> Kept | None:
        """Read a file's name; None where the archive did not give it."""
        match = _NAME.fullmatch(path.name)
        if match is None:
            return None
        try:
            received = datetime.strptime(match["time"], _TIME).replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(path, received, match["source"], match["sha"])

    def read(self) -> bytes:
        """Return the notice as it came.

        Raises
        ------
        StorageFailed
            The file cannot be read.
        """
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise store.storage_error(error, self.path) from error


class Archive:
    """Keeps raw notices, for one process; its threads may share it.

    Parameters
    ----------
    folder : Path
        Is made where it is missing; incoming, archive and aside are on one file system.
    clock : Clock
        Gives the time of receipt.

    Raises
    ------
    DiskFull, StorageFailed
        The folders could not be made.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self.incoming = folder / "incoming"
        self.aside = folder / "aside"
        self._clock = clock
        self._lock = threading.Lock()
        self._last = datetime.min.replace(tzinfo=UTC)
        for each in (self.incoming, folder / "archive", self.aside):
            store.make_folder(each)

    def clear(self) -> None:
        """Remove what interrupted writes left; before anything is received.

        Raises
        ------
        StorageFailed
        """
        for folder in (self.incoming, self.aside):
            store.clear_partial(folder)

    def keep(self, raw: bytes, source: str) -> Kept:
        """Write a notice to the disk; it is safe there when this returns.

        Parameters
        ----------
        raw : bytes
            As it came.
        source : str
            Anything; what does not fit a file's name is replaced there.

        Raises
        ------
        DiskFull, StorageFailed
            It is not kept, not in part either.
        """
        received = self._moment()
        name = "_".join((received.strftime(_TIME), _plain(source, _SOURCE_CHARS), _sha(raw)))
        path = self.incoming / f"{name}.{_kind(raw)}"
        store.write_whole(path, raw)
        return Kept(path, received, _plain(source, _SOURCE_CHARS), _sha(raw))

    def waiting(self) -> list[Kept]:
        """List what is not dealt with yet, in the order of receipt; reads names only.

        Raises
        ------
        StorageFailed
        """
        try:
            names = sorted(os.listdir(self.incoming))  # noqa: PTH208  a Path for each is slower
        except OSError as error:
            raise store.storage_error(error, self.incoming) from error
        found = (Kept.from_path(self.incoming / name) for name in names)
        return [kept for kept in found if kept is not None]

    def done(self, kept: Kept, outcome: str) -> Kept:
        """Move a notice that is dealt with to the archive; once more does nothing.

        Parameters
        ----------
        kept : Kept
            Of `waiting` or `keep`.
        outcome : str
            What became of it, in a word; it ends the file's name there.

        Raises
        ------
        DiskFull, StorageFailed
            It still waits.
        """
        folder = self.folder / "archive" / kept.received.date().isoformat()
        store.make_folder(folder)
        path = folder / f"{kept.path.stem}_{_plain(outcome, _OUTCOME_CHARS)}{kept.path.suffix}"
        return self._move(kept, path)

    def set_aside(self, kept: Kept, reason: str) -> Kept:
        """Move a notice that cannot be dealt with out of the way, with the reason beside it.

        Raises
        ------
        StorageFailed
            It still waits.
        """
        path = self.aside / kept.path.name
        content = reason.encode("utf-8", "backslashreplace")[:_REASON_BYTES] + b"\n"
        try:
            store.write_whole(path.with_name(f"{path.name}.reason.txt"), content)
        except TorosError as error:
            # Without it the notice must leave the queue all the same, or it is met for ever.
            log.error("%s is set aside; why cannot be written: %s: %s", path, error, reason)
        return self._move(kept, path)

    def _move(self, kept: Kept, path: Path) -> Kept:
        try:
            try:
                kept.path.rename(path)
            except FileNotFoundError:
                if not path.exists():
                    raise
            store.fsync_folder(path.parent)
            store.fsync_folder(self.incoming)
        except OSError as error:
            raise store.storage_error(error, kept.path) from error
        return Kept(path, kept.received, kept.source, kept.sha256)

    def _moment(self) -> datetime:
        """Return a time of receipt after all earlier ones, even if the clock is set back."""
        with self._lock:
            self._last = max(self._clock.now(), self._last + timedelta(microseconds=1))
            return self._last


def _sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:_SHA_DIGITS]


def _kind(raw: bytes) -> str:
    """Tell by its first letter what a notice looks like, for those who look into the folder."""
    first = raw[:200].removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return {b"<": "xml", b"{": "json", b"[": "json"}.get(first, "bin")


def _plain(text: str, length: int) -> str:
    """Make a piece of a file's name: letters, digits, points, hyphens; never empty."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text)[:length].strip("-.") or "unknown"
