"""The dome's journal: what was ordered and commanded, written after it was done.

A local file that only grows, a JSON object a line, flushed to the disk (fsync). A thread of
its own writes it, so that a disk that is full or hangs delays nobody; whoever wants to know
what became of an entry asks the entry.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toros.errors import TorosError
from toros.store import make_folder, storage_error

log = logging.getLogger(__name__)

_WAITING = 1000
_TAIL_BYTES = 1 << 18


class Written:
    """What became of an entry."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        self._done = threading.Event()

    def wait(self, timeout_s: float) -> str | None:
        """Wait until it is on the disk; return why it is not, None if it is [real s]."""
        if not self._done.wait(timeout_s):
            return "the disk has not answered yet"
        return self.trouble

    def end(self, trouble: str | None = None) -> None:
        """Note that it is written, or why it cannot be."""
        self.trouble = trouble
        self._done.set()


class Scribe:
    """A thread that writes files for those who must not wait for a disk."""

    def __init__(self) -> None:
        self._work: queue.Queue[tuple[Written, Callable[[], None]]] = queue.Queue(_WAITING)
        self._told = ""
        threading.Thread(target=self._run, name="dome-scribe", daemon=True).start()

    def begin(self, write: Callable[[], None]) -> Written:
        """Let something be written; returns at once."""
        written = Written()
        try:
            self._work.put_nowait((written, write))
        except queue.Full:
            written.end(f"{_WAITING} entries wait for the disk already")
        return written

    def _run(self) -> None:
        while True:
            written, write = self._work.get()
            try:
                write()
            except (OSError, TorosError) as error:
                self._complain(str(error))
                written.end(str(error))
            except Exception as defect:  # it has to go on writing
                log.exception("the dome's journal met a defect")
                written.end(f"a defect: {type(defect).__name__}")
            else:
                self._told = ""
                written.end()

    def _complain(self, trouble: str) -> None:
        if trouble != self._told:
            log.error("the dome's journal is not written: %s", trouble)
        self._told = trouble


class Journal:
    """The file.

    Parameters
    ----------
    path : Path
    scribe : Scribe
    """

    def __init__(self, path: Path, scribe: Scribe) -> None:
        self.path = path
        self._scribe = scribe

    def write(self, entry: Mapping[str, Any]) -> Written:
        """Append an entry; returns at once."""
        line = json.dumps(dict(entry), separators=(",", ":"), default=str)
        return self._scribe.begin(lambda: append_line(self.path, line))

    def tail(self) -> list[dict[str, Any]]:
        """Read the last entries; what a crash or a full disk left half written is left out."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL_BYTES))
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            log.warning("the dome's journal cannot be read: %s", storage_error(error, self.path))
            return []
        return [entry for entry in map(_entry, lines) if entry is not None]


def append_line(path: Path, line: str) -> None:
    """Append a line and flush it to the disk.

    A line that a full disk has cut off does not spoil the next one.

    Raises
    ------
    DiskFull, StorageFailed
    """
    make_folder(path.parent)
    data = f"{line}\n".encode()
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o640)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                data = b"\n" + data
            if os.write(descriptor, data) < len(data):
                os.ftruncate(descriptor, size)
                os.write(descriptor, data)  # now the full disk says so itself
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error, path) from error


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
