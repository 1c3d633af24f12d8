"""Requests of the alert robot."""

from __future__ import annotations

from toros.workorders.envelope import WorkOrder, quantity


class ProcessAlert(WorkOrder):
    """Process a notice by hand."""

    request = "process_alert"
    example = {"path": "/var/lib/toros/incoming/notice.xml"}

    path: str | None = quantity("The notice's file.", default=None, max_length=4096)
    text: str | None = quantity("The notice itself.", default=None)
