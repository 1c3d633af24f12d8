"""Which handler serves which request."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from toros.workorders import WorkOrder

Handler = Callable[[Any, Any], dict[str, Any]]
Check = Callable[[Any, Any], None]
Appraise = Callable[[Any, Any], tuple[float, Sequence[str]]]
H = TypeVar("H", bound=Callable[..., dict[str, Any]])


@dataclass
class Registry:
    """The requests of one daemon and the functions that serve them.

    A handler takes the typed order and a context: `toros.frontdesk.desk.Asked` for an
    immediate request, a `toros.frontdesk.worker.Task` for a queued one. It returns a
    dictionary that can travel.

    Examples
    --------
    >>> from toros.workorders import ResumeFileBatch
    >>> registry = Registry("preprocessor")
    >>> @registry.serves(ResumeFileBatch)
    ... def resume(order, task):
    ...     return {"file_batch": order.file_batch}
    """

    service: str

    def __post_init__(self) -> None:
        self.handlers: dict[type[WorkOrder], Handler] = {}
        self.checks: dict[type[WorkOrder], Check] = {}
        self.appraisals: dict[type[WorkOrder], Appraise] = {}
        self.within_s: dict[type[WorkOrder], float] = {}

    def serves(
        self,
        request: type[WorkOrder],
        check: Check | None = None,
        appraise: Appraise | None = None,
        within_s: float | None = None,
    ) -> Callable[[H], H]:
        """Tie a handler to a request.

        Parameters
        ----------
        request : type of WorkOrder
        check : callable, optional
            Called with the order and the desk before a queued order is recorded;
            raises what makes the order hopeless. It takes milliseconds at most.
        appraise : callable, optional
            Called likewise; returns the order's priority, 0 to 10, and the reasons for it,
            which the receipt tells. Without it the sender's own priority counts.
        within_s : float, optional
            The order begins so soon after its receipt, or not at all [s]: nothing moves by
            surprise when a database or a daemon comes back.
        """
        if check is not None:
            self.checks[request] = check
        if appraise is not None:
            self.appraisals[request] = appraise
        if within_s is not None:
            self.within_s[request] = within_s

        def tie(handler: H) -> H:
            if request in self.handlers:
                msg = f"{request.request} has a handler already: {self.handlers[request]}"
                raise ValueError(msg)
            self.handlers[request] = handler
            return handler

        return tie


@functools.cache  # to make a schema costs milliseconds
def describe_request(request: type[WorkOrder]) -> dict[str, Any]:
    """Describe a request: its name, what it does, its fields with types and units, an example.

    The dictionary is the same at each call and not to be changed.
    """
    schema = request.model_json_schema()
    fields = []
    for name, field in request.model_fields.items():
        extra = field.json_schema_extra
        fields.append(
            {
                "name": name,
                "type": _type_name(schema["properties"][name]),
                "unit": extra.get("unit") if isinstance(extra, dict) else None,
                "required": field.is_required(),
                "default": None if field.is_required() else field.default,
                "description": field.description or "",
            }
        )
    return {
        "request": request.request,
        "aliases": list(request.aliases),
        "immediate": request.immediate,
        "description": inspect.cleandoc(request.__doc__ or ""),
        "fields": fields,
        "example": {"request": request.request, **request.example},
    }


def _type_name(schema: dict[str, Any]) -> str:
    options = schema.get("anyOf", [schema])
    names = [
        " | ".join(map(repr, option["enum"])) if "enum" in option else str(option.get("type"))
        for option in options
        if option.get("type") != "null"
    ]
    return " | ".join(names)
