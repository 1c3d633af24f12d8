"""Faults of the simulated hardware: which there are, and which are set.

They are kept in a file of the world's folder, so that a test or a person sets them from outside,
whatever process talks to the device.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from toros.errors import DeviceFault, DeviceNotConnected, DeviceTimeout, DeviceUnreachable
from toros.simulation.observatory.state import StateFile

Value: TypeAlias = bool | int | float | str | Sequence[str] | None

_CALLS: Mapping[str, Value] = {"one_in": 1, "seed": 0, "times": None, "calls": None}


@dataclass(frozen=True)
class FaultKind:
    """A fault that can be set: what it does, and its parameters with their defaults."""

    description: str
    parameters: Mapping[str, Value] = field(default_factory=dict)


_ANY = {
    "fails": FaultKind(
        "One call in `one_in` reports a fault (DeviceFault) and does nothing.", _CALLS
    ),
    "drops": FaultKind(
        "One call in `one_in` is not answered (DeviceUnreachable); with `carried_out` it was "
        "carried out all the same.",
        {**_CALLS, "carried_out": False},
    ),
    "hangs": FaultKind(
        "A call is answered `seconds` late, in real time, after being carried out; at the "
        "device's timeout it ends as DeviceTimeout, unless it is `endless`.",
        {**_CALLS, "seconds": 60.0, "endless": False},
    ),
    "disconnected": FaultKind("The device says that it is not connected, and does nothing."),
}
_TIMES: Mapping[str, Value] = {"times": None}
_STUCK = {"stuck": FaultKind("It never arrives: it goes on moving without getting on.", _TIMES)}
_MEASURES = {
    "stale": FaultKind("What it tells is what it was when the fault was set, older and older."),
    "nonsense": FaultKind(
        "It tells `value` as the `quantity` (the safety monitor: cannot be understood).",
        {"quantity": "humidity", "value": 400.0},
    ),
    "lacks": FaultKind("It leaves a `quantity` out.", {"quantity": "rain_rate"}),
}
FAULTS: Mapping[str, Mapping[str, FaultKind]] = {
    "dome": {
        **_ANY,
        "shutter_stuck": FaultKind(
            "The shutter stops where it is and says that it opens or closes for ever.", _TIMES
        ),
        "shutter_error": FaultKind("The shutter stops where it is and says error.", _TIMES),
        "azimuth_stuck": FaultKind("The dome does not get on, and says that it turns.", _TIMES),
        "azimuth_unknown": FaultKind("The dome does not know its azimuth."),
        "park_lies": FaultKind("It says at once that it is parked, and stays where it is.", _TIMES),
        "nonsense": FaultKind("It tells `value` as its azimuth.", {"value": 400.0}),
    },
    "mount": {
        **_ANY,
        **_STUCK,
        "park_lies": FaultKind("It says at once that it is parked, and stays where it is.", _TIMES),
        "nonsense": FaultKind("It tells `value` as its altitude.", {"value": 200.0}),
    },
    "camera": {
        **_ANY,
        "stuck": FaultKind("The exposure never ends.", _TIMES),
        "error": FaultKind("The camera says error, and no exposure is had."),
        "download_fails": FaultKind(
            "One download in `one_in` breaks off half way (DeviceUnreachable).", _CALLS
        ),
        "cooler_fails": FaultKind("The sensor warms up to the air's temperature."),
        "nonsense": FaultKind("It tells `value` as its temperature.", {"value": -400.0}),
    },
    "filter_wheel": {**_ANY, **_STUCK},
    "focuser": {**_ANY, **_STUCK},
    "cover": {
        **_ANY,
        **_STUCK,
        "lamp_dead": FaultKind("The lamp warms for ever and gives no light."),
    },
    "safety_monitor": {**_ANY, **{k: v for k, v in _MEASURES.items() if k != "lacks"}},
    "observing_conditions": {**_ANY, **_MEASURES},
}
"""Every fault by device. Of a counted fault, `one_in` says how many calls there are to each that
is hit, drawn from `seed` and the number of the call; `calls` limits it to methods of these names;
`times` ends it after so many hits."""


@dataclass(frozen=True)
class Fault:
    """A fault that is set.

    Attributes
    ----------
    parameters : dict
    since_s : float
        By the clock's monotonic time [s].
    counted, hits : int
        How many calls it has seen, and hit.
    """

    parameters: Mapping[str, bool | int | float | str | tuple[str, ...] | None]
    since_s: float
    counted: int = 0
    hits: int = 0

    def number(self, name: str) -> float:
        """Return a parameter that is a number."""
        value = self.parameters[name]
        assert isinstance(value, (int, float)), f"{name} is {value!r}"
        return float(value)


@dataclass(frozen=True)
class FaultsSet:
    """All faults that are set, by device and name."""

    since_s: float = 0.0
    by_device: Mapping[str, Mapping[str, Fault]] = field(default_factory=dict)

    def with_fault(self, device: str, name: str, fault: Fault | None) -> FaultsSet:
        """Return it with one fault changed, or taken out."""
        faults = {k: v for k, v in self.by_device.get(device, {}).items() if k != name}
        if fault is not None:
            faults[name] = fault
        return replace(self, by_device={**self.by_device, device: faults})


class Faults:
    """The faults of one world.

    Parameters
    ----------
    path : Path
        Of the file.
    tell_over : callable
        Called with device and name when a fault has had all its hits.
    """

    def __init__(self, path: Path, tell_over: Callable[[str, str], None]) -> None:
        self._tell_over = tell_over
        self._file = StateFile(path, FaultsSet, FaultsSet(), kept=1)

    def set(self, device: str, name: str, now_s: float, **parameters: Value) -> None:
        """Set a fault.

        Raises
        ------
        ValueError
            There is no such device, fault or parameter, or its value cannot be.
        """
        _check(device, name, parameters)
        kind = FAULTS[device][name]
        fault = Fault({k: _frozen(v) for k, v in {**kind.parameters, **parameters}.items()}, now_s)
        self._file.change(lambda faults: faults.with_fault(device, name, fault))

    def clear(self, device: str | None = None, name: str | None = None) -> None:
        """Clear one fault, those of a device, or all."""

        def change(faults: FaultsSet) -> FaultsSet:
            if device is None:
                return FaultsSet()
            if name is None:
                return replace(faults, by_device={**faults.by_device, device: {}})
            return faults.with_fault(device, name, None)

        self._file.change(change)

    def active(self, device: str, name: str) -> Fault | None:
        """Return a fault if it is set, without counting."""
        return self._file.read().by_device.get(device, {}).get(name)

    def hit(self, device: str, name: str, call: str = "") -> Fault | None:
        """Count a call; return the fault if it is hit."""
        found = self.active(device, name)
        if found is None or not _is_meant(found, call):
            return None
        if found.parameters.get("one_in", 1) == 1 and found.parameters.get("times") is None:
            return found
        struck: list[Fault] = []
        ended: list[bool] = []

        def count(faults: FaultsSet) -> FaultsSet:
            fault = faults.by_device.get(device, {}).get(name)
            if fault is None:
                return faults
            hit = _is_drawn(device, name, fault)
            fault = replace(fault, counted=fault.counted + 1, hits=fault.hits + hit)
            struck.extend([fault] * hit)
            over = fault.parameters.get("times") == fault.hits
            ended.append(over)
            return faults.with_fault(device, name, None if over else fault)

        self._file.change(count)
        if any(ended):
            self._tell_over(device, name)
        return struck[0] if struck else None


def before_call(faults: Faults, device: str, call: str) -> None:
    """Let a call fail that is to fail before it does anything.

    Raises
    ------
    DeviceFault, DeviceUnreachable, DeviceNotConnected
    """
    if faults.active(device, "disconnected"):
        raise DeviceNotConnected(f"simulated {device}: {call}: it is not connected")
    if faults.hit(device, "fails", call):
        raise DeviceFault(f"simulated {device}: {call}: the fault 'fails' is set")
    dropping = faults.active(device, "drops")
    if dropping and not dropping.parameters["carried_out"]:
        _drop(faults, device, call)


def after_call(faults: Faults, device: str, call: str, timeout_s: float) -> None:
    """Lose or delay the answer of a call that was carried out.

    Raises
    ------
    DeviceUnreachable, DeviceTimeout
    """
    dropping = faults.active(device, "drops")
    if dropping and dropping.parameters["carried_out"]:
        _drop(faults, device, call)
    hanging = faults.hit(device, "hangs", call)
    if hanging is None:
        return
    seconds = hanging.number("seconds")
    if hanging.parameters["endless"]:
        time.sleep(seconds)
    else:
        time.sleep(min(seconds, timeout_s))
    if seconds >= timeout_s:
        raise DeviceTimeout(f"simulated {device}: {call}: no answer within {timeout_s:g} s")


def _drop(faults: Faults, device: str, call: str) -> None:
    if faults.hit(device, "drops", call):
        raise DeviceUnreachable(f"simulated {device}: {call}: no answer; the fault 'drops' is set")


def _is_meant(fault: Fault, call: str) -> bool:
    calls = fault.parameters.get("calls")
    return calls is None or (isinstance(calls, tuple) and call in calls)


def _is_drawn(device: str, name: str, fault: Fault) -> bool:
    drawn = zlib.crc32(f"{fault.parameters.get('seed')} {device} {name} {fault.counted}".encode())
    return drawn % int(fault.parameters.get("one_in") or 1) == 0  # type: ignore[arg-type]


def _frozen(value: Value) -> bool | int | float | str | tuple[str, ...] | None:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return tuple(value)


def _check(device: str, name: str, parameters: Mapping[str, Value]) -> None:
    if device not in FAULTS:
        raise ValueError(f"device {device!r}: it must be one of {', '.join(FAULTS)}")
    kind = FAULTS[device].get(name)
    if kind is None:
        raise ValueError(f"fault {name!r}: the {device} knows {', '.join(FAULTS[device])}")
    for parameter, value in parameters.items():
        if parameter not in kind.parameters:
            known = ", ".join(kind.parameters) or "none"
            raise ValueError(f"parameter {parameter!r}: the fault {name} has {known}")
        if parameter in ("one_in", "times") and not (isinstance(value, int) and value >= 1):
            raise ValueError(f"{parameter} is {value!r}; it must be a whole number from 1 on")
        if parameter == "calls" and isinstance(value, str):
            raise ValueError(f"calls is {value!r}; it must be a list of method names")
