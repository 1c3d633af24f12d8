"""The simulated mount: two axes, a park position, small errors of pointing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from toros.devices.protocols import Horizontal, PierSide, Pointing
from toros.errors import DeviceRefused
from toros.simulation.observatory import direction
from toros.simulation.observatory.device import SimulatedDevice
from toros.simulation.observatory.kinematics import AT_ZERO, Travel, at_rest, turn
from toros.simulation.observatory.settings import WorldSettings
from toros.simulation.observatory.truth import Motion
from toros.simulation.randomness import generator
from toros.sky.site import Site

if TYPE_CHECKING:
    from toros.simulation.observatory.world import World

_SLEW_ERRORS = 101  # a stream of random numbers of its own, beyond those of `randomness.Stream`
Frame = Literal["sky", "site"]


@dataclass(frozen=True)
class MountState:
    """The mount, as its motions say.

    Attributes
    ----------
    since_s : float
        By the clock's monotonic time [s].
    frame : str
        What the axes are: of the ``sky`` (right ascension and declination, ICRS) while it
        tracks or slews to a target, of the ``site`` (azimuth and altitude) else.
    along, up : Travel [deg]
        Right ascension or azimuth, beyond 360 where it passes zero; declination or altitude.
        As the encoders have it, before `sync`.
    settled_s : float
        Until when it settles.
    tracking, parked, park_lies, stuck : bool
        Whether it follows the sky, stands at its park position or is on its way there, says
        that it is parked wherever it is, says for ever that it slews.
    sync_deg, error_deg : (float, float)
        What syncing has added to what it tells; what the last slew is off by: to the east, to
        the north.
    slews : int
        Number of slews.
    pier : str
        The side of the pier, chosen at each slew.
    """

    since_s: float = 0.0
    frame: Frame = "site"
    along: Travel = AT_ZERO
    up: Travel = AT_ZERO
    settled_s: float = 0.0
    tracking: bool = False
    parked: bool = True
    park_lies: bool = False
    stuck: bool = False
    sync_deg: tuple[float, float] = (0.0, 0.0)
    error_deg: tuple[float, float] = (0.0, 0.0)
    slews: int = 0
    pier: PierSide = PierSide.UNKNOWN

    @classmethod
    def first(cls, hardware: WorldSettings) -> MountState:
        """Return the mount as it is found at first: parked."""
        altitude, azimuth = hardware.mount_park_deg
        return cls(along=at_rest(azimuth), up=at_rest(altitude))

    def slewing(self, now_s: float) -> bool:
        """Tell whether it says that it slews or settles."""
        return self.stuck or self.along.since_s <= now_s < self.settled_s

    def at_park(self, now_s: float) -> bool:
        """Tell whether it says that it is parked."""
        return self.park_lies or (self.parked and not self.slewing(now_s))

    def encoders(self, site: Site, now_s: float, moment: datetime) -> Pointing:
        """Return where the encoders have it, ICRS."""
        along, up = self.along.at(now_s) % 360, self.up.at(now_s)
        if self.frame == "sky":
            return Pointing(along, up)
        return direction.on_sky(site, Horizontal(up, along), moment)

    def horizontal(self, site: Site, now_s: float, moment: datetime) -> Horizontal:
        """Return altitude and azimuth by the encoders."""
        along, up = self.along.at(now_s) % 360, self.up.at(now_s)
        if self.frame == "site":
            return Horizontal(up, along)
        return direction.horizontal(site, Pointing(along, up), moment)

    def looks_at(
        self, site: Site, hardware: WorldSettings, now_s: float, moment: datetime
    ) -> Pointing:
        """Return where it really points, ICRS, errors included."""
        east, north = hardware.pointing_offset_arcsec
        return direction.shifted(
            self.encoders(site, now_s, moment),
            east / 3600 + self.error_deg[0],
            north / 3600 + self.error_deg[1],
        )


class SimulatedMount(SimulatedDevice):
    """The mount, as one process holds it; satisfies `toros.devices.protocols.Mount`."""

    kind = "mount"

    def connect(self) -> None:
        """Make it ready."""
        # The tables of the Earth's rotation are read at the first use, which takes a second.
        direction.hour_angle_deg(self.world.site, Pointing(0, 0), self.world.clock.now())
        super().connect()

    def pointing(self) -> Pointing:
        """Return where it believes to point, ICRS."""
        with self._call("pointing"):
            state = self._state()
            where = state.encoders(self.world.site, self._now_s, self.world.clock.now())
            return direction.shifted(where, *state.sync_deg)

    def horizontal(self) -> Horizontal:
        """Return altitude and azimuth."""
        with self._call("horizontal"):
            where = self._state().horizontal(self.world.site, self._now_s, self.world.clock.now())
            if nonsense := self.world.faults.active(self.kind, "nonsense"):
                return where._replace(altitude_deg=nonsense.number("value"))
            return where

    def pier_side(self) -> PierSide:
        """Return the side of the pier."""
        with self._call("pier_side"):
            return self._state().pier

    def slew_to(self, target: Pointing) -> None:
        """Start a slew; it tracks from then on. Below the horizon, too, if it is told so.

        Raises
        ------
        DeviceRefused
            It is parked, or there is no such direction.
        """
        with self._command("slew_to", ra_deg=target.ra_deg, dec_deg=target.dec_deg):
            if not (0 <= target.ra_deg < 360 and -90 <= target.dec_deg <= 90):
                raise DeviceRefused(f"{self.name}: {target} is no direction on the sky")
            stuck = self.world.faults.hit(self.kind, "stuck") is not None
            state = self.world.mount_file.change(lambda s: self._slewn(s, target, stuck=stuck))
            now_s = state.since_s
            dome = self.world.dome_file.at(now_s)
            self._record(
                "slew_to",
                _motion(state),
                ra_deg=target.ra_deg,
                dec_deg=target.dec_deg,
                shutter=dome.shutter.at(now_s),
            )

    def slewing(self) -> bool:
        """Tell whether it slews or settles."""
        with self._call("slewing"):
            return self._state().slewing(self._now_s)

    def sync_to(self, where: Pointing) -> None:
        """Tell the mount where it points."""

        def change(state: MountState) -> MountState:
            now_s, moment = self._now_s, self.world.clock.now()
            self._need_unparked(state, "sync_to")
            encoders = state.encoders(self.world.site, now_s, moment)
            sync = direction.shift_between(encoders, where)
            return replace(state, since_s=now_s, sync_deg=sync)

        with self._command("sync_to", ra_deg=where.ra_deg, dec_deg=where.dec_deg):
            self.world.mount_file.change(change)
            self._record("sync_to", ra_deg=where.ra_deg, dec_deg=where.dec_deg)

    def tracking(self) -> bool:
        """Tell whether it follows the sky."""
        with self._call("tracking"):
            return self._state().tracking

    def set_tracking(self, on: bool) -> None:
        """Follow the sky, or stand still.

        Raises
        ------
        DeviceRefused
            It is parked, or slews.
        """

        def change(state: MountState) -> MountState:
            now_s, moment = self._now_s, self.world.clock.now()
            if on:
                self._need_unparked(state, "set_tracking")
            if state.slewing(now_s):
                raise DeviceRefused(f"{self.name}: set_tracking: it slews; wait or abort")
            frame: Frame = "sky" if on else "site"
            return replace(_turned(state, frame, self.world.site, now_s, moment), tracking=on)

        with self._command("set_tracking", on=on):
            self.world.mount_file.change(change)
            self._record("set_tracking", on=on)

    def at_park(self) -> bool:
        """Tell whether it is parked."""
        with self._call("at_park"):
            return self._state().at_park(self._now_s)

    def park(self) -> None:
        """Start to go to the park position."""
        with self._command("park"):
            if self.world.faults.hit(self.kind, "park_lies"):
                self.world.mount_file.change(
                    lambda s: replace(s, since_s=self._now_s, park_lies=True)
                )
                self._record("park", lies=True)
                return
            stuck = self.world.faults.hit(self.kind, "stuck") is not None
            state = self.world.mount_file.change(lambda s: self._parked(s, stuck=stuck))
            self._record("park", _motion(state))

    def unpark(self) -> None:
        """Leave the parked state; it does not move, and one on its way there stops."""

        def change(state: MountState) -> MountState:
            now_s = self._now_s
            parking = state.parked and state.slewing(now_s)
            state = _stopped(state, now_s, stuck=False) if parking else state
            return replace(state, since_s=now_s, parked=False, park_lies=False)

        with self._command("unpark"):
            before = self._state()
            state = self.world.mount_file.change(change)
            dome = self.world.dome_file.at(state.since_s)
            stopped = before.parked and before.slewing(state.since_s)
            self._record(
                "unpark",
                _motion(state) if stopped else None,
                shutter=dome.shutter.at(state.since_s),
            )

    def abort(self) -> None:
        """Stop a slew at once."""
        with self._command("abort"):
            state = self.world.mount_file.change(lambda s: _stopped(s, self._now_s, stuck=False))
            self._record("abort", _motion(state))

    def _state(self) -> MountState:
        return self.world.mount_file.read()

    def _need_unparked(self, state: MountState, command: str) -> None:
        if state.parked or state.park_lies:
            raise DeviceRefused(f"{self.name}: {command}: it is parked; unpark it first")

    def _slewn(self, state: MountState, target: Pointing, *, stuck: bool) -> MountState:
        """Return the state in which it goes to a target."""
        self._need_unparked(state, "slew_to")
        world, now_s, moment = self.world, self._now_s, self.world.clock.now()
        state = _turned(state, "sky", world.site, now_s, moment)
        if stuck:
            return replace(_stopped(state, now_s, stuck=True), tracking=True)
        speed = world.hardware.mount_speed_deg_s
        goal = direction.shifted(target, -state.sync_deg[0], -state.sync_deg[1])
        rng = generator(world.hardware.seed, _SLEW_ERRORS, state.slews)
        error = rng.normal(0, world.hardware.pointing_error_arcsec / 3600, 2)
        west = direction.hour_angle_deg(world.site, target, moment) >= 0
        along = turn(state.along, goal.ra_deg, now_s, speed)
        up = state.up.turned_to(goal.dec_deg, now_s, speed)
        return replace(
            state,
            along=along,
            up=up,
            settled_s=_arrival(along, up) + world.hardware.settle_s,
            tracking=True,
            stuck=False,
            error_deg=(float(error[0]), float(error[1])),
            slews=state.slews + 1,
            # A German mount has its telescope east of the pier when it looks west.
            pier=PierSide.EAST if west else PierSide.WEST,
        )

    def _parked(self, state: MountState, *, stuck: bool) -> MountState:
        """Return the state in which it goes to the park position."""
        world, now_s = self.world, self._now_s
        state = _turned(state, "site", world.site, now_s, world.clock.now())
        state = replace(state, tracking=False, parked=True, park_lies=False)
        if stuck:
            return replace(_stopped(state, now_s, stuck=True), parked=True)
        altitude, azimuth = world.hardware.mount_park_deg
        speed = world.hardware.mount_speed_deg_s
        along = turn(state.along, azimuth, now_s, speed)
        up = state.up.turned_to(altitude, now_s, speed)
        return replace(state, along=along, up=up, settled_s=_arrival(along, up), stuck=False)


def strike(world: World, fault: str) -> None:
    """Let a fault that has just been set stop what moves."""
    if fault != "stuck" or not world.mount_file.read().slewing(world.clock.monotonic()):
        return
    world.faults.hit("mount", fault)
    state = world.mount_file.change(lambda s: _stopped(s, world.clock.monotonic(), stuck=True))
    world.truth_log.add("mount", "stopped", _motion(state), at_s=state.since_s, fault=fault)


def _turned(
    state: MountState, frame: Frame, site: Site, now_s: float, moment: datetime
) -> MountState:
    """Return the state with the axes as they are now, standing still in a frame."""
    if frame == "sky":
        along, up = state.encoders(site, now_s, moment)
    else:
        up, along = state.horizontal(site, now_s, moment)
    return replace(
        state,
        since_s=now_s,
        frame=frame,
        along=Travel(along, along, now_s),
        up=Travel(up, up, now_s),
        settled_s=now_s,
    )


def _stopped(state: MountState, now_s: float, *, stuck: bool) -> MountState:
    """Return the state with the axes stopped, in the frame they are in."""
    if not (stuck or state.slewing(now_s)):
        return replace(state, since_s=now_s)
    return replace(
        state,
        since_s=now_s,
        along=state.along.stopped(now_s),
        up=state.up.stopped(now_s),
        settled_s=now_s,
        parked=False,
        stuck=stuck,
    )


def _arrival(along: Travel, up: Travel) -> float:
    return max(along.arrival_s, up.arrival_s)


def _motion(state: MountState) -> Motion:
    until_s = max(state.since_s, state.settled_s)
    return Motion("mount", 0.0, 1.0 if until_s > state.since_s else 0.0, state.since_s, until_s)
