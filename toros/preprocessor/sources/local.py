"""Files of this machine: which may be read, and reading them without being tricked."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from toros.errors import SourceForbidden, SourceIncomplete, SourceUnreachable, TorosError
from toros.preprocessor.sources.names import broken_rule, quoted, relative, unwanted
from toros.preprocessor.sources.places import shown
from toros.preprocessor.sources.rules import Fetched, SourceFile, SourceRules
from toros.preprocessor.sources.staging import BLOCK_BYTES
from toros.preprocessor.sources.watch import Watch, never
from toros.store import check_free_space, storage_error, whole_file

# A FIFO would block in open(), a device might act on it: O_NONBLOCK and a look
# at what was opened. No terminal may become ours (O_NOCTTY).
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHECK_BYTES = 16 << 20


def allowed_path(path: Path, rules: SourceRules) -> Path:
    """Resolve every link of `path` and refuse what then lies outside the allowed folders.

    Raises
    ------
    SourceForbidden
    """
    real = Path(os.path.realpath(path))
    if _root_of(real, rules) is None:
        roots = ", ".join(str(root) for root in rules.folders) or "none"
        leads = "" if real == path else f" (which leads to {shown(str(real))})"
        raise SourceForbidden(
            f"{shown(str(path))}{leads} is below none of Preprocessor / Sources / Folders: {roots}"
        )
    return real


def _root_of(real: Path, rules: SourceRules) -> Path | None:
    roots = (Path(os.path.realpath(folder)) for folder in rules.folders)
    return next((root for root in roots if real.is_relative_to(root)), None)


def open_regular(path: Path, rules: SourceRules) -> BinaryIO:
    """Open a regular file below an allowed folder; never a device, FIFO, socket or link.

    Goes down from the allowed folder part by part without following links, so
    that nobody can put one into the way after `path` was checked.

    Parameters
    ----------
    path : Path
        With all links resolved, as `allowed_path` returns it.

    Raises
    ------
    SourceForbidden
        It is outside the allowed folders, a link leads there now, or it is no regular file.
    SourceUnreachable
        It is not there.
    StorageFailed
        It cannot be read.
    """
    root = _root_of(path, rules)
    if root is None:
        raise SourceForbidden(f"{shown(str(path))} is below none of the allowed folders")
    parts = path.relative_to(root).parts
    try:
        # The allowed folder itself is the operator's; only what is below it may be hostile.
        folder = os.open(root, _OPEN_FOLDER)
        try:
            for part in parts[:-1]:
                below = os.open(part, _OPEN_FOLDER, dir_fd=folder)
                os.close(folder)
                folder = below
            descriptor = os.open(parts[-1] if parts else ".", _OPEN_FILE, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _open_error(error, path) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceForbidden(f"{shown(str(path))} is no regular file and is not read")
    return open(descriptor, "rb")  # noqa: PTH123  # a descriptor; the caller closes it


def _open_error(error: OSError, path: Path) -> TorosError:
    if error.errno in (errno.ENOENT, errno.ESTALE):
        return SourceUnreachable(f"{shown(str(path))} is not there")
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.ENODEV):
        return SourceForbidden(
            f"{shown(str(path))} is a link, socket or device (or lies below one) and is not read"
        )
    return storage_error(error, path)


@contextmanager
def unchanged(path: Path, rules: SourceRules, file: SourceFile | None = None) -> Iterator[BinaryIO]:
    """Open a file with `open_regular` and make sure that it does not change meanwhile.

    Parameters
    ----------
    path : Path
        With all links resolved.
    file : SourceFile, optional
        How it was found; it must still be so.

    Raises
    ------
    SourceIncomplete
        Its size or time of change is another than at the beginning.
    SourceForbidden, SourceUnreachable, StorageFailed
        As for `open_regular`.
    """
    with open_regular(path, rules) as reader:
        before = os.fstat(reader.fileno())
        if file is not None and not _is_as_found(before, file):
            raise _changed(path)
        try:
            yield reader
        finally:
            # Also after an error: an archive that is still being written is
            # damaged because of that.
            after = os.fstat(reader.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise _changed(path)


def _is_as_found(status: os.stat_result, file: SourceFile) -> bool:
    return status.st_size == file.size and file.modified_ns in (0, status.st_mtime_ns)


def _changed(path: Path) -> SourceIncomplete:
    return SourceIncomplete(
        f"{shown(str(path))} changed while it was read; send the order again once it is complete"
    )


def read_source(
    file: SourceFile, rules: SourceRules, should_stop: Callable[[], bool] = never
) -> Iterator[bytes]:
    """Read a file that `fetch` left in place.

    Yields
    ------
    bytes
        Its content in blocks. Only when the last one was taken without an error
        is it known that the file did not change meanwhile.

    Raises
    ------
    SourceIncomplete
        The file is not what `fetch` found, or changed while it was read.
    SourceForbidden, SourceUnreachable, StorageFailed, Stopping
    """
    watch = Watch(should_stop)
    with unchanged(file.path, rules, file) as reader:
        size = 0
        try:
            while block := reader.read(BLOCK_BYTES):
                watch.check()
                size += len(block)
                if size > file.size:  # it may grow as fast as it is read
                    raise _changed(file.path)
                yield block
        except OSError as error:
            raise storage_error(error, file.path) from error
        if size != file.size:
            raise _changed(file.path)


def copy_source(
    file: SourceFile,
    rules: SourceRules,
    destination: Path,
    should_stop: Callable[[], bool] = never,
) -> str:
    """Copy a file that `fetch` left in place, whole or not at all.

    Parameters
    ----------
    destination : Path
        Its new name, on the local repository's disk; its folder must exist.

    Returns
    -------
    str
        The SHA-256 of what was written, in hex.

    Raises
    ------
    SourceIncomplete, SourceForbidden, SourceUnreachable, DiskFull, StorageFailed, Stopping
    """
    check_free_space(destination.parent, file.size, rules.reserve_bytes)
    digest = hashlib.sha256()
    unchecked = 0
    with whole_file(destination) as writer:
        for block in read_source(file, rules, should_stop):
            unchecked += len(block)
            if unchecked > _CHECK_BYTES:
                unchecked = 0
                check_free_space(destination.parent, len(block), rules.reserve_bytes)
            digest.update(block)
            try:
                writer.write(block)
            except OSError as error:
                raise storage_error(error, destination) from error
    return digest.hexdigest()


def digest_source(
    file: SourceFile, rules: SourceRules, should_stop: Callable[[], bool] = never
) -> str:
    """Return the SHA-256 in hex of a file that `fetch` left in place.

    Raises
    ------
    SourceIncomplete, SourceForbidden, SourceUnreachable, StorageFailed, Stopping
    """
    digest = hashlib.sha256()
    for block in read_source(file, rules, should_stop):
        digest.update(block)
    return digest.hexdigest()


def list_folder(folder: Path, rules: SourceRules, watch: Watch) -> Fetched:
    """List the files in and below a folder, without copying them.

    Links to files inside the allowed folders count as those files; links that
    lead elsewhere, links to folders, and whatever is no regular file are left out.

    Raises
    ------
    SourceForbidden
        There are more than the limit.
    SourceIncomplete
        It changed while it was listed.
    StorageFailed, Stopping
    """
    files: list[SourceFile] = []
    left_out: list[tuple[str, str]] = []
    for count, entry in enumerate(_walk(folder), 1):
        watch.check()
        if count > rules.members_limit:
            raise SourceForbidden(
                f"{shown(str(folder))} holds more than {rules.members_limit} files and folders "
                "(Preprocessor / Sources / Members Limit)"
            )
        name = os.path.relpath(entry.path, folder)
        found = _describe(entry, name, rules)
        if isinstance(found, SourceFile):
            files.append(found)
        elif found is not None:
            left_out.append((relative(name), found))
    watch.progress(1.0, f"{len(files)} files in {shown(str(folder))}")
    return Fetched(tuple(sorted(files, key=lambda file: file.name)), True, tuple(sorted(left_out)))


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    yield entry
                    if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                        waiting.append(Path(entry.path))
        except FileNotFoundError as error:
            raise SourceIncomplete(f"{shown(str(folder))} changed while it was listed") from error
        except OSError as error:
            raise storage_error(error, Path(str(error.filename or folder))) from error


def _describe(entry: os.DirEntry[str], name: str, rules: SourceRules) -> SourceFile | str | None:
    """Return the file, the reason why it is none, or None for a folder to go into."""
    try:
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            return None
        if (reason := unwanted(entry.name) or broken_rule(name)) is not None:
            return reason
        path = Path(entry.path)
        if entry.is_symlink():
            path = Path(os.path.realpath(path))
            if _root_of(path, rules) is None:
                return "a link that leads out of the allowed folders"
        status = path.lstat()
    except FileNotFoundError:
        if entry.is_symlink():
            return "a link that leads nowhere"
        raise SourceIncomplete(f"{quoted(entry.path)} went away while it was listed") from None
    except OSError as error:
        raise storage_error(error, Path(entry.path)) from error
    if not stat.S_ISREG(status.st_mode):
        return "a link to a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
    return SourceFile(relative(name), path, status.st_size, status.st_mtime_ns)
