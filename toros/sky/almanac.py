"""Nights: when they begin and end, what they are called, and where sun and moon stand.

A night lasts from one local mean noon to the next and bears the date of its evening, so that
every moment belongs to exactly one night, at every longitude, polar day and night included.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import numpy as np

from toros.sky.earth import Moments
from toros.sky.observability import LocalSky
from toros.sky.site import Array, Site

SUNSET_DEG = -50.0 / 60.0
"""Altitude of the sun's centre at sunset: 34' of refraction and 16' of radius [deg]."""

_DAY_S = 86400.0


class Moon(NamedTuple):
    """The moon at some times, as a site sees it; every array has the shape (t,)."""

    ra_deg: Array
    """Right ascension of date (CIRS), with the parallax [deg]."""
    dec_deg: Array
    """Declination of date, with the parallax [deg]."""
    altitude_deg: Array
    """Geometric altitude of its centre [deg]."""
    azimuth_deg: Array
    """Azimuth from north over east [deg]."""
    illumination: Array
    """Illuminated fraction of its disc, 0 to 1."""


@dataclass(frozen=True)
class Night:
    """A night of a site.

    Parameters
    ----------
    site : Site
    date : date
        The date of its evening, in local mean solar time.
    """

    site: Site
    date: date

    @property
    def start(self) -> datetime:
        """The local mean noon before it, in UTC."""
        noon = datetime(self.date.year, self.date.month, self.date.day, 12, tzinfo=UTC)
        return noon - _ahead(self.site)

    @property
    def end(self) -> datetime:
        """The local mean noon after it, in UTC."""
        return self.start + timedelta(days=1)

    @functools.cached_property
    def _sun(self) -> tuple[Array, Array]:
        """Times [s, UTC] from noon to noon, every two minutes, and the sun's altitude [deg]."""
        times = self.start.timestamp() + np.arange(0.0, _DAY_S + 1.0, 120.0)
        return times, LocalSky(self.site, times).sun_altitude

    def dark(self, sun_altitude_deg: float = -18.0) -> tuple[datetime, datetime] | None:
        """Return when the sun is below an altitude.

        Parameters
        ----------
        sun_altitude_deg : float
            -18 for astronomical darkness, `SUNSET_DEG` for sunset and sunrise [deg].

        Returns
        -------
        tuple of datetime, or None
            Dusk and dawn in UTC, within five seconds of the geometry; noon and noon where the
            sun stays below all the day; None where it never gets there.
        """
        altitude = self._sun[1]
        lowest = int(np.argmin(altitude))
        if altitude[lowest] >= sun_altitude_deg:
            return None
        up = np.flatnonzero(altitude >= sun_altitude_deg)
        before, after = up[up < lowest], up[up > lowest]
        dusk, dawn = self.start, self.end
        if before.size:
            dusk = self._crossing(int(before[-1]), sun_altitude_deg)
        if after.size:
            dawn = self._crossing(int(after[0]) - 1, sun_altitude_deg)
        return dusk, dawn

    def _crossing(self, step: int, sun_altitude_deg: float) -> datetime:
        times, altitude = self._sun
        part = (sun_altitude_deg - altitude[step]) / (altitude[step + 1] - altitude[step])
        return datetime.fromtimestamp(times[step] + part * (times[step + 1] - times[step]), UTC)

    @property
    def sunset(self) -> datetime | None:
        """Sunset in UTC; None where the sun does not set or does not rise."""
        return self._horizon_crossing(0)

    @property
    def sunrise(self) -> datetime | None:
        """Sunrise in UTC; None where the sun does not set or does not rise."""
        return self._horizon_crossing(1)

    def _horizon_crossing(self, which: int) -> datetime | None:
        span = self.dark(SUNSET_DEG)
        if span is None or span[which] == (self.start, self.end)[which]:
            return None
        return span[which]

    @property
    def moon_illumination(self) -> float:
        """The illuminated fraction of the moon at local midnight, 0 to 1."""
        midnight = self.start + timedelta(hours=12)
        return float(moon(self.site, midnight).illumination[0])

    def describe(self, sun_altitude_deg: float = -18.0) -> str:
        """Say in a line when the night is dark, or that it is not."""
        dark = self.dark(sun_altitude_deg)
        limit = f"the sun below {sun_altitude_deg:g} deg"
        if dark is None:
            return (
                f"night of {self.date}: no darkness, {limit} never happens "
                f"(lowest {self._sun[1].min():.1f} deg)"
            )
        if dark == (self.start, self.end):
            return f"night of {self.date}: dark all the day, {limit} from noon to noon"
        hours = (dark[1] - dark[0]).total_seconds() / 3600.0
        return (
            f"night of {self.date}: {limit} from {dark[0]:%Y-%m-%d %H:%M} to "
            f"{dark[1]:%Y-%m-%d %H:%M} UTC ({hours:.1f} h), moon {self.moon_illumination:.0%}"
        )


def _ahead(site: Site) -> timedelta:
    """How far local mean solar time is ahead of UTC, -12 to 12 hours."""
    return timedelta(hours=((site.longitude_deg + 180.0) % 360.0 - 180.0) / 15.0)


def night_of(site: Site, moment: datetime) -> Night:
    """Return the night that a moment belongs to.

    Parameters
    ----------
    site : Site
    moment : datetime
        Naive is UTC. After the local mean noon it is the coming night's.
    """
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return Night(site, (aware + _ahead(site) - timedelta(hours=12)).date())


def coming_darkness(
    site: Site, moment: datetime, sun_altitude_deg: float = -18.0
) -> tuple[Night, tuple[datetime, datetime] | None]:
    """Return the night that runs or comes next, and what is left of its darkness.

    Parameters
    ----------
    site : Site
    moment : datetime
        Naive is UTC.
    sun_altitude_deg : float
        As of `Night.dark` [deg].

    Returns
    -------
    night : Night
        The running one while any of its darkness is left, else the next; where the sun does
        not get low enough, the one whose midnight comes next.
    dark : tuple of datetime, or None
        The darkness from `moment` on, in UTC. It goes on past noon where the sun stays low all
        the day, for a day at most; None where the sun does not get low enough.
    """
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    night = night_of(site, aware)
    dark = night.dark(sun_altitude_deg)
    if aware >= (dark[1] if dark else night.start + timedelta(hours=12)):
        night = Night(site, night.date + timedelta(days=1))
        dark = night.dark(sun_altitude_deg)
    if dark is None:
        return night, None
    start, end = max(dark[0], aware), dark[1]
    if end == night.end:
        after = Night(site, night.date + timedelta(days=1))
        more = after.dark(sun_altitude_deg)
        if more is not None and more[0] == after.start:
            end = min(more[1], start + timedelta(days=1))
    return night, (start, end)


def sun_altitude(site: Site, moment: datetime) -> float:
    """Return the geometric altitude of the sun's centre at a moment [deg]."""
    return float(LocalSky(site, moment).sun_altitude[0])


def moon(site: Site, moments: Moments) -> Moon:
    """Return where the moon stands at some moments, and how much of it is lit.

    Parameters
    ----------
    site : Site
    moments : datetime, or iterable of them, or ndarray of POSIX seconds [s, UTC]
    """
    sky = LocalSky(site, moments)
    x, y, z = sky.earth.moon.T
    return Moon(
        np.degrees(np.arctan2(y, x)) % 360.0,
        np.degrees(np.arcsin(np.clip(z, -1.0, 1.0))),
        sky.moon_altitude,
        sky.moon_azimuth,
        sky.moon_illumination,
    )
