"""What a rehearsed night is made of: its hours, its weather, its targets, its alert."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from toros.sky.almanac import Night
from toros.sky.observability import LocalSky

_FILTERS = ("V", "R")
_BEFORE_SUNSET = timedelta(minutes=50)
_DARK_DEG = -15.0
_CLOUD = (0.4, timedelta(minutes=50))
_ALERT = 0.6
# At the zenith the azimuth turns faster than an accelerated dome can follow.
_FROM_ZENITH_DEG = (8.0, 30.0)
_CLEAR = {"cloud_cover": 5.0, "humidity": 35.0}
_CLOUDY = {"cloud_cover": 95.0, "humidity": 92.0}


@dataclass(frozen=True)
class SampleNight:
    """The moments of a rehearsed night.

    Attributes
    ----------
    night : Night
    begin : datetime
        The afternoon, before anything is done.
    dark, dawn : datetime
        When targets may be observed.
    cloud, clear : datetime
        When a cloud comes, and goes.
    alert : datetime
        When an alert's targets come.
    """

    night: Night
    begin: datetime
    dark: datetime
    dawn: datetime
    cloud: datetime
    clear: datetime
    alert: datetime

    @classmethod
    def of(cls, night: Night, dark_deg: float = _DARK_DEG) -> SampleNight:
        """Lay out a night.

        Parameters
        ----------
        night : Night
        dark_deg : float
            Targets are observed with the sun below this altitude.

        Raises
        ------
        ValueError
            The sun does not go down so far in this night, or does not rise.
        """
        dark, sunset = night.dark(dark_deg), night.sunset
        if dark is None or sunset is None:
            raise ValueError(f"the night of {night.date} is none to observe in at this place")
        length = dark[1] - dark[0]
        cloud = dark[0] + _CLOUD[0] * length
        return cls(
            night=night,
            begin=sunset - _BEFORE_SUNSET,
            dark=dark[0],
            dawn=dark[1],
            cloud=cloud,
            clear=cloud + _CLOUD[1],
            alert=dark[0] + _ALERT * length,
        )

    def weather(self) -> list[tuple[datetime, Mapping[str, float]]]:
        """Return the weather's script: clear, with one cloud."""
        return [(self.begin, _CLEAR), (self.cloud, _CLOUDY), (self.clear, _CLEAR)]

    def targets(self, count: int, seed: int) -> Iterator[dict[str, Any]]:
        """Draw orders for targets that culminate one after another while it is dark.

        Parameters
        ----------
        count, seed : int

        Yields
        ------
        dict
            An `observation` order.
        """
        rng = np.random.default_rng(seed)
        step = (self.dawn - self.dark) / (count + 1)
        for n in range(count):
            meridian = self.meridian_deg(self.dark + (n + 0.7) * step)
            yield {
                "request": "observation",
                "id": f"demo-{n + 1}",
                "user": "demo",
                "target": f"field {n + 1}",
                "ra": (meridian + float(rng.uniform(-12.0, 12.0))) % 360.0,
                "dec": self._dec(float(rng.choice([-1.0, 1.0]) * rng.uniform(*_FROM_ZENITH_DEG))),
                "filter": _FILTERS[n % len(_FILTERS)],
                "exposure_time": float(rng.choice([60.0, 120.0])),
                "number_of_exposures": 3,
                "urgency": float(rng.integers(2, 9)),
            }

    def alert_targets(self) -> dict[str, Any]:
        """Return a `receive_targets` order; its three targets are high when it comes."""
        meridian = self.meridian_deg(self.alert)
        return {
            "request": "receive_targets",
            "id": "demo-alert",
            "user": "demo",
            "event": f"S{self.night.date:%y%m%d}x",
            "revision": 1,
            "number_of_exposures": 2,
            "filter": "R",
            "targets": [
                {
                    "name": f"galaxy {rank}",
                    "ra": (meridian + 6.0 * rank) % 360.0,
                    "dec": self._dec(-_FROM_ZENITH_DEG[0] - 4.0 * rank),
                    "rank": rank,
                }
                for rank in (1, 2, 3)
            ],
        }

    def meridian_deg(self, moment: datetime) -> float:
        """Return the right ascension on the meridian at a moment, ICRS within 0.5 deg [deg]."""
        sky = LocalSky(self.night.site, moment)
        # The hour angle of right ascension 0 is the local sidereal time.
        hours = float(sky.hour_angle(sky.place([0.0], [0.0]))[0, 0])
        return hours * 15.0 % 360.0

    def _dec(self, from_zenith_deg: float) -> float:
        return float(np.clip(self.night.site.latitude_deg + from_zenith_deg, -89.0, 89.0))
