"""The simulated filter wheel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from toros.errors import DeviceRefused
from toros.simulation.observatory.device import SimulatedDevice
from toros.simulation.observatory.kinematics import AT_ZERO, Travel
from toros.simulation.observatory.truth import Motion


@dataclass(frozen=True)
class WheelState:
    """The wheel: its travel in positions, beyond the last where it goes on round."""

    since_s: float = 0.0
    wheel: Travel = AT_ZERO
    stuck: bool = False

    def position(self, now_s: float, filters: int) -> int | None:
        """Return the position; None while it turns."""
        if self.stuck or self.wheel.moving(now_s):
            return None
        return round(self.wheel.at(now_s)) % filters


class SimulatedFilterWheel(SimulatedDevice):
    """The filter wheel, as one process holds it; `toros.devices.protocols.FilterWheel`."""

    kind = "filter_wheel"

    def filters(self) -> Sequence[str]:
        """Return the names of the filters, by position from 0."""
        with self._call("filters"):
            return list(self.world.hardware.filters)

    def position(self) -> int | None:
        """Return the position; None while it turns."""
        with self._call("position"):
            count = len(self.world.hardware.filters)
            return self.world.wheel_file.read().position(self._now_s, count)

    def move_to(self, position: int) -> None:
        """Start to turn, the shorter way round.

        Raises
        ------
        DeviceRefused
            There is no such position.
        """
        count = len(self.world.hardware.filters)

        def change(state: WheelState) -> WheelState:
            now_s = self._now_s
            here = state.wheel.at(now_s) % count
            way = (position - here + count / 2) % count - count / 2
            step_s = self.world.hardware.filter_step_s
            wheel = Travel(here, here + (0 if stuck else way), now_s, 1 / step_s)
            return replace(state, since_s=now_s, wheel=wheel, stuck=stuck)

        with self._command("move_to", position=position):
            if not 0 <= position < count:
                raise DeviceRefused(f"{self.name}: position {position} is not in 0 ... {count - 1}")
            stuck = self.world.faults.hit(self.kind, "stuck") is not None
            state = self.world.wheel_file.change(change)
            self._record("move_to", Motion.of(self.kind, state.wheel), position=position)
