"""Notices as files that appear in a folder.

A file is taken once nothing has written to it for some seconds. That is a guess, and a writer
that pauses for longer defeats it: to be certain, write beside (under a name that begins with a
point or ends with .part, or in another folder of the same file system), then rename.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from toros import store
from toros.clock import Clock
from toros.config.alerts import Folder
from toros.errors import TorosError
from toros.logs import escape
from toros.lvcgcn.reception.keeping import TROUBLE, Keep
from toros.lvcgcn.reception.vital_signs import VitalSigns

log = logging.getLogger(__name__)

ASIDE = "aside"
"""The folder, below the watched one, of files that cannot be taken."""
LIMIT_BYTES = 64_000_000
"""The largest file that is taken."""
_UNFINISHED = (".part", ".tmp", ".partial", ".filepart", ".crdownload", "~")
_POLL_S = 1.0
_SETTLED_S = 2.0
# An empty file is one whose writer has not begun; after so long there is none.
# What says nothing of the file: the next look may read it.
_PASSING = frozenset({errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE})
_EMPTY_S = 60.0


@dataclass(frozen=True)
class _Look:
    """A file as it was seen."""

    size: int
    changed_ns: int
    inode: int

    @classmethod
    def at(cls, status: os.stat_result) -> _Look:
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclass(frozen=True)
class _Seen:
    look: _Look
    since: float
    """When it was first seen to look so, by the monotonic clock [s]."""
    is_left: bool = False
    """Whether it can be neither taken nor set aside, and stays as long as it looks so."""


class FolderReceiver:
    """Takes files out of a folder: each is removed once it is archived.

    Parameters
    ----------
    settings : Folder
    keep : callable
    clock : Clock
    poll_s : float
        The pause between two looks [s].
    settled_s : float
        For how long nothing must have written to a file [s].
    """

    def __init__(
        self,
        settings: Folder,
        keep: Keep,
        clock: Clock,
        *,
        poll_s: float = _POLL_S,
        settled_s: float = _SETTLED_S,
    ) -> None:
        self.settings = settings
        self._keep = keep
        self._poll_s = poll_s
        self._settled_s = settled_s
        self._seen: dict[str, _Seen] = {}
        self._signs = VitalSigns(f"folder {settings.name}", None, clock, log)
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"folder {settings.name}", daemon=True
        )

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Look no more; what is not taken stays in the folder."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def state(self) -> dict[str, object]:
        """Return what the status shows."""
        return self._signs.state()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except Exception as error:  # the next look may do better
                if "defect" not in self._signs.troubles:
                    log.warning("%s: a defect ended a look", self._signs.name, exc_info=True)
                text = f"{type(error).__name__}: {error}; it is tried again"
                self._signs.worry("defect", text, logging.ERROR)
            self._stopping.wait(self._poll_s)

    def _look(self) -> None:
        """Take what is whole."""
        try:
            with os.scandir(self.settings.path) as entries:
                found = sorted(
                    (entry for entry in entries if _is_candidate(entry)), key=_time_and_name
                )
        except OSError as error:
            self._signs.connected = False
            self._signs.worry(
                "folder",
                f"{self.settings.path}: {error.strerror}; it is tried again",
                logging.ERROR,
            )
            return
        if "folder" in self._signs.troubles:
            log.info("%s: %s can be read again", self._signs.name, self.settings.path)
        self._signs.over("folder")
        self._signs.connected = True
        self._seen = {entry.name: self._seen_now(entry) for entry in found}
        for entry in found:
            if self._stopping.is_set():
                return
            self._consider(Path(entry.path), self._seen[entry.name])

    def _seen_now(self, entry: os.DirEntry[str]) -> _Seen:
        try:
            look = _Look.at(entry.stat(follow_symlinks=False))
        except OSError:
            look = _Look(0, 0, 0)
        before = self._seen.get(entry.name)
        if before is not None and before.look == look:
            return before
        return _Seen(look, time.monotonic())

    def _consider(self, path: Path, seen: _Seen) -> None:
        """Take a file if it is whole."""
        # Not by its age: a file that is copied may bear its old time, or a server's wrong one.
        unchanged_s = time.monotonic() - seen.since
        if seen.is_left or unchanged_s < self._settled_s:
            return
        if seen.look.size == 0:
            if unchanged_s >= _EMPTY_S:
                self._set_aside(path, "it is empty")
        elif seen.look.size > LIMIT_BYTES:
            self._set_aside(path, f"{seen.look.size} bytes; at most {LIMIT_BYTES} are taken")
        else:
            self._take(path, seen.look)

    def _take(self, path: Path, look: _Look) -> None:
        """Archive a file, then remove it; if it changes meanwhile, leave it for later."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                raw = file.read(LIMIT_BYTES + 1)
                if _Look.at(os.fstat(file.fileno())) != look or len(raw) != look.size:
                    return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno in _PASSING:
                text = f"{_shown(path)} cannot be read now: {error.strerror}; it is tried again"
                self._signs.worry(TROUBLE, text, logging.ERROR)
            else:
                self._set_aside(path, f"it cannot be read: {error.strerror}")
            return
        try:
            self._keep(raw, f"folder-{self.settings.name}")
        except TorosError as error:
            text = (
                f"{_shown(path)} cannot be archived: {error.message}; it stays and is tried again"
            )
            self._signs.worry(TROUBLE, text, logging.ERROR)
            return
        self._signs.over(TROUBLE, "defect")
        self._signs.message()
        self._remove(path, look)

    def _remove(self, path: Path, look: _Look) -> None:
        try:
            if _Look.at(path.lstat()) != look:
                return  # a newer one under the same name
            path.unlink()
            store.fsync_folder(path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            self._leave(path, f"it is archived, but cannot be removed: {error.strerror}")

    def _set_aside(self, path: Path, reason: str) -> None:
        """Move a file out of the way, with the reason beside it."""
        aside = self.settings.path / ASIDE
        target = aside / path.name
        try:
            store.make_folder(aside)
            if os.path.lexists(target):
                target = aside / f"{path.name[:200]}.{time.time_ns()}"
            path.rename(target)
        except (OSError, TorosError) as error:
            self._leave(path, f"{reason}; and it cannot be set aside: {error}")
            return
        log.error("%s: %s is set aside: %s", self._signs.name, _shown(path), reason)
        with contextlib.suppress(TorosError, OSError):
            store.write_whole(aside / f"{target.name[:200]}.reason.txt", f"{reason}\n".encode())

    def _leave(self, path: Path, reason: str) -> None:
        """Leave a file that can be neither taken nor moved, and say so once."""
        log.error("%s: %s is left where it is: %s", self._signs.name, _shown(path), reason)
        seen = self._seen[path.name]
        self._seen[path.name] = _Seen(seen.look, seen.since, is_left=True)


def _is_candidate(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file that its writer has finished, as far as its name tells."""
    if entry.name.startswith(".") or entry.name.lower().endswith(_UNFINISHED):
        return False
    try:
        return stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode)
    except OSError:
        return False


def _time_and_name(entry: os.DirEntry[str]) -> tuple[int, str]:
    """Order files as they were written."""
    try:
        return (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name)
    except OSError:
        return (0, entry.name)


def _shown(path: Path) -> str:
    return escape(str(path))
