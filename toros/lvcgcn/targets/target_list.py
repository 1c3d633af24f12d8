"""What a target list holds."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

import numpy as np

from toros.sky.observability import airmass
from toros.sky.site import Site

Kind = Literal["galaxy", "position", "field"]


@dataclass(frozen=True)
class Limits:
    """When an observatory can observe a place, and how much of the sky it sees at once.

    Parameters
    ----------
    altitude_min_deg : float
        Geometric altitude that a target is at least at [deg].
    airmass_max : float
        Largest airmass, as of `toros.sky.observability.airmass`.
    sun_altitude_max_deg : float
        Highest geometric altitude of the sun's centre [deg].
    moon_distance_min_deg : float
        The nearest to the moon while its centre is above the horizon [deg].
    field_width_deg, field_height_deg : float
        The instrument's field of view, along right ascension and declination [deg].
    """

    altitude_min_deg: float = 30.0
    airmass_max: float = 2.0
    sun_altitude_max_deg: float = -15.0
    moon_distance_min_deg: float = 30.0
    field_width_deg: float = 1.0
    field_height_deg: float = 1.0

    @property
    def lowest_deg(self) -> float:
        """The altitude that both the altitude's and the airmass's limit ask for [deg]."""
        return max(self.altitude_min_deg, _altitude_of(self.airmass_max))


@functools.lru_cache(maxsize=64)
def _altitude_of(airmass_max: float) -> float:
    """Return the lowest altitude with an airmass at most so large [deg]."""
    below, above = 0.0, 90.0
    while above - below > 1e-7:
        middle = (below + above) / 2.0
        if float(airmass(np.float64(middle))) > airmass_max:
            below = middle
        else:
            above = middle
    return above


@dataclass(frozen=True)
class ComingNight:
    """The night that a list is for.

    Parameters
    ----------
    date : date
        Of its evening, in local mean solar time.
    dark_from, dark_until : datetime or None
        The darkness that is left of it, UTC; None where there is none.
    reason : str
        Why there is no darkness; empty where there is.
    """

    date: date
    dark_from: datetime | None
    dark_until: datetime | None
    reason: str = ""


@dataclass(frozen=True)
class ListedTarget:
    """One target of a list; what is not known is None.

    Parameters
    ----------
    rank : int
        Its place in the list, from 1.
    name : str
    kind : str
        "galaxy", "position" (the middle of an error circle) or "field" (of a region).
    ra_deg, dec_deg : float, ICRS [deg]
        Where to point.
    probability : float, 0 to 1
        That the source is in this galaxy, or within this field.
    cumulative_probability : float, 0 to 1
        Of this target and all before it.
    distance_mpc, distance_error_mpc : float or None [Mpc]
    b_magnitude, k_magnitude : float or None [mag]
        Apparent magnitudes.
    absolute_magnitude : float or None [mag]
        Absolute magnitude in B.
    best_time : datetime, UTC
        When it stands highest within all limits, to a second.
    altitude_deg : float [deg]
        Geometric altitude at the best time.
    airmass : float
        At the best time.
    moon_distance_deg : float [deg]
        At the best time; the moon may be below the horizon.
    moon_illumination : float, 0 to 1
        Illuminated fraction of the moon's disc at the best time.
    sun_altitude_deg : float [deg]
        At the best time.
    observable_from, observable_until : datetime, UTC
        The time without interruption, around the best time, in which all limits hold; to a
        minute, never too long, and at least five minutes.
    """

    rank: int
    name: str
    kind: Kind
    ra_deg: float
    dec_deg: float
    probability: float
    cumulative_probability: float
    distance_mpc: float | None
    distance_error_mpc: float | None
    b_magnitude: float | None
    k_magnitude: float | None
    absolute_magnitude: float | None
    best_time: datetime
    altitude_deg: float
    airmass: float
    moon_distance_deg: float
    moon_illumination: float
    sun_altitude_deg: float
    observable_from: datetime
    observable_until: datetime


@dataclass(frozen=True)
class LeftOut:
    """A target that ranks before a listed one, and is not listed.

    Parameters
    ----------
    name : str
    ra_deg, dec_deg : float, ICRS [deg]
    probability : float, 0 to 1
    reason : str
        Which limit keeps it from being observed in this night.
    """

    name: str
    ra_deg: float
    dec_deg: float
    probability: float
    reason: str


@dataclass(frozen=True)
class TargetList:
    """What an observatory looks at in its coming night, because of an event.

    Parameters
    ----------
    event : str
    observatory : str
    site : Site
    limits : Limits
    night : ComingNight
    made : datetime, UTC
        The moment that the list is made for; nothing in it is before.
    targets : tuple of ListedTarget
        The most probable first.
    left_out : tuple of LeftOut
        The best of those that are not listed, at most 50.
    reachable_probability : float, 0 to 1
        Of the sky map: within the limits at some time of the darkness that is left.
    reason : str
        Why there are no targets; empty where there are, and where none were asked for.
    """

    event: str
    observatory: str
    site: Site
    limits: Limits
    night: ComingNight
    made: datetime
    targets: tuple[ListedTarget, ...]
    left_out: tuple[LeftOut, ...]
    reachable_probability: float
    reason: str = ""

    @property
    def listed_probability(self) -> float:
        """The probability of all listed targets together, 0 to 1."""
        return self.targets[-1].cumulative_probability if self.targets else 0.0
