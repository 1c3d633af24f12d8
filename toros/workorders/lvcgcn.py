"""Requests of the alert robot."""

from __future__ import annotations

from typing import Literal

from toros.workorders.envelope import ShortText, WorkOrder, quantity


class ProcessAlert(WorkOrder):
    """Process a notice by hand."""

    request = "process_alert"
    example = {"path": "/var/lib/toros/incoming/notice.xml"}

    path: str | None = quantity("The notice's file.", default=None, max_length=4096)
    text: str | None = quantity("The notice itself.", default=None)


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
