"""The simulated dome: an azimuth that turns and a shutter that travels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from toros.devices.protocols import ShutterState
from toros.errors import DeviceLacks, DeviceRefused
from toros.simulation.observatory.device import SimulatedDevice
from toros.simulation.observatory.kinematics import AT_ZERO, Travel, at_rest, shortest_way, turn
from toros.simulation.observatory.settings import WorldSettings
from toros.simulation.observatory.truth import Motion

if TYPE_CHECKING:
    from toros.simulation.observatory.world import World

Claim = Literal["", "opening", "closing", "error"]
_SHUTTER_FAULTS = ("shutter_stuck", "shutter_error")


@dataclass(frozen=True)
class DomeState:
    """The dome, as its motions say.

    Attributes
    ----------
    since_s : float
        By the clock's monotonic time [s].
    shutter : Travel
        0 closed to 1 open.
    azimuth : Travel [deg]
        Beyond 360 where it passes north.
    claim : str
        What a faulty shutter says for ever.
    stuck : bool
        Whether it says for ever that it turns.
    parking : bool
        Whether its last turn was to the park position.
    park_lies : bool
        Whether it says that it is parked, wherever it is.
    """

    since_s: float = 0.0
    shutter: Travel = AT_ZERO
    azimuth: Travel = AT_ZERO
    claim: Claim = ""
    stuck: bool = False
    parking: bool = False
    park_lies: bool = False

    @classmethod
    def first(cls, hardware: WorldSettings) -> DomeState:
        """Return the dome as it is found at first: closed and parked."""
        return cls(azimuth=at_rest(hardware.dome_park_deg), parking=True)

    def shutter_state(self, now_s: float) -> ShutterState:
        """Return what the shutter says. Standing half open is open."""
        if self.claim:
            return ShutterState(self.claim)
        if self.shutter.moving(now_s):
            up = self.shutter.end > self.shutter.start
            return ShutterState.OPENING if up else ShutterState.CLOSING
        return ShutterState.OPEN if self.shutter.at(now_s) > 0 else ShutterState.CLOSED

    def turning(self, now_s: float) -> bool:
        """Tell whether it says that it turns."""
        return self.stuck or self.azimuth.moving(now_s)

    def azimuth_deg(self, now_s: float) -> float:
        """Return where the slit really looks [deg]."""
        return self.azimuth.at(now_s) % 360

    def sees(self, azimuth_deg: float, now_s: float, hardware: WorldSettings) -> bool:
        """Tell whether light comes in from an azimuth [deg]."""
        if self.shutter.at(now_s) < 1:
            return False
        off = abs(shortest_way(self.azimuth_deg(now_s), azimuth_deg))
        return not hardware.dome_turns or off <= hardware.slit_half_width_deg


class SimulatedDome(SimulatedDevice):
    """The dome, as one process holds it; satisfies `toros.devices.protocols.Dome`."""

    kind = "dome"

    @property
    def can_turn(self) -> bool:
        """Whether it can be sent to an azimuth."""
        return self.world.hardware.dome_turns

    @property
    def can_park(self) -> bool:
        """Whether it has a park position."""
        return self.world.hardware.dome_turns

    def shutter(self) -> ShutterState:
        """Ask the shutter."""
        with self._call("shutter"):
            return self._state().shutter_state(self._now_s)

    def azimuth(self) -> float | None:
        """Return where the slit looks [deg]; None where it is not known."""
        with self._call("azimuth"):
            if not self.can_turn or self.world.faults.active(self.kind, "azimuth_unknown"):
                return None
            if nonsense := self.world.faults.active(self.kind, "nonsense"):
                return nonsense.number("value")
            return self._state().azimuth_deg(self._now_s)

    def at_park(self) -> bool:
        """Tell whether it stands at its park position."""
        with self._call("at_park"):
            state = self._state()
            return state.park_lies or (state.parking and not state.turning(self._now_s))

    def slewing(self) -> bool:
        """Tell whether anything of it moves."""
        with self._call("slewing"):
            state, now_s = self._state(), self._now_s
            moving = (ShutterState.OPENING, ShutterState.CLOSING)
            return state.turning(now_s) or state.shutter_state(now_s) in moving

    def open_shutter(self) -> None:
        """Start to open, from wherever the shutter is."""
        self._move_shutter("open_shutter", 1.0)

    def close_shutter(self) -> None:
        """Start to close, from wherever the shutter is."""
        self._move_shutter("close_shutter", 0.0)

    def slew_to_azimuth(self, azimuth: float) -> None:
        """Start to turn [deg], 0 <= azimuth < 360, the shorter way round."""
        with self._command("slew_to_azimuth", azimuth=azimuth):
            if not self.can_turn:
                raise DeviceLacks(f"{self.name}: it has no azimuth to turn to")
            if not 0 <= azimuth < 360:
                raise DeviceRefused(f"{self.name}: azimuth {azimuth} is not in 0 <= azimuth < 360")
            self._turn("slew_to_azimuth", azimuth, parking=False)

    def park(self) -> None:
        """Start to turn to the park position."""
        with self._command("park"):
            if not self.can_park:
                raise DeviceLacks(f"{self.name}: it has no park position")
            if self.world.faults.hit(self.kind, "park_lies"):
                self.world.dome_file.change(
                    lambda s: replace(s, since_s=self._now_s, park_lies=True)
                )
                self._record("park", lies=True)
                return
            self._turn("park", self.world.hardware.dome_park_deg, parking=True)

    def abort(self) -> None:
        """Stop all motion, the shutter's included."""

        def change(state: DomeState) -> DomeState:
            now_s = self._now_s
            return replace(
                state,
                since_s=now_s,
                shutter=state.shutter.stopped(now_s),
                azimuth=state.azimuth.stopped(now_s),
                claim="" if state.claim != "error" else "error",
                stuck=False,
                parking=state.parking and not state.turning(now_s),
            )

        with self._command("abort"):
            state = self.world.dome_file.change(change)
            self._record("abort", Motion.of("shutter", state.shutter))
            self._record("abort", Motion.of("azimuth", state.azimuth))

    def _state(self) -> DomeState:
        return self.world.dome_file.read()

    def _move_shutter(self, command: str, end: float) -> None:
        faults, speed = self.world.faults, 1 / self.world.hardware.shutter_s

        def change(state: DomeState) -> DomeState:
            now_s = self._now_s
            if not fault or state.shutter.at(now_s) == end:
                shutter = state.shutter.turned_to(end, now_s, speed)
                return replace(state, since_s=now_s, shutter=shutter, claim="")
            shutter = state.shutter.stopped(now_s)
            return replace(state, since_s=now_s, shutter=shutter, claim=_claim(fault, end))

        with self._command(command):
            fault = next((f for f in _SHUTTER_FAULTS if faults.hit(self.kind, f)), "")
            state = self.world.dome_file.change(change)
            self._record(command, Motion.of("shutter", state.shutter), claims=state.claim)

    def _turn(self, command: str, azimuth: float, *, parking: bool) -> None:
        stuck = self.world.faults.hit(self.kind, "azimuth_stuck") is not None
        speed = self.world.hardware.dome_speed_deg_s

        def change(state: DomeState) -> DomeState:
            now_s = self._now_s
            way = turn(state.azimuth, azimuth, now_s, speed)
            return replace(
                state,
                since_s=now_s,
                azimuth=state.azimuth.stopped(now_s) if stuck else way,
                stuck=stuck and way.start != way.end,
                parking=parking,
                park_lies=False,
            )

        state = self.world.dome_file.change(change)
        self._record(command, Motion.of("azimuth", state.azimuth), azimuth=azimuth)


def strike(world: World, fault: str) -> None:
    """Let a fault that has just been set stop what moves."""

    def change(state: DomeState) -> DomeState:
        now_s = world.clock.monotonic()
        if fault in _SHUTTER_FAULTS and state.shutter.moving(now_s):
            claim = _claim(fault, state.shutter.end)
            return replace(state, since_s=now_s, shutter=state.shutter.stopped(now_s), claim=claim)
        if fault == "azimuth_stuck" and state.azimuth.moving(now_s):
            azimuth = state.azimuth.stopped(now_s)
            return replace(state, since_s=now_s, azimuth=azimuth, stuck=True)
        return state

    before = world.dome_file.read()
    after = world.dome_file.change(change)
    if after.since_s != before.since_s:
        world.faults.hit("dome", fault)
        axis = "azimuth" if fault == "azimuth_stuck" else "shutter"
        motion = Motion.of(axis, getattr(after, axis))
        world.truth_log.add("dome", "stopped", motion, at_s=after.since_s, fault=fault)


def _claim(fault: str, end: float) -> Claim:
    if fault == "shutter_error":
        return "error"
    return "opening" if end > 0 else "closing"
