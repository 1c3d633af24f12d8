"""The staging folder: what is written into it, within the limits, or not at all."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toros.errors import StorageFailed
from toros.preprocessor.sources.rules import SourceFile, SourceRules
from toros.preprocessor.sources.watch import Watch
from toros.store import check_free_space, make_folder, storage_error

_log = logging.getLogger(__name__)
_CHECK_BYTES = 16 << 20  # the disk's free space is looked at each time this much was written
BLOCK_BYTES = 256 << 10


class Writer:
    """A file of the staging folder while it is written."""

    def __init__(self, descriptor: int, path: Path, folder: Path, reserve: int, watch: Watch):
        self._descriptor, self._path, self._folder = descriptor, path, folder
        self._reserve, self._watch = reserve, watch
        self._until_check = _CHECK_BYTES
        self.size = 0

    def write(self, block: bytes) -> None:
        """Append `block`.

        Raises
        ------
        DiskFull, StorageFailed, Stopping
        """
        self._watch.check()
        self._until_check -= len(block)
        if self._until_check < 0:
            self._until_check = _CHECK_BYTES
            check_free_space(self._folder, len(block), self._reserve)
        left = memoryview(block)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise storage_error(error, self._path) from error
        self.size += len(block)


class Staging:
    """An empty folder on the local repository's disk, to be filled.

    Used as a context: unless the block ends well, the folder is emptied.

    Parameters
    ----------
    target : Path
        Made if absent.
    rules : SourceRules
    watch : Watch

    Raises
    ------
    DiskFull, StorageFailed
        The folder cannot be made, or the reserve is already touched.
    ValueError
        The folder is not empty (a mistake of the caller).
    """

    def __init__(self, target: Path, rules: SourceRules, watch: Watch) -> None:
        self.folder = Path(os.path.realpath(target))
        self.rules = rules
        self.watch = watch
        self._done = False

    def __enter__(self) -> Staging:
        make_folder(self.folder)
        if any(self.folder.iterdir()):
            raise ValueError(f"the staging folder {self.folder} is not empty")
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self._empty()

    def _empty(self) -> None:
        for child in self.folder.iterdir():
            try:
                if child.is_dir() and not child.is_symlink():
                    shutil.rmtree(child)
                else:
                    child.unlink()
            except OSError as error:
                _log.warning("%s could not be removed: %s", child, error.strerror)

    @contextmanager
    def create(self, name: str, needed_bytes: int = 0) -> Iterator[Writer]:
        """Open a new file; it is flushed to the disk when the block ends well.

        Parameters
        ----------
        name : str
            Relative, breaking no rule of `names.broken_rule`.
        needed_bytes : int
            How large it is said to become.

        Raises
        ------
        DiskFull, StorageFailed, Stopping
        """
        path = self.folder / name
        if not Path(os.path.realpath(path)).is_relative_to(self.folder):
            raise StorageFailed(f"{path} would not be below {self.folder}")  # never reached so far
        check_free_space(self.folder, needed_bytes, self.rules.reserve_bytes)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, flags, 0o640)
        except OSError as error:
            raise storage_error(error, path) from error
        try:
            # An OSError of the block is about what it reads, not about this file.
            yield Writer(descriptor, path, self.folder, self.rules.reserve_bytes, self.watch)
            _flush(descriptor, path)
        finally:
            os.close(descriptor)

    def described(self, name: str) -> SourceFile:
        """Describe a file that was written.

        Raises
        ------
        StorageFailed
        """
        path = self.folder / name
        try:
            status = path.stat()
        except OSError as error:
            raise storage_error(error, path) from error
        return SourceFile(name, path, status.st_size, status.st_mtime_ns)

    def remove(self, name: str) -> None:
        """Remove a file that was only needed for a while.

        Raises
        ------
        StorageFailed
        """
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, self.folder / name) from error


def _flush(descriptor: int, path: Path) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise storage_error(error, path) from error
