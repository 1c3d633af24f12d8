"""Listings of files: a web server's index page, a list of urls, or JSON.

References
----------
The pages of Apache's mod_autoindex and nginx's autoindex module (HTML, and
nginx's ``autoindex_format json``).
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

from toros.errors import NoUsableFrames, SourceForbidden
from toros.preprocessor.sources.names import quoted
from toros.preprocessor.sources.places import HttpUrl

# A regular expression, since what it reads is made by machines, and since
# Python's parser takes quadratic time on hostile pages before its release of
# summer 2025. It never looks past the next "<", hence linear time.
_LINK = re.compile(
    r"""<a\s[^<>]{0,500}?href\s{0,9}=\s{0,9}(?:"([^"<>]{1,4000})"|'([^'<>]{1,4000})'|([^\s"'<>]{1,4000}))""",
    re.IGNORECASE,
)


def read_listing(content: bytes, url: HttpUrl, limit: int) -> list[HttpUrl]:
    """Find the files that a listing names, in its order, each once.

    Of an index page: the links to files of its own folder (not to folders, not
    with a query, which re-sorts the page). Of a list (one url per line, ``#``
    begins a comment) or of JSON (an array of urls, or of objects with ``url`` or
    ``name``): all.

    Parameters
    ----------
    content : bytes
    url : HttpUrl
        Where it was found; relative urls start from there.
    limit : int
        The most files.

    Raises
    ------
    NoUsableFrames
        It is no listing.
    SourceForbidden
        It names too many files, or something else than http(s).
    """
    text = content.decode("utf-8-sig", "replace").strip()
    if text.startswith("<"):
        references = _of_page(text, url)
    elif text.startswith(("[", "{")):
        references = _of_json(text, url)
    else:
        references = _of_lines(text, url)
    found: dict[HttpUrl, None] = {}
    for reference in references:
        found[url.follow(reference)] = None
        if len(found) > limit:
            raise SourceForbidden(
                f"{url.shown} lists more than {limit} files "
                "(Preprocessor / Sources / Members Limit)"
            )
    return list(found)


def file_name(url: HttpUrl) -> str:
    """Return the last part of a url's path, decoded; not yet fit for a file system."""
    return unquote(url.path.rpartition("/")[2], errors="surrogateescape")


def _of_page(text: str, url: HttpUrl) -> Iterator[str]:
    folder = url.path.rpartition("/")[0] + "/"
    for match in _LINK.finditer(text):
        reference = html.unescape(next(group for group in match.groups() if group)).strip()
        reference = reference.partition("#")[0]
        if not reference or "?" in reference:
            continue
        try:
            there = url.follow(reference)
        except SourceForbidden:  # mailto:, javascript:, a nonsense of the page's decoration
            continue
        name = there.path.removeprefix(folder)
        if there.origin == url.origin and there.path.startswith(folder) and _is_file(name):
            yield reference


def _is_file(name: str) -> bool:
    return bool(name) and "/" not in name


def _of_lines(text: str, url: HttpUrl) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        reference = line.strip()
        if not reference or reference.startswith("#"):
            continue
        if any(char.isspace() or not char.isprintable() for char in reference):
            raise NoUsableFrames(
                f"{url.shown} is no archive, FITS file or listing: line {number} is "
                f"{quoted(reference)}, not a url (write a space as %20)"
            )
        yield reference


def _of_json(text: str, url: HttpUrl) -> Iterator[str]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoUsableFrames(f"{url.shown} is no listing: its JSON cannot be read") from error
    if not isinstance(entries, list):
        raise NoUsableFrames(f"{url.shown} is no listing: its JSON is no array")
    for number, entry in enumerate(entries):
        if isinstance(entry, dict) and entry.get("type") == "directory":
            continue
        reference = entry
        if isinstance(entry, dict):
            reference = entry.get("url") or _escaped(entry.get("name"))
        if not isinstance(reference, str) or not reference:
            raise NoUsableFrames(f"{url.shown} is no listing: entry {number} of its JSON is no url")
        yield reference


def _escaped(name: object) -> object:
    """Make a url of a file's name, in which ``?`` and the like mean themselves."""
    return "./" + quote(name) if isinstance(name, str) and name else None
