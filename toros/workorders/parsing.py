"""From the dictionary on the wire to a typed work order, or to a clear refusal."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from toros.config.problems import without_quotes
from toros.errors import InvalidField, MalformedOrder, NotMine, UnknownRequest
from toros.workorders.envelope import WorkOrder
from toros.workorders.requests import of_service, owner_of

# Longer than any request's name: what is longer still is no mistyped one, and costly to compare.
_NAME_CHARS = 64


def shorten(value: object, limit: int = 80) -> str:
    """Write a value for a message: in one line, escaped, and not too long."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def parse(order: object, service: str) -> WorkOrder:
    """Check a work order against the requests of a daemon.

    Parameters
    ----------
    order : object
        What came over the wire; a dictionary with at least ``request``.
    service : str
        The daemon that was asked.

    Raises
    ------
    MalformedOrder
        It is no dictionary, or has no request.
    UnknownRequest, NotMine
        No daemon, or another daemon, answers the request.
    InvalidField
        A value is wrong; the message names each field, its value and what would be right.
    """
    if not isinstance(order, Mapping):
        raise MalformedOrder(
            f"a work order is a dictionary with the key 'request', not {shorten(order)}"
        )
    given = {str(key): value for key, value in order.items() if value is not None}
    name = given.pop("request", None)
    if not isinstance(name, str):
        found = f"not {shorten(name)}" if name is not None else "and this order has none"
        raise MalformedOrder(f"request: a work order needs the name of a request, {found}")
    return _validate(_class_for(name, service), given)


def _class_for(name: str, service: str) -> type[WorkOrder]:
    mine = of_service(service)
    if name in mine:
        return mine[name]
    owner = owner_of(name)
    if owner is not None:
        raise NotMine(
            f"request: {shorten(name)} belongs to the {owner} daemon, this is the {service} daemon"
        )
    close = difflib.get_close_matches(name[:_NAME_CHARS], mine, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(sorted(mine))}"
    raise UnknownRequest(f"request: no daemon knows {shorten(name)}; {hint}")


def _validate(request: type[WorkOrder], given: dict[str, Any]) -> WorkOrder:
    try:
        return request.model_validate(given)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, item['loc']))}: "
            + (
                f"missing; {_instead(request, str(item['loc'][0]), given)}"
                if item["type"] == "missing"
                else f"got {shorten(item['input'])}; {item['msg'].removeprefix('Value error, ')}"
                + without_quotes(item["type"], item["input"])
            )
            + _unit(request, item["loc"])
            for item in error.errors(include_url=False)
        ]
    raise InvalidField(f"{request.request}: " + " | ".join(problems))


def _instead(request: type[WorkOrder], field: str, given: Mapping[str, Any]) -> str:
    """Say what a missing field may have been written as."""
    unknown = [key for key in given if key not in request.model_fields and len(key) < _NAME_CHARS]
    close = difflib.get_close_matches(field, unknown[:20], n=1)
    return f"did you mean it by {close[0]!r}?" if close else "the request needs it"


def _unit(request: type[WorkOrder], location: tuple[int | str, ...]) -> str:
    field = request.model_fields.get(str(location[0])) if location else None
    extra = field.json_schema_extra if field else None
    return f" ({extra['unit']})" if isinstance(extra, dict) and "unit" in extra else ""


def canonical(order: WorkOrder) -> str:
    """Write an order's content so that equal orders have equal texts.

    The moment of writing does not count: a repeated order may carry a new one.
    """
    content = order.model_dump(exclude_none=True, exclude={"datetime", "id"})
    return json.dumps(
        {"request": order.request, **content}, sort_keys=True, separators=(",", ":"), default=str
    )


def unknown_keys(order: WorkOrder) -> list[str]:
    """Return the keys that the request does not know, sorted."""
    return sorted(order.model_extra or {})
