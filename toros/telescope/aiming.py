"""Corrects the pointing by a solved exposure, and leaves it no worse than it was.

A target is observed even where an exposure cannot be solved: the mount's own pointing is what
there is without a correction, too, and the frame's place can be found later.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

from toros.config import Settings
from toros.devices.protocols import Pointing
from toros.errors import (
    ConfigurationError,
    DeviceTimeout,
    ExposureFailed,
    NotSolved,
    TorosError,
)
from toros.images.solving import SCALE_RANGE_ARCSEC, Near, solve
from toros.telescope.camera_work import CameraWork, Purpose
from toros.telescope.hardware import Hardware
from toros.telescope.observing import Observer
from toros.telescope.pointing import Correction, correct

log = logging.getLogger(__name__)

_SEARCH_DEG = 10.0
_SPARE_S = 10.0


class Solved(Protocol):
    """What is needed of a solution (`toros.images.solving.Solution`)."""

    @property
    def ra_deg(self) -> float:
        """Right ascension of the frame's centre, ICRS [deg]."""

    @property
    def dec_deg(self) -> float:
        """Declination of the frame's centre, ICRS [deg]."""


class Aiming:
    """Corrections of the pointing.

    Parameters
    ----------
    settings, hardware, camera, observer
        The night's own.
    solver : callable
        Solves an image; `toros.images.solving.solve` by default.
    """

    def __init__(
        self,
        settings: Settings,
        hardware: Hardware,
        camera: CameraWork,
        observer: Observer,
        solver: Callable[..., Solved] = solve,
    ) -> None:
        self._settings = settings.telescope.pointing
        self._binning = settings.telescope.binning
        self._hardware = hardware
        self._camera = camera
        self._observer = observer
        self._solver = solver

    def __call__(self, place: Pointing) -> None:
        """Bring the telescope nearer to a place that it has been slewed to.

        Raises
        ------
        PointingFailed
            It points so far off that something else is wrong.
        DeviceError, DiskFull, Signal
        """
        told, before = place, math.inf
        for attempt in range(self._settings.attempts + 1):
            found = self._look(place)
            if found is None:
                return
            tolerance = self._settings.tolerance_arcsec
            seen = correct(found, place, told=told, tolerance_arcsec=tolerance)
            log.info("the telescope is %.1f arcsec off", seen.separation_arcsec)
            if seen.good:
                return
            if seen.separation_arcsec >= before:
                self._back(place, told, seen)
                return
            if attempt == self._settings.attempts:
                log.warning(
                    "after %d corrections the telescope is still %.1f arcsec off",
                    attempt, seen.separation_arcsec,
                )  # fmt: skip
                return
            self._previous, before = told, seen.separation_arcsec
            told = seen.slew_to
            self._observer.go(place, told=told)

    _previous = Pointing(0.0, 0.0)

    def _back(self, place: Pointing, told: Pointing, seen: Correction) -> None:
        """Undo a correction that has made it worse."""
        log.warning(
            "a correction has made the pointing worse (%.1f arcsec off): it is taken back",
            seen.separation_arcsec,
        )
        if told != self._previous:
            self._observer.go(place, told=self._previous)

    def _look(self, place: Pointing) -> Pointing | None:
        """Return where a short exposure shows that the telescope points; None if it does not."""
        exposure_s = self._settings.exposure_s
        purpose = Purpose("pointing", exposure_s, asked=place, name="pointing")
        try:
            _, data = self._camera.take(purpose, lambda: self._observer.ready_to_expose(exposure_s))
            solution = self._solve(data, place)
        except (NotSolved, ConfigurationError, DeviceTimeout, ExposureFailed) as error:
            log.warning("the pointing is not corrected: %s", error.message)
            return None
        return Pointing(solution.ra_deg % 360.0, solution.dec_deg)

    def _solve(self, data: NDArray[Any], place: Pointing) -> Solved:
        """Solve aside, while the control loop goes on.

        Raises
        ------
        NotSolved, ConfigurationError, DeviceTimeout, Signal
        """
        settings, stop = self._settings, threading.Event()
        scale = settings.pixel_scale_arcsec
        low, high = (scale * 0.9, scale * 1.1) if scale else SCALE_RANGE_ARCSEC
        answers: list[Solved | Exception] = []

        def work() -> None:
            try:
                answers.append(self._solver(
                    data,
                    saturation_adu=self._hardware.facts.max_adu or math.inf,
                    scale_arcsec=(low * (self._binning if scale else 1),
                                  high * (self._binning if scale else 1)),
                    near=Near(place.ra_deg, place.dec_deg, _SEARCH_DEG),
                    index_folder=settings.index_folder,
                    timeout_s=settings.timeout_s,
                    stop=stop,
                ))  # fmt: skip
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                answers.append(error)

        thread = threading.Thread(target=work, name="solving", daemon=True)
        thread.start()
        try:
            self._hardware.until(
                "solving", lambda: not thread.is_alive(), settings.timeout_s + _SPARE_S
            )
        finally:
            stop.set()
        answer = answers[0]
        if isinstance(answer, TorosError):
            raise answer
        if isinstance(answer, Exception):
            raise NotSolved(f"a defect: {type(answer).__name__}: {answer}") from answer
        return answer
