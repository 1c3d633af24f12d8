"""When places are within an observatory's limits during a night, and why they are not.

Five minutes apart for the many, one minute for the few that are listed. Nothing here takes an
arc function of an array of the many: sines and cosines are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from toros.lvcgcn.targets.target_list import Limits
from toros.sky.observability import LocalSky, airmass
from toros.sky.site import Array, Site

Flags = npt.NDArray[np.bool_]

STEP_S = 60.0
SHORTEST_S = 300.0
"""What can be observed for less time without interruption is not listed."""
_COARSE = 5
_CHUNK = 4096


@dataclass(frozen=True)
class Best:
    """The best times of some places, and how they stand then; all of shape (n,).

    Attributes
    ----------
    unix_s, from_s, until_s : ndarray of float [s, UTC]
        The best time, and the window around it.
    altitude_deg, airmass, moon_distance_deg, moon_illumination, sun_altitude_deg : ndarray
        At the best time [deg, -, deg, 0 to 1, deg].
    """

    unix_s: Array
    from_s: Array
    until_s: Array
    altitude_deg: Array
    airmass: Array
    moon_distance_deg: Array
    moon_illumination: Array
    sun_altitude_deg: Array


class Visibility:
    """The sky of an observatory during what is left of a night's darkness.

    Parameters
    ----------
    site : Site
    limits : Limits
    dark : tuple of datetime
        From and until, whole seconds.
    """

    def __init__(self, site: Site, limits: Limits, dark: tuple[datetime, datetime]) -> None:
        self.site, self.limits = site, limits
        times = np.arange(dark[0].timestamp(), dark[1].timestamp() + 1.0, STEP_S)
        picked = np.unique(np.append(np.arange(0, times.size, _COARSE), times.size - 1))
        self._fine = _Grid(LocalSky(site, times), limits)
        self._coarse = _Grid(LocalSky(site, times[picked]), limits)

    def reachable(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> Flags:
        """Tell which places are within all limits at some time, shape (n,).

        Parameters
        ----------
        ra_deg, dec_deg : array_like, shape (n,), ICRS [deg]

        Notes
        -----
        By samples five minutes apart: a window of `SHORTEST_S` is seen, a shorter one may be; see
        `lasting`.
        """
        ra, dec = np.atleast_1d(ra_deg), np.atleast_1d(dec_deg)
        found = np.zeros(ra.size, bool)
        # At its highest ever; half a degree covers precession, nutation and aberration.
        highest = 90.0 - np.abs(dec - self.site.latitude_deg)
        candidates = np.flatnonzero(highest >= self.limits.lowest_deg - 0.5)
        for begin in range(0, candidates.size, _CHUNK):
            some = candidates[begin : begin + _CHUNK]
            found[some] = self._coarse.allowed(self._coarse.sky.place(ra[some], dec[some])).any(1)
        return found

    def lasting(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> Flags:
        """Tell which places are within all limits for `SHORTEST_S` at a stretch, shape (n,).

        Parameters
        ----------
        ra_deg, dec_deg : array_like, shape (n,), ICRS [deg]
            Not many: by samples a minute apart.
        """
        places = self._fine.sky.place(ra_deg, dec_deg)
        return np.asarray(_long_runs(self._fine.allowed(places)).any(axis=1))

    def best(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> Best:
        """Return when some places stand highest within the limits; they must be `lasting`.

        Parameters
        ----------
        ra_deg, dec_deg : array_like, shape (n,), ICRS [deg]
        """
        sky = self._fine.sky
        places = sky.place(ra_deg, dec_deg)
        allowed = _long_runs(self._fine.allowed(places))
        sine = places @ sky.earth.up.T
        rows, at = np.arange(len(places)), np.where(allowed, sine, -2.0).argmax(axis=1)
        first, last = _run(allowed, at)
        times = sky.unix_s[at] + STEP_S * _summit(sine, rows, at, (first < at) & (at < last))
        times = np.round(times)
        then = LocalSky(self.site, times)
        seen = then.place(ra_deg, dec_deg)
        altitude = _degrees(np.arcsin, np.sum(seen * then.earth.up, axis=1))
        moon = _degrees(np.arccos, np.sum(seen * then.earth.moon, axis=1))
        return Best(
            unix_s=times,
            from_s=sky.unix_s[first],
            until_s=sky.unix_s[last],
            altitude_deg=altitude,
            airmass=airmass(altitude),
            moon_distance_deg=moon,
            moon_illumination=then.moon_illumination,
            sun_altitude_deg=then.sun_altitude,
        )

    def why_not(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> list[str]:
        """Say of some places that are not reachable which limit keeps them from it.

        Parameters
        ----------
        ra_deg, dec_deg : array_like, shape (n,), ICRS [deg]
        """
        grid = self._coarse
        places = grid.sky.place(ra_deg, dec_deg)
        if not len(places):
            return []
        altitude = grid.sky.altitude(places)
        rules = zip(altitude, grid.above_mask(places, altitude), grid.off_moon(places), strict=True)
        moon = grid.sky.moon_distance(places).max(axis=1)
        # Aberration and precession are in the place: the highest ever is that of the night.
        dec = _degrees(np.arcsin, places[:, 2])
        highest = 90.0 - np.abs(dec - self.site.latitude_deg)
        return [
            self._reason(*rule, far, top)
            for rule, far, top in zip(rules, moon, highest, strict=True)
        ]

    def _reason(
        self, altitude: Array, above_mask: Flags, off_moon: Flags, moon: float, highest: float
    ) -> str:
        limits = self.limits
        high = altitude >= limits.lowest_deg
        if not high.any():
            return self._too_low(altitude, highest)
        if not (high & above_mask).any():
            return "below the horizon mask whenever it is high enough"
        if not (high & off_moon).any():
            return (
                f"within {limits.moon_distance_min_deg:g} deg of the moon whenever it is high "
                f"enough (at most {moon:.0f} deg)"
            )
        if not (high & above_mask & off_moon).any():
            return "below the horizon mask or too near the moon whenever it is high enough"
        return "observable for less than five minutes"

    def _too_low(self, altitude: Array, highest: float) -> str:
        limits = self.limits
        best = float(altitude.max())
        if best >= limits.altitude_min_deg:
            return (
                f"never below airmass {limits.airmass_max:g} in the dark "
                f"(at best {float(airmass(best)):.2f})"
            )
        lowest = f"{limits.altitude_min_deg:g} deg"
        if highest <= 0.0:
            return "never rises"
        if highest < limits.lowest_deg:
            return f"never above {lowest} at this site (at most {highest:.1f} deg)"
        at, last = int(altitude.argmax()), altitude.size - 1
        why = "sets too early: " if at == 0 < last else "rises too late: " if at == last else ""
        return f"{why}never above {lowest} in the dark (at most {best:.1f} deg)"


class _Grid:
    """A sky at a grid of times, and an observatory's limits there."""

    def __init__(self, sky: LocalSky, limits: Limits) -> None:
        self.sky, self.limits = sky, limits
        self._sine = np.sin(np.radians(limits.lowest_deg))
        self._near = np.cos(np.radians(limits.moon_distance_min_deg))
        self._moon_is_up = sky.moon_altitude > 0.0

    def allowed(self, places: Array) -> Flags:
        """Tell when places are within all limits, shape (n, t)."""
        good: Flags = np.asarray(places @ self.sky.earth.up.T >= self._sine)
        if self._moon_is_up.any():
            good &= self.off_moon(places)
        if self.sky.site.horizon:
            rows = np.flatnonzero(good.any(axis=1))
            good[rows] &= self.above_mask(places[rows], self.sky.altitude(places[rows]))
        return good

    def off_moon(self, places: Array) -> Flags:
        """Tell when places are not near a moon that is up, shape (n, t)."""
        return np.asarray((places @ self.sky.earth.moon.T <= self._near) | ~self._moon_is_up)

    def above_mask(self, places: Array, altitude: Array) -> Flags:
        """Tell when places are above the horizon's mask, shape (n, t)."""
        site = self.sky.site
        if not site.horizon:
            return np.ones(altitude.shape, bool)
        return np.asarray(altitude >= site.horizon_altitude(self.sky.azimuth(places)))


def _long_runs(allowed: Flags) -> Flags:
    """Return the allowed times in runs of `SHORTEST_S` at least, shape (n, t)."""
    steps, count = int(SHORTEST_S / STEP_S), allowed.shape[1]
    kept = np.zeros_like(allowed)
    if count <= steps:
        return kept
    begins = allowed[:, : count - steps].copy()
    for step in range(1, steps + 1):
        begins &= allowed[:, step : count - steps + step]
    for step in range(steps + 1):
        kept[:, step : count - steps + step] |= begins
    return kept


def _run(allowed: Flags, at: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], ...]:
    """Return the first and the last sample of the runs of allowed times around some samples."""
    count = allowed.shape[1]
    rows, numbers = np.arange(len(at)), np.arange(count)
    before = np.maximum.accumulate(np.where(allowed, -1, numbers), axis=1)[rows, at]
    after = np.minimum.accumulate(np.where(allowed, count, numbers)[:, ::-1], axis=1)
    return before + 1, after[:, ::-1][rows, at] - 1


def _summit(
    sine: Array, rows: npt.NDArray[np.intp], at: npt.NDArray[np.intp], inside: Flags
) -> Array:
    """Return where a parabola through a sample and its neighbours is highest [samples]."""
    offset = np.zeros(at.size)
    rows, at = rows[inside], at[inside]
    before, here, after = sine[rows, at - 1], sine[rows, at], sine[rows, at + 1]
    curvature = before - 2.0 * here + after
    # At a pole of the Earth nothing rises or sets, and there is no summit.
    turns = curvature < -1e-12
    shift = np.where(turns, (before - after) / np.where(turns, 2.0 * curvature, 1.0), 0.0)
    offset[inside] = np.clip(shift, -0.5, 0.5)
    return offset


def _degrees(arc: Any, values: Array) -> Array:
    angle: Array = np.degrees(arc(np.clip(values, -1.0, 1.0)))
    return angle
