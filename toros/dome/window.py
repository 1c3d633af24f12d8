"""When the dome may be open at all: while the sun is low enough."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import NamedTuple

from toros.config.sections import Observatory
from toros.sky.almanac import sun_altitude
from toros.sky.site import Site

log = logging.getLogger(__name__)

ALWAYS_DEG = 90.0
"""The limit that the sun never passes: the dome may be open at any time."""


class WindowState(NamedTuple):
    """Whether a moment is inside the open window.

    Attributes
    ----------
    inside : bool
    reason : str
        Why it is not; empty if it is.
    sun_altitude_deg : float or None
        Geometric altitude of the sun's centre [deg]; None if it is not known.
    """

    inside: bool
    reason: str
    sun_altitude_deg: float | None


class OpenWindow:
    """The open window of an observatory.

    Parameters
    ----------
    observatory : Observatory
        Where it is; without longitude and latitude no moment is inside, unless the limit is
        `ALWAYS_DEG`.
    limit_deg : float
        The window is open while the sun is below this altitude [deg].
    """

    def __init__(self, observatory: Observatory, limit_deg: float) -> None:
        self._limit_deg = limit_deg
        self._site: Site | None = None
        self._failed = False
        if observatory.longitude_deg is not None and observatory.latitude_deg is not None:
            self._site = Site(
                observatory.longitude_deg, observatory.latitude_deg, observatory.height_m or 0.0
            )

    def state(self, moment: datetime) -> WindowState:
        """Say whether `moment`, aware or in UTC, is inside; about a millisecond's work."""
        altitude_deg = self._altitude(moment)
        if self._limit_deg >= ALWAYS_DEG:
            return WindowState(True, "", altitude_deg)
        if self._site is None:
            why = (
                "the observatory's place is unknown, so the sun's altitude is, too "
                "(Observatory / Longitude (deg), Latitude (deg))"
            )
            return WindowState(False, why, None)
        if altitude_deg is None:
            return WindowState(False, "the sun's altitude cannot be computed", None)
        if altitude_deg < self._limit_deg:
            return WindowState(True, "", altitude_deg)
        why = (
            f"the sun is at {altitude_deg:.1f} deg; the dome may be open while it is below "
            f"{self._limit_deg:g} deg (Dome / Open Sun Altitude (deg))"
        )
        return WindowState(False, why, altitude_deg)

    def _altitude(self, moment: datetime) -> float | None:
        if self._site is None:
            return None
        try:
            altitude_deg = sun_altitude(self._site, moment)
        except Exception:
            # The loop that closes the dome must survive a defect of the almanac.
            if not self._failed:
                log.exception("the sun's altitude at %s cannot be computed", moment)
            self._failed = True
            return None
        return altitude_deg if -90.0 <= altitude_deg <= 90.0 else None  # NaN is neither
