"""An Alpaca telescope, which is a mount."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import alpaca.telescope

from toros.clock import REAL, Clock
from toros.config.hardware import Device
from toros.devices.alpaca.device import AlpacaDevice
from toros.devices.alpaca.frames import EquatorialSystem, from_icrs, to_icrs
from toros.devices.alpaca.replies import flag, number, one_of
from toros.devices.protocols import Horizontal, PierSide, Pointing
from toros.errors import DeviceLacks, DeviceRefused

_log = logging.getLogger(__name__)

_SYSTEM: Mapping[int, EquatorialSystem] = {system.value: system for system in EquatorialSystem}
_PIER: Mapping[int, PierSide] = {-1: PierSide.UNKNOWN, 0: PierSide.EAST, 1: PierSide.WEST}


class AlpacaMount(AlpacaDevice):
    """A mount behind an Alpaca server; its hours and its equinox stay here.

    Parameters
    ----------
    settings : Device
        Address, number, timeout and retries.
    clock : Clock
        Tells the date of an equinox of date.

    References
    ----------
    ASCOM ITelescopeV4.
    """

    kind = "mount"
    alpaca_type = "telescope"
    platform_7 = 4

    def __init__(self, settings: Device, clock: Clock = REAL) -> None:
        super().__init__(settings, alpaca.telescope.Telescope)
        self._clock = clock
        self._system: EquatorialSystem | None = None

    def pointing(self) -> Pointing:
        """Return where it points, ICRS [deg]."""
        system = self._equatorial_system()
        # Some drivers round up to 24 h.
        ra_h = self._ask("RightAscension", number(0, 24, "h"))
        dec = self._ask("Declination", number(-90, 90, "deg"))
        return to_icrs(system, ra_h * 15.0, dec, self._clock.now())

    def horizontal(self) -> Horizontal:
        """Return altitude and azimuth [deg]; azimuth from north over east, 0 <= azimuth < 360."""
        altitude = self._ask("Altitude", number(-90, 90, "deg"))
        azimuth = self._ask("Azimuth", number(0, 360, "deg"))
        return Horizontal(altitude, azimuth % 360.0)

    def pier_side(self) -> PierSide:
        """Return the side of the pier."""
        return self._ask_if_there("SideOfPier", one_of(_PIER)) or PierSide.UNKNOWN

    def slew_to(self, target: Pointing) -> None:
        """Start a slew to a direction, ICRS [deg]; the mount tracks afterwards.

        Raises
        ------
        DeviceRefused
            It is parked, or `target` is no direction.
        DeviceError
            It does not take the command.
        """
        ra_h, dec = self._own(target)
        if self.at_park():
            raise DeviceRefused(f"{self.name}: slewtocoordinatesasync: it is parked; unpark first")
        # Alpaca refuses a slew to equatorial coordinates while the mount stands still.
        if not self.tracking():
            self.set_tracking(on=True)
        self._alpaca.SlewToCoordinatesAsync(ra_h, dec)

    def slewing(self) -> bool:
        """Tell whether it slews or settles."""
        return self._ask("Slewing", flag)

    def sync_to(self, where: Pointing) -> None:
        """Tell the mount where it points, ICRS [deg]."""
        self._alpaca.SyncToCoordinates(*self._own(where))

    def tracking(self) -> bool:
        """Tell whether it follows the sky."""
        return bool(self._ask_if_there("Tracking", flag))

    def set_tracking(self, on: bool) -> None:
        """Follow the sky, or stand still."""
        self._alpaca.Tracking = bool(on)

    def at_park(self) -> bool:
        """Tell whether it is parked; "home" is not park."""
        return bool(self._ask_if_there("AtPark", flag))

    def park(self) -> None:
        """Start to go to the park position."""
        self._alpaca.Park()

    def unpark(self) -> None:
        """Leave the parked state; it does not move."""
        self._alpaca.Unpark()

    def abort(self) -> None:
        """Stop a slew at once; a mount that is parked has none."""
        try:
            self._alpaca.AbortSlew()
        except DeviceRefused:
            if not self.at_park():
                raise

    def _own(self, target: Pointing) -> tuple[float, float]:
        """Return right ascension [h] and declination [deg] in the mount's own system."""
        if not (0 <= target.ra_deg < 360 and -90 <= target.dec_deg <= 90):
            raise DeviceRefused(
                f"{self.name}: {target}: expected 0 <= ra < 360 and -90 <= dec <= 90 deg"
            )
        ra_deg, dec = from_icrs(self._equatorial_system(), target, self._clock.now())
        return ra_deg / 15.0 % 24.0, dec

    def _equatorial_system(self) -> EquatorialSystem:
        """Ask once for the system of its coordinates."""
        if self._system is None:
            try:
                system = self._ask("EquatorialSystem", one_of(_SYSTEM))
            except DeviceLacks:
                system = EquatorialSystem.OTHER
            if system is EquatorialSystem.OTHER:
                _log.warning("%s does not tell its equinox: taken for ICRS", self.name)
            self._system = system
        return self._system
