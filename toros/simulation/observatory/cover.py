"""The simulated mirror cover, which bears the flat field lamp on its inner side."""

from __future__ import annotations

from dataclasses import dataclass, replace

from toros.devices import protocols
from toros.devices.protocols import LampState
from toros.errors import DeviceRefused
from toros.simulation.observatory.device import SimulatedDevice
from toros.simulation.observatory.kinematics import AT_ZERO, Travel
from toros.simulation.observatory.truth import Motion


@dataclass(frozen=True)
class CoverState:
    """Cover and lamp.

    Attributes
    ----------
    since_s : float
        By the clock's monotonic time [s].
    cover : Travel
        0 closed to 1 open.
    stuck : bool
        Whether the cover says for ever that it moves.
    brightness : float
        Of the lamp, 0 (off) to 1.
    lit_s : float
        When the lamp was lit.
    """

    since_s: float = 0.0
    cover: Travel = AT_ZERO
    stuck: bool = False
    brightness: float = 0.0
    lit_s: float = 0.0

    def closed(self, now_s: float) -> bool:
        """Tell whether the cover is closed."""
        return self.cover.at(now_s) == 0

    def open(self, now_s: float) -> bool:
        """Tell whether the cover is wholly open."""
        return self.cover.at(now_s) == 1

    def light(self, now_s: float, warm_s: float) -> float:
        """Return what the lamp gives, as a fraction of its full brightness."""
        return self.brightness if now_s >= self.lit_s + warm_s or now_s < self.lit_s else 0.0


class SimulatedCover(SimulatedDevice):
    """Cover and lamp, as one process holds them; satisfies `toros.devices.protocols.Cover`.

    The lamp lights the telescope only through the closed cover, as a flip-flat does.
    """

    kind = "cover"

    def cover(self) -> protocols.CoverState:
        """Ask the cover."""
        with self._call("cover"):
            state, now_s = self.world.cover_file.read(), self._now_s
            if state.stuck or state.cover.moving(now_s):
                return protocols.CoverState.MOVING
            if state.closed(now_s):
                return protocols.CoverState.CLOSED
            return protocols.CoverState.OPEN

    def open_cover(self) -> None:
        """Start to open the cover."""
        self._move("open_cover", 1.0)

    def close_cover(self) -> None:
        """Start to close the cover."""
        self._move("close_cover", 0.0)

    def lamp(self) -> LampState:
        """Ask the lamp."""
        with self._call("lamp"):
            state = self.world.cover_file.read()
            if state.brightness == 0:
                return LampState.OFF
            if self.world.faults.active(self.kind, "lamp_dead"):
                return LampState.WARMING
            ready = state.light(self._now_s, self.world.hardware.lamp_warm_s) > 0
            return LampState.READY if ready else LampState.WARMING

    def lamp_on(self, brightness: float) -> None:
        """Light the lamp, at a fraction of its full brightness.

        Raises
        ------
        DeviceRefused
            `brightness` is not in 0 < brightness <= 1.
        """
        with self._command("lamp_on", brightness=brightness):
            if not 0 < brightness <= 1:
                raise DeviceRefused(f"{self.name}: brightness {brightness} is not in 0 ... 1")
            self._set_lamp("lamp_on", float(brightness))

    def lamp_off(self) -> None:
        """Put the lamp out."""
        with self._command("lamp_off"):
            self._set_lamp("lamp_off", 0.0)

    def _set_lamp(self, command: str, brightness: float) -> None:
        def change(state: CoverState) -> CoverState:
            now_s = self._now_s
            lit_s = state.lit_s if state.brightness else now_s
            return replace(state, since_s=now_s, brightness=brightness, lit_s=lit_s)

        self.world.cover_file.change(change)
        self._record(command, brightness=brightness)

    def _move(self, command: str, end: float) -> None:
        def change(state: CoverState) -> CoverState:
            now_s, speed = self._now_s, 1 / self.world.hardware.cover_s
            cover = state.cover.stopped(now_s)
            if not stuck:
                cover = state.cover.turned_to(end, now_s, speed)
            return replace(state, since_s=now_s, cover=cover, stuck=stuck)

        with self._command(command):
            stuck = self.world.faults.hit(self.kind, "stuck") is not None
            state = self.world.cover_file.change(change)
            self._record(command, Motion.of(self.kind, state.cover))
