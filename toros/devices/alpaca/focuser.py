"""An Alpaca focuser."""

from __future__ import annotations

import alpaca.focuser

from toros.config.hardware import Device
from toros.devices.alpaca.device import AlpacaDevice
from toros.devices.alpaca.replies import flag, number, whole
from toros.devices.protocols import Celsius, Steps
from toros.errors import DeviceLacks, DeviceRefused

_INT32 = 2**31 - 1


class AlpacaFocuser(AlpacaDevice):
    """A focuser that knows its position, behind an Alpaca server.

    References
    ----------
    ASCOM IFocuserV4.
    """

    kind = "focuser"
    alpaca_type = "focuser"
    platform_7 = 4

    def __init__(self, settings: Device) -> None:
        super().__init__(settings, alpaca.focuser.Focuser)

    def connect(self) -> None:
        """Make it ready; returns when it is.

        Raises
        ------
        DeviceLacks
            It does not know its position.
        DeviceError
            It cannot be connected.
        """
        super().connect()
        if not self._ask("Absolute", flag):
            raise DeviceLacks(f"{self.name}: absolute is False: it does not know its position")

    @property
    def max_position(self) -> Steps:
        """The outermost position [steps]."""
        return self._ask("MaxStep", whole(1, _INT32))

    def position(self) -> Steps:
        """Return the position [steps]."""
        return self._ask("Position", whole(-_INT32, _INT32))

    def moving(self) -> bool:
        """Tell whether it moves."""
        return self._ask("IsMoving", flag)

    def move_to(self, position: Steps) -> None:
        """Start to move.

        Raises
        ------
        DeviceRefused
            `position` is none that it has. (Alpaca would go as near as it can, and say nothing.)
        DeviceError
            It does not take the command.
        """
        outermost = self.max_position
        if not 0 <= position <= outermost:
            raise DeviceRefused(f"{self.name}: position {position}: expected 0 to {outermost}")
        self._alpaca.Move(int(position))

    def halt(self) -> None:
        """Stop at once."""
        self._alpaca.Halt()

    def temperature(self) -> Celsius | None:
        """Return the temperature at the focuser [deg C]; None where it does not tell."""
        return self._ask_if_there("Temperature", number(-273.15, 200, "deg C"))
