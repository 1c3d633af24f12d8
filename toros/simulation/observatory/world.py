"""A simulated observatory in a folder, which all processes share and which outlives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from toros.clock import Clock
from toros.errors import ConfigurationError
from toros.simulation.observatory import dome, mount, settings
from toros.simulation.observatory.camera import CameraState, SimulatedCamera
from toros.simulation.observatory.cover import CoverState, SimulatedCover
from toros.simulation.observatory.dome import DomeState, SimulatedDome
from toros.simulation.observatory.faults import Faults, Value
from toros.simulation.observatory.filter_wheel import SimulatedFilterWheel, WheelState
from toros.simulation.observatory.focuser import FocuserState, SimulatedFocuser
from toros.simulation.observatory.mount import MountState, SimulatedMount
from toros.simulation.observatory.settings import WorldSettings
from toros.simulation.observatory.state import StateFile
from toros.simulation.observatory.truth import TruthEvent, TruthLog
from toros.simulation.observatory.weather import (
    Entry,
    SimulatedObservingConditions,
    SimulatedSafetyMonitor,
    Weather,
    WeatherState,
    make_entry,
)
from toros.sky.site import Site

Script = Iterable[tuple[float | datetime, Mapping[str, float | bool | str | None]]]
"""Moments (aware, or simulated seconds from now on) and what holds from then on."""


class World:
    """A simulated observatory.

    Parameters
    ----------
    folder : Path
        Where its state is kept; made when missing.
    clock : Clock
        The same for all processes that share the folder.
    site : Site or (float, float, float)
        Longitude, latitude [deg], height [m].
    hardware : WorldSettings, optional
        What the hardware is like; written into the folder for all who open it. By default as the
        folder says.

    Raises
    ------
    ConfigurationError
        The folder cannot be made, or its ``world.json`` is wrong.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        site: Site | tuple[float, float, float],
        hardware: WorldSettings | None = None,
    ) -> None:
        self.folder = folder
        self.clock = clock
        self.site = site if isinstance(site, Site) else Site(*site)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if hardware is not None:
                settings.save(folder, hardware)
        except OSError as error:
            raise ConfigurationError(f"{folder}: {error.strerror or error}") from error
        self.hardware = hardware = hardware or settings.load(folder)
        self.truth_log = TruthLog(folder / "truth.jsonl", clock)
        self.faults = Faults(folder / "faults.json", self._tell_cleared)
        self.weather_file = StateFile(folder / "weather.json", WeatherState, WeatherState(), 1)
        self.dome_file = StateFile(folder / "dome.json", DomeState, DomeState.first(hardware))
        self.mount_file = StateFile(folder / "mount.json", MountState, MountState.first(hardware))
        self.camera_file = StateFile(folder / "camera.json", CameraState, CameraState(), 2)
        self.wheel_file = StateFile(folder / "filter_wheel.json", WheelState, WheelState())
        self.focuser_file = StateFile(
            folder / "focuser.json", FocuserState, FocuserState.first(hardware)
        )
        self.cover_file = StateFile(folder / "cover.json", CoverState, CoverState())

    def dome(self, timeout_s: float = 5.0) -> SimulatedDome:
        """Return the dome, for one process; `timeout_s` [s] is how long a call may hang."""
        return SimulatedDome(self, timeout_s)

    def mount(self, timeout_s: float = 5.0) -> SimulatedMount:
        """Return the mount."""
        return SimulatedMount(self, timeout_s)

    def camera(self, timeout_s: float = 5.0) -> SimulatedCamera:
        """Return the camera."""
        return SimulatedCamera(self, timeout_s)

    def filter_wheel(self, timeout_s: float = 5.0) -> SimulatedFilterWheel:
        """Return the filter wheel."""
        return SimulatedFilterWheel(self, timeout_s)

    def focuser(self, timeout_s: float = 5.0) -> SimulatedFocuser:
        """Return the focuser."""
        return SimulatedFocuser(self, timeout_s)

    def cover(self, timeout_s: float = 5.0) -> SimulatedCover:
        """Return the mirror cover with the flat field lamp."""
        return SimulatedCover(self, timeout_s)

    def safety_monitor(self, timeout_s: float = 5.0) -> SimulatedSafetyMonitor:
        """Return the safety monitor."""
        return SimulatedSafetyMonitor(self, timeout_s)

    def observing_conditions(self, timeout_s: float = 5.0) -> SimulatedObservingConditions:
        """Return the weather station."""
        return SimulatedObservingConditions(self, timeout_s)

    def set_weather(self, *, safe: bool | str | None = None, **quantities: float) -> None:
        """Change the weather from now on.

        Parameters
        ----------
        safe : bool or "derived", optional
            The safety monitor's word; "derived": by the quantities, as at first.
        **quantities : float
            By the names and in the units of `toros.devices.protocols.QUANTITIES`.

        Raises
        ------
        ValueError
            There is no such quantity.
        """
        entry = make_entry(self.clock.monotonic(), {**quantities, "safe": safe})
        self.weather_file.change(lambda state: state.with_entries([entry], entry.at_s))
        self._tell_weather("set_weather", [entry])

    def set_script(self, script: Script) -> None:
        """Lay down the weather to come; what was to come before is dropped.

        Parameters
        ----------
        script : iterable of (moment, values)
            A moment is an aware datetime of the simulated time, or simulated seconds from now
            on; values are `set_weather`'s arguments. They hold until others do.

        Raises
        ------
        ValueError
            There is no such quantity.
        """
        now_s, now = self.clock.monotonic(), self.clock.now()
        entries = []
        for moment, values in script:
            after_s = (moment - now).total_seconds() if isinstance(moment, datetime) else moment
            entries.append(make_entry(now_s + after_s, values))
        self.weather_file.change(
            lambda state: state.without_future(now_s).with_entries(entries, now_s)
        )
        self._tell_weather("set_script", entries)

    def weather(self) -> Weather:
        """Return the true weather."""
        return self.weather_file.read().at(self.clock.monotonic())

    def set_fault(self, device: str, fault: str, **parameters: Value) -> None:
        """Set a fault; `toros.simulation.observatory.faults.FAULTS` lists them.

        One that stops a motion stops the one that is under way, too.

        Raises
        ------
        ValueError
            There is no such device, fault or parameter.
        """
        self.faults.set(device, fault, self.clock.monotonic(), **parameters)
        self.truth_log.add("faults", "set_fault", on=device, fault=fault, parameters=parameters)
        if device == "dome":
            dome.strike(self, fault)
        elif device == "mount":
            mount.strike(self, fault)

    def clear_fault(self, device: str, fault: str) -> None:
        """Clear one fault; what it has stopped stays where it is until it is told to move."""
        self.faults.clear(device, fault)
        self._tell_cleared(device, fault)

    def clear_faults(self, device: str | None = None) -> None:
        """Clear all faults, or those of one device."""
        self.faults.clear(device)
        self._tell_cleared(device, None)

    def truth(self) -> list[TruthEvent]:
        """Return what has happened until now, in the order of the simulated time."""
        return self.truth_log.read()

    def moment(self, at_s: float) -> datetime:
        """Return the simulated wall clock at a monotonic time [s], aware, UTC."""
        return self.clock.now() + timedelta(seconds=at_s - self.clock.monotonic())

    def _tell_cleared(self, device: str | None, fault: str | None) -> None:
        self.truth_log.add("faults", "clear_faults", on=device, fault=fault)

    def _tell_weather(self, event: str, entries: list[Entry]) -> None:
        lines = [{"at_s": e.at_s, "values": dict(e.values), "word": e.word} for e in entries]
        self.truth_log.add("weather", event, entries=lines)
