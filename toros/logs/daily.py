"""The log file: one for each day, and never the reason why something fails."""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path

from toros.errors import DiskFull, StorageFailed
from toros.store import make_folder, storage_error


class DailyFile(logging.Handler):
    """Appends to a file, and begins a new one at midnight UTC.

    The ended one gets its date at the end of its name; those older than
    `days_kept` days are removed. A file or folder that was moved away is made
    anew. What cannot be written (a full disk) is counted, never raised; the
    number is told by the first line that can be written again. Each line is a
    single append, so several processes can share the file; only the process
    that made the handler begins new ones.

    `logging.handlers.TimedRotatingFileHandler` is not used since with it a
    rename that fails stops all logging, a clock that goes back overwrites a
    day, and a full disk prints a traceback for each line.

    Parameters
    ----------
    path : Path
        The file; its folder is made if need be.
    days_kept : int
        How many days are kept besides today.
    rotates : bool
        False in a pool process: the daemon begins the new files.

    Raises
    ------
    StorageFailed
        The file cannot be opened, for another reason than a full disk.
    """

    def __init__(self, path: Path, days_kept: int, *, rotates: bool = True) -> None:
        super().__init__()
        self._path = path
        self._days_kept = days_kept
        self._rotating_process = os.getpid() if rotates else None
        self._descriptor = -1
        self._identity = (-1, -1)
        self._day: date | None = None  # the day whose lines are in the file
        self._torn = False  # the last line is incomplete
        self._lost = 0
        self._reason = ""
        try:
            self._open()
        except DiskFull as error:  # a daemon starts all the same: a dome must close
            self._reason = error.message
            return
        status = os.fstat(self._descriptor)
        if status.st_size:
            self._day = _day_of(status.st_mtime)
        if rotates:
            self._remove_old(_day_of(datetime.now(UTC).timestamp()))

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record's line, or count it as lost."""
        try:
            self._turn(record)
            self._reopen_if_moved()
            if self._lost:
                self._append(self._remark(record, f"{self._lost} lines of this log are lost"))
                self._lost = 0
            self._append(self.format(record))
        except Exception as error:  # noqa: BLE001  (logging must never fail its caller)
            self._lost += 1
            self._reason = str(error)

    def close(self) -> None:
        """Close the file."""
        self.acquire()
        try:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor, self._identity = -1, (-1, -1)
        finally:
            self.release()
        super().close()

    def _open(self) -> None:
        make_folder(self._path.parent)
        # O_NONBLOCK: a pipe in the file's place is refused, not waited for.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
        try:
            descriptor = os.open(self._path, flags, 0o640)
        except OSError as error:
            raise storage_error(error, self._path) from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise StorageFailed(f"{self._path}: is not a plain file")
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._identity = descriptor, (status.st_dev, status.st_ino)
        self._torn = False

    def _reopen_if_moved(self) -> None:
        status = None
        with suppress(FileNotFoundError):
            status = self._path.stat()
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            self._open()

    def _append(self, line: str) -> None:
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        if self._torn:
            data = b"\n" + data
        if os.write(self._descriptor, data) < len(data):
            self._torn = True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._torn = False

    def _turn(self, record: logging.LogRecord) -> None:
        """Begin a new file if the record is of a later day."""
        day = _day_of(record.created)
        ended, self._day = self._day, max(day, self._day or day)
        if ended is None or day <= ended or os.getpid() != self._rotating_process:
            return
        try:
            self._path.rename(self._free_name(ended))
        except FileNotFoundError:
            pass  # it was moved away
        except OSError as error:  # the lines go on in the same file
            self._reason = error.strerror or str(error)
            self._append(self._remark(record, f"the file of {ended} could not be put aside"))
        self._remove_old(day)

    def _free_name(self, day: date) -> Path:
        dated = self._path.with_name(f"{self._path.name}.{day.isoformat()}")
        if not dated.exists():
            return dated
        # The clock went back, and this day ends for the second time.
        names = (dated.with_name(f"{dated.name}.{number}") for number in count(1))
        return next(name for name in names if not name.exists())

    def _remove_old(self, today: date) -> None:
        oldest = (today - timedelta(days=self._days_kept)).isoformat()
        dated = re.compile(re.escape(self._path.name) + r"\.(\d{4}-\d\d-\d\d)(\.\d+)?")
        with suppress(OSError):
            for path in self._path.parent.iterdir():
                match = dated.fullmatch(path.name)
                if match and match[1] < oldest:  # dates in ISO 8601 sort as text
                    path.unlink(missing_ok=True)

    def _remark(self, occasion: logging.LogRecord, text: str) -> str:
        """Make a line about the log itself, at the time of the record that occasioned it."""
        fields = {
            "name": __name__,
            "levelno": logging.WARNING,
            "levelname": "WARNING",
            "msg": "%s: %s",
            "args": (text, self._reason),
            "created": occasion.created,
        }
        return self.format(logging.makeLogRecord(fields))


def _day_of(moment: float) -> date:
    return datetime.fromtimestamp(moment, UTC).date()
