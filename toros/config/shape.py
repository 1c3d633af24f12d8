"""The shape of the settings, read off their declarations: for messages, docs and displays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from toros.config.kinds import GivenKeys, Kind
from toros.config.secrets import HIDDEN, hide_url

Place = tuple[str | int, ...]
"""Where a value stands: the YAML keys from the top, and positions in lists from 0."""


def yaml_name(name: str, field: FieldInfo) -> str:
    """Return the key that a field has in the file."""
    return field.alias or name


def unit_of(key: str) -> str:
    """Return the unit in a setting's name, ``Height (m)``, or an empty text."""
    match = re.search(r"\(([^()]+)\)\Z", key)
    return match[1] if match else ""


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Map the YAML keys of a model to its fields, in their order."""
    return {yaml_name(name, field): field for name, field in model.model_fields.items()}


def is_list(annotation: object) -> bool:
    """Whether an annotation is that of a list of values."""
    return get_origin(annotation) is tuple


def kind_of(annotation: object, metadata: list[Any] | tuple[Any, ...] = ()) -> Kind | None:
    """Find how the values of an annotation are called; the outermost name counts."""
    for item in reversed(metadata):
        if isinstance(item, Kind):
            return item
    if get_origin(annotation) is Annotated:
        inner, *rest = get_args(annotation)
        return kind_of(inner, rest)
    if not is_list(annotation):  # a union such as Port | None
        for part in get_args(annotation):
            if kind := kind_of(part):
                return kind
    return None


def model_of(
    annotation: object, metadata: list[Any] | tuple[Any, ...] = ()
) -> type[BaseModel] | None:
    """Find the model of an annotation's values, or of its items if it is a list."""
    for item in metadata:
        if isinstance(item, GivenKeys):
            return item.model
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is Annotated:
        inner, *rest = get_args(annotation)
        return model_of(inner, rest)
    return model_of(get_args(annotation)[0]) if is_list(annotation) else None


def look_up(
    model: type[BaseModel] | None, place: Place
) -> tuple[Kind | None, type[BaseModel] | None]:
    """Find what stands at a place: the kind of its value, and its model if it has keys.

    Parameters
    ----------
    model : type
        The model of the whole.
    place : tuple
        Keys and positions. A place that no model describes gives (None, None).
    """
    kind: Kind | None = None
    annotation: object = None
    for part in place:
        if isinstance(part, int):
            annotation = get_args(annotation)[0] if is_list(annotation) else None
            kind, model = kind_of(annotation), model_of(annotation)
            continue
        field = fields_of(model).get(part) if model else None
        if field is None:
            return None, None
        annotation, metadata = field.annotation, field.metadata
        kind, model = kind_of(annotation, metadata), model_of(annotation, metadata)
    return kind, model


def where(source: Path, lines: Mapping[str, int], place: Place, name: str = "") -> str:
    """Say where a setting stands: ``FILE:LINE: Section / Key``.

    Parameters
    ----------
    source : Path
        The file.
    lines : mapping
        From the readable names of places to their lines, counted from 1.
    place : tuple
        The place. If the file does not hold it, the line is that of what encloses it.
    name : str
        What to call the place by, if not as it stands.
    """
    line = line_of(lines, place)
    at = f"{source}:{line}" if line else f"{source}"
    return f"{at}: {name or readable(place)}" if place else at


def line_of(lines: Mapping[str, int], place: Place) -> int | None:
    """Return the line of a place or of what encloses it; None if the file has neither.

    Parameters
    ----------
    lines : mapping
        As for `where`.
    place : tuple
        The place; the empty one is that of the whole.
    """
    names = (readable(place[:n]) for n in range(len(place), 0 if place else -1, -1))
    return next((lines[name] for name in names if name in lines), None)


def readable(place: Place) -> str:
    """Write a place as messages have it: ``Front Desk / Users / 1 / Name``, counted from 1."""
    return " / ".join(str(part + 1) if isinstance(part, int) else part for part in place)


def plain(value: object, kind: Kind | None = None) -> Any:
    """Turn a setting's value into plain, JSON-able data without any secret.

    Parameters
    ----------
    value : object
        A setting's value or a whole section.
    kind : Kind, optional
        What the value is.
    """
    if isinstance(value, BaseModel):
        return _plain_section(value)
    if isinstance(value, Mapping):
        return {key: plain(item, kind) for key, item in value.items()}
    if isinstance(value, tuple):
        return [plain(item, kind) for item in value]
    if isinstance(value, SecretStr) or (kind and kind.secret and value is not None):
        return HIDDEN
    if isinstance(value, str) and (kind is None or kind.url):
        return hide_url(value)
    return str(value) if isinstance(value, Path) else value


def _plain_section(section: BaseModel) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = plain(getattr(section, name), kind_of(field.annotation, field.metadata))
        if name == "settings" and isinstance(
            value, dict
        ):  # a step's own keys stand beside its name
            shown.update(value)
        else:
            shown[yaml_name(name, field)] = value
    return shown
