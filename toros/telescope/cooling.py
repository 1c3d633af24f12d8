"""The sensor's temperature: the first light waits for it, on its target already."""

from __future__ import annotations

import logging

from toros.clock import Clock
from toros.config import Settings
from toros.telescope.hardware import Hardware

log = logging.getLogger(__name__)

LONGEST_S = 1800.0
"""After so long a temperature that is not reached is not waited for any more [s]."""


class Cooling:
    """Cools the sensor to the temperature of the settings, and tells when it is there.

    Frames of another temperature than the night's darks could not be corrected.

    Parameters
    ----------
    settings : Settings
    hardware : Hardware
    clock : Clock
    """

    def __init__(self, settings: Settings, hardware: Hardware, clock: Clock) -> None:
        self._wanted_c = settings.telescope.temperature_c
        # Half of what a stack's frames may differ by: the sensor may go on a little.
        self._tolerance_c = settings.preprocessor.temperature_tolerance_c / 2.0
        self._hardware = hardware
        self._clock = clock
        self._since_s: float | None = None

    def begin(self) -> None:
        """Cool, if that is configured and the camera can.

        Raises
        ------
        DeviceError
        """
        if self._wanted_c is None or not self._hardware.facts.can_cool:
            return
        camera = self._hardware.camera
        self._hardware.attempt("cooling", lambda: camera.set_temperature(self._wanted_c))
        self._since_s = self._clock.monotonic()

    def is_done(self) -> bool:
        """Tell whether the temperature is reached, or is not going to be.

        Raises
        ------
        DeviceError
        """
        if self._since_s is None or self._wanted_c is None:
            return True
        told = self._hardware.attempt("reading the temperature", self._hardware.camera.temperature)
        if told is not None and abs(told - self._wanted_c) > self._tolerance_c:
            if self._clock.monotonic() - self._since_s < LONGEST_S:
                return False
            log.error(
                "the sensor is at %.1f C, not at %.1f C, after %.0f min; its frames may lack "
                "darks of their temperature",
                told, self._wanted_c, LONGEST_S / 60.0,
            )  # fmt: skip
        self._since_s = None
        return True
