"""Showing the settings that are in force, with defaults marked and secrets hidden."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from toros.config.kinds import Section
from toros.config.sections import Settings
from toros.config.shape import kind_of, plain, unit_of, yaml_name


class Row(NamedTuple):
    """A setting and its value.

    Attributes
    ----------
    place : tuple of str
        Its YAML keys from the top.
    value : object
        Plain, JSON-able data, with ``***`` for what is secret.
    is_default : bool
        The value is the default, whether or not the file says so.
    unit : str
        Its unit, or "".
    description : str
        What it means.
    """

    place: tuple[str, ...]
    value: Any
    is_default: bool
    unit: str
    description: str


def rows(settings: Settings) -> list[Row]:
    """List the settings in the order of the file, with secrets hidden, also in urls."""
    return list(_rows(settings, Settings(), ()))


def _rows(section: Section, default: Section, above: tuple[str, ...]) -> Iterator[Row]:
    for name, field in type(section).model_fields.items():
        key = yaml_name(name, field)
        value, usual = getattr(section, name), getattr(default, name)
        if isinstance(value, Section):
            yield from _rows(value, usual, (*above, key))
            continue
        yield Row(
            place=(*above, key),
            value=plain(value, kind_of(field.annotation, field.metadata)),
            # What was not given may still differ: the database's url follows the State Folder.
            is_default=name not in section.model_fields_set or value == usual,
            unit=unit_of(key),
            description=field.description or "",
        )


def to_text(settings_rows: Iterable[Row]) -> str:
    """Write rows as YAML for a person, with ``# default`` behind the defaults."""
    return "\n".join(_lines(list(settings_rows), 0)) + "\n"


def _lines(settings_rows: list[Row], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for key, group in groupby(settings_rows, key=lambda row: row.place[depth]):
        members = list(group)
        if len(members[0].place) > depth + 1:
            yield f"{indent}{key}:"
            yield from _lines(members, depth + 1)
            continue
        # JSON is YAML too, and quotes whatever needs quotes.
        value = json.dumps(members[0].value, ensure_ascii=False)
        yield f"{indent}{key}: {value}{'  # default' if members[0].is_default else ''}"


def to_dict(settings: Settings) -> dict[str, Any]:
    """Make JSON-able data of the settings: where they come from, and every row."""
    return {
        "source": str(settings.source),
        "sha256": settings.sha256,
        "warnings": list(settings.warnings),
        "settings": [{**row._asdict(), "place": list(row.place)} for row in rows(settings)],
    }
