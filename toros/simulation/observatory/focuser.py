"""The simulated focuser."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from toros.errors import DeviceRefused
from toros.simulation.observatory.device import SimulatedDevice
from toros.simulation.observatory.kinematics import AT_ZERO, Travel, at_rest
from toros.simulation.observatory.settings import WorldSettings
from toros.simulation.observatory.truth import Motion


@dataclass(frozen=True)
class FocuserState:
    """The focuser: its travel [steps], and whether it says for ever that it moves."""

    since_s: float = 0.0
    tube: Travel = AT_ZERO
    stuck: bool = False

    @classmethod
    def first(cls, hardware: WorldSettings) -> FocuserState:
        """Return the focuser as it is found at first."""
        return cls(tube=at_rest(hardware.focuser_first))

    def fwhm_arcsec(self, seeing_arcsec: float, now_s: float, hardware: WorldSettings) -> float:
        """Return the width of stars: seeing and defocus in quadrature, which makes the V-curve."""
        off = self.tube.at(now_s) - hardware.focuser_best
        return math.hypot(seeing_arcsec, hardware.blur_arcsec_step * off)


class SimulatedFocuser(SimulatedDevice):
    """The focuser, as one process holds it; satisfies `toros.devices.protocols.Focuser`."""

    kind = "focuser"

    @property
    def max_position(self) -> int:
        """The outermost position [steps]."""
        return self.world.hardware.focuser_max

    def position(self) -> int:
        """Return the position [steps]."""
        with self._call("position"):
            return round(self.world.focuser_file.read().tube.at(self._now_s))

    def moving(self) -> bool:
        """Tell whether it moves."""
        with self._call("moving"):
            state = self.world.focuser_file.read()
            return state.stuck or state.tube.moving(self._now_s)

    def move_to(self, position: int) -> None:
        """Start to move.

        Raises
        ------
        DeviceRefused
            There is no such position.
        """

        def change(state: FocuserState) -> FocuserState:
            now_s, speed = self._now_s, self.world.hardware.focuser_speed
            tube = state.tube.stopped(now_s)
            if not stuck:
                tube = state.tube.turned_to(position, now_s, speed)
            return replace(state, since_s=now_s, tube=tube, stuck=stuck)

        with self._command("move_to", position=position):
            if not 0 <= position <= self.max_position:
                raise DeviceRefused(
                    f"{self.name}: position {position} is not in 0 ... {self.max_position}"
                )
            stuck = self.world.faults.hit(self.kind, "stuck") is not None
            state = self.world.focuser_file.change(change)
            self._record("move_to", Motion.of(self.kind, state.tube), position=position)

    def halt(self) -> None:
        """Stop at once."""

        def change(state: FocuserState) -> FocuserState:
            now_s = self._now_s
            return replace(state, since_s=now_s, tube=state.tube.stopped(now_s), stuck=False)

        with self._command("halt"):
            state = self.world.focuser_file.change(change)
            self._record("halt", Motion.of(self.kind, state.tube))

    def temperature(self) -> float | None:
        """Return the temperature at the focuser, that of the air [deg C]."""
        with self._call("temperature"):
            return self.world.weather().values["temperature"]
