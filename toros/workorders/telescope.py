"""Requests of the telescope."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from toros.workorders.envelope import OrderId, ShortText, UtcMoment, WorkOrder, quantity

Night = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
"""A night, by its local evening's date."""

_RA = "Right ascension of the target."
_DEC = "Declination of the target."
_FILTER = "Name of the filter; None where there is no wheel."
_NIGHT = "The night, by its local evening's date; None for the coming or running one."


class Observation(WorkOrder):
    """Observe a target; the telescope's scheduler gives it its priority.

    The receipt tells the priority and how it came about. The order is done when its
    exposures are taken and stored; its result lists them.
    """

    request = "observation"
    example = {"ra": 132.23356, "dec": 34.254534, "priority": None}

    ra: float = quantity(_RA, "deg, ICRS", ge=0, lt=360)
    dec: float = quantity(_DEC, "deg, ICRS", ge=-90, le=90)
    target: ShortText | None = quantity("Name of the target.", default=None)
    filter: ShortText | None = quantity(_FILTER, default=None)
    exposure_time: float = quantity("Of each exposure.", "s", default=60.0, gt=0, le=7200)
    number_of_exposures: int = quantity("How many.", default=1, ge=1, le=10000)
    urgency: float = quantity(
        "What the submitter thinks of it: 10 is the most urgent.",
        "0 to 10",
        default=5.0,
        ge=0,
        le=10,
    )
    observing_class: Literal["alert", "time_critical", "science", "survey", "filler"] = quantity(
        "The class; an alert's targets interrupt the others.", default="science"
    )
    altitude_min: float | None = quantity(
        "Lowest altitude; None for the telescope's.", "deg", default=None, ge=0, lt=90
    )
    airmass_max: float | None = quantity(
        "Largest airmass; None for the telescope's.", default=None, ge=1, le=10
    )
    moon_distance_min: float | None = quantity(
        "Smallest distance to the moon; None for the telescope's.",
        "deg",
        default=None,
        ge=0,
        le=180,
    )
    not_before: UtcMoment | None = quantity("Not before.", "UTC, ISO 8601", default=None)
    not_after: UtcMoment | None = quantity(
        "Not after: what was not observed by then has failed.", "UTC, ISO 8601", default=None
    )


class ReceiveTargets(WorkOrder):
    """Take the complete list of an alert's targets; of several the highest revision wins.

    An empty list withdraws them. The order and repetition of deliveries do not matter.
    """

    request = "receive_targets"
    example = {
        "event": "S190425z",
        "revision": 2,
        "targets": [{"name": "NGC 4993", "ra": 197.44875, "dec": -23.38389, "rank": 1}],
    }

    event: ShortText = quantity("The alert's event.", min_length=1)
    revision: int = quantity("Number of the list's version.", ge=0, le=2**31 - 1)
    targets: list[dict[str, Any]] = quantity(
        "The list: each has name, ra and dec [deg, ICRS], and may have rank (1 is the best), "
        "probability, filter, exposure_time [s], number_of_exposures.",
        max_length=10000,
    )
    filter: ShortText | None = quantity(_FILTER, default=None)
    exposure_time: float = quantity("Of each exposure.", "s", default=60.0, gt=0, le=7200)
    number_of_exposures: int = quantity("Of each target.", default=3, ge=1, le=1000)
    urgency: float = quantity("10 is the most urgent.", "0 to 10", default=9.0, ge=0, le=10)
    expiry: UtcMoment | None = quantity(
        "When the list is no longer worth observing; None for a day after its receipt.",
        "UTC, ISO 8601",
        default=None,
    )


class WithdrawTargets(WorkOrder):
    """Withdraw what has not been observed of an event, or one target."""

    request = "withdraw_targets"
    example = {"event": "S190425z"}

    event: ShortText | None = quantity("All targets of this event.", default=None)
    target: int | None = quantity("The number of one target.", default=None, ge=1, le=2**31 - 1)


class ScheduleNight(WorkOrder):
    """Order the targets for a night; the result is the plan. Nothing moves."""

    request = "schedule_night"
    example = {"night": "2026-06-10"}

    night: Night | None = quantity(_NIGHT, default=None)


class PrepareNight(WorkOrder):
    """Connect and check the devices, cool the camera, take biases and darks if asked for."""

    request = "prepare_night"


class OpenNight(WorkOrder):
    """Open the dome when the weather allows it, and begin to observe the plan."""

    request = "open_night"


class CloseNight(WorkOrder):
    """Park, close the dome, take the last calibration frames, hand the night over."""

    request = "close_night"


class Point(WorkOrder):
    """Point the telescope, and track."""

    request = "point"
    example = {"ra": 132.23356, "dec": 34.254534}

    ra: float = quantity(_RA, "deg, ICRS", ge=0, lt=360)
    dec: float = quantity(_DEC, "deg, ICRS", ge=-90, le=90)


class TakeImages(WorkOrder):
    """Take exposures where the telescope points."""

    request = "take_images"
    example = {"exposure_time": 30.0, "number_of_exposures": 3, "filter": "R"}

    exposure_time: float = quantity("Of each exposure.", "s", gt=0, le=7200)
    number_of_exposures: int = quantity("How many.", default=1, ge=1, le=10000)
    filter: ShortText | None = quantity(_FILTER, default=None)
    target: ShortText | None = quantity("Name of what is there.", default=None)


class TakeCalibrationFrames(WorkOrder):
    """Take biases, darks or flats; flats are exposed to a level."""

    request = "take_calibration_frames"
    example = {"type": "dark", "exposure_time": 60.0, "number_of_exposures": 5}

    type: Literal["bias", "dark", "flat"] = quantity("Which.")
    number_of_exposures: int = quantity("How many.", default=5, ge=1, le=1000)
    exposure_time: float | None = quantity("Of each dark.", "s", default=None, gt=0, le=7200)
    filter: ShortText | None = quantity("Of the flats.", default=None)
    light: Literal["sky", "lamp"] | None = quantity(
        "Of the flats; None for the setting.", default=None
    )
    level: float | None = quantity(
        "Median of the flats; None for the setting.", "ADU", default=None, gt=0, le=1e6
    )


class StoreImages(WorkOrder):
    """Copy a night's or an order's exposures to a folder, with their checksums verified."""

    request = "store_images"
    example = {"night": "2026-06-10", "destination": "/mnt/archive/2026-06-10"}

    destination: str = quantity("The folder, an absolute path.", min_length=1, max_length=4096)
    night: Night | None = quantity("The night, by its local evening's date.", default=None)
    order: OrderId | None = quantity("The order whose exposures are meant.", default=None)


class AcceptFrames(WorkOrder):
    """Hand a folder of frames that were taken by hand to the preprocessor."""

    request = "accept_frames"
    example = {"folder": "/var/lib/toros/incoming/2026-06-10"}

    folder: str = quantity("The folder, an absolute path.", min_length=1, max_length=4096)


class TelescopeOpenDome(WorkOrder):
    """Ask the dome to open, as the holder of the lease."""

    request = "open_dome"


class TelescopeCloseDome(WorkOrder):
    """Tell the dome to close; the night is suspended until it is opened again by hand."""

    request = "close_dome"
    immediate = True
    everybody = True


class Abort(WorkOrder):
    """Stop the exposure and all motion of the telescope at once; a running night is suspended."""

    request = "abort"
    immediate = True
    everybody = True


class TelescopeSetMode(WorkOrder):
    """Choose how nights run: automatic, by the sun; manual, by request at each step."""

    request = "set_mode"
    immediate = True
    example = {"mode": "manual"}

    mode: Literal["manual", "automatic"] = quantity("How nights run.")


class TelescopeAcknowledge(WorkOrder):
    """Clear a latched error of the night, after a person has looked."""

    request = "acknowledge"
    immediate = True


class Explain(WorkOrder):
    """Explain a target's priority, and when it can be observed tonight or why not."""

    request = "explain"
    immediate = True
    example = {"target": 1}

    target: int | None = quantity("The target's number.", default=None, ge=1, le=2**31 - 1)
    name: ShortText | None = quantity(
        "The target's name, instead; of several of that name the newest is meant.", default=None
    )


class GetPlan(WorkOrder):
    """Return the current plan. This needs the database."""

    request = "get_plan"
    immediate = True
    example = {"format": "text"}

    format: Literal["data", "text", "csv"] = quantity("In which form.", default="data")
