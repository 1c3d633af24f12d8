"""The state of one device, in a file that all processes share.

A state is replaced whole, under a lock that ends with its holder, and is never flushed to the
disk: it has to outlive a process, not the machine. The states before it stay in the file for a
while, so that a frame can be drawn later as the hardware stood in mid-exposure.
"""

from __future__ import annotations

import fcntl
import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from toros.errors import DeviceFault, DeviceTimeout

_KEPT = 48
_SETTLED_NS = 50_000_000


class Stamped(Protocol):
    """A state that says since when it holds."""

    @property
    def since_s(self) -> float:
        """By the clock's monotonic time [s]."""


S = TypeVar("S", bound=Stamped)


@dataclass(frozen=True)
class _Read(Generic[S]):
    inode: int
    changed_ns: int
    states: tuple[S, ...]


class StateFile(Generic[S]):
    """A state in a file of JSON.

    Parameters
    ----------
    path : Path
        In an existing folder; the lock's file is beside it.
    shape : type
        The state's class: a frozen dataclass of plain values and of others like it.
    first : state
        What holds before the first change.
    kept : int
        How many states stay in the file.
    lock_timeout_s : float
        How long it waits for another process to finish its change, in real time [s]. A change
        takes a millisecond; a holder that is stopped must not stop everybody.
    """

    def __init__(
        self,
        path: Path,
        shape: type[S],
        first: S,
        kept: int = _KEPT,
        lock_timeout_s: float = 3.0,
    ) -> None:
        self.path = path
        self._lock_timeout_s = lock_timeout_s
        self._first = first
        self._kept = kept
        self._adapter: TypeAdapter[tuple[S, ...]] = _adapter(shape)
        self._last_read: _Read[S] | None = None

    def read(self) -> S:
        """Return the state.

        Raises
        ------
        DeviceFault
            The file cannot be read.
        """
        return self._states()[-1]

    def at(self, moment_s: float) -> S:
        """Return the state that held at a time, by the clock's monotonic time [s]."""
        states = self._states()
        return next((s for s in reversed(states) if s.since_s <= moment_s), states[0])

    def change(self, change: Callable[[S], S]) -> S:
        """Replace the state by what a function makes of it; return the new one.

        Parameters
        ----------
        change : callable
            Runs while no other process changes the state; when it raises, nothing changes.

        Raises
        ------
        DeviceFault
            The file cannot be read or written.
        DeviceTimeout
            Another process holds the lock.
        """
        with self._locked():
            states = self._states()
            new = change(states[-1])
            if new is not states[-1]:
                self._write((*states, new)[-self._kept :])
            return new

    def _states(self) -> tuple[S, ...]:
        try:
            found = self.path.stat()
            last = self._last_read
            if last and (last.inode, last.changed_ns) == (found.st_ino, found.st_mtime_ns):
                return last.states
            states = self._adapter.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return (self._first,)
        except (OSError, ValidationError) as error:
            raise DeviceFault(
                f"{self.path}: {error}; end the rehearsal and remove its folder"
            ) from error
        # File times are coarse and inodes are used again: of a file as young as this, a change
        # within the same tick could not be told, so it is read anew each time.
        if time.time_ns() - found.st_mtime_ns > _SETTLED_NS:
            self._last_read = _Read(found.st_ino, found.st_mtime_ns, states)
        return states

    def _write(self, states: tuple[S, ...]) -> None:
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            beside.write_bytes(self._adapter.dump_json(states))
            beside.replace(self.path)
        except OSError as error:
            raise DeviceFault(f"{self.path}: {error.strerror or error}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self.path.with_suffix(".lock")
        deadline = time.monotonic() + self._lock_timeout_s
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise DeviceFault(f"{path}: {error.strerror or error}") from error
        try:
            while not _take(descriptor):
                if time.monotonic() > deadline:
                    raise DeviceTimeout(
                        f"{path}: another process has held it for {self._lock_timeout_s:g} s"
                    )
                time.sleep(0.001)
            yield
        finally:
            os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@functools.cache
def _adapter(shape: type[S]) -> TypeAdapter[tuple[S, ...]]:
    """Return what reads and writes states of a class; making it takes milliseconds."""
    return TypeAdapter(
        tuple[shape, ...],  # type: ignore[valid-type]
        # Not a number is one of the things that a faulty device may tell.
        config=ConfigDict(ser_json_inf_nan="constants"),
    )
