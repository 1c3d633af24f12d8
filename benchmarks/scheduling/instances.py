"""Nights to be planned: seeded, at the site of the benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from toros.sky.almanac import Night
from toros.sky.site import Site
from toros.telescope.scheduling.targets import Constraints, SlewModel, Target

SITE = Site(-67.33, -24.63, 4637.0)
NIGHTS = {
    "winter": date(2026, 6, 10),
    "summer": date(2026, 12, 10),
    "full moon": date(2026, 6, 29),
}
CONSTRAINTS = Constraints(
    min_altitude_deg=30.0, max_airmass=10.0, moon_distance_deg=30.0, moon_altitude_deg=-90.0,
    sun_altitude_deg=-18.0,
)  # fmt: skip
SLEW = SlewModel(rate_deg_s=2.0, settle_s=0.0)
TARGETS = 200


@dataclass(frozen=True)
class Instance:
    """A night and its targets."""

    night: str
    seed: int
    start: datetime
    end: datetime
    targets: tuple[Target, ...]

    @property
    def minutes(self) -> float:
        """The night's length."""
        return (self.end - self.start).total_seconds() / 60.0


def make_instance(night: str, seed: int, count: int = TARGETS) -> Instance:
    """Make the instance of a night and a seed.

    Right ascensions follow the sidereal times of the night and two hours on either side,
    declinations are even on the sphere from -80 to +30 degrees, priorities are integers 0 to 10,
    durations 3, 5, 8 or 12 minutes.
    """
    dark = Night(SITE, NIGHTS[night]).dark(-18.0)
    assert dark is not None
    start, end = (moment.replace(microsecond=0) for moment in dark)
    rng = np.random.default_rng([seed, *night.encode()])
    hours = rng.uniform(-2.0, (end - start).total_seconds() / 3600.0 + 2.0, count)
    sidereal = _sidereal_deg(start) + hours * 15.04107
    dec = np.degrees(np.arcsin(rng.uniform(*np.sin(np.radians([-80.0, 30.0])), count)))
    minutes = rng.choice([3.0, 5.0, 8.0, 12.0], count)
    priority = rng.integers(0, 11, count)
    targets = tuple(
        Target(f"T{i:04d}", float(ra % 360.0), float(de), 60.0 * float(m), float(p))
        for i, (ra, de, m, p) in enumerate(zip(sidereal, dec, minutes, priority, strict=True))
    )
    return Instance(night, seed, start, end, targets)


def _sidereal_deg(moment: datetime) -> float:
    """Local sidereal time, good to a minute, which is all that drawing targets needs [deg]."""
    days = moment.timestamp() / 86400.0 - 10957.5
    return float((280.46062 + 360.98564737 * days + SITE.longitude_deg) % 360.0)
