"""Exposure times of flats: by the twilight, which changes as one exposes, and by a lamp.

The light of the twilight at one pixel follows an exponential [1]_::

    R(t) = R(0) e^(g t)        g = -ln(10) 0.094 / 60 s  in the evening, + in the morning

so an exposure that starts at t and shall gather S above the bias takes ::

    e = ln(1 + g S / R(t)) / g

R is known from the latest frame, and so is g from the second frame on; the published
value is where it begins. A saturated frame tells only how bright it is at least, a dark one how
bright at most: they are followed by another look as soon as the twilight may have the light.
A lamp is the case g = 0. Nothing here waits or exposes.

References
----------
.. [1] Tyson, N. D., Gal, R. R., 1993, AJ 105, 1206: "An exposure guide for taking twilight
   flatfields with large format CCDs": 0.094 dex per minute where the sun sets steeply.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np

Light = Literal["evening", "morning", "lamp"]

TWILIGHT_PER_S = math.log(10) * 0.094 / 60
"""How fast the twilight fades or brightens, relative [1/s]."""

_SLOWEST, _FASTEST = 0.3, 2.0  # times that; at high latitudes the sun sets slowly
_RECENT = 4
_LEAST_SIGNAL = 0.002  # of the target: with less, a frame tells only that it is dark
_SPARE = 0.8  # of the tolerance; the rest is for what the prediction misses
_ROUNDING = 1e-6
_WAIT_S = (5.0, 120.0)
_FRESH_S = 300.0  # so long after its end a frame still tells the light by the usual pace
# How bright flats by the twilight are through usual filters, relative to one another: the
# width of the band, the colour of the sky and of a silicon detector. Only their order counts.
_BRIGHTNESS = {
    "ha": 0.02, "halpha": 0.02, "h-alpha": 0.02, "oiii": 0.02, "sii": 0.02, "hb": 0.02,
    "u": 0.06, "y": 0.1, "z": 0.15, "i": 0.4, "b": 0.45, "v": 0.6, "blue": 0.5,
    "r": 0.7, "red": 0.6, "green": 0.6, "g": 0.8, "l": 1.5, "lum": 1.5, "luminance": 1.5,
    "c": 2.0, "clear": 2.0, "open": 2.0, "none": 2.0,
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """A flat that was taken, or a trial one.

    Attributes
    ----------
    start_s : float [s]
        When its exposure began, on any clock that counts seconds.
    exposure_s : float [s]
    level_adu : float [ADU]
        Its median, with the bias.
    """

    start_s: float
    exposure_s: float
    level_adu: float


class Verdict(StrEnum):
    """What to do next."""

    EXPOSE = "expose"
    WAIT = "wait"
    END = "end"


@dataclass(frozen=True)
class Advice:
    """What to do next, and why.

    Attributes
    ----------
    verdict : Verdict
        END: there will be no more flats through this filter in this twilight.
    exposure_s : float [s]
        For EXPOSE.
    wait_s : float [s]
        For WAIT: then ask again, at the latest.
    reason : str
    look : bool
        The exposure is to tell how bright it is; it comes near the target by chance.
    """

    verdict: Verdict
    exposure_s: float = 0.0
    wait_s: float = 0.0
    reason: str = ""
    look: bool = False


@dataclass(frozen=True)
class FlatControl:
    """Keeps flats at a level.

    Attributes
    ----------
    light : {"evening", "morning", "lamp"}
    target_adu : float [ADU]
        Wanted median, with the bias.
    tolerance : float
        How far a flat may be from it, relative to the target above the bias.
    bias_adu : float [ADU]
        Median of a bias.
    shortest_s, longest_s : float [s]
        Exposures that are allowed.
    saturation_adu : float [ADU]
        A level from here on tells only that it is too bright.

    Raises
    ------
    ValueError
        A number makes no control.
    """

    light: Light
    target_adu: float
    tolerance: float
    bias_adu: float
    shortest_s: float
    longest_s: float
    saturation_adu: float = math.inf

    def __post_init__(self) -> None:
        if not self.bias_adu < self.target_adu < self.saturation_adu:
            raise ValueError(
                f"target_adu={self.target_adu:g}: it must be between the bias, "
                f"{self.bias_adu:g}, and saturation, {self.saturation_adu:g}"
            )
        if not 0 < self.shortest_s < self.longest_s:
            raise ValueError(
                f"shortest_s={self.shortest_s:g}, longest_s={self.longest_s:g}: they must be "
                "above 0 and in this order"
            )

    def accepts(self, level_adu: float) -> bool:
        """Tell whether a flat's median is near enough to the target."""
        off = abs(level_adu - self.target_adu) / self._signal
        return off <= self.tolerance and level_adu < self.saturation_adu

    def advise(self, start_s: float, taken: Sequence[Sample]) -> Advice:
        """Say what to do next; after a wait, ask again with the same samples.

        Parameters
        ----------
        start_s : float [s]
            When an exposure would begin, on the samples' clock.
        taken : sequence of Sample
            Of this filter and twilight, the oldest first; none before the first.
        """
        if not taken:
            return self._look(self.shortest_s, "a first look at the light")
        last = taken[-1]
        saturated, dark = last.level_adu >= self.saturation_adu, self._is_dark(last)
        if saturated and last.exposure_s > self.shortest_s:
            return self._look(self.shortest_s, "the last one is saturated: once more, short")
        grows, passed = self._growth(taken), start_s - last.start_s
        rate = self._rate(last, grows)
        light = rate * math.exp(grows * passed)
        exposure, share = self._best(light, grows)
        shares = [share]
        if passed - last.exposure_s > _FRESH_S:
            # The light may have changed at any pace since: both ends have to agree.
            paces = (_SLOWEST * self._expected_growth, _FASTEST * self._expected_growth)
            shares = [self._best(rate * math.exp(pace * passed), grows)[1] for pace in paces]
        margin = _SPARE * self.tolerance
        # What is saturated tells how bright it is at least, what is dark how bright at most.
        if min(shares) > 1 + (_ROUNDING if saturated else margin) and not dark:
            return self._too_bright(share, grows)
        if max(shares) < 1 - margin and not saturated:
            return self._too_faint(share, grows)
        if saturated or dark or abs(share - 1) > margin:
            return self._look(
                self.shortest_s if saturated else exposure, "another look at the light"
            )
        return Advice(Verdict.EXPOSE, exposure, reason=f"{share:.0%} of the target")

    def _best(self, light: float, grows: float) -> tuple[float, float]:
        """Return the exposure for a light [ADU/s], and what it gathers of the target."""
        wanted = _exposure(self._signal, light, grows)
        exposure = min(max(wanted, self.shortest_s), self.longest_s)
        return exposure, light * _effective(exposure, grows) / self._signal

    def _look(self, exposure_s: float, why: str) -> Advice:
        return Advice(Verdict.EXPOSE, exposure_s, reason=why, look=True)

    def _is_dark(self, sample: Sample) -> bool:
        return sample.level_adu - self.bias_adu < _LEAST_SIGNAL * self._signal

    @property
    def _signal(self) -> float:
        return self.target_adu - self.bias_adu

    @property
    def _expected_growth(self) -> float:
        return {"evening": -TWILIGHT_PER_S, "morning": TWILIGHT_PER_S, "lamp": 0.0}[self.light]

    def _rate(self, sample: Sample, grows: float) -> float:
        """Return the light at a sample's start [ADU/s]; of a dark one, what it is at most."""
        signal = max(sample.level_adu - self.bias_adu, _LEAST_SIGNAL * self._signal)
        return signal / _effective(sample.exposure_s, grows)

    def _growth(self, taken: Sequence[Sample]) -> float:
        """Return how the light changes, relative [1/s], from the latest frames."""
        expected = self._expected_growth
        low = _LEAST_SIGNAL * self._signal + self.bias_adu
        useful = [s for s in taken if low <= s.level_adu < self.saturation_adu][-_RECENT:]
        if expected == 0 or len(useful) < 2:
            return expected
        start = np.array([s.start_s for s in useful])
        if np.ptp(start) <= 0:
            return expected
        rate = np.log([self._rate(s, expected) for s in useful])
        slope = float(np.polyfit(start - start.mean(), rate, 1)[0])
        low, high = sorted((expected * _SLOWEST, expected * _FASTEST))
        return min(max(slope, low), high)

    def _too_bright(self, share: float, grows: float) -> Advice:
        what = f"the shortest exposure gives {share:.0%} of the target or more: too bright"
        if self.light == "evening":
            return Advice(Verdict.WAIT, wait_s=self._until(share, grows), reason=what)
        return Advice(Verdict.END, reason=what)

    def _too_faint(self, share: float, grows: float) -> Advice:
        what = f"the longest exposure gives {share:.0%} of the target or less: too faint"
        if self.light == "morning":
            return Advice(Verdict.WAIT, wait_s=self._until(share, grows), reason=what)
        return Advice(Verdict.END, reason=what)

    def _until(self, share: float, grows: float) -> float:
        """Return how long the twilight takes to come near the target [s]."""
        low, high = _WAIT_S
        # As soon as an exposure at the limit is half its tolerance away.
        ratio = abs(math.log(share)) - math.log1p(self.tolerance / 2)
        return min(max(ratio / abs(grows), low), high)


def order_filters(
    names: Sequence[str], light: Light, brightness: Mapping[str, float] | None = None
) -> list[str]:
    """Return filters in the order in which their flats come.

    In the evening the faintest first, while the sky is bright; in the morning the
    brightest first; by a lamp as they are.

    Parameters
    ----------
    names : sequence of str
    light : {"evening", "morning", "lamp"}
    brightness : mapping of name to ADU/s, optional
        As measured, in the same light; what it lacks is guessed from the filter's name.
    """
    known = brightness or {}
    if light == "lamp":
        return list(names)

    def guess(name: str) -> float:
        words = name.lower().replace("'", "").replace("_", " ").split()
        return next((_BRIGHTNESS[word] for word in reversed(words) if word in _BRIGHTNESS), 0.5)

    # Guesses are put on the measured ones' scale by what both know.
    both = [known[name] / guess(name) for name in names if known.get(name, 0) > 0]
    scale = float(np.median(both)) if both else 1.0
    order = sorted(names, key=lambda name: known.get(name) or scale * guess(name))
    return order if light == "evening" else order[::-1]


def _effective(exposure_s: float, grows: float) -> float:
    """Return the time that would gather as much in the light of the start [s]."""
    return math.expm1(grows * exposure_s) / grows if grows else exposure_s


def _exposure(signal: float, rate: float, grows: float) -> float:
    """Return the exposure that gathers a signal; infinite where there is none."""
    if rate <= 0:
        return math.inf
    if not grows:
        return signal / rate
    grown = 1 + grows * signal / rate
    return math.log(grown) / grows if grown > 0 else math.inf
