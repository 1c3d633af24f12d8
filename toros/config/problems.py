"""What is wrong with settings, in words: where, what was found, what would be right."""

from __future__ import annotations

import difflib
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from toros.config.kinds import EXPECTED, Kind, Section
from toros.config.secrets import hide_url
from toros.config.shape import Place, fields_of, look_up, readable

_TYPES = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "settings (Key: value)",
    "model_type": "settings (Key: value)",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "one of {expected}",
}


@dataclass(frozen=True)
class Problem:
    """Something wrong.

    Parameters
    ----------
    place : tuple
        Where: keys from the top, and positions in lists.
    text : str
        What is wrong and what would be right.
    warning : bool
        It keeps nobody from starting.
    services : frozenset of str, optional
        The daemons that it keeps from starting; by default those that use the section.
    depends : frozenset of str
        Other sections that it was found with: nothing is known while one of them is wrong.
    name : str
        What to call the place by, if its last key is not fit to be shown.
    """

    place: Place
    text: str
    warning: bool = False
    services: frozenset[str] | None = None
    depends: frozenset[str] = frozenset()
    name: str = ""


def got(value: object, kind: Kind | None = None) -> str:
    """Say what was found: short, on one line, and without any secret."""
    words = {dict: "a mapping", list: "a list", tuple: "a list", type(None): "nothing"}
    if type(value) in words:
        return f"got {words[type(value)]}"
    if kind and kind.secret:
        return "got a value that is not shown"
    if isinstance(value, str):
        url = (kind and kind.url) or "://" in value
        return f"got {_short(hide_url(value, with_user=True) if url else value)}"
    return f"got {str(value).lower()}"


def _short(text: str) -> str:
    cut = text if len(text) <= 200 else f"{text[:197]}…"
    return repr(cut) if cut.isprintable() else ascii(cut)


def without_quotes(kind: str, value: object) -> str:
    """Say how a text would be the number that is wanted; empty if it would not.

    Parameters
    ----------
    kind : str
        The type of pydantic's error.
    value : object
        What was found.
    """
    if kind not in ("int_type", "float_type") or not isinstance(value, str):
        return ""
    try:
        number = json.loads(value)
    except (ValueError, RecursionError):
        return ""
    # JSON of other kinds, and the infinities that Python takes for JSON, are no numbers here.
    if type(number) not in (int, float) or not math.isfinite(number):
        return ""
    if kind == "int_type" and type(number) is float:
        return ""
    return f", without quotes: {number!r}"


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Put every mistake that pydantic found into our words.

    Parameters
    ----------
    error : ValidationError
        What pydantic found.
    model : type
        The model that the data were checked against.
    """
    return [_problem(dict(detail), model) for detail in error.errors(include_url=False)]


def _problem(detail: dict[str, Any], model: type[BaseModel]) -> Problem:
    place: Place = tuple(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return _unknown_key(detail, place, model)
    kind, inner = look_up(model, place)
    if detail["type"] == EXPECTED:
        right = detail["msg"]
    elif kind:
        right = kind.text
    elif inner:
        right = f"settings (Key: value) with the keys {', '.join(fields_of(inner))}"
    else:
        right = _TYPES.get(detail["type"], "{msg}").format(
            **{"msg": detail["msg"], **detail.get("ctx", {})}
        )
    if detail["type"] == "missing":
        return Problem(place, f"missing; expected {right}")
    # Of what our own sections do not describe nobody knows whether it is a secret.
    secret = Kind("", secret=True) if issubclass(model, Section) else None
    shown = kind or secret
    found = got(detail["input"], shown)
    if not (shown and shown.secret):
        right += without_quotes(detail["type"], detail["input"])
    return Problem(place, f"{found}; expected {right}")


def _unknown_key(detail: dict[str, Any], place: Place, model: type[BaseModel]) -> Problem:
    inner = look_up(model, place[:-1])[1]
    known = list(fields_of(inner)) if inner else []
    key = _key_without_value(str(place[-1]), known)
    folded = {name.casefold(): name for name in reversed(known)}
    close = difflib.get_close_matches(key.casefold(), list(folded), n=1, cutoff=0.6)
    if not close and detail["input"] is None:
        key = "…"  # a value that a comma or a line's end has cut off from its key looks like this
    right = (
        f"did you mean {folded[close[0]]!r}?" if close else f"expected one of {', '.join(known)}"
    )
    return Problem(place, f"unknown key; {right}", name=readable((*place[:-1], key)))


def _key_without_value(text: str, known: list[str]) -> str:
    """Cut off what may be a secret: ``Password:hunter2`` without a blank is one long key."""
    key = re.match(r"[\w ()/.-]{0,40}", text, re.ASCII)
    start = key[0].strip() if key else ""
    whole = next((name for name in known if start.casefold().startswith(name.casefold())), "")
    if whole and start.casefold() != whole.casefold():
        return f"{whole}…"
    return start if start == text else f"{start}…"
