"""A night of a known camera under a known sky: its files, and the truth about them.

Biases and darks before dusk, flats of falling twilight (the exposure time
stays, the level sinks), then lights of one field, dithered, filter after filter.
The chip is held at the camera's reference temperature to some hundredths of a
degree. The same arguments give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from astropy.io import fits
from astropy.wcs import WCS
from pydantic import ConfigDict, TypeAdapter

from toros.simulation.bandpasses import bandpass
from toros.simulation.broken import BrokenFile, broken_files
from toros.simulation.camera import Camera, Counts
from toros.simulation.frames import FrameTruth, fits_bytes, make_header
from toros.simulation.patterns import Image
from toros.simulation.sky import Optics, StarField, draw_scene
from toros.simulation.timetable import DUSK, NIGHTFALL, Timetable, default_field, flat_levels
from toros.store import write_whole


@dataclass(frozen=True)
class Night:
    """A night's truth.

    Attributes
    ----------
    seed : int
        What the night's noise, dithers and temperatures are drawn from.
    camera : Camera
        Its fixed patterns are made anew from its own seed.
    optics : Optics
    field : StarField
        The stars.
    frames : tuple of FrameTruth
        The good frames, in the order they were taken.
    broken : tuple of BrokenFile
        The files that are broken on purpose.
    """

    seed: int
    camera: Camera
    optics: Optics
    field: StarField
    frames: tuple[FrameTruth, ...]
    broken: tuple[BrokenFile, ...] = ()

    # A key that is not known is a truth that would be lost without a word.
    __pydantic_config__ = ConfigDict(extra="forbid")

    def select(
        self,
        frame_type: str | None = None,
        filter_name: str | None = None,
        exposure_time_s: float | None = None,
    ) -> list[FrameTruth]:
        """List the good frames that have these values; None stands for any."""
        return [
            frame
            for frame in self.frames
            if frame_type in (None, frame.frame_type)
            and filter_name in (None, frame.filter)
            and exposure_time_s in (None, frame.exposure_time_s)
        ]

    def wcs(self, light: FrameTruth) -> WCS:
        """Return a light's true projection."""
        return self.optics.wcs(*_pointing(light), self.camera.shape)

    def scene(self, light: FrameTruth) -> Image:
        """Return what falls on the camera in a light, shape (ny, nx) [electron/s].

        This, times the exposure time and divided by the gain, is what a
        perfect reduction of the light gives [ADU].
        """
        return draw_scene(
            self.field,
            self.optics,
            self.camera.shape,
            str(light.filter),
            pointing_deg=_pointing(light),
            airmass=light.airmass or 1.0,
        )

    def pixels(self, frame: FrameTruth) -> Counts:
        """Return a frame's pixels as they are in its file, shape (ny, nx) [ADU]."""
        exposure_s, temperature_c = frame.exposure_time_s, frame.temperature_c
        number, filter_name = frame.number, frame.filter or ""
        if frame.frame_type == "bias":
            return self.camera.bias(number)
        if frame.frame_type == "dark":
            return self.camera.dark(exposure_s, temperature_c, number=number)
        if frame.frame_type == "flat":
            level_adu = frame.level_adu or 0.0
            return self.camera.flat(
                level_adu, filter_name, exposure_s, temperature_c, number=number
            )
        scene = self.scene(frame)
        return self.camera.light(scene, exposure_s, filter_name, temperature_c, number=number)

    def header(self, frame: FrameTruth) -> fits.Header:
        """Return a frame's header as it is in its file, but for what describes the pixels."""
        return make_header(frame, self.camera, self.optics, self.field)

    def to_json(self) -> str:
        """Write the truth as JSON; arrays are not in it, they follow from the numbers."""
        return _NIGHT.dump_json(self, indent=1).decode()

    @staticmethod
    def from_json(text: str) -> Night:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            The text is no night; the message names each field that is wrong.
        """
        return _NIGHT.validate_json(text)


_NIGHT = TypeAdapter(Night)


def make_night(
    folder: Path,
    *,
    seed: int = 1,
    camera: Camera | None = None,
    field: StarField | None = None,
    filters: Sequence[str] = ("B", "V", "R"),
    exposure_times_s: Sequence[float] = (30.0, 120.0),
    flat_exposure_s: float = 4.0,
    n_bias: int = 10,
    n_dark: int = 7,
    n_flat: int = 7,
    n_light: int = 3,
    start: datetime = datetime(2026, 3, 14, 21, 0, tzinfo=UTC),
    broken: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Night:
    """Write a night's frames into a folder.

    Parameters
    ----------
    folder : Path
        Where; it is made if need be.
    seed : int
        Of the night. Other nights of the same camera show the same patterns
        and the same stars, with other noise.
    camera : Camera, optional
        Default: ``Camera()``.
    field : StarField, optional
        Default: a field drawn around NGC 2997, wide enough for the dithers.
    filters : sequence of str
        Of flats and lights; `toros.simulation.bandpasses` lists those known.
    exposure_times_s : sequence of float
        Of the lights [s].
    flat_exposure_s : float
        Of the flats [s].
    n_bias, n_dark, n_flat, n_light : int
        Biases; darks of each exposure time (those of the lights, and that of
        the flats); flats of each filter; lights of each filter and exposure time.
    start : datetime
        When the first bias is taken, aware; the sky is dark three hours later.
    broken : bool
        Whether there are files broken on purpose too; they need at least one
        dark, flat and light.
    progress : callable, optional
        Called with (files written, files in all).

    Returns
    -------
    Night

    Raises
    ------
    ValueError
        A filter is not known, `start` is naive, or `broken` lacks a frame to break.
    DiskFull, StorageFailed
        A file could not be written.
    """
    for filter_name in filters:
        bandpass(filter_name)
    camera = camera or Camera()
    optics = Optics()
    field = field or default_field(camera, optics)
    timetable = Timetable(seed, camera, optics, field, start)
    for _ in range(n_bias):
        timetable.add("bias", 0.0)
    for exposure_s in sorted({*exposure_times_s, flat_exposure_s}):
        for _ in range(n_dark):
            timetable.add("dark", exposure_s)
    timetable.wait_for(DUSK)
    for filter_name in filters:
        for level_adu in flat_levels(camera, n_flat):
            timetable.add("flat", flat_exposure_s, filter_name, level_adu=level_adu)
    timetable.wait_for(NIGHTFALL)
    for filter_name in filters:
        for _ in range(n_light):
            for exposure_s in exposure_times_s:
                timetable.add("light", exposure_s, filter_name)
    night = Night(seed, camera, optics, field, tuple(timetable.frames))
    return _write(night, folder, timetable.stamp, broken, progress or _silent)


def _pointing(light: FrameTruth) -> tuple[float, float]:
    if light.ra_deg is None or light.dec_deg is None:
        raise ValueError(f"{light.name}: a {light.frame_type} points nowhere; only lights do")
    return light.ra_deg, light.dec_deg


def _write(
    night: Night, folder: Path, stamp: str, broken: bool, progress: Callable[[int, int], None]
) -> Night:
    if broken and not all(night.select(kind) for kind in ("dark", "flat", "light")):
        raise ValueError("broken=True: it needs at least one dark, one flat and one light to break")
    faults = broken_files(night, stamp) if broken else []
    total = len(night.frames) + len(faults)
    frames: list[FrameTruth] = []
    for done, frame in enumerate(night.frames, start=1):
        content = fits_bytes(night.pixels(frame), night.header(frame))
        frames.append(replace(frame, sha256=write_whole(folder / frame.name, content)))
        progress(done, total)
    for done, (fault, content) in enumerate(faults, start=len(frames) + 1):
        write_whole(folder / fault.name, content)
        progress(done, total)
    return replace(night, frames=tuple(frames), broken=tuple(fault for fault, _ in faults))


def _silent(done: int, total: int) -> None:
    """Show nothing."""
