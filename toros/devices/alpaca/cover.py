"""An Alpaca cover calibrator: a mirror cover, a flat field lamp, or both."""

from __future__ import annotations

from collections.abc import Mapping

import alpaca.covercalibrator

from toros.config.hardware import Device
from toros.devices.alpaca.device import AlpacaDevice
from toros.devices.alpaca.replies import one_of, whole
from toros.devices.protocols import CoverState, Fraction, LampState
from toros.errors import DeviceRefused

_COVER: Mapping[int, CoverState] = {
    0: CoverState.ABSENT,
    1: CoverState.CLOSED,
    2: CoverState.MOVING,
    3: CoverState.OPEN,
    4: CoverState.UNKNOWN,
    5: CoverState.ERROR,
}
_LAMP: Mapping[int, LampState] = {
    0: LampState.ABSENT,
    1: LampState.OFF,
    2: LampState.WARMING,
    3: LampState.READY,
    4: LampState.UNKNOWN,
    5: LampState.ERROR,
}


class AlpacaCover(AlpacaDevice):
    """A mirror cover, a flat field lamp, or both, behind an Alpaca server.

    References
    ----------
    ASCOM ICoverCalibratorV2.
    """

    kind = "cover"
    alpaca_type = "covercalibrator"
    platform_7 = 2

    def __init__(self, settings: Device) -> None:
        super().__init__(settings, alpaca.covercalibrator.CoverCalibrator)

    def cover(self) -> CoverState:
        """Ask the cover."""
        return self._ask("CoverState", one_of(_COVER))

    def open_cover(self) -> None:
        """Start to open the cover."""
        self._alpaca.OpenCover()

    def close_cover(self) -> None:
        """Start to close the cover."""
        self._alpaca.CloseCover()

    def lamp(self) -> LampState:
        """Ask the lamp."""
        return self._ask("CalibratorState", one_of(_LAMP))

    def lamp_on(self, brightness: Fraction) -> None:
        """Light the lamp, at a fraction of its full brightness."""
        if not 0 <= brightness <= 1:
            raise DeviceRefused(f"{self.name}: brightness {brightness}: expected 0 to 1")
        brightest = self._ask("MaxBrightness", whole(1, 2**31 - 1))
        # A faint light is still one.
        level = max(round(brightness * brightest), 1 if brightness else 0)
        self._alpaca.CalibratorOn(level)

    def lamp_off(self) -> None:
        """Put the lamp out."""
        self._alpaca.CalibratorOff()
