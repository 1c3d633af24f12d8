"""A focus run: exposures at several positions of the focuser, and the minimum of their V-curve."""

from __future__ import annotations

import logging
import math

from toros.config import Settings
from toros.devices.protocols import Horizontal
from toros.errors import DeviceError, ExposureFailed, FocusFailed, NoDevice
from toros.telescope.camera_work import CameraWork, Purpose
from toros.telescope.focus import BestFocus, best_focus, measure
from toros.telescope.hardware import Hardware
from toros.telescope.observing import Observer

log = logging.getLogger(__name__)

_ALTITUDE_DEG = 75.0


class Focusing:
    """Focus runs.

    Parameters
    ----------
    settings, hardware, camera, observer
        The night's own.
    """

    def __init__(
        self, settings: Settings, hardware: Hardware, camera: CameraWork, observer: Observer
    ) -> None:
        self._settings = settings.telescope.focus
        self._hardware = hardware
        self._camera = camera
        self._observer = observer

    @property
    def at_start(self) -> bool:
        """Whether a night begins with a focus run."""
        return self._settings.at_start and self._hardware.devices.focuser is not None

    def run(self) -> BestFocus:
        """Find the best position and leave the focuser there; call it under the sky.

        The positions are gone to from the lowest up, and so is the best one, so that the play
        of the gears is the same. Without a result the focuser returns to where it was.

        Raises
        ------
        FocusFailed, NoDevice, DeviceError, DiskFull, Signal
        """
        focuser = self._hardware.devices.focuser
        if focuser is None:
            raise NoDevice("Telescope / Focuser / Driver: none; a focus run needs one")
        before = self._hardware.attempt("reading the focuser", focuser.position)
        try:
            self._observer.point(
                self._observer.place_at(Horizontal(_ALTITUDE_DEG, 180.0)), exactly=False
            )
            positions = self._positions(before, focuser.max_position)
            widths = [self._width(position) for position in positions]
            best = best_focus(positions, widths)
        except BaseException:
            self._return_to(before)
            raise
        self._hardware.focus(positions[0])
        self._hardware.focus(round(best.position))
        log.info(
            "focus at %d (was %d), stars of %.2f pixels", best.position, before, best.diameter_px
        )
        return best

    def _positions(self, centre: int, most: int) -> list[int]:
        step, count = self._settings.step, self._settings.positions
        first = centre - step * (count // 2)
        first = max(0, min(first, most - step * (count - 1)))
        return [first + step * n for n in range(count) if first + step * n <= most]

    def _width(self, position: int) -> float:
        """Return how wide stars are at a position [pixel]; NaN where that cannot be told."""
        self._hardware.focus(position)
        purpose = Purpose("focus", self._settings.exposure_s, name=f"focus {position}")
        try:
            exposure_s = self._settings.exposure_s
            _, data = self._camera.take(purpose, lambda: self._observer.ready_to_expose(exposure_s))
            full = self._hardware.facts.max_adu or math.inf
            return measure(data, saturation_adu=full).diameter_px
        except (FocusFailed, ExposureFailed) as error:
            log.warning("focuser at %d: %s", position, error.message)
            return math.nan

    def _return_to(self, position: int) -> None:
        focuser = self._hardware.devices.focuser
        try:
            if focuser is not None:
                focuser.move_to(position)
        except DeviceError as error:
            log.warning("the focuser could not be brought back: %s", error.message)
