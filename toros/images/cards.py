"""Reading single values out of headers that may be wrong in any way."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from astropy.io import fits

CARD_ERRORS = (
    fits.VerifyError,
    KeyError,
    ValueError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
)
"""What astropy raises on a card that does not follow the standard."""

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?)\s*([A-Za-z°]*)", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """One card that has a value: text is stripped and not empty."""

    keyword: str
    value: str | bool | int | float
    comment: str

    @property
    def text(self) -> str:
        """The value as text."""
        if isinstance(self.value, bool):
            return "T" if self.value else "F"
        return str(self.value)

    @property
    def number(self) -> float | None:
        """The value as a finite number, also out of text such as ``'44 C'``, or None."""
        value: str | float = self.value
        if isinstance(value, bool):
            return None
        if isinstance(value, str):
            found = _NUMBER.fullmatch(value)
            if found is None:
                return None
            value = re.sub("[dD]", "e", found[1])
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None

    @property
    def unit(self) -> str:
        """The unit written behind the number in a text value, or an empty text."""
        found = _NUMBER.fullmatch(self.text)
        return found[2] if found else ""

    def __str__(self) -> str:
        return f"{self.keyword} = {self.text!r}"


class HeaderView:
    """Several headers of one file as one, the first that has a value counting.

    Parameters
    ----------
    headers : sequence of astropy.io.fits.Header
        Primary header first.

    Attributes
    ----------
    notes : list of str
        Whoever reads appends what a person should know.
    """

    def __init__(self, headers: Sequence[fits.Header]) -> None:
        self._headers = headers
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep a remark, once."""
        if text not in self.notes:
            self.notes.append(text)

    def find(self, keyword: str) -> Entry | None:
        """Return the card `keyword`, or None when it is absent, empty or unreadable."""
        for header in self._headers:
            try:
                if keyword not in header:
                    continue
                value, comment = header[keyword], header.comments[keyword]
            except CARD_ERRORS:
                self.note(f"the card {keyword} cannot be read")
                continue
            if isinstance(value, str):
                value = value.strip()
            if isinstance(value, (str, bool, int, float)) and value != "":
                return Entry(keyword, value, str(comment))
        return None

    def find_all(self, keywords: Iterable[str]) -> Iterator[Entry]:
        """Yield the cards among `keywords` that have a value, in that order."""
        return (entry for key in keywords if (entry := self.find(key)) is not None)

    def find_text(self, keywords: Iterable[str]) -> str | None:
        """Return the first value among `keywords` as text."""
        return next((entry.text for entry in self.find_all(keywords)), None)
