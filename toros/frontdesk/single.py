"""One instance: a lock that ends with its process, however that ends.

The lock is the kernel's (`flock`) on a file that holds the pid, so no stale
file ever has to be judged: a lock that can be had is free.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import time
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from toros.errors import AlreadyRunning, StorageFailed
from toros.store import make_folder, storage_error

_log = logging.getLogger(__name__)

_PID_BYTES = 11
_PARENTS_END_S = 5.0


class Lock:
    """A held lock; made by `hold_lock`.

    As a context manager it begins to belong to the process that enters it:
    that writes its pid, and processes forked from then on do not share the
    lock, so a pool that outlives a killed daemon does not keep the next one
    from starting. Before that it passes through forks, which is how it gets
    through python-daemon's detaching::

        lock = hold_lock(path)  # the terminal is told if another one runs
        with DaemonContext(pidfile=lock, files_preserve=[lock], ...):
            ...

    In the foreground it is ``with hold_lock(path): ...``.

    Attributes
    ----------
    path : Path
        The file with the pid.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._entered = False
        _locks.add(self)

    @property
    def held(self) -> bool:
        """Whether this process holds the lock."""
        return self._descriptor >= 0

    def fileno(self) -> int:
        """Return the descriptor that must stay open while the lock is held."""
        return self._descriptor

    def __enter__(self) -> Self:
        if not self.held:
            raise ValueError(f"{self.path}: this lock was released; call hold_lock again")
        if not _is_at(self.path, self._descriptor):
            # Detaching has closed it (it was not in files_preserve), or the file was removed.
            self._descriptor = _lock_again(self.path)
        self._write_pid()
        self._entered = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Remove the file and let go of the lock; a second call does nothing."""
        if self.held:
            if _is_at(self.path, self._descriptor):
                # Still locked: who has opened it sees in `hold_lock` that it has gone.
                with suppress(OSError):
                    self.path.unlink(missing_ok=True)
            self._close()

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1

    def _write_pid(self) -> None:
        """Write the pid, and over whatever stood there: no reader sees a part of either."""
        text = f"{os.getpid()}\n".encode()
        try:
            os.pwrite(self._descriptor, text.ljust(_PID_BYTES, b"\n"), 0)
            os.ftruncate(self._descriptor, len(text))
        except OSError as error:  # a full disk: the lock holds, and the start must not fail by it
            _log.warning("%s: the process number could not be written: %s", self.path, error)

    def _forget_in_child(self) -> None:
        if self.held and self._entered:
            self._close()


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _forget_all_in_child() -> None:
    for lock in list(_locks):
        lock._forget_in_child()


os.register_at_fork(after_in_child=_forget_all_in_child)


def hold_lock(path: Path) -> Lock:
    """Lock a file for this process, and write the pid into it.

    Parameters
    ----------
    path : Path
        The file, on a local disk; it and its folder are made if need be.

    Raises
    ------
    AlreadyRunning
        Another process holds it.
    StorageFailed, DiskFull
        The file cannot be made, or is something else than a file for a pid.
    """
    path = path.absolute()  # detaching changes the working directory
    lock = Lock(path, _lock(path))
    lock._write_pid()
    return lock


def _lock(path: Path) -> int:
    """Return the descriptor of the locked file at `path`."""
    make_folder(path.parent)
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):
                _check_content(path, descriptor)
                return descriptor
        except BlockingIOError as error:
            pid = _read_pid(descriptor) or "of unknown number"
            os.close(descriptor)
            raise AlreadyRunning(
                f"{path}: the process {pid} holds it, an instance that runs already; "
                "stop that one first, or give this one a configuration with its own State Folder"
            ) from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # released between open and lock: its file is no longer there


def _lock_again(path: Path) -> int:
    """Lock as `_lock` does, but give the processes that detached this one time to end."""
    end = time.monotonic() + _PARENTS_END_S
    while True:
        try:
            return _lock(path)
        except AlreadyRunning:
            if time.monotonic() > end:
                raise
        time.sleep(0.01)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        raise storage_error(error, path) from error


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except OSError:  # no such file, or no such descriptor
        return False


def _read_pid(descriptor: int) -> str:
    content = os.pread(descriptor, 64, 0)
    return content.decode("ascii").strip() if re.fullmatch(rb"\s*\d+\s*", content) else ""


def _check_content(path: Path, descriptor: int) -> None:
    """Refuse a file that is no pid file, before it is overwritten."""
    content = os.pread(descriptor, 64, 0).strip(b"\0")  # a power cut leaves zeros
    if content and not _read_pid(descriptor):
        raise StorageFailed(f"{path}: is not a file with a process number; give another name")
