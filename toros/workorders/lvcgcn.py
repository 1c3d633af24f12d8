"""Requests of the alert robot."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from toros.workorders.envelope import ShortText, WorkOrder, quantity

_EVENT = "Name of the event, such as S190425z."


class ProcessAlert(WorkOrder):
    """Process a notice by hand: as if it had been received.

    The order is done when the target lists are made; its result tells the event, its
    revision, and where the lists are. A notice that was refused or ignored, or only recorded and
    is still its event's newest, is handled once more by the settings as they are now.
    """

    request = "process_alert"
    example = {"path": "/var/lib/toros/incoming/notice.xml"}

    path: str | None = quantity(
        "The notice's file on the daemon's machine.", default=None, max_length=4096
    )
    text: str | None = quantity(
        "The notice itself: the text of its JSON or XML.", default=None, max_length=8_000_000
    )

    @model_validator(mode="after")
    def _has_one(self) -> ProcessAlert:
        if (self.path is None) == (self.text is None):
            raise PydanticCustomError("one_of", "path or text: one of them, and only one")
        return self


class ListEvents(WorkOrder):
    """List events, the newest first."""

    request = "list_events"
    immediate = True
    example = {"page": 1}

    state: Literal["active", "retracted", "any"] = quantity(
        "Which ones: active, retracted, or any.", default="any"
    )
    page: int = quantity("Number of the page, from 1.", default=1, ge=1, le=1_000_000)
    page_size: int = quantity("Events of a page.", default=50, ge=1, le=500)


class GetEvent(WorkOrder):
    """Tell all that is known of an event: its notices, its sky map, its lists, who was told."""

    request = "get_event"
    immediate = True
    example = {"event": "S190425z"}

    event: ShortText = quantity(_EVENT, min_length=1)


class GetTargets(WorkOrder):
    """Return the newest target lists of an event."""

    request = "get_targets"
    immediate = True
    example = {"event": "S190425z", "form": "csv"}

    event: ShortText = quantity(_EVENT, min_length=1)
    observatory: ShortText | None = quantity("Only this observatory's; None for all.", default=None)
    form: Literal["json", "csv", "assignments", "voevent"] = quantity(
        "json: all fields; csv: the same as text; assignments: each observatory's galaxies with "
        "their likelihood; voevent: the event and all its targets as a VOEvent, for sending on.",
        default="json",
    )


class RetractEvent(WorkOrder):
    """Withdraw an event's targets by hand, at every observatory.

    A later notice of the event than those known now makes it active again, and so does its newest
    one when it is given by hand.
    """

    request = "retract"
    example = {"event": "S190425z", "reason": "glitch"}

    event: ShortText = quantity(_EVENT, min_length=1)
    reason: ShortText = quantity("Why.", default="")


class ReportTarget(WorkOrder):
    """Tell what became of one of an alert's targets; sent by an observatory's telescope."""

    request = "report_target"
    example = {"event": "S190425z", "name": "NGC 4993", "state": "done", "exposures": 3}

    event: ShortText = quantity("The alert's event.", min_length=1)
    name: ShortText = quantity("The target's name in the alert's list.", min_length=1)
    state: Literal["done", "failed", "withdrawn", "expired"] = quantity("What became of it.")
    observatory: ShortText = quantity("Name of the observatory.", default="")
    message: str = quantity("Why, where it failed.", default="", max_length=4096)
    exposures: int = quantity("Exposures that were taken.", default=0, ge=0, le=1_000_000)
