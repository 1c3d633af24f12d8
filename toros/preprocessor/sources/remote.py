"""Bringing the files that an http(s) url names."""

from __future__ import annotations

from typing import BinaryIO

from toros.errors import NoUsableFrames, UnsafeArchive
from toros.preprocessor.sources import archive
from toros.preprocessor.sources.addresses import Resolver, resolve
from toros.preprocessor.sources.archive import Kind, kind_of
from toros.preprocessor.sources.download import LISTING_BYTES, Downloader
from toros.preprocessor.sources.listing import file_name, read_listing
from toros.preprocessor.sources.names import Names, broken_rule, clean, unwanted
from toros.preprocessor.sources.places import HttpUrl
from toros.preprocessor.sources.rules import Fetched, SourceFile
from toros.preprocessor.sources.staging import Staging
from toros.store import PARTIAL_PREFIX, storage_error

_FIRST = f"{PARTIAL_PREFIX}source"


def fetch_http(url: HttpUrl, staging: Staging, resolver: Resolver = resolve) -> Fetched:
    """Bring an archive, a FITS file, or the files of a listing into the staging folder.

    Raises
    ------
    NoUsableFrames
        What is there is none of these.
    SourceUnreachable, SourceForbidden, SourceIncomplete, UnsafeArchive
    DiskFull, StorageFailed, Stopping
    """
    downloader = Downloader(staging, resolver)
    staging.watch.progress(0.0, f"downloading {url.shown}")
    found_at = downloader.download(url, _FIRST)
    path = staging.folder / _FIRST
    try:
        with path.open("rb") as file:
            kind = kind_of(file, url.shown)
            if kind.is_archive:
                fetched = archive.unpack(file, kind, url.shown, staging)
                staging.remove(_FIRST)
                return fetched
            if kind.name != "fits":
                listing = _read_text(file, kind, url)
        if kind.name == "fits":
            name = _usable_name(url) or "frame.fits"
            path.rename(staging.folder / name)
            return Fetched((staging.described(name),), in_place=False)
    except OSError as error:
        raise storage_error(error, path) from error
    staging.remove(_FIRST)
    listed = read_listing(listing, found_at, staging.rules.members_limit)
    return _fetch_listed(listed, staging, downloader)


def _read_text(file: BinaryIO, kind: Kind, url: HttpUrl) -> bytes:
    if kind.name == "unreadable":
        raise UnsafeArchive(
            f"{url.shown} is a {kind.packing}, which is not read; give a zip or a tar "
            "(plain, or packed with gzip, bzip2 or xz)"
        )
    file.seek(0)
    content = file.read(LISTING_BYTES)
    if kind.packing or b"\0" in content:
        raise NoUsableFrames(f"{url.shown} is neither an archive nor a FITS file nor a listing")
    return content


def _usable_name(url: HttpUrl) -> str | None:
    name = clean(file_name(url).replace("/", "_").replace("\\", "_"))
    return None if not name or name == ".." or broken_rule(name) or unwanted(name) else name


def _fetch_listed(urls: list[HttpUrl], staging: Staging, downloader: Downloader) -> Fetched:
    files: list[SourceFile] = []
    left_out: list[tuple[str, str]] = []
    names = Names()
    for number, url in enumerate(urls):
        name = _usable_name(url)
        if name is None:
            raw = file_name(url)
            reason = unwanted(raw) or broken_rule(raw) if raw else "a folder"
            left_out.append((clean(raw) or url.shown, reason or "its name cannot be used"))
            continue
        name = names.take(name)
        staging.watch.progress(
            number / len(urls), f"downloading {name} ({number + 1} of {len(urls)})"
        )
        downloader.download(url, name, listed=True)
        files.append(staging.described(name))
    return Fetched(tuple(sorted(files, key=lambda f: f.name)), False, tuple(sorted(left_out)))
