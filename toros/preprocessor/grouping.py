"""Which frames belong together: pure, and the same for the same frames in any order.

No stack mixes cameras. Two frames are of one camera when instrument, telescope,
shape, HDU, binning, gain setting and colour pattern are equal; what neither
header says counts as equal, what only one says does not. Temperatures and exposure
times are sorted into clusters: where the frames of a group lie too far apart, it
is split at the widest gap, until none does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TypeAlias

from toros.images import FrameFacts

KeyValue: TypeAlias = str | float | None
Key: TypeAlias = dict[str, KeyValue]

EXPOSURE_TOLERANCE = 1e-3
"""Relative difference up to which two exposure times are the same."""

CAMERA_FIELDS = (
    "instrument",
    "telescope",
    "shape",
    "hdu",
    "binning",
    "gain_setting",
    "bayer",
)


@dataclass(frozen=True)
class Frame:
    """One image plane of one raw file.

    Attributes
    ----------
    path : str
        Where the file lies.
    name : str
        Its name in the batch.
    sha256 : str
        Of the file's bytes, in hex.
    hdu : int
        Which HDU, counted from 0.
    facts : FrameFacts
        What its header says.
    """

    path: str
    name: str
    sha256: str
    hdu: int
    facts: FrameFacts


def mid_exposure(facts: FrameFacts) -> datetime | None:
    """Return the middle of an exposure (UTC), or its start if its length is unknown."""
    if facts.start_utc is None:
        return None
    return facts.start_utc + timedelta(seconds=(facts.exposure_time_s or 0.0) / 2)


def frame_order(frame: Frame) -> tuple[bool, datetime, str, int]:
    """Sort frames by (mid-exposure, name); those without a time come last."""
    middle = mid_exposure(frame.facts)
    return middle is None, middle or datetime.max.replace(tzinfo=UTC), frame.name, frame.hdu


def camera_of(frame: Frame) -> tuple[KeyValue, ...]:
    """Return what frames of one camera have in common, in the order of `CAMERA_FIELDS`."""
    facts = frame.facts
    ny, nx = facts.shape
    return (
        facts.instrument,
        facts.telescope,
        f"{nx}x{ny}",
        float(frame.hdu),
        facts.binning,
        facts.gain_setting,
        facts.bayer,
    )


def key_of(frames: Sequence[Frame], fields: Iterable[str] = ()) -> Key:
    """Describe a group: its camera, the means of its temperature and times, its filter.

    Parameters
    ----------
    frames : sequence of Frame
        In their order; at least one.
    fields : iterable of str
        What the group shares besides, "exposure_time_s" or "filter".
    """
    first = frames[0].facts
    key: Key = dict(zip(CAMERA_FIELDS, camera_of(frames[0]), strict=True))
    key["temperature_c"] = _mean([frame.facts.temperature_c for frame in frames])
    if "filter" in fields:
        key["filter"] = first.filter
    if "exposure_time_s" in fields:
        key["exposure_time_s"] = _mean([frame.facts.exposure_time_s for frame in frames])
    key["start_utc"] = first.start_utc.isoformat() if first.start_utc is not None else None
    return key


def group(
    frames: Iterable[Frame], fields: Sequence[str], temperature_tolerance_c: float
) -> list[list[Frame]]:
    """Sort frames into groups that can be stacked.

    Parameters
    ----------
    frames : iterable of Frame
        Of one type.
    fields : sequence of str
        What the frames of a group share besides camera and temperature:
        "exposure_time_s", "filter".
    temperature_tolerance_c : float
        Largest difference of temperatures within a group [deg C].

    Returns
    -------
    list of list of Frame
        Each by (mid-exposure, name), the groups by their first frame.
    """
    groups = _split(sorted(frames, key=frame_order), camera_of)
    if "filter" in fields:
        groups = [part for one in groups for part in _split(one, lambda f: f.facts.filter)]
    if "exposure_time_s" in fields:
        groups = [part for one in groups for part in _cluster(one, _exposure, _exposures_too_wide)]

    def too_wide(low: float, high: float) -> bool:
        # A hair's breadth for what decimal numbers lose.
        return high - low > temperature_tolerance_c + 1e-9

    groups = [part for one in groups for part in _cluster(one, _temperature, too_wide)]
    return sorted(groups, key=lambda part: frame_order(part[0]))


def same_exposure(one_s: float, other_s: float) -> bool:
    """Say whether two exposure times [s] are the same within a part in a thousand."""
    return abs(one_s - other_s) <= EXPOSURE_TOLERANCE * max(abs(one_s), abs(other_s))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _temperature(frame: Frame) -> float | None:
    return frame.facts.temperature_c


def _exposure(frame: Frame) -> float | None:
    return frame.facts.exposure_time_s


def _exposures_too_wide(low: float, high: float) -> bool:
    return not same_exposure(low, high)


def _split(frames: Sequence[Frame], by: Callable[[Frame], object]) -> list[list[Frame]]:
    parts: dict[object, list[Frame]] = {}
    for frame in frames:
        parts.setdefault(by(frame), []).append(frame)
    return list(parts.values())


def _cluster(
    frames: Sequence[Frame],
    value: Callable[[Frame], float | None],
    too_wide: Callable[[float, float], bool],
) -> list[list[Frame]]:
    """Split frames at the widest gap of a value until no part is too wide.

    Frames without the value are a part of their own. The frames' order is kept.
    """
    unknown = [frame for frame in frames if value(frame) is None]
    parts = [unknown] if unknown else []
    waiting = [sorted({v for frame in frames if (v := value(frame)) is not None})]
    while waiting:
        values = waiting.pop()
        if not values:
            continue
        if not too_wide(values[0], values[-1]):
            inside = set(values)
            parts.append([frame for frame in frames if value(frame) in inside])
            continue
        gaps = [high - low for low, high in pairwise(values)]
        cut = gaps.index(max(gaps)) + 1
        waiting += [values[:cut], values[cut:]]
    return parts
