"""An Alpaca dome."""

from __future__ import annotations

from collections.abc import Mapping

import alpaca.dome

from toros.config.hardware import Device
from toros.devices.alpaca.device import AlpacaDevice
from toros.devices.alpaca.replies import flag, number, one_of
from toros.devices.protocols import Degrees, ShutterState
from toros.errors import DeviceLacks, DeviceRefused

_SHUTTER: Mapping[int, ShutterState] = {
    0: ShutterState.OPEN,
    1: ShutterState.CLOSED,
    2: ShutterState.OPENING,
    3: ShutterState.CLOSING,
    4: ShutterState.ERROR,
}


class AlpacaDome(AlpacaDevice):
    """A dome, a clamshell or a roll-off roof behind an Alpaca server.

    References
    ----------
    ASCOM IDomeV3.
    """

    kind = "dome"
    alpaca_type = "dome"
    platform_7 = 3

    def __init__(self, settings: Device) -> None:
        super().__init__(settings, alpaca.dome.Dome)
        self._hurried = self._speaking(hurried=True)

    @property
    def can_turn(self) -> bool:
        """Whether it can be sent to an azimuth."""
        return self._ask("CanSetAzimuth", flag)

    @property
    def can_park(self) -> bool:
        """Whether it has a park position."""
        return self._ask("CanPark", flag)

    def shutter(self) -> ShutterState:
        """Ask the shutter; with all retries this takes one timeout at most."""
        return self._ask("ShutterStatus", one_of(_SHUTTER), self._hurried)

    def azimuth(self) -> Degrees | None:
        """Return where the slit looks [deg], 0 <= azimuth < 360; None where it is not known."""
        azimuth = self._ask_if_there("Azimuth", number(0, 360, "deg"))
        return None if azimuth is None else azimuth % 360.0

    def at_park(self) -> bool:
        """Tell whether it stands at its park position; "home" is not park."""
        return bool(self._ask_if_there("AtPark", flag))

    def slewing(self) -> bool:
        """Tell whether anything of it moves: the azimuth or the shutter."""
        if self._ask("Slewing", flag):
            return True
        # Not every driver counts its shutter in.
        try:
            return self.shutter() in (ShutterState.OPENING, ShutterState.CLOSING)
        except DeviceLacks:
            return False

    def open_shutter(self) -> None:
        """Start to open."""
        self._alpaca.OpenShutter()

    def close_shutter(self) -> None:
        """Start to close, on a connection of its own; no other call delays it."""
        self._hurried.CloseShutter()

    def slew_to_azimuth(self, azimuth: Degrees) -> None:
        """Start to turn, 0 <= azimuth < 360 [deg]; a hardware slaving is ended first."""
        if not 0 <= azimuth < 360:
            raise DeviceRefused(f"{self.name}: azimuth {azimuth}: expected 0 <= azimuth < 360 deg")
        self._end_slaving()
        self._alpaca.SlewToAzimuth(float(azimuth))

    def park(self) -> None:
        """Start to turn to the park position; a hardware slaving is ended first."""
        self._end_slaving()
        self._alpaca.Park()

    def abort(self) -> None:
        """Stop all motion, the shutter's included, on a connection of its own."""
        self._hurried.AbortSlew()

    def _end_slaving(self) -> None:
        if self._ask_if_there("Slaved", flag):
            self._alpaca.Slaved = False
