"""Requests of the telescope."""

from __future__ import annotations

from toros.workorders.envelope import WorkOrder, quantity


class Observation(WorkOrder):
    """Observe a target; the telescope's scheduler gives it its priority."""

    request = "observation"
    example = {"ra": 132.23356, "dec": 34.254534, "priority": None}

    ra: float = quantity("Right ascension of the target.", "deg, ICRS", ge=0, lt=360)
    dec: float = quantity("Declination of the target.", "deg, ICRS", ge=-90, le=90)
