"""The files of a rehearsal: a whole simulated observatory in one folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from toros.cli.processes import free_port
from toros.clock import Clock, SimulatedClock
from toros.simulation.observatory import World, WorldSettings, verdicts
from toros.sky.site import Site

SITE = Site(-67.33, -24.63, 4637.0)
SERVICES = ("dome", "preprocessor", "telescope")
Span = tuple[datetime, datetime]

_BAD_DELAY_S, _GOOD_DELAY_S, _SAFE_BEFORE_S = 90.0, 300.0, 600.0
_CLOSE_WITHIN_S = 5.0
_NOTICE_S = 2.0


class _Plain(yaml.SafeDumper):
    """Writes equal parts in full: the configuration takes no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        """Take none."""
        return True


@dataclass(frozen=True)
class Rehearsal:
    """A simulated observatory, and what its daemons need.

    Attributes
    ----------
    folder, configuration : Path
    settings : dict
        What the configuration holds.
    clock : SimulatedClock
        The time that all share.
    world : World
        The simulated hardware and its weather.
    """

    folder: Path
    configuration: Path
    settings: dict[str, Any]
    clock: Clock
    world: World

    def url(self, service: str) -> str:
        """Return the address of a daemon's front desk."""
        port = self.settings[f"{service.capitalize()} Service Address"]["Port"]
        return f"http://127.0.0.1:{port}"

    def broken_promises(self) -> list[str]:
        """Judge what the hardware was really told and did; nothing is returned where all is well.

        Bad weather counts after the humidity's delay to bad.
        """
        events, end_s = self.world.truth(), self.clock.monotonic()
        unsafe = verdicts.unsafe_intervals(events, end_s, bad_delay_s=_BAD_DELAY_S)
        closing_s = _CLOSE_WITHIN_S * self.clock.rate + self.world.hardware.shutter_s
        found = [
            *verdicts.late_closings(events, unsafe, end_s, _CLOSE_WITHIN_S),
            *verdicts.open_while_unsafe(events, unsafe, closing_s, end_s),
            *verdicts.openings_while_unsafe(events, unsafe),
            *verdicts.overlapping_motions(events),
            *verdicts.blind_exposures(events),
            *verdicts.moves_under_closed_dome(events),
        ]
        return [
            f"{one.rule} at {self.world.moment(one.at_s):%H:%M:%S}: {one.detail}" for one in found
        ]

    def opened(self) -> list[Span]:
        """Return when the shutter was not closed."""
        end_s = self.clock.monotonic()
        return self._spans(verdicts.open_intervals(self.world.truth(), end_s))

    def lost(self) -> list[Span]:
        """Return when the weather kept the dome closed.

        That is while it was bad, and until it had been good for as long as the settings ask,
        with the time to open.
        """
        end_s, later_s = self.clock.monotonic(), _GOOD_DELAY_S + _SAFE_BEFORE_S
        later_s += self.world.hardware.shutter_s + _NOTICE_S * self.clock.rate
        bad = verdicts.unsafe_intervals(self.world.truth(), end_s)
        return self._spans(verdicts.Interval(a, min(b + later_s, end_s)) for a, b in bad)

    def dark_lights(self) -> int:
        """Return how many exposures with an open shutter saw neither the sky nor the lamp."""
        return sum(
            event.event == "start_exposure"
            and event.refused is None
            and bool(event.values.get("light"))
            and event.values.get("source") == "none"
            for event in self.world.truth()
        )

    def _spans(self, intervals: Iterable[verdicts.Interval]) -> list[Span]:
        return [(self.world.moment(a), self.world.moment(b)) for a, b in intervals]

    def write(self) -> None:
        """Write the configuration."""
        text = yaml.dump(self.settings, Dumper=_Plain, sort_keys=False)
        self.configuration.write_text(text, "utf-8")


def make_rehearsal(
    folder: Path,
    start: datetime,
    rate: float,
    hardware: WorldSettings | None = None,
    *,
    ready_s: float = 3.0,
    changes: Mapping[str, Any] | None = None,
) -> Rehearsal:
    """Lay out a rehearsal in a folder.

    Parameters
    ----------
    folder : Path
    start : datetime
        The simulated time in `ready_s`, aware.
    rate : float
        Simulated seconds in a real second.
    hardware : WorldSettings, optional
        What the simulated devices are like.
    ready_s : float
        What the daemons need to start [s], real.
    changes : mapping, optional
        Settings by section, over the rehearsal's own.
    """
    anchor = datetime.now(UTC) + timedelta(seconds=ready_s)
    clock = SimulatedClock(anchor, start, rate)
    simulated = {"Driver": "simulated", "Timeout (s)": 5.0}
    slowness = max(1.0, rate / 10.0)
    settings: dict[str, Any] = {
        "Observatory": {
            "Name": "Rehearsal",
            "Longitude (deg)": SITE.longitude_deg,
            "Latitude (deg)": SITE.latitude_deg,
            "Height (m)": SITE.height_m,
        },
        **{f"{name.capitalize()} Service Address": {"Port": free_port()} for name in SERVICES},
        # Nobody listens there: what is told to the alert robot waits.
        "Lvcgcn Service Address": {"Port": free_port()},
        "State Folder": str(folder / "state"),
        "Logging": {"File": str(folder / "log" / "toros.log")},
        "Preprocessor": {"Free Space Reserve (MB)": 100.0},
        "Dome": {
            "Device": simulated,
            "Safe Before Opening (s)": _SAFE_BEFORE_S,
            "Weather": {"Sources": [{"Name": "station", "Kind": "simulated"}]},
        },
        "Telescope": {
            "Stage": 3,
            **dict.fromkeys(("Mount", "Camera", "Filter Wheel", "Focuser", "Cover"), simulated),
            "Focal Length (mm)": 1547.0,
            "Aperture (mm)": 600.0,
            "Temperature (C)": -20.0,
            "Free Space Reserve (MB)": 100.0,
            # What the programs themselves take is long in an accelerated time.
            "Planning": {"Settle (s)": 3.0 * slowness, "Readout (s)": 3.0 + slowness},
            # The light of the twilight changes faster than programs work in an accelerated time.
            "Calibration": {"Biases": 5, "Darks": 3, "Flats": 3, "Flat Light": "lamp"},
        },
        "Rehearsal": {
            "Anchor": anchor.isoformat(),
            "Start": start.isoformat(),
            "Rate": rate,
            "Folder": str(folder / "simulation"),
        },
    }
    merge(settings, changes or {})
    (folder / "log").mkdir(parents=True, exist_ok=True)
    world = World(folder / "simulation", clock, SITE, hardware or WorldSettings())
    made = Rehearsal(folder, folder / "toros.conf.yaml", settings, clock, world)
    made.write()
    return made


def merge(settings: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Put changes into settings, section by section; a list takes the place of a list."""
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(settings.get(key), dict):
            settings[key] = dict(settings[key])
            merge(settings[key], value)
        else:
            settings[key] = value
