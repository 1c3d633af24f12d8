"""The end of a night: parked, closed, its calibration frames taken, its frames handed over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from toros.errors import (
    CalibrationFailed,
    DeviceError,
    DiskFull,
    OrderError,
    ShutterFailed,
    TelescopeError,
)
from toros.telescope.flats import order_filters
from toros.telescope.states import Event

if TYPE_CHECKING:
    from toros.telescope.parts import Parts

log = logging.getLogger(__name__)

_CLOSING_LIMIT_S = 600.0
_SETTLE_LIMIT_S = 60.0
_AGAIN_S = 30.0


class Ending:
    """What closes a night.

    Parameters
    ----------
    parts : Parts
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tried: set[tuple[str, str | None]] = set()
        self._next_hand_over = 0.0

    def forget(self) -> None:
        """Begin a new night's balance."""
        self._tried.clear()

    def close(self) -> None:
        """Park the telescope and close the dome, both at once.

        Raises
        ------
        ShutterFailed
            The shutter does not say that it is closed.
        DeviceError
        """
        parts = self._parts
        parts.dome.close()
        parts.observer.rest()
        parts.hardware.park()
        parts.hardware.close_cover()

        def is_closed() -> bool:
            return parts.dome.renew(None, now=True).shutter == "closed"

        try:
            parts.hardware.until("closing the dome", is_closed, _CLOSING_LIMIT_S)
        except DeviceError as error:
            raise ShutterFailed(
                f"the dome does not say that it is closed: {error.message}"
            ) from error

    def last_frames(self, go: Callable[[Event, str], None]) -> None:
        """Take the biases, darks and lamp flats that an opened night still lacks."""
        parts = self._parts
        missing = self._missing() if parts.record.was_opened else []
        if not missing:
            return
        go(Event.CALIBRATE, "the night's last frames")
        for what, take in missing:
            try:
                take()
            except (CalibrationFailed, DeviceError, DiskFull, TelescopeError, OrderError) as error:
                log.error("the night ends without all of its %s: %s", what, error.message)
        go(Event.CLOSE, "the last frames are taken")

    def _missing(self) -> list[tuple[str, Callable[[], object]]]:
        parts = self._parts
        wanted, camera = parts.settings.telescope.calibration, parts.camera
        calibrator = parts.calibrator
        missing: list[tuple[str, Callable[[], object]]] = []

        def lacks(what: str, count: int, take: Callable[[int], object]) -> None:
            if count > 0:
                missing.append((what, lambda: take(count)))

        lacks("biases", wanted.biases - camera.count("bias"), calibrator.biases)
        for seconds in camera.exposure_times():
            lacks(
                f"darks of {seconds:g} s",
                wanted.darks - camera.count("dark", seconds=seconds),
                partial(calibrator.darks, seconds),
            )
        for name in camera.filters() if wanted.flat_light == "lamp" else ():
            lacks(
                f"flats through {name}",
                wanted.flats - camera.count("flat", through=name),
                partial(calibrator.flats, name, light="lamp"),
            )
        return missing

    def wants_sky_flats(self) -> bool:
        """Whether flats are missing that this twilight has not been tried for."""
        return bool(self._missing_sky_flats())

    def _missing_sky_flats(self) -> list[tuple[str | None, int]]:
        parts = self._parts
        calibration = parts.settings.telescope.calibration
        if calibration.flat_light != "sky" or not calibration.flats:
            return []
        twilight = parts.calibrator.twilight()
        names = {*parts.targets.filters(), *parts.camera.filters()}
        missing = {
            name: calibration.flats - parts.camera.count("flat", through=name)
            for name in names
            if (twilight, name) not in self._tried
        }
        texts = {name or "": name for name in missing}
        return [
            (texts[text], missing[texts[text]])
            for text in order_filters(sorted(texts), twilight)
            if missing[texts[text]] > 0
        ]

    def sky_flats(self) -> None:
        """Take flats by the twilight, for as many filters as its light lasts."""
        calibrator = self._parts.calibrator
        twilight = calibrator.twilight()
        for name, count in self._missing_sky_flats():
            # What the light does not allow is not tried again this twilight.
            self._tried.add((twilight, name))
            try:
                calibrator.flats(name, count, light="sky")
            except (CalibrationFailed, OrderError) as error:
                log.warning("%s", error.message)

    def hand_over(self) -> None:
        """Tell the preprocessor of the night; once it is all stored."""
        parts = self._parts
        if parts.record.handed_over or not parts.camera.frames:
            return
        try:
            parts.hardware.until("storing the frames", parts.is_settled, _SETTLE_LIMIT_S)
        except DeviceError:
            log.error("some frames are not stored yet; the night is handed over without them")
        self._tell()

    def hand_over_later(self) -> None:
        """Try again what could not be handed over, now and then."""
        record = self._parts.record
        if record.handed_over or not record.was_opened or not self._parts.camera.frames:
            return
        if time.monotonic() >= self._next_hand_over:
            self._tell()

    def _tell(self) -> None:
        parts = self._parts
        self._next_hand_over = time.monotonic() + _AGAIN_S
        if parts.telling.frames_of(parts.record.date):
            parts.record.note(handed_over=True, summary=parts.summary())
