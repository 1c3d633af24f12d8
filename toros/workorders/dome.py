"""Requests of the dome, by the names that the documents give them."""

from __future__ import annotations

from toros.workorders.envelope import WorkOrder, quantity


class DomeStatus(WorkOrder):
    """Tell azimuth, shutter, park position and connection of the dome."""

    request = "DomeStatus"
    aliases = ("dome_status",)
    immediate = True


class SetAzim(WorkOrder):
    """Turn the dome to an azimuth."""

    request = "SetAzim"
    aliases = ("set_azim",)
    example = {"azim": 180.0}

    azim: float = quantity("Azimuth, north 0, east 90.", "deg", ge=0, lt=360)


class OpenDome(WorkOrder):
    """Open the dome's shutter."""

    request = "OpenDome"
    aliases = ("open_dome",)


class CloseDome(WorkOrder):
    """Close the dome's shutter."""

    request = "CloseDome"
    aliases = ("close_dome",)
    immediate = True


class ParkPosition(WorkOrder):
    """Turn the dome to its park position."""

    request = "ParkPosition"
    aliases = ("park_position",)
