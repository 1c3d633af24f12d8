"""Observes one target: slew, dome, pointing, exposures, each stored as it is read out."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from toros.clock import Clock
from toros.config import Settings
from toros.devices.protocols import Horizontal, PierSide, Pointing
from toros.errors import BeyondLimit, DeviceError, ExposureFailed, PointingFailed, TurnFailed
from toros.sky.observability import LocalSky
from toros.sky.site import Site
from toros.telescope.camera_work import CameraWork, Purpose
from toros.telescope.control import Control
from toros.telescope.cooling import LONGEST_S
from toros.telescope.exposures import Stored
from toros.telescope.hardware import Hardware
from toros.telescope.pointing import check_limits
from toros.telescope.targets import TargetRow

log = logging.getLogger(__name__)

_DOME_LIMIT_S = 300.0
_COOLING_MARGIN_S = 60.0
_EXPOSURE_TRIES = 3
_FLAT_ALTITUDE_DEG = 75.0
_FLAT_STEP_DEG = 0.02
_WATCH_S = 10.0
_NO_PIER_H = 12.0


class Progress(Protocol):
    """Who keeps how far a target is (`toros.telescope.target_queue.TargetQueue`)."""

    def began(self, row: TargetRow) -> None:
        """Hear that a target is being observed."""

    def took(self, row: TargetRow, path: Path) -> TargetRow:
        """Hear of an exposure; return the target as it is now."""


class Observer:
    """What the night does at a target.

    Parameters
    ----------
    settings : Settings
    site : Site
    hardware, camera, control, clock
        The night's own.
    progress : Progress
    """

    LATER = timedelta(minutes=2)
    """By which one sees whether the sun goes down or comes up."""

    def __init__(
        self,
        settings: Settings,
        site: Site,
        hardware: Hardware,
        camera: CameraWork,
        control: Control,
        progress: Progress,
        clock: Clock,
    ) -> None:
        self._limits = settings.telescope.limits
        self._tolerance = settings.dome.azimuth_tolerance_deg
        self._turns = settings.dome.enclosure == "dome" and settings.dome.slaved
        self.site = site
        self._hardware = hardware
        self._camera = camera
        self._control = control
        self._progress = progress
        self._clock = clock
        self._pier: PierSide | None = None
        self._watched_s = -math.inf
        self.place: Pointing | None = None
        """Where the telescope points and tracks, as it was told; None at rest."""
        self.correct: Callable[[Pointing], None] | None = None
        """Corrects the pointing by a solved exposure; None where that is not configured."""
        self.is_cool: Callable[[], bool] = lambda: True
        """Tells whether the sensor has its temperature; the first light waits for that."""

    def observe(self, row: TargetRow) -> TargetRow:
        """Take the exposures of a target that are still missing; return it as it is then.

        Raises
        ------
        Signal
            The work ended before it was complete; what was taken is recorded.
        BeyondLimit, PointingFailed, TurnFailed, ExposureFailed, InvalidField, DeviceError,
        DiskFull
        """
        place = Pointing(row.ra, row.dec)
        chosen: list[str | None] = []
        with self._control.under_sky():
            self._progress.began(row)
            self.point(place, lambda: chosen.append(self._hardware.set_filter(row.filter)))
            with self.staying(place):
                limit_s = LONGEST_S / self._clock.rate + _COOLING_MARGIN_S
                self._hardware.until("cooling the sensor", self.is_cool, limit_s)
                while row.exposures_done < row.number_of_exposures:
                    row = self._next_exposure(row, chosen[0], place)
        return row

    def point(
        self,
        place: Pointing,
        meanwhile: Callable[[], None] | None = None,
        *,
        exactly: bool = True,
    ) -> None:
        """Slew, and bring the dome; call it under the sky.

        Parameters
        ----------
        place : Pointing
            ICRS [deg].
        meanwhile : callable, optional
            Called while the mount is on its way.
        exactly : bool
            Whether the pointing is corrected, where that is configured.

        Raises
        ------
        BeyondLimit, PointingFailed, TurnFailed, DeviceError, Signal
        """
        self.go(place, meanwhile)
        if exactly and self.correct is not None:
            self.correct(place)

    def go(
        self,
        place: Pointing,
        meanwhile: Callable[[], None] | None = None,
        *,
        told: Pointing | None = None,
    ) -> None:
        """Slew without a correction; `told` is what the mount is told in the place's stead."""
        check_limits(place, self.site, self._clock.now(), self._limits)
        self._pier = None
        self.place = place
        self._control.pointing = lambda: self.horizontal(place)
        self._control.dome.renew(self.horizontal(place), now=True)
        self._control.pulse()  # by what the dome says now, not a second ago

        def on_the_way() -> None:
            self._hardware.open_cover()
            if meanwhile is not None:
                meanwhile()

        with self._control.checking(lambda: self._stays(place)):
            self._hardware.slew(told or place, on_the_way)
            self._pier = self._pier_side()
            self.wait_for_dome()

    def _pier_side(self) -> PierSide | None:
        if self._limits.pier_past_h >= _NO_PIER_H:
            return None
        mount = self._hardware.mount
        return self._hardware.attempt("asking the side of the pier", mount.pier_side)

    def point_for_flats(self, number: int) -> None:
        """Point near the zenith, on the side away from the sun, a little off the last place."""
        place = self._away_from_the_sun(_FLAT_ALTITUDE_DEG)
        ring, angle = _FLAT_STEP_DEG * (1 + number % 5), math.radians(137.5 * number)
        dec = place.dec_deg + ring * math.sin(angle)
        ra = place.ra_deg + ring * math.cos(angle) / max(0.1, math.cos(math.radians(dec)))
        self.go(Pointing(ra % 360.0, min(max(dec, -90.0), 90.0)))

    def _away_from_the_sun(self, altitude_deg: float) -> Pointing:
        """Return the place at an altitude [deg], opposite the sun's azimuth."""
        sky = LocalSky(self.site, self._clock.now())
        azimuth = float(sky.azimuth(sky.earth.sun[:1])[0, 0]) + 180.0
        return self.place_at(Horizontal(altitude_deg, azimuth % 360.0))

    def place_at(self, where: Horizontal) -> Pointing:
        """Return what stands at a direction now, within half a degree."""
        earth = LocalSky(self.site, self._clock.now()).earth
        altitude, azimuth = math.radians(where.altitude_deg), math.radians(where.azimuth_deg)
        level = math.cos(azimuth) * earth.north[0] + math.sin(azimuth) * earth.east[0]
        x, y, z = math.sin(altitude) * earth.up[0] + math.cos(altitude) * level
        return Pointing(math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.asin(z)))

    def wait_for_dome(self) -> None:
        """Wait until the dome stands where the telescope looks.

        Raises
        ------
        TurnFailed
        """
        if not self._turns:
            return
        try:
            self._hardware.until("dome", self._dome_is_there, _DOME_LIMIT_S)
        except DeviceError as error:
            view = self._control.dome.view
            raise TurnFailed(f"the dome does not follow, it is at {view.azimuth_deg}") from error

    def _dome_is_there(self) -> bool:
        wanted = self._control.pointing()
        view = self._control.dome.renew(wanted, now=True)
        if wanted is None or view.azimuth_deg is None or view.turning:
            return False
        # Near the zenith the slit shows the telescope at any azimuth.
        off = abs((view.azimuth_deg - wanted.azimuth_deg + 180.0) % 360.0 - 180.0)
        return off <= self._tolerance or wanted.altitude_deg > 88.0

    def horizontal(self, place: Pointing) -> Horizontal:
        """Return where a place stands now."""
        sky = LocalSky(self.site, self._clock.now())
        vector = sky.place([place.ra_deg], [place.dec_deg])
        return Horizontal(float(sky.altitude(vector)[0, 0]), float(sky.azimuth(vector)[0, 0]))

    @contextmanager
    def staying(self, place: Pointing) -> Iterator[None]:
        """Hold the limits while the telescope tracks a place; `BeyondLimit` ends the work."""
        with self._control.checking(lambda: self._stays(place)):
            yield

    def _stays(self, place: Pointing, for_s: float = 0.0) -> None:
        check_limits(
            place, self.site, self._clock.now(), self._limits, for_s=for_s, pier_side=self._pier
        )

    def watch_tracking(self) -> None:
        """Stop the mount where nobody observes and it has tracked to a limit.

        Raises
        ------
        DeviceError
        """
        if self.place is None or self._clock.monotonic() - self._watched_s < _WATCH_S:
            return
        self._watched_s = self._clock.monotonic()
        try:
            self._stays(self.place)
        except BeyondLimit as error:
            log.warning("the mount stops tracking: %s", error.message)
            self._hardware.stop_tracking()
            self.rest()

    def rest(self) -> None:
        """Forget where the telescope points: it parks, or stands still."""
        self.place = None
        self._control.pointing = lambda: None

    def ready_to_expose(self, exposure_time_s: float) -> None:
        """Make sure that mount and dome stand, and that the limits hold to the end.

        Raises
        ------
        BeyondLimit, PointingFailed, TurnFailed, DeviceError, Signal
        """
        self._control.check()
        if self.place is not None:
            self._stays(self.place, exposure_time_s)
        mount = self._hardware.mount
        if self._hardware.attempt("asking whether it slews", mount.slewing):
            raise PointingFailed("the mount moves, though it was not told to")
        self.wait_for_dome()

    def _next_exposure(self, row: TargetRow, chosen: str | None, place: Pointing) -> TargetRow:
        stored = self.take(
            Purpose("light", row.exposure_time, filter=chosen, target=row, asked=place)
        )
        row = self._progress.took(row, stored.path)
        log.info(
            "target %d %s: exposure %d of %d, %s",
            row.id, row.name, row.exposures_done, row.number_of_exposures, stored.path.name,
        )  # fmt: skip
        return row

    def take(self, purpose: Purpose) -> Stored:
        """Take one light where the telescope points, exposing again where that fails.

        Raises
        ------
        BeyondLimit, PointingFailed, TurnFailed, ExposureFailed, DeviceError, DiskFull, Signal
        """
        for left in reversed(range(_EXPOSURE_TRIES)):
            try:
                return self._camera.take(
                    purpose, lambda: self.ready_to_expose(purpose.exposure_time_s)
                )[0]
            except (DeviceError, ExposureFailed) as error:
                if not left:
                    raise
                log.warning("%s; exposing again", error.message)
        raise AssertionError("unreachable")
