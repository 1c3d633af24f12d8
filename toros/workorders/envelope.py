"""The envelope that every work order shares."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from toros import clock

SERVICES = ("preprocessor", "telescope", "dome", "lvcgcn")


def _moment(value: object) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value
    if isinstance(value, str):
        try:
            return clock.from_iso(value)
        except ValueError:
            pass
    msg = 'not a date and time; write it as "2019-03-05T14:34:54.234", in UTC'
    raise ValueError(msg)


def _identifier(value: object) -> object:
    """Take a whole number for an id: some clients send "1" as 1."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _printable(value: str) -> str:
    if not value.isprintable():
        msg = "control and other unprintable characters are not taken here"
        raise ValueError(msg)
    return value


UtcMoment = Annotated[
    dt.datetime, BeforeValidator(_moment), PlainSerializer(clock.to_iso, return_type=str)
]
OrderId = Annotated[
    str,
    Field(min_length=1, max_length=200),
    BeforeValidator(_identifier),
    AfterValidator(_printable),
]
ShortText = Annotated[str, Field(max_length=200), AfterValidator(_printable)]


def quantity(description: str, unit: str | None = None, **constraints: Any) -> Any:
    """Declare a request's field: what it means, its unit, and its limits.

    Parameters
    ----------
    description : str
        For the reference page and for `describe`.
    unit : str, optional
        The unit on the wire, with the frame where one is needed.
    **constraints
        What `pydantic.Field` takes (``ge``, ``lt``, ``default`` …).
    """
    extra: dict[str, Any] | None = {"unit": unit} if unit else None
    return Field(description=description, json_schema_extra=extra, **constraints)


class WorkOrder(BaseModel):
    """The keys that every work order may carry, whatever it asks for.

    A key whose value is None counts as not given. Keys that the request does
    not know are kept (`model_extra`), and the receipt warns of them.
    """

    model_config = ConfigDict(
        frozen=True, extra="allow", strict=True, allow_inf_nan=False, arbitrary_types_allowed=False
    )

    request: ClassVar[str]
    """The request's name on the wire."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names that are taken for it."""
    immediate: ClassVar[bool] = False
    """Whether the result is returned at once, instead of a receipt."""
    everybody: ClassVar[bool] = False
    """Whether every user may send it, whatever the user's permissions: what makes things safe."""
    example: ClassVar[dict[str, Any]] = {}
    """The request's own keys in an order that would be accepted."""

    id: OrderId | None = quantity(
        "Names the order; the same id again returns the same receipt. Given by the daemon when "
        "absent.",
        default=None,
    )
    datetime: UtcMoment | None = quantity(
        "When the order was written.", "UTC, ISO 8601", default=None
    )
    user: ShortText | None = quantity("Who sends the order.", default=None)
    priority: float | None = quantity(
        "10 is the most urgent. Orders of equal priority run in the order of their arrival.",
        "0 to 10",
        default=None,
        ge=0,
        le=10,
    )

    def own_fields(self) -> dict[str, Any]:
        """Return the request's own keys and values, without the envelope, ready for the wire."""
        dumped = self.model_dump(exclude_none=True)
        return {key: value for key, value in dumped.items() if key not in ENVELOPE}


ENVELOPE = ("id", "datetime", "user", "priority")
