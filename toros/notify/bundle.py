"""A bundle of errors: bounded in memory, whatever storm it collects."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from toros.clock import to_iso

_ENTRY_CHARACTERS = 2000
_DIFFERENT_ENTRIES = 50


@dataclass
class Entry:
    """One error, and how often it came.

    Parameters
    ----------
    text : str
        What the log says about it the first time, tracebacks included.
    first, last : float
        When it came [s since 1970-01-01 UTC].
    count : int
        How often.
    """

    text: str
    first: float
    last: float
    count: int = 1


@dataclass
class Bundle:
    """The errors of one mail.

    Parameters
    ----------
    entries : dict of tuple of str to Entry
        The first 50 different ones; the last part of a key is the message.
    total : int
        All that came, those without an entry too.
    first, last : float
        When the first and the last came [s since 1970-01-01 UTC].
    attempts : int
        How often the bundle was offered to the mail server.
    """

    entries: dict[tuple[str, ...], Entry] = field(default_factory=dict)
    total: int = 0
    first: float = 0.0
    last: float = 0.0
    attempts: int = 0

    def add(self, key: tuple[str, ...], entry: Entry) -> None:
        """Count an error; keep its text if it is a new one and there is room.

        Parameters
        ----------
        key : tuple of str
            What makes two errors the same; its last part is the message.
        entry : Entry
            The error; a text over 2000 characters loses its middle.
        """
        self.first = min(self.first, entry.first) if self.total else entry.first
        self.last = max(self.last, entry.last)
        self.total += entry.count
        if known := self.entries.get(key):
            known.count += entry.count
            known.last = max(known.last, entry.last)
        elif len(self.entries) < _DIFFERENT_ENTRIES:
            entry.text = _shorten(entry.text)
            self.entries[key] = entry

    def absorb(self, later: Bundle) -> None:
        """Take in a bundle that began after this one."""
        without_entry = later.total - sum(entry.count for entry in later.entries.values())
        for key, entry in later.entries.items():
            self.add(key, entry)
        self.total += without_entry
        self.last = max(self.last, later.last)

    def write(self, service: str, host: str, given_up: int) -> tuple[str, str]:
        """Write the mail.

        Parameters
        ----------
        service, host : str
            Whose errors they are.
        given_up : int
            The number of earlier errors that no mail could tell of.

        Returns
        -------
        subject, body : str
        """
        number = "1 error" if self.total == 1 else f"{self.total} errors"
        entries = self.entries.values()
        lines = [f"{number} of {service} on {host}, {_span(self.first, self.last)}.", ""]
        for entry in entries:
            if entry.count > 1:
                lines.append(f"{entry.count} times, {_span(entry.first, entry.last)}; the first:")
            lines += [entry.text, ""]
        if rest := self.total - sum(entry.count for entry in entries):
            lines += [f"{rest} more are in the log of {service} only.", ""]
        if given_up:
            lines += [f"{given_up} earlier errors could not be mailed; the log has them.", ""]
        headline = one_line(next(iter(self.entries))[-1], 100)
        return f"[TOROS] {service} on {host}: {number}: {headline}", "\n".join(lines)


def one_line(text: str, limit: int) -> str:
    """Make one line of a text: a space for what cannot be printed, cut at `limit` characters."""
    line = " ".join(re.sub(r"\S", _space_for_unprintable, text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _space_for_unprintable(match: re.Match[str]) -> str:
    return match[0] if match[0].isprintable() else " "


def _shorten(text: str) -> str:
    """Cut the middle out of a long text: a traceback says most at its two ends."""
    if len(text) <= _ENTRY_CHARACTERS:
        return text
    half = _ENTRY_CHARACTERS // 2
    return f"{text[:half]}\n    […]\n{text[-half:]}"


def _span(first: float, last: float) -> str:
    start, end = (to_iso(datetime.fromtimestamp(moment, UTC)) + "Z" for moment in (first, last))
    return f"at {start}" if start == end else f"{start} to {end}"
