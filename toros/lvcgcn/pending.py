"""What waits in the archive: which notice is next, and how often it was tried.

A notice that ends the daemon would end it again after each start. So attempts are counted in
files, which outlive kill -9. Of those that were under way when an earlier daemon ended only one
is handled at a time: whichever ends this one too is the guilty one, and the others do not share
its fate. Nor are they blamed for a daemon that ends soon after each start, whyever that is: who
was under way twice has to wait first, longer each time.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from contextlib import suppress

from toros import store
from toros.lvcgcn.reception.archive import Archive, Kept

log = logging.getLogger(__name__)

_FIRST_DELAY_S = 2.0
_LAST_DELAY_S = 300.0


class Pending:
    """Gives out the notices of an archive, each to one thread at a time.

    Parameters
    ----------
    archive : Archive

    Raises
    ------
    DiskFull, StorageFailed
        The folder of the counts could not be made.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._tries = archive.folder / "tries"
        self._queue: deque[Kept] = deque()
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._under_way: set[str] = set()
        self._suspects: set[str] = set()
        self._lock = threading.Lock()
        store.make_folder(self._tries)

    def begin(self) -> None:
        """Find out what was under way when the last process ended.

        Raises
        ------
        StorageFailed
        """
        waiting = {kept.path.name for kept in self.archive.waiting()}
        with suppress(OSError):
            for path in self._tries.iterdir():
                if path.name in waiting:
                    self._suspects.add(path.name)
                    tries = path.stat().st_size
                    if tries > 1:
                        self._due[path.name] = time.monotonic() + _delay_s(tries - 1)
                else:  # it was dealt with, and its count was not removed any more
                    path.unlink(missing_ok=True)

    def state(self) -> dict[str, int]:
        """Tell how much is under way, and how much is tried again later."""
        with self._lock:
            return {"under_way": len(self._under_way), "in_trouble": len(self._failures)}

    def keep(self, raw: bytes, source: str) -> Kept:
        """Archive a notice and claim it.

        Raises
        ------
        DiskFull, StorageFailed
        """
        with self._lock:  # nobody else is to find it before it is claimed
            kept = self.archive.keep(raw, source)
            self._under_way.add(kept.path.name)
        return kept

    def claim(self) -> Kept | None:
        """Claim the oldest notice that is due; None where none is.

        Raises
        ------
        StorageFailed
        """
        now = time.monotonic()
        with self._lock:
            if not self._queue:
                self._queue.extend(self.archive.waiting())
            passed_over = []
            while self._queue:
                kept = self._queue.popleft()
                name = kept.path.name
                if name in self._under_way or self._due.get(name, 0.0) > now:
                    continue
                if name in self._suspects and self._suspects & self._under_way:
                    passed_over.append(kept)
                elif kept.path.exists():  # else it was handled since the folder was read
                    self._under_way.add(name)
                    self._queue.extendleft(reversed(passed_over))
                    return kept
        return None

    def release(self, kept: Kept) -> None:
        """Give a claimed notice back, dealt with or not."""
        with self._lock:
            self._under_way.discard(kept.path.name)

    def count(self, kept: Kept) -> int:
        """Count an attempt; return how many there were.

        Raises
        ------
        DiskFull, StorageFailed
            It cannot be counted, and must not be made.
        """
        path = self._tries / kept.path.name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(descriptor, b".")
                return os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)
        except OSError as error:
            raise store.storage_error(error, path) from error

    def forget(self, kept: Kept) -> None:
        """Count a notice's attempts from the beginning: none was its own fault."""
        self._suspects.discard(kept.path.name)
        with suppress(OSError):
            (self._tries / kept.path.name).unlink(missing_ok=True)

    def forget_under_way(self) -> None:
        """Forget the attempts that the end of this process interrupts."""
        with self._lock:
            names = list(self._under_way)
        for name in names:
            with suppress(OSError):
                (self._tries / name).unlink(missing_ok=True)

    def put_off(self, kept: Kept) -> tuple[int, float]:
        """Let a notice wait; return how often it has failed in this process, and the pause [s]."""
        name = kept.path.name
        with self._lock:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            delay_s = _delay_s(failures)
            self._due[name] = time.monotonic() + delay_s
        return failures, delay_s

    def over(self, kept: Kept) -> None:
        """Note that a notice has left the queue."""
        self.forget(kept)
        with self._lock:
            self._due.pop(kept.path.name, None)
            self._failures.pop(kept.path.name, None)

    def set_aside(self, kept: Kept, reason: str) -> None:
        """Take a notice out of the queue for good.

        Raises
        ------
        StorageFailed
            It still waits.
        """
        moved = self.archive.set_aside(kept, reason)
        self.over(kept)
        log.error("a notice from %s is set aside in %s: %s", kept.source, moved.path, reason)


def _delay_s(failures: int) -> float:
    return min(_FIRST_DELAY_S * 2.0 ** min(failures - 1, 20), _LAST_DELAY_S)
