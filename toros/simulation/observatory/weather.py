"""The weather over the simulated observatory, and the devices that measure it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from toros.devices import protocols
from toros.errors import DeviceNonsense
from toros.simulation.observatory.device import SimulatedDevice

if TYPE_CHECKING:
    from toros.simulation.observatory.world import World

CLEAR: Mapping[str, float] = {
    "cloud_cover": 0.0,
    "dew_point": -8.0,
    "humidity": 30.0,
    "pressure": 590.0,
    "rain_rate": 0.0,
    "sky_temperature": -25.0,
    "star_fwhm": 2.4,
    "temperature": 8.0,
    "wind_direction": 270.0,
    "wind_gust": 5.0,
    "wind_speed": 3.0,
}
"""The weather where nothing was set; the units are those of `protocols.QUANTITIES`."""

BAD_ABOVE: Mapping[str, float] = {
    "cloud_cover": 70.0,
    "humidity": 90.0,
    "rain_rate": 0.0,
    "wind_gust": 25.0,
    "wind_speed": 15.0,
}
"""Above any of these the safety monitor says unsafe by itself."""

_HISTORY_S = 7200.0
Word = Literal["keep", "derived", "safe", "unsafe"]


class Weather(NamedTuple):
    """The weather at a moment: its quantities, and the safety monitor's word."""

    values: Mapping[str, float]
    safe: bool


@dataclass(frozen=True)
class Entry:
    """From a time on, these values hold.

    Attributes
    ----------
    at_s : float
        By the clock's monotonic time [s].
    values : dict
        By the names of `protocols.QUANTITIES`; the others stay as they are.
    word : str
        The safety monitor's: safe, unsafe, derived from the values, or keep (as before).
    """

    at_s: float
    values: Mapping[str, float] = field(default_factory=dict)
    word: Word = "keep"


@dataclass(frozen=True)
class WeatherState:
    """All entries, past and to come, by time."""

    since_s: float = 0.0
    entries: tuple[Entry, ...] = ()

    def at(self, moment_s: float) -> Weather:
        """Return the weather at a time, by the clock's monotonic time [s]."""
        return weather_at(self.entries, moment_s)

    def with_entries(self, entries: Iterable[Entry], now_s: float) -> WeatherState:
        """Return it with more entries; what is long past is folded into one."""
        horizon_s = now_s - _HISTORY_S
        everything = sorted((*self.entries, *entries), key=lambda entry: entry.at_s)
        past = _fold([entry for entry in everything if entry.at_s <= horizon_s])
        return replace(self, entries=(*past, *(e for e in everything if e.at_s > horizon_s)))

    def without_future(self, now_s: float) -> WeatherState:
        """Return it without what was to come."""
        return replace(self, entries=tuple(e for e in self.entries if e.at_s <= now_s))


def weather_at(entries: Iterable[Entry], moment_s: float) -> Weather:
    """Return the weather that entries, in the order of time, make at a time."""
    values = dict(CLEAR)
    word: Word = "derived"
    for entry in entries:
        if entry.at_s > moment_s:
            break
        values |= entry.values
        word = word if entry.word == "keep" else entry.word
    if word == "derived":
        return Weather(values, all(values[name] <= limit for name, limit in BAD_ABOVE.items()))
    return Weather(values, word == "safe")


def make_entry(at_s: float, values: Mapping[str, float | bool | str | None]) -> Entry:
    """Check and make an entry.

    Parameters
    ----------
    at_s : float
        By the clock's monotonic time [s].
    values : dict
        By the names of `protocols.QUANTITIES`; and ``safe``, the safety monitor's word: True,
        False, "derived" from the values, or None (as before).

    Raises
    ------
    ValueError
        There is no such quantity, or a value is something else.
    """
    words: Mapping[object, Word] = {
        True: "safe",
        False: "unsafe",
        None: "keep",
        "derived": "derived",
    }
    safe = values.get("safe")
    if safe not in words:
        raise ValueError(f"safe is {safe!r}; it must be True, False, 'derived' or None")
    quantities = {}
    for name, value in values.items():
        if name == "safe":
            continue
        if name not in protocols.QUANTITIES:
            known = ", ".join(protocols.QUANTITIES)
            raise ValueError(f"{name!r} is no quantity of the weather; these are: {known}, safe")
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}; it must be a number")
        quantities[name] = float(value)
    return Entry(at_s, quantities, words[safe])


def _fold(past: list[Entry]) -> tuple[Entry, ...]:
    if not past:
        return ()
    folded = past[0]
    for entry in past[1:]:
        word = folded.word if entry.word == "keep" else entry.word
        folded = Entry(entry.at_s, {**folded.values, **entry.values}, word)
    return (folded,)


class _Measuring(SimulatedDevice):
    """What measures the weather, or says that it does."""

    def _seen(self) -> tuple[Weather, float]:
        """Return the weather that is told, and its age [s]."""
        now_s = self.world.clock.monotonic()
        state = self.world.weather_file.read()
        stale = self.world.faults.active(self.kind, "stale")
        if stale is None:
            return state.at(now_s), 0.0
        return state.at(stale.since_s), now_s - stale.since_s


class SimulatedSafetyMonitor(_Measuring):
    """The safety monitor, which says whether the weather is safe.

    Parameters
    ----------
    world : World
    timeout_s : float
    """

    kind = "safety_monitor"

    def __init__(self, world: World, timeout_s: float = 5.0) -> None:
        super().__init__(world, timeout_s)

    def is_safe(self) -> bool:
        """Ask whether it is safe."""
        with self._call("is_safe"):
            if self.world.faults.active(self.kind, "nonsense"):
                raise DeviceNonsense(f"{self.name}: 'perhaps' is neither true nor false")
            return self._seen()[0].safe


class SimulatedObservingConditions(_Measuring):
    """The weather station.

    Parameters
    ----------
    world : World
    timeout_s : float
    """

    kind = "observing_conditions"

    def __init__(self, world: World, timeout_s: float = 5.0) -> None:
        super().__init__(world, timeout_s)

    def read(self) -> Mapping[str, protocols.Reading]:
        """Return what it measures; ages are in the simulated time."""
        with self._call("read"):
            weather, age_s = self._seen()
            values = dict(weather.values)
            if nonsense := self.world.faults.active(self.kind, "nonsense"):
                values[str(nonsense.parameters["quantity"])] = nonsense.number("value")
            if lacks := self.world.faults.active(self.kind, "lacks"):
                values.pop(str(lacks.parameters["quantity"]), None)
            return {name: protocols.Reading(value, age_s) for name, value in values.items()}
