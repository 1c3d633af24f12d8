"""Which master fits a frame: pure, and explained where there is none.

A master fits a frame of the same camera (`toros.preprocessor.grouping`)

- as a bias: at the frame's temperature, within the tolerance;
- as a dark: likewise, of an exposure time equal within a part in a thousand
  or, if there is a bias to scale it by, of any other;
- as a flat: of the same filter.

Of several that fit, the order is: for a dark the same exposure time, then longer ones
from the nearest on, then shorter ones from the nearest on, then the same filter,
then the nearest temperature; for a flat the nearest temperature; then the
nearest in time; then the name, so that the choice never hangs on any order of input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from toros.preprocessor.grouping import CAMERA_FIELDS, Frame, KeyValue, camera_of, same_exposure
from toros.preprocessor.steps.base import BIAS_STACK, DARK_STACK, FLAT_STACK

__all__ = ["Choice", "Frame", "Master", "choose_bias", "choose_dark", "choose_flat"]

_KIND_NAMES = {BIAS_STACK: "bias", DARK_STACK: "dark", FLAT_STACK: "flat"}


@dataclass(frozen=True)
class Master:
    """A stack that other frames are corrected by.

    Attributes
    ----------
    path, name, sha256 : str
        The file, its name, the hash of its bytes.
    kind : str
        combination_type: "bias_stack", "dark_stack", "flat_stack".
    key : mapping
        As `key_of` makes it.
    scalars : mapping of str to float
        What its step measured.
    missing : tuple of str
        What it lacks itself.
    """

    path: str
    name: str
    sha256: str
    kind: str
    key: Mapping[str, KeyValue]
    scalars: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A master, or why there is none."""

    master: Master | None
    reason: str = ""


def choose_bias(frame: Frame, masters: Iterable[Master], temperature_tolerance_c: float) -> Choice:
    """Choose the bias stack for a frame."""

    def failures(master: Master) -> list[str]:
        return _camera_failures(frame, master) + _temperature_failures(
            frame, master, temperature_tolerance_c
        )

    return _choose(frame, BIAS_STACK, masters, failures, lambda _: ())


def choose_dark(
    frame: Frame, masters: Iterable[Master], temperature_tolerance_c: float, scalable: bool
) -> Choice:
    """Choose the dark stack for a frame.

    Parameters
    ----------
    frame : Frame
    masters : iterable of Master
        Of any kind.
    temperature_tolerance_c : float
        [deg C]
    scalable : bool
        There is a bias for this frame, so that a dark of another exposure time will do.
    """
    time_s = frame.facts.exposure_time_s

    def failures(master: Master) -> list[str]:
        found = _camera_failures(frame, master)
        found += _temperature_failures(frame, master, temperature_tolerance_c)
        dark_s = _number(master.key, "exposure_time_s")
        if time_s is None:
            found.append("the frame's exposure time is unknown")
        elif dark_s is None or dark_s <= 0:
            found.append("the dark's exposure time is unknown")
        elif not (scalable or same_exposure(time_s, dark_s)):
            found.append(
                f"exposure time {dark_s:g} s instead of {time_s:g} s, and no bias to scale it by"
            )
        return found

    def preference(master: Master) -> tuple[float, ...]:
        dark_s = _number(master.key, "exposure_time_s") or 0.0
        light_s = time_s or 0.0
        if same_exposure(light_s, dark_s):
            exposure = (0.0, 0.0)
        else:
            exposure = (1.0 if dark_s > light_s else 2.0, abs(dark_s - light_s))
        other_filter = float(master.key.get("filter") != frame.facts.filter)
        return (*exposure, other_filter, round(_temperature_distance(frame, master), 1))

    return _choose(frame, DARK_STACK, masters, failures, preference)


def choose_flat(frame: Frame, masters: Iterable[Master]) -> Choice:
    """Choose the flat stack for a light."""

    def failures(master: Master) -> list[str]:
        found = _camera_failures(frame, master)
        if master.key.get("filter") != frame.facts.filter:
            found.append(_instead("filter", master.key.get("filter"), frame.facts.filter))
        return found

    # The temperature hardly matters to a flat, but of two the nearer is the better.
    return _choose(
        frame,
        FLAT_STACK,
        masters,
        failures,
        lambda master: (round(_temperature_distance(frame, master), 1),),
    )


def _choose(
    frame: Frame,
    kind: str,
    masters: Iterable[Master],
    failures: Callable[[Master], list[str]],
    preference: Callable[[Master], tuple[float, ...]],
) -> Choice:
    name = _KIND_NAMES[kind]
    candidates = sorted(
        ((master, failures(master)) for master in masters if master.kind == kind),
        key=lambda pair: (
            len(pair[1]),
            preference(pair[0]),
            _time_distance(frame, pair[0]),
            pair[0].name,
        ),
    )
    if not candidates:
        return Choice(None, f"{name}: there is no {name} stack in this batch")
    nearest, failed = candidates[0]
    if failed:
        return Choice(None, f"{name}: none fits; the nearest, {nearest.name}: {'; '.join(failed)}")
    return Choice(nearest)


def _camera_failures(frame: Frame, master: Master) -> list[str]:
    wanted = dict(zip(CAMERA_FIELDS, camera_of(frame), strict=True))
    return [
        _instead(field_name.replace("_", " "), master.key.get(field_name), value)
        for field_name, value in wanted.items()
        if master.key.get(field_name) != value
    ]


def _temperature_failures(frame: Frame, master: Master, tolerance_c: float) -> list[str]:
    wanted, found = frame.facts.temperature_c, _number(master.key, "temperature_c")
    if wanted is None and found is None:
        return []
    if wanted is None or found is None:
        found, wanted = (None if t is None else round(t, 1) for t in (found, wanted))
        return [_instead("temperature [C]", found, wanted)]
    if abs(wanted - found) > tolerance_c + 1e-9:
        return [
            f"temperature {found:.1f} C instead of {wanted:.1f} C, more than {tolerance_c:g} C away"
        ]
    return []


def _instead(what: str, found: KeyValue, wanted: KeyValue) -> str:
    def written(value: KeyValue) -> str:
        if value is None:
            return "unknown"
        return f"{value:g}" if isinstance(value, float) else str(value)

    return f"{what} {written(found)} instead of {written(wanted)}"


def _temperature_distance(frame: Frame, master: Master) -> float:
    wanted, found = frame.facts.temperature_c, _number(master.key, "temperature_c")
    return math.inf if wanted is None or found is None else abs(wanted - found)


def _time_distance(frame: Frame, master: Master) -> float:
    start, mine = master.key.get("start_utc"), frame.facts.start_utc
    if not isinstance(start, str) or mine is None:
        return math.inf
    return abs((datetime.fromisoformat(start) - mine).total_seconds())


def _number(key: Mapping[str, KeyValue], name: str) -> float | None:
    value = key.get(name)
    return float(value) if isinstance(value, (int, float)) else None
