"""What is remembered of one source, and what follows from it.

Pure: observations and instants in, findings out; no thread, no clock, no device. Nothing
depends on how often it is asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from toros.config.enclosure import WeatherLimit
from toros.devices.protocols import QUANTITIES, Reading
from toros.dome.weather import limits as rules
from toros.dome.weather.limits import LimitState
from toros.dome.weather.observation import SAFE, Instant, Observation

_OWN_WORD = WeatherLimit(quantity="cloud_cover", below=0.5, bad_delay_s=0.0, good_delay_s=0.0)
"""A source's word as a limit without delays: 0 is below it. The quantity is not looked at."""


class Finding(NamedTuple):
    """What one thing that must be good is like.

    Attributes
    ----------
    since_s : float or None
        Since when it is good without a gap, by the daemon's clock [s]; None: it is not.
    known : bool
        A fresh value says so.
    reason : str
        Why it is not good, or why the dome is not to be opened though it is; empty if neither.
    note : str
        What a person may want to know besides.
    """

    since_s: float | None
    known: bool
    reason: str = ""
    note: str = ""


class _Run:
    """Since when something is fresh without a gap."""

    def __init__(self, age_limit_s: float) -> None:
        self._age_limit_s = age_limit_s
        self._since_s: float | None = None
        self._fresh_until_s = -math.inf
        self._born_s = 0.0

    def renew(self, at: Instant, began_s: float, age_s: float) -> bool:
        """Take a reading; tell whether the one before was fresh until now."""
        unbroken = self.since_s(at) is not None
        self._born_s = began_s - age_s
        self._fresh_until_s = self._born_s + self._age_limit_s
        if at.real_s > self._fresh_until_s:
            self._since_s = None
        elif not unbroken:
            self._since_s = at.clock_s
        return unbroken

    def end(self) -> None:
        self._since_s = None
        self._fresh_until_s = -math.inf

    @property
    def ended(self) -> bool:
        return self._fresh_until_s == -math.inf

    def since_s(self, at: Instant) -> float | None:
        return self._since_s if at.real_s <= self._fresh_until_s else None

    def age_s(self, at: Instant) -> float:
        return at.real_s - self._born_s


class _Channel:
    """One quantity of the source, or its own word."""

    def __init__(self, name: str, limits: Iterable[WeatherLimit], age_limit_s: float) -> None:
        self.name = name
        self.run = _Run(age_limit_s)
        self.reading: Reading | None = None
        self.problem: str | None = None
        self.limits = tuple(limits)
        self.states: list[LimitState | None] = [None] * len(self.limits)

    def tell(self, at: Instant, began_s: float, reading: Reading) -> None:
        unbroken = self.run.renew(at, began_s, reading.age_s)
        self.reading, self.problem = reading, None
        if self.run.since_s(at) is None:
            return
        self.states = [
            rules.told(state, limit, at.clock_s, reading.value, unbroken=unbroken)
            for state, limit in zip(self.states, self.limits, strict=True)
        ]

    def lose(self, problem: str) -> None:
        self.run.end()
        self.reading, self.problem = None, problem


class SourceRecord:
    """The memory of one source.

    Parameters
    ----------
    name : str
        What messages call it.
    age_limit_s : float
        What is older counts as unknown; real time [s].
    limits : iterable of WeatherLimit
        All limits; those on quantities that it does not measure do not matter.
    """

    def __init__(self, name: str, age_limit_s: float, limits: Iterable[WeatherLimit]) -> None:
        self.name = name
        self.age_limit_s = age_limit_s
        self._limits = tuple(limits)
        self._run = _Run(age_limit_s)
        self._channels: dict[str, _Channel] = {}
        self._problem = "it was not read yet"
        self._failure = ""

    def tell(self, at: Instant, began_s: float, observation: Observation) -> None:
        """Take what a reading gave.

        Parameters
        ----------
        at : Instant
            Now, not before any instant of an earlier call.
        began_s : float
            The real time at which the reading began [s].
        observation : Observation
        """
        self._failure = ""
        for name, reading in observation.values.items():
            self._channel(name).tell(at, began_s, reading)
        for name, problem in observation.problems.items():
            self._channel(name).lose(problem)
        for name, channel in self._channels.items():
            if name not in observation.values and name not in observation.problems:
                channel.lose("it is not told any more")
        if not observation.values:
            self._run.end()
            self._problem = "it tells nothing that is known"
            return
        self._run.renew(at, began_s, min(r.age_s for r in observation.values.values()))

    def fail(self, why: str) -> None:
        """Note that it did not answer; what it told before goes on ageing."""
        self._failure = why

    def lose(self, why: str) -> None:
        """Forget what it told: from now on it is unknown."""
        self._problem, self._failure = why, ""
        self._run.end()
        for channel in self._channels.values():
            channel.lose(why)

    def measures(self, quantity: str) -> bool:
        """Tell whether it has ever told this quantity."""
        return quantity in self._channels

    def told_anything(self) -> bool:
        """Tell whether it has ever told anything."""
        return bool(self._channels)

    def age_s(self, at: Instant) -> float | None:
        """Return the age of what it told last [s]; None if that is unknown."""
        return None if self._run.since_s(at) is None else self._run.age_s(at)

    def readings(self, at: Instant) -> dict[str, Reading]:
        """Return what is known and fresh, with the ages at `at`."""
        return {
            channel.name: Reading(channel.reading.value, channel.run.age_s(at))
            for channel in self._channels.values()
            if channel.reading is not None and channel.run.since_s(at) is not None
        }

    def findings(self, at: Instant) -> list[Finding]:
        """Return what is to be said of it at `at`, the source as a whole first."""
        since_s = self._run.since_s(at)
        if since_s is None:
            return [Finding(None, False, f"{self.name}: {self._why_unknown(at)}")]
        found = [Finding(since_s, True)]
        for channel in self._channels.values():
            if channel.limits:
                found += self._of_channel(channel, at)
        return found

    def _channel(self, name: str) -> _Channel:
        if name not in self._channels:
            limits = (
                (_OWN_WORD,)
                if name == SAFE
                else [limit for limit in self._limits if limit.quantity == name]
            )
            self._channels[name] = _Channel(name, limits, self.age_limit_s)
        return self._channels[name]

    def _why_unknown(self, at: Instant) -> str:
        if self._run.ended:
            return f"unknown: {self._failure or self._problem}"
        failure = f"; {self._failure}" if self._failure else ""
        return (
            f"its last reading is {self._run.age_s(at):.0f} s old, "
            f"the age limit is {self.age_limit_s:g} s{failure}"
        )

    def _of_channel(self, channel: _Channel, at: Instant) -> list[Finding]:
        since_s = channel.run.since_s(at)
        if since_s is None or channel.reading is None:
            why = channel.problem or (
                f"it is {channel.run.age_s(at):.0f} s old, the age limit is {self.age_limit_s:g} s"
            )
            return [Finding(None, False, f"{self.name}: {channel.name} is unknown: {why}")]
        found = []
        for state, limit in zip(channel.states, channel.limits, strict=True):
            assert state is not None  # a fresh reading was told to every limit
            now = rules.advanced(state, limit, at.clock_s)
            reason, note = self._words(channel.name, channel.reading.value, limit, now, at)
            good_s = None if now.bad else max(since_s, now.since_s)
            found.append(Finding(good_s, True, reason, note))
        return found

    def _words(
        self, name: str, value: float, limit: WeatherLimit, state: LimitState, at: Instant
    ) -> tuple[str, str]:
        run_s = at.clock_s - state.run_s
        if name == SAFE:
            return (f"{self.name}: it says unsafe, for {run_s:.0f} s" if state.bad else ""), ""
        unit = QUANTITIES[name]
        if state.beyond:
            above = limit.above is not None and value > limit.above
            edge = f"above {limit.above:g}" if above else f"below {limit.below:g}"
            text = f"{self.name}: {name} {value:g} {unit} is {edge} {unit}, for {run_s:.0f} s"
            note = "" if state.bad else f"{text}; it is bad after {limit.bad_delay_s:g} s"
            return text, note
        if state.settled:
            return "", ""
        why = "to count as good again" if state.bad else "to be waited after a start"
        text = (
            f"{self.name}: {name} {value:g} {unit} is within its limit for {run_s:.0f} s "
            f"of the {limit.good_delay_s:g} s {why}"
        )
        return text, ""
