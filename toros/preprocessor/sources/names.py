"""The names of files that come from elsewhere."""

from __future__ import annotations

import re
import unicodedata

_NAME_BYTES = 255  # NAME_MAX of every common file system
_PATH_BYTES = 1024  # leaves room for the repository's own path below PATH_MAX (4096)
_DEPTH = 32
_DRIVE = re.compile(r"[A-Za-z]:")
_UNFINISHED = ("~", ".tmp", ".part", ".partial", ".crdownload")


def clean(name: str) -> str:
    """Replace by ``_`` what would disturb a line of a log or a page.

    Control and formatting characters (among them those that reverse the
    direction of text), line separators and halves of surrogate pairs.
    """
    bad = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "".join("_" if unicodedata.category(char) in bad else char for char in name)


def plain(text: str, limit: int = 300) -> str:
    """Write any text, however hostile, in one short line of printable characters."""
    line = text[: limit + 1].encode("unicode_escape", "replace").decode("ascii")
    return f"{line[:limit]}…" if len(line) > limit else line


def quoted(name: str) -> str:
    """Write any name, however hostile, in quotes and one short line of plain text."""
    return f'"{plain(name, 120)}"'


def broken_rule(name: str) -> str | None:
    """Say which rule a file's relative name breaks; None: it may be used.

    A name that breaks none stays below the folder that it is put into.
    """
    parts = name.split("/")
    rules = [
        ("\0" in name, "it contains a NUL"),
        ("\\" in name, "it contains a backslash"),
        (name.startswith("/"), "it is absolute"),
        (_DRIVE.match(name) is not None, "it begins with a drive letter"),
        (".." in parts, 'it contains ".."'),
        (any("\ud800" <= char <= "\udfff" for char in name), "it is not UTF-8"),
        (any(len(part.encode(errors="replace")) > _NAME_BYTES for part in parts),
         f"a part of it is over {_NAME_BYTES} bytes"),
        (len(name.encode(errors="replace")) > _PATH_BYTES, f"it is over {_PATH_BYTES} bytes"),
        (len(parts) > _DEPTH, f"it is over {_DEPTH} folders deep"),
    ]  # fmt: skip
    return next((rule for broken, rule in rules if broken), None)


def relative(name: str) -> str:
    """Bring a name that breaks no rule into its one form: no ``.``, no empty part, `clean`."""
    return "/".join(clean(part) for part in name.split("/") if part not in ("", "."))


def unwanted(name: str) -> str | None:
    """Say why a file does not count by its name alone; None: it counts."""
    if any(part.startswith(".") for part in name.split("/")):
        return "hidden"
    if name.lower().endswith(_UNFINISHED):
        return "unfinished or a backup by its name"
    return None


class Names:
    """The names taken in one file batch."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def clash(self, name: str) -> str | None:
        """Say why `name` is not free; None: it is."""
        if name in self._files:
            return "it appears twice"
        if name in self._folders:
            return "it is a folder's name too"
        if self._files.intersection(_parents(name)):
            return "it lies below a file"
        return None

    def take(self, name: str) -> str:
        """Take `name`, or ``name-2.ext``, ``name-3.ext``, … if it is not free; return it."""
        stem, dot, extension = name.partition(".") if "/" not in name else (name, "", "")
        taken, number = name, 1
        while self.clash(taken):
            number += 1
            taken = f"{stem}-{number}{dot}{extension}"
        self._files.add(taken)
        self._folders.update(_parents(taken))
        return taken


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
