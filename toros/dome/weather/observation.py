"""What a source of weather tells, and what a value can be at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from toros.devices.protocols import QUANTITIES, Reading

SAFE = "safe"
"""The channel of a source's own word, beside those of the quantities."""

RANGES: Mapping[str, tuple[float, float]] = {
    "cloud_cover": (0.0, 100.0),
    "dew_point": (-100.0, 60.0),
    "humidity": (0.0, 110.0),  # sensors in fog tell somewhat more than 100 %
    "pressure": (300.0, 1100.0),
    "rain_rate": (0.0, 2000.0),
    "sky_brightness": (0.0, 200_000.0),
    "sky_quality": (-30.0, 30.0),  # by day it is negative
    "sky_temperature": (-150.0, 80.0),
    "star_fwhm": (0.0, 600.0),
    "temperature": (-100.0, 70.0),
    "wind_direction": (0.0, 360.0),
    "wind_gust": (0.0, 150.0),
    "wind_speed": (0.0, 150.0),
}
"""What each quantity can be on this Earth, in the units of `QUANTITIES`; what lies outside
is a broken sensor or a wrong unit, and counts as unknown."""


class Instant(NamedTuple):
    """One moment by two clocks, neither of which is ever set."""

    real_s: float
    """Real time [s], of `toros.clock.boot_time`: ages count in it."""
    clock_s: float
    """Monotonic time [s] of the daemon's clock, which a rehearsal accelerates: delays count
    in it."""


@dataclass(frozen=True)
class Observation:
    """What one reading of a source gave.

    Parameters
    ----------
    values : mapping of str to Reading
        By quantity, in the units of `QUANTITIES`; `SAFE` is 1 for safe, 0 for unsafe. An
        age is that at the beginning of the reading [s].
    problems : mapping of str to str
        Why a channel that the source has is unknown.
    """

    values: Mapping[str, Reading]
    problems: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """Something that tells of the weather."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def age_limit_s(self) -> float:
        """What is older counts as unsafe [s]."""

    @property
    def period_s(self) -> float:
        """Real time between two readings [s]."""

    def read(self) -> Observation:
        """Read it now.

        Raises
        ------
        DeviceUnreachable, DeviceTimeout
            It did not answer: what it told before goes on ageing.
        TorosError
            It answered, but what it tells is not known: it counts as unsafe at once.
        """


def checked(values: Mapping[str, Reading], problems: Mapping[str, str]) -> Observation:
    """Make an observation of what can be true; the rest becomes unknown, with the reason.

    Parameters
    ----------
    values : mapping of str to Reading
        By quantity, as the source gave them.
    problems : mapping of str to str
        What is unknown already.
    """
    good: dict[str, Reading] = {}
    bad = dict(problems)
    for name, reading in values.items():
        if why := _nonsense(name, reading):
            bad[name] = why
        else:
            good[name] = reading
    return Observation(good, bad)


def _nonsense(name: str, reading: Reading) -> str | None:
    if not math.isfinite(reading.value):
        return f"{reading.value} is no measured value"
    if name in RANGES:
        low, high = RANGES[name]
        if not low <= reading.value <= high:
            unit = QUANTITIES[name]
            return f"{reading.value:g} {unit} cannot be; {low:g} to {high:g} {unit} can"
    if not (math.isfinite(reading.age_s) and reading.age_s >= 0):
        return f"its age is told as {reading.age_s:g} s: it was never measured"
    return None
