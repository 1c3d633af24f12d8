"""Takes exposures and hands each to the store at once, with all that is known about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from toros.clock import Clock
from toros.config import Settings
from toros.devices.protocols import Horizontal, Pointing, RawFrame
from toros.errors import DeviceError
from toros.images.circumstances import Circumstances, ExposureType
from toros.sky.observability import airmass
from toros.telescope.exposures import ExposureStore, Stored
from toros.telescope.hardware import Hardware
from toros.telescope.targets import TargetRow


@dataclass(frozen=True)
class Purpose:
    """Why an exposure is taken."""

    exposure_type: ExposureType
    exposure_time_s: float
    filter: str | None = None
    target: TargetRow | None = None
    name: str | None = None
    order_id: str | None = None
    observer: str | None = None
    asked: Pointing | None = None

    @property
    def light(self) -> bool:
        """Whether the shutter opens."""
        return self.exposure_type not in ("bias", "dark")


@dataclass(frozen=True)
class Shot:
    """An exposure that was read out and is not stored yet.

    Attributes
    ----------
    frame : RawFrame
    known : Circumstances
    start_s : float
        When it began, by the clock's monotonic time [s].
    """

    frame: RawFrame
    known: Circumstances
    start_s: float

    @property
    def exposure_time_s(self) -> float:
        """How long it was [s]."""
        told_s = self.frame.exposure_time_s
        return self.known.exposure_time_s if told_s is None else told_s

    def of_type(self, exposure_type: ExposureType) -> Shot:
        """Return it as an exposure of another type."""
        return replace(self, known=replace(self.known, exposure_type=exposure_type))


Kind = tuple[str, float, str | None]
"""Type, exposure time [s] and filter of exposures."""


class CameraWork:
    """The camera, the store, and the headers.

    Parameters
    ----------
    hardware : Hardware
    store : ExposureStore
    settings : Settings
    clock : Clock
    dome_azimuth : callable
        Tells where the dome looks [deg], or None.
    """

    def __init__(
        self,
        hardware: Hardware,
        store: ExposureStore,
        settings: Settings,
        clock: Clock,
        dome_azimuth: Callable[[], float | None],
    ) -> None:
        self._hardware = hardware
        self._store = store
        self._settings = settings
        self._clock = clock
        self._dome_azimuth = dome_azimuth
        self.night: date = clock.now().date()
        self.exposing = False
        self.tally: Counter[Kind] = Counter()
        """How many of each kind the night has."""

    def begin_night(self, night: date, tally: Counter[Kind]) -> None:
        """Begin a night's balance, with what an earlier process has taken already."""
        self.night, self.tally = night, Counter(tally)

    @property
    def frames(self) -> int:
        """How many frames the night has."""
        return self.tally.total()

    def count(
        self, exposure_type: str, *, seconds: float | None = None, through: str | None = None
    ) -> int:
        """Return how many exposures of a type the night has, of a time [s], through a filter."""
        return sum(
            number
            for (kind, time_s, name), number in self.tally.items()
            if kind == exposure_type
            and (seconds is None or abs(time_s - seconds) < 1e-3)
            and (through is None or name == through)
        )

    def exposure_times(self) -> list[float]:
        """Return the exposure times of the night's lights [s]."""
        return sorted({time_s for kind, time_s, _ in self.tally if kind == "light"})

    def filters(self) -> list[str | None]:
        """Return the filters of the night's lights."""
        return sorted({name for kind, _, name in self.tally if kind == "light"}, key=str)

    def take(self, purpose: Purpose, ready: Callable[[], None] | None = None) -> tuple[Stored, Any]:
        """Take one exposure; return it as it was stored, and its pixels.

        Parameters
        ----------
        purpose : Purpose
        ready : callable, optional
            Called just before the exposure begins; raises what keeps it from that.

        Raises
        ------
        DiskFull
            There is no room for another frame; nothing was exposed.
        ExposureFailed, DeviceError
        """
        shot = self.expose(purpose, ready)
        return self.keep(shot), shot.frame.data

    def expose(self, purpose: Purpose, ready: Callable[[], None] | None = None) -> Shot:
        """Take one exposure and read it out; `keep` stores it; see `take`.

        Raises
        ------
        DiskFull
            There is no room for another frame; nothing was exposed.
        ExposureFailed, DeviceError
        """
        self._store.reserve(self._hardware.facts.shape)
        known = self._known(purpose)
        if ready is not None:
            ready()
            known = replace(known, dome_azimuth_deg=self._dome_azimuth())
        known = replace(known, start_utc=self._clock.now())
        start_s = self._clock.monotonic()
        self.exposing = True
        try:
            frame = self._hardware.expose(purpose.exposure_time_s, light=purpose.light)
        finally:
            self.exposing = False
        return Shot(frame, known, start_s + _later_s(frame, known.start_utc, self._clock))

    def keep(self, shot: Shot) -> Stored:
        """Store an exposure.

        Raises
        ------
        DiskFull, StorageFailed
            It can be neither written nor kept.
        """
        stored = self._store.store(shot.frame, shot.known)
        known = shot.known
        self.tally[known.exposure_type, known.exposure_time_s, known.filter] += 1
        return stored

    def _known(self, purpose: Purpose) -> Circumstances:
        settings, telescope = self._settings, self._settings.telescope
        facts, target = self._hardware.facts, purpose.target
        site = settings.observatory
        known = Circumstances(
            exposure_type=purpose.exposure_type,
            start_utc=self._clock.now(),
            exposure_time_s=purpose.exposure_time_s,
            night=self.night,
            filter=purpose.filter,
            pointing_asked=purpose.asked,
            temperature_set_c=telescope.temperature_c,
            gain_e_adu=facts.gain_e_adu,
            saturation_adu=facts.max_adu,
            binning=telescope.binning,
            pixel_um=facts.pixel_um,
            bayer=facts.bayer,
            focal_length_mm=telescope.focal_length_mm,
            aperture_mm=telescope.aperture_mm,
            order_id=purpose.order_id or (target.order_id if target else None) or None,
            target_id=target.id if target else None,
            target_name=target.name if target else purpose.name,
            alert=target.event if target else None,
            observer=purpose.observer or (target.observer if target else "") or telescope.observer,
            telescope=telescope.name,
            instrument=facts.name,
            observatory=site.name,
            longitude_deg=site.longitude_deg,
            latitude_deg=site.latitude_deg,
            height_m=site.height_m,
        )
        return self._with_readings(known, on_sky=purpose.light)

    def _with_readings(self, known: Circumstances, *, on_sky: bool) -> Circumstances:
        """Add what the devices tell; a silent one costs its keywords, not the exposure."""
        devices = self._hardware.devices
        camera, focuser, mount = devices.camera, devices.focuser, devices.mount
        values: dict[str, Any] = {}
        if camera is not None:
            values["temperature_c"] = _told(camera.temperature)
            values["gain_setting"] = _told(camera.gain_setting)
        if focuser is not None:
            values["focus_position"] = _told(focuser.position)
            values["focus_temperature_c"] = _told(focuser.temperature)
        if mount is not None and on_sky:
            values["pointing"] = _told(mount.pointing)
            values["pier_side"] = _told(mount.pier_side)
            where: Horizontal | None = _told(mount.horizontal)
            if where is not None:
                values["altitude_deg"], values["azimuth_deg"] = where
                values["airmass"] = float(airmass(where.altitude_deg))
            values["dome_azimuth_deg"] = self._dome_azimuth()
        return replace(known, **values)


def _later_s(frame: RawFrame, told: datetime, clock: Clock) -> float:
    """Return by how much the camera's own start was later than ours [s]; 0 if that cannot be."""
    if frame.start is None:
        return 0.0
    later_s = (frame.start - told).total_seconds()
    return later_s if 0.0 <= later_s <= (clock.now() - told).total_seconds() else 0.0


def _told(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except DeviceError:
        return None
