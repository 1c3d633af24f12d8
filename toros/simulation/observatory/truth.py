"""What really happened at the simulated observatory: a file of JSON lines that only grows.

Each command and each change of the hardware is a line with the simulated and the real time and
the process that caused it. Where a motion ends by itself no process is there to say so: those
events are derived from the motions when the file is read, with process 0.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from toros.clock import Clock
from toros.errors import DeviceFault
from toros.simulation.observatory.kinematics import Travel

ARRIVED = "arrived"
"""The event of a motion that has ended by itself."""


@dataclass(frozen=True)
class Motion:
    """A motion that a command has begun.

    Attributes
    ----------
    axis : str
        shutter, azimuth, mount, filter_wheel, focuser, cover or exposure.
    start, end : float
        Where it begins and ends, in the axis' unit (shutter, cover: 0 closed to 1 open;
        azimuth: deg; mount: its share of the way; filter_wheel: positions; focuser: steps;
        exposure: s).
    from_s, until_s : float
        When, by the simulated monotonic time [s].
    """

    axis: str
    start: float
    end: float
    from_s: float
    until_s: float

    @classmethod
    def of(cls, axis: str, travel: Travel, settle_s: float = 0.0) -> Motion:
        """Return what a travel is for the record."""
        begin = travel.since_s
        extra = settle_s if travel.start != travel.end else 0.0
        return cls(axis, travel.start, travel.end, begin, travel.arrival_s + extra)


@dataclass(frozen=True)
class TruthEvent:
    """Something that happened.

    Attributes
    ----------
    device : str
        Its kind, such as ``dome``; ``weather`` and ``faults`` for what was set from outside.
    event : str
        The command's name (`refused` says why where it was refused), `ARRIVED`, or what was set.
    simulated_s, real_s : float
        Monotonic times, simulated and real [s].
    simulated, real : datetime
        Wall clocks, simulated and real, aware, UTC.
    rate : float
        Simulated seconds in a real second.
    pid : int
        The process; 0 where the hardware came to it by itself.
    motion : Motion or None
        The motion that began, or ended (`ARRIVED`).
    values : dict
        What else belongs to it.
    """

    device: str
    event: str
    simulated_s: float
    real_s: float
    simulated: datetime
    real: datetime
    rate: float = 1.0
    pid: int = 0
    motion: Motion | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def refused(self) -> str | None:
        """Why the command was refused; None where it was carried out."""
        reason = self.values.get("refused")
        return None if reason is None else str(reason)

    def real_s_of(self, simulated_s: float) -> float:
        """Return the real monotonic time of a simulated one [s]."""
        return self.real_s + (simulated_s - self.simulated_s) / self.rate


class TruthLog:
    """The file of what happened.

    Parameters
    ----------
    path : Path
    clock : Clock
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock

    def add(
        self,
        device: str,
        event: str,
        motion: Motion | None = None,
        *,
        at_s: float | None = None,
        **values: object,
    ) -> None:
        """Write a line.

        Parameters
        ----------
        device, event : str
        motion : Motion, optional
        at_s : float, optional
            When, by the simulated monotonic time [s]; now by default.
        **values
            Plain values for JSON.

        Raises
        ------
        DeviceFault
            The line cannot be written.
        """
        now_s = self.clock.monotonic()
        line = TruthEvent(
            device, event, now_s if at_s is None else at_s, time.monotonic(), self.clock.now(),
            datetime.now(UTC), self.clock.rate, os.getpid(), motion, values,
        )  # fmt: skip
        text = json.dumps(asdict(line), default=_plain) + "\n"
        try:
            # One write to a file opened for appending: lines of several processes never mix.
            descriptor = os.open(
                self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
            try:
                os.write(descriptor, text.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise DeviceFault(f"{self.path}: {error.strerror or error}") from error

    def read(self) -> list[TruthEvent]:
        """Return what has happened until now, by simulated time, ends of motions included."""
        try:
            lines = self.path.read_text("utf-8").splitlines(keepends=True)
        except FileNotFoundError:
            return []
        events = [_parse(json.loads(line)) for line in lines if line.endswith("\n")]
        return with_arrivals(events, self.clock.monotonic())


def with_arrivals(events: Iterable[TruthEvent], now_s: float) -> list[TruthEvent]:
    """Return events in the order of time, with the ends of the motions that ended by themselves.

    Parameters
    ----------
    events : iterable of TruthEvent
    now_s : float
        Motions that end later have not ended, by the simulated monotonic time [s].
    """
    ordered = sorted(events, key=lambda event: event.simulated_s)
    all_events = list(ordered)
    running: dict[tuple[str, str], TruthEvent] = {}
    for event in ordered:
        if event.motion is None:
            continue
        axis = (event.device, event.motion.axis)
        all_events += _arrival(running.pop(axis, None), event.simulated_s)
        running[axis] = event
    for event in running.values():
        all_events += _arrival(event, now_s)
    return sorted(all_events, key=lambda event: event.simulated_s)


def _arrival(begun: TruthEvent | None, before_s: float) -> list[TruthEvent]:
    if begun is None or begun.motion is None:
        return []
    motion = begun.motion
    if not motion.from_s < motion.until_s <= before_s:
        return []
    later_s = motion.until_s - begun.simulated_s
    return [
        replace(
            begun,
            event=ARRIVED,
            simulated_s=motion.until_s,
            real_s=begun.real_s_of(motion.until_s),
            simulated=begun.simulated + timedelta(seconds=later_s),
            real=begun.real + timedelta(seconds=later_s / begun.rate),
            pid=0,
            values={},
        )
    ]


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is nothing for JSON")


def _parse(line: Mapping[str, Any]) -> TruthEvent:
    motion = line["motion"]
    return TruthEvent(
        **{
            **line,
            "simulated": datetime.fromisoformat(line["simulated"]),
            "real": datetime.fromisoformat(line["real"]),
            "motion": None if motion is None else Motion(**motion),
        }
    )
