"""What is to be observed, under which conditions, and how the telescope gets there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

ObservingClass = Literal["alert", "time_critical", "science", "survey", "filler"]
"""From what matters most to what fills a gap."""

Interval = tuple[datetime, datetime]
"""From, to; a naive datetime is UTC."""

URGENT = 9.0
"""Targets of at least this priority are never given up for others of less."""


@dataclass(frozen=True)
class Target:
    """A target, as the scheduler sees it.

    Parameters
    ----------
    id : int or str
        What the plan calls it; no two targets share one.
    ra_deg, dec_deg : float
        ICRS [deg].
    duration_s : float
        From the end of the slew to the end of the last readout [s], `duration_of` counts it.
    priority : float
        0 to 10, 10 is the most urgent.
    name : str
    filters : tuple of str
        In the order of observation; what the plan tells, no more.
    observing_class : ObservingClass
    urgency : float
        What the submitter thinks, 0 to 10, 10 is the most urgent.
    event : str or None
        The alert's event, for an alert's target.
    rank : int or None
        Its place in the alert's list; 1 is the best.
    completion : float
        The part of its exposures that is taken already, 0 to 1.
    not_before, not_after : datetime or None
        It begins no earlier and ends no later; naive is UTC.
    windows : tuple of (datetime, datetime)
        It lies within one of them; none means any time.
    min_altitude_deg, max_airmass, moon_distance_deg : float or None
        In place of the constraints' own.

    Raises
    ------
    ValueError
        A value is out of its range.
    """

    id: int | str
    ra_deg: float
    dec_deg: float
    duration_s: float
    priority: float
    name: str = ""
    filters: tuple[str, ...] = ()
    observing_class: ObservingClass = "science"
    urgency: float = 5.0
    event: str | None = None
    rank: int | None = None
    completion: float = 0.0
    not_before: datetime | None = None
    not_after: datetime | None = None
    windows: tuple[Interval, ...] = ()
    min_altitude_deg: float | None = None
    max_airmass: float | None = None
    moon_distance_deg: float | None = None

    def __post_init__(self) -> None:
        for field, low, high in (
            ("ra_deg", 0.0, 360.0), ("dec_deg", -90.0, 90.0), ("duration_s", 1e-3, 864000.0),
            ("priority", 0.0, 10.0), ("urgency", 0.0, 10.0), ("completion", 0.0, 1.0),
        ):  # fmt: skip
            value = getattr(self, field)
            if not low <= value <= high:
                raise ValueError(
                    f"target {self.id}: {field} is {value}; it must be {low:g} to {high:g}"
                )

    @property
    def label(self) -> str:
        """Its name, or else its id."""
        return self.name or str(self.id)


@dataclass(frozen=True)
class Constraints:
    """What is asked of every target at all times of its observation.

    Parameters
    ----------
    min_altitude_deg : float
        Geometric altitude [deg]. The site's horizon mask holds besides.
    max_airmass : float
    moon_distance_deg : float
        Smallest distance from the moon at full moon [deg].
    moon_width_days : float or None
        With a width the distance shrinks away from full moon as 1 / (1 + (age / width)^2), age
        in days from full moon, the avoidance Lorentzian; None: the same at every phase.
    moon_altitude_deg : float
        The moon counts while it is above this [deg]; -90: always.
    sun_altitude_deg : float
        The sun is below [deg].
    max_hour_angle_h : float
        On either side of the meridian [h]; 12 for none.

    References
    ----------
    The avoidance Lorentzian is the Berkeley Automatic Imaging Telescope's, as RTML 2.3 has it
    (element ``Lorentzian`` with distance and width).
    """

    min_altitude_deg: float = 30.0
    max_airmass: float = 2.0
    moon_distance_deg: float = 30.0
    moon_width_days: float | None = None
    moon_altitude_deg: float = 0.0
    sun_altitude_deg: float = -15.0
    max_hour_angle_h: float = 12.0


@dataclass(frozen=True)
class SlewModel:
    """How long the telescope takes from one target to the next: angle / rate + settle.

    Parameters
    ----------
    rate_deg_s : float
        [deg/s]
    settle_s : float
        After each slew [s].
    path : {"great_circle", "azimuth"}
        Which angle counts: the distance on the sky (both axes of an equatorial mount turn at
        once, and the dome is faster), or the larger of the differences in azimuth, by the
        shorter way, and altitude at the time (a dome, or an altazimuth mount).

    Raises
    ------
    ValueError
        The rate is not positive, or the settling negative.
    """

    rate_deg_s: float = 2.0
    settle_s: float = 5.0
    path: Literal["great_circle", "azimuth"] = "great_circle"

    def __post_init__(self) -> None:
        if not self.rate_deg_s > 0.0:
            raise ValueError(f"rate_deg_s is {self.rate_deg_s}; it must be above 0")
        if not self.settle_s >= 0.0:
            raise ValueError(f"settle_s is {self.settle_s}; it must be 0 or more")


def duration_of(
    exposure_s: float,
    exposures: int,
    readout_s: float,
    filters: int = 1,
    filter_change_s: float = 0.0,
) -> float:
    """Return how long a target takes after the slew [s].

    Parameters
    ----------
    exposure_s : float
        Of each exposure [s].
    exposures : int
        In each filter.
    readout_s : float
        After each exposure [s].
    filters : int
    filter_change_s : float
        Before each filter [s].
    """
    return filters * (exposures * (exposure_s + readout_s) + filter_change_s)


def interrupts(new: Target, running: Target) -> bool:
    """Tell whether a target may cut in on one that is being observed.

    Only an alert's target cuts in, only on one of a lower class, and so never on another
    alert's. The exposure that is running may end first.
    """
    return new.observing_class == "alert" and running.observing_class != "alert"


def utc(moment: datetime) -> datetime:
    """Return a moment in UTC; naive is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
