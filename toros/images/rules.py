"""Site rules: what the configuration says of frames whose headers do not tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from toros.images.cards import HeaderView
from toros.images.facts import HeaderRule


@dataclass
class Choices:
    """What the rules that apply to one frame decide, the last rule winning.

    Attributes
    ----------
    values : dict
        Quantity to its value; None removes what the header says.
    keywords : dict
        Quantity to the keyword to read it from first.
    """

    values: dict[str, str | float | None] = field(default_factory=dict)
    keywords: dict[str, str] = field(default_factory=dict)


def choose(rules: Iterable[HeaderRule], view: HeaderView, name: str) -> Choices:
    """Collect what the rules that apply to a frame decide.

    Parameters
    ----------
    rules : iterable of HeaderRule
        In the order of the configuration; later ones win.
    view : HeaderView
        The frame's headers.
    name : str
        The file's path inside the batch folder, with ``/``.
    """
    choices = Choices()
    for rule in rules:
        if not (_matches_name(rule.file_name, name) and _matches_header(rule.header, view)):
            continue
        for quantity, keyword in rule.keywords.items():
            choices.keywords[quantity] = keyword
            choices.values.pop(quantity, None)
        choices.values.update(rule.set)
    return choices


def _matches_name(pattern: str | None, name: str) -> bool:
    if pattern is None:
        return True
    names = (name, name.rpartition("/")[2])
    return any(fnmatchcase(each.lower(), pattern.lower()) for each in names)


def _matches_header(patterns: Mapping[str, str], view: HeaderView) -> bool:
    for keyword, pattern in patterns.items():
        entry = view.find(keyword)
        if entry is None or not fnmatchcase(entry.text.lower(), pattern.strip().lower()):
            return False
    return True
