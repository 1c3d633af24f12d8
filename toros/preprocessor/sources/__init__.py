"""Bringing the files that a work order's ``url`` names.

A folder of this machine is listed where it is; an archive is unpacked and the
network downloaded into a staging folder, complete or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from toros.errors import SourceForbidden, SourceUnreachable, UnsafeArchive
from toros.preprocessor.sources import archive
from toros.preprocessor.sources.addresses import Resolver, check_host, resolve
from toros.preprocessor.sources.archive import kind_of
from toros.preprocessor.sources.local import (
    allowed_path,
    copy_source,
    digest_source,
    list_folder,
    read_source,
    unchanged,
)
from toros.preprocessor.sources.names import broken_rule, relative
from toros.preprocessor.sources.places import HttpUrl, canonical, parse, shown
from toros.preprocessor.sources.remote import fetch_http
from toros.preprocessor.sources.rules import Fetched, SourceFile, SourceRules, SourcesSection
from toros.preprocessor.sources.staging import Staging
from toros.preprocessor.sources.watch import Watch, never, silent
from toros.store import storage_error

__all__ = [
    "Fetched",
    "SourceFile",
    "SourceRules",
    "SourcesSection",
    "canonical",
    "check",
    "copy_source",
    "digest_source",
    "fetch",
    "read_source",
    "shown",
]


def check(url: str, rules: SourceRules) -> str:
    """Refuse at once, without the network, a url that could never be fetched.

    Returns
    -------
    str
        The url's `canonical` form.

    Raises
    ------
    SourceForbidden
    """
    place = parse(url)
    if isinstance(place, HttpUrl):
        check_host(place.host, rules)
    else:
        allowed_path(place, rules)
    return canonical(url)


def fetch(
    url: str,
    rules: SourceRules,
    target: Path,
    *,
    should_stop: Callable[[], bool] = never,
    progress: Callable[[float, str], None] = silent,
    resolver: Resolver = resolve,
) -> Fetched:
    """Bring the files that `url` names.

    Parameters
    ----------
    url : str
        A path of this machine, ``file:``, ``http:`` or ``https:``. A folder
        (listed where it is), an archive (zip, or tar, also packed with gzip, bzip2
        or xz, told by its content), a single file, or over http(s) a listing of files.
    rules : SourceRules
    target : Path
        The staging folder on the local repository's disk, empty or absent. What is
        brought is below it afterwards, flushed to the disk; nothing on failure.
    should_stop : callable
        Asked at least once a second.
    progress : callable
        Takes the fraction done (0 to 1; it may begin anew for another stage) and a
        line for a person. What it raises ends the work.
    resolver : callable
        Finds all addresses of a host.

    Returns
    -------
    Fetched

    Raises
    ------
    SourceUnreachable
        It cannot be had now.
    SourceForbidden
        A rule refuses it.
    UnsafeArchive
        The archive breaks a rule or a limit.
    SourceIncomplete
        It is damaged, breaks off, or changed meanwhile.
    NoUsableFrames
        What http(s) brought is no archive, FITS file or listing.
    DiskFull, StorageFailed
        It cannot be written.
    Stopping
        `should_stop` said so.
    """
    place = parse(url)
    watch = Watch(should_stop, progress)
    watch.check()
    with Staging(target, rules, watch) as staging:
        if isinstance(place, HttpUrl):
            return fetch_http(place, staging, resolver)
        return _fetch_local(place, staging)


def _fetch_local(place: Path, staging: Staging) -> Fetched:
    rules = staging.rules
    path = allowed_path(place, rules)
    label = shown(str(path))
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise storage_error(error, path) from error
    if is_folder:
        return list_folder(path, rules, staging.watch)
    with unchanged(path, rules) as file:
        kind = kind_of(file, label)
        if kind.is_archive:
            return archive.unpack(file, kind, label, staging)
    if kind.name == "unreadable":
        raise UnsafeArchive(
            f"{label} is a {kind.packing}, which is not read; give a zip or a tar "
            "(plain, or packed with gzip, bzip2 or xz)"
        )
    return _single(path, label)


def _single(path: Path, label: str) -> Fetched:
    """Describe a file that is a batch of its own."""
    if broken_rule(path.name) is not None:
        raise SourceForbidden(f"{label}: {broken_rule(path.name)}")
    try:
        status = path.stat()
    except OSError as error:
        raise SourceUnreachable(f"{label} is not there any more") from error
    file = SourceFile(relative(path.name), path, status.st_size, status.st_mtime_ns)
    return Fetched((file,), in_place=True)
