"""Requests of the dome, by the names that the documents give them.

Where the documents have a request return true, its result is ``{"value": true}``: of a
queued order that is the `result` which `status` tells once it is done; one that could not be
carried out fails with an error instead of returning false.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import ModelWrapValidatorHandler, ValidationError, model_validator

from toros.workorders.envelope import ENVELOPE, ShortText, WorkOrder, quantity


class _NeverRefused(WorkOrder):
    """The root of what stops and closes: no mistake in its envelope keeps it from acting."""

    @model_validator(mode="wrap")
    @classmethod
    def _without_mistakes(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            wrong = {str(item["loc"][0]) for item in error.errors() if item["loc"]}
            known = {*ENVELOPE, *cls.model_fields}
            return handler({key: data[key] for key in data if key not in wrong & known})


def _holder() -> Any:
    return quantity(
        "Whose lease it goes by, in automatic mode; by default the order's user. A person "
        "leaves it away, in manual mode.",
        default=None,
    )


class DomeStatus(WorkOrder):
    """Tell azimuth, shutter, park position and connection of the dome.

    The answer is {azim, open, park, connected, time, version}: azim is None where it is
    not known, open is false only when the shutter is known to be closed, time is unix time.
    """

    request = "DomeStatus"
    aliases = ("dome_status",)
    immediate = True


class SetAzim(WorkOrder):
    """Turn the dome to an azimuth."""

    request = "SetAzim"
    aliases = ("set_azim",)
    example = {"azim": 180.0}

    azim: float = quantity("Azimuth, north 0, east 90.", "deg", ge=0, lt=360)
    holder: ShortText | None = _holder()


class SetCoordinates(WorkOrder):
    """Turn the dome so that its slit shows a direction."""

    request = "SetCoordinates"
    aliases = ("set_coordinates",)
    example = {"alt": 45.0, "az": 180.0}

    alt: float = quantity("Altitude.", "deg", ge=0, le=90)
    az: float = quantity("Azimuth, north 0, east 90.", "deg", ge=0, lt=360)
    holder: ShortText | None = _holder()


class SyncAzim(WorkOrder):
    """Tell the dome which azimuth it has. Not yet supported: it is refused."""

    request = "SyncAzim"
    aliases = ("sync_azim",)
    immediate = True
    example = {"azim": 180.0}

    azim: float = quantity("Azimuth, north 0, east 90.", "deg", ge=0, lt=360)


class OpenDome(WorkOrder):
    """Open the dome's shutter, if the weather has been safe for long enough.

    In automatic mode only the holder of the lease may; by hand (manual mode) no lease is
    needed, and the opening ends after a set time.
    """

    request = "OpenDome"
    aliases = ("open_dome",)

    holder: ShortText | None = _holder()


class CloseDome(_NeverRefused):
    """Close the dome's shutter. This is never refused and never waits for anything.

    The answer is the order's status, {id, request, status, message, result, …}: "running"
    while closing is under way, "done" once the shutter itself says that it is closed;
    `status` with the order's id follows it until then. A repeated one acts again, whatever
    its id. `journalled` says where the order is recorded.

    In automatic mode one that does not come from the lease's holder sets the mode to manual:
    what a person has closed the night does not open again before set_mode automatic.
    """

    request = "CloseDome"
    aliases = ("close_dome",)
    immediate = True
    everybody = True

    holder: ShortText | None = quantity(
        "Whose lease it goes by, when the night itself closes; by default the order's user. A "
        "person leaves it away.",
        default=None,
    )


class ParkPosition(WorkOrder):
    """Turn the dome to its park position."""

    request = "ParkPosition"
    aliases = ("park_position",)

    holder: ShortText | None = _holder()


class StopDome(_NeverRefused):
    """Stop all motion of the dome at once. An opening is not gone on with.

    A closing that is due for the weather or for want of a lease goes on after three seconds,
    unless set_mode holds it off.
    """

    request = "stop"
    immediate = True
    everybody = True


class Lease(WorkOrder):
    """Hold the dome open for the night: renewed by its control loop's progress.

    When it is not renewed in time the dome closes. It tells where the telescope points,
    so that the dome follows. The answer tells all that a night needs to know: {holder,
    remaining [s], shutter (open, closed, opening, closing, error or unknown), azim [deg or
    None], turning, safe, may_open, inside_window, mode, fault (text or None), reasons (texts)}.
    """

    request = "lease"
    immediate = True
    example = {"holder": "telescope", "duration": 20.0, "alt": 45.0, "az": 180.0}

    holder: ShortText = quantity("Who holds it; another is refused while it lasts.", min_length=1)
    duration: float | None = quantity(
        "For how long; the dome's setting is the most, and the default. 0 gives it back.",
        "s",
        default=None,
        ge=0,
        le=30,
    )
    alt: float | None = quantity("Altitude of the telescope.", "deg", default=None, ge=-90, le=90)
    az: float | None = quantity(
        "Azimuth of the telescope; the dome turns so that its slit shows it.",
        "deg",
        default=None,
        ge=0,
        lt=360,
    )


class SetMode(WorkOrder):
    """Choose who opens: automatic, the lease's holder; manual, a person.

    In manual mode a person on the spot may hold off closing for weather, for a bounded time.
    """

    request = "set_mode"
    immediate = True
    example = {"mode": "manual"}

    mode: Literal["manual", "automatic"] = quantity("Who opens and closes.")
    override: float | None = quantity(
        "In manual mode: for how long closing is held off, whatever the weather; "
        "the setting Override Limit (s) is the most.",
        "s",
        default=None,
        ge=0,
        le=3600,
    )


class Acknowledge(WorkOrder):
    """Clear a latched error, after a person has looked."""

    request = "acknowledge"
    immediate = True
