"""An Alpaca filter wheel."""

from __future__ import annotations

import alpaca.filterwheel

from toros.config.hardware import Device
from toros.devices.alpaca.device import AlpacaDevice
from toros.devices.alpaca.replies import texts, whole
from toros.errors import DeviceRefused

_MOST = 1000
"""More positions than any wheel has."""


class AlpacaFilterWheel(AlpacaDevice):
    """A filter wheel behind an Alpaca server.

    References
    ----------
    ASCOM IFilterWheelV3.
    """

    kind = "filter_wheel"
    alpaca_type = "filterwheel"
    platform_7 = 3

    def __init__(self, settings: Device) -> None:
        super().__init__(settings, alpaca.filterwheel.FilterWheel)

    def filters(self) -> tuple[str, ...]:
        """Return the names of the filters, by position from 0."""
        return self._ask("Names", texts)

    def position(self) -> int | None:
        """Return the position; None while it turns."""
        position = self._ask("Position", whole(-1, _MOST))
        return None if position == -1 else position

    def move_to(self, position: int) -> None:
        """Start to turn."""
        if not 0 <= position < _MOST:
            raise DeviceRefused(f"{self.name}: position {position}: expected 0 or more")
        self._alpaca.Position = int(position)
