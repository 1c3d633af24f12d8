"""An independent check of plans: astropy's AltAz, and none of the scheduler's own code."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta

import astropy.units as u
import numpy as np
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body, get_sun
from astropy.time import Time
from astropy.utils import iers

from toros.sky.site import Site
from toros.telescope.scheduling import Constraints, Plan, SlewModel

TOLERANCE_DEG = 0.02
TOLERANCE = timedelta(milliseconds=20)


def violations(
    plan: Plan,
    site: Site,
    constraints: Constraints,
    slew: SlewModel,
    closed: Sequence[tuple[datetime, datetime]] = (),
    pointing: tuple[float, float] | None = None,
) -> list[str]:
    """Return every rule that a plan breaks."""
    if not plan.entries:
        return []
    entries = plan.entries
    found = []
    if len({e.target.id for e in entries}) != len(entries):
        found.append("a target twice")
    for e in entries:
        if abs((e.end - e.start).total_seconds() - e.target.duration_s) > 0.01:
            found.append(f"{e.target.id}: length")
        if e.start < plan.start - TOLERANCE or e.end > plan.end + TOLERANCE:
            found.append(f"{e.target.id}: outside the plan")
        if e.target.not_before and e.start < e.target.not_before - TOLERANCE:
            found.append(f"{e.target.id}: too early")
        if e.target.not_after and e.end > e.target.not_after + TOLERANCE:
            found.append(f"{e.target.id}: too late")
        windows = e.target.windows
        if windows and not any(
            a - TOLERANCE <= e.start and e.end <= b + TOLERANCE for a, b in windows
        ):
            found.append(f"{e.target.id}: outside its windows")
        if any(a < b and e.start < b - TOLERANCE and e.end > a + TOLERANCE for a, b in closed):
            found.append(f"{e.target.id}: while closed")
    return found + _sky(plan, site, constraints, slew, pointing)


def _sky(
    plan: Plan,
    site: Site,
    constraints: Constraints,
    slew: SlewModel,
    pointing: tuple[float, float] | None,
) -> list[str]:
    entries, found = plan.entries, []
    place = EarthLocation.from_geodetic(
        site.longitude_deg * u.deg, site.latitude_deg * u.deg, site.height_m * u.m
    )
    parts = np.linspace(0.0, 1.0, 5)
    moments = np.array(
        [[e.start.timestamp() + p * e.target.duration_s for p in parts] for e in entries]
    )
    ra = np.array([e.target.ra_deg for e in entries])
    dec = np.array([e.target.dec_deg for e in entries])
    with iers.conf.set_temp("auto_download", False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        times = Time(moments.ravel(), format="unix")
        frame = AltAz(obstime=times, location=place)
        seen = SkyCoord(np.repeat(ra, 5) * u.deg, np.repeat(dec, 5) * u.deg).transform_to(frame)
        moon = get_body("moon", times, place).transform_to(frame)
        sun = get_sun(times).transform_to(frame)
        distance = seen.separation(moon).deg.reshape(-1, 5)
    altitude, azimuth = seen.alt.deg.reshape(-1, 5), seen.az.deg.reshape(-1, 5)
    moon_up = moon.alt.deg.reshape(-1, 5) > constraints.moon_altitude_deg + TOLERANCE_DEG
    for k, e in enumerate(entries):
        own = e.target.min_altitude_deg
        lowest = constraints.min_altitude_deg if own is None else own
        if altitude[k].min() < lowest - TOLERANCE_DEG:
            found.append(f"{e.target.id}: altitude {altitude[k].min():.3f}")
        if (altitude[k] < site.horizon_altitude(azimuth[k]) - 0.1).any():
            found.append(f"{e.target.id}: behind the horizon")
        near = distance[k] < constraints.moon_distance_deg - TOLERANCE_DEG
        if (near & moon_up[k]).any():
            found.append(f"{e.target.id}: moon {distance[k].min():.3f}")
        if sun.alt.deg.reshape(-1, 5)[k].max() > constraints.sun_altitude_deg + TOLERANCE_DEG:
            found.append(f"{e.target.id}: not dark")
    places = SkyCoord(ra * u.deg, dec * u.deg)
    if slew.path == "great_circle":
        for k, (a, b) in enumerate(itertools.pairwise(entries)):
            need = _slew_s(places[k], places[k + 1], slew)
            if (b.start - a.end).total_seconds() < need - 0.02:
                found.append(f"{b.target.id}: no time for the slew")
        if pointing:
            need = _slew_s(SkyCoord(*pointing, unit="deg"), places[0], slew)
            if (entries[0].start - plan.start).total_seconds() < need - 0.02:
                found.append(f"{entries[0].target.id}: no time for the first slew")
    return found


def _slew_s(before: SkyCoord, after: SkyCoord, slew: SlewModel) -> float:
    """Return how long a slew takes at least: aberration moves places by up to 0.01 degrees."""
    angle = max(float(before.separation(after).deg) - TOLERANCE_DEG, 0.0)
    return angle / slew.rate_deg_s + slew.settle_s
