"""Settings of a rehearsal: a simulated observatory in a simulated time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from toros.config.kinds import AbsolutePath, Kind, Section, expected, number

_MOMENT = 'a date and time in quotes, such as "2026-06-10T22:00:00", in UTC'


def _moment(value: object) -> object:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise expected(_MOMENT) from None
    if isinstance(value, datetime):  # YAML reads an unquoted one by itself
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    raise expected(_MOMENT)


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    PlainSerializer(lambda moment: moment.isoformat(), return_type=str),
    Kind(_MOMENT),
]


class Rehearsal(Section):
    """A simulated time that all daemons of this file share, and the simulated observatory.

    The simulated time is Start + (now - Anchor) x Rate.
    """

    anchor: Moment | None = Field(
        None, alias="Anchor", description="The real time at which the simulated time is Start."
    )
    start: Moment | None = Field(
        None, alias="Start", description="The simulated time at Anchor; null: time is real."
    )
    rate: Annotated[float, *number(0.01, 5000)] = Field(
        1.0, alias="Rate", description="Simulated seconds in a real second."
    )
    folder: AbsolutePath | None = Field(
        None,
        alias="Folder",
        description="Where the simulated devices keep their state; by default simulation in the "
        "State Folder.",
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.anchor is None) != (self.start is None):
            raise expected("Anchor and Start: both, or neither")
        return self
