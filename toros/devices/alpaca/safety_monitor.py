"""An Alpaca safety monitor."""

from __future__ import annotations

import alpaca.safetymonitor

from toros.config.hardware import Device
from toros.devices.alpaca.device import AlpacaDevice
from toros.devices.alpaca.replies import flag
from toros.errors import DeviceNotConnected


class AlpacaSafetyMonitor(AlpacaDevice):
    """A device with one word, safe or not, behind an Alpaca server.

    References
    ----------
    ASCOM ISafetyMonitorV3.
    """

    kind = "safety_monitor"
    alpaca_type = "safetymonitor"
    platform_7 = 3

    def __init__(self, settings: Device) -> None:
        super().__init__(settings, alpaca.safetymonitor.SafetyMonitor)

    def is_safe(self) -> bool:
        """Ask whether it is safe.

        Raises
        ------
        DeviceNotConnected
            It has no connection to its sensor. Some drivers go on with the last word.
        DeviceError
            It does not say.
        """
        if not self.connected():
            raise DeviceNotConnected(f"{self.name}: issafe: not connected")
        return self._ask("IsSafe", flag)
