"""What each kind of device can do, whoever makes it.

Calls return within the device's timeout. What takes longer (a slew, an
exposure, a shutter's travel) is started by one call and followed by asking:
starting is no success. Directions on the sky are ICRS, in degrees; azimuth
counts from north over east. Hours, the equinox of date and [x][y] images are
the drivers' own affair.

Every call may raise a class of `toros.errors.DeviceError`; a driver raises
nothing else on purpose. A call that was answered late or not at all may have
been carried out: ask the device, do not resend blindly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Degrees = Annotated[float, "deg"]
Seconds = Annotated[float, "s"]
Celsius = Annotated[float, "deg C"]
Steps = Annotated[int, "steps of the focuser"]
Fraction = Annotated[float, "0 to 1"]


class Device(Protocol):
    """What all devices have in common."""

    @property
    def name(self) -> str:
        """What messages call it, such as ``dome 127.0.0.1:11111/0``."""

    def connect(self) -> None:
        """Make it ready; returns when it is. Doing it again does no harm."""

    def disconnect(self) -> None:
        """Let it go; it is left as it is."""

    def connected(self) -> bool:
        """Ask the device whether it is connected."""


class ShutterState(StrEnum):
    """What the shutter (or roof) itself says."""

    OPEN = "open"
    CLOSED = "closed"
    OPENING = "opening"
    CLOSING = "closing"
    ERROR = "error"


class Dome(Device, Protocol):
    """An enclosure: a dome, a clamshell or a roll-off roof."""

    @property
    def can_turn(self) -> bool:
        """Whether it can be sent to an azimuth."""

    @property
    def can_park(self) -> bool:
        """Whether it has a park position."""

    def shutter(self) -> ShutterState:
        """Ask the shutter."""

    def azimuth(self) -> Degrees | None:
        """Return where the slit looks; None where it is not known."""

    def at_park(self) -> bool:
        """Tell whether it stands at its park position; "home" is not park."""

    def slewing(self) -> bool:
        """Tell whether anything of it moves: the azimuth or the shutter."""

    def open_shutter(self) -> None:
        """Start to open."""

    def close_shutter(self) -> None:
        """Start to close.

        This and `shutter` have a path of their own: no other device's call and no other
        thread's call delays them.
        """

    def slew_to_azimuth(self, azimuth: Degrees) -> None:
        """Start to turn, 0 <= azimuth < 360."""

    def park(self) -> None:
        """Start to turn to the park position; a hardware slaving is ended first."""

    def abort(self) -> None:
        """Stop all motion, the shutter's included. It has `close_shutter`'s path."""


class Pointing(NamedTuple):
    """A direction on the sky, ICRS."""

    ra_deg: Degrees
    dec_deg: Degrees


class Horizontal(NamedTuple):
    """A direction at the site; azimuth from north over east."""

    altitude_deg: Degrees
    azimuth_deg: Degrees


class PierSide(StrEnum):
    """On which side of the pier a German mount has its telescope."""

    EAST = "east"
    WEST = "west"
    UNKNOWN = "unknown"


class Mount(Device, Protocol):
    """A telescope's mount."""

    def pointing(self) -> Pointing:
        """Return where it points."""

    def horizontal(self) -> Horizontal:
        """Return altitude and azimuth."""

    def pier_side(self) -> PierSide:
        """Return the side of the pier."""

    def slew_to(self, target: Pointing) -> None:
        """Start a slew; the mount tracks afterwards. It must be unparked."""

    def slewing(self) -> bool:
        """Tell whether it slews or settles."""

    def sync_to(self, where: Pointing) -> None:
        """Tell the mount where it points, as a solved exposure has shown."""

    def tracking(self) -> bool:
        """Tell whether it follows the sky."""

    def set_tracking(self, on: bool) -> None:
        """Follow the sky, or stand still."""

    def at_park(self) -> bool:
        """Tell whether it is parked; "home" is not park."""

    def park(self) -> None:
        """Start to go to the park position."""

    def unpark(self) -> None:
        """Leave the parked state; it does not move."""

    def abort(self) -> None:
        """Stop a slew at once."""


class CameraState(StrEnum):
    """What the camera says it does."""

    IDLE = "idle"
    WAITING = "waiting"
    EXPOSING = "exposing"
    READING = "reading"
    DOWNLOADING = "downloading"
    ERROR = "error"


@dataclass(frozen=True)
class CameraFacts:
    """What does not change while the camera is connected; None where it does not tell."""

    name: str
    shape: tuple[int, int]
    """(ny, nx) of the unbinned sensor [pixel]."""
    pixel_um: tuple[float, float] | None = None
    """(x, y) [um]."""
    gain_e_adu: float | None = None
    full_well_e: float | None = None
    max_adu: int | None = None
    has_shutter: bool = False
    can_cool: bool = False
    can_abort: bool = False
    max_binning: int = 1
    bayer: str | None = None
    """Pattern of a colour sensor from the first pixel, such as RGGB."""


@dataclass(frozen=True)
class RawFrame:
    """One exposure as it was read out."""

    data: npt.NDArray[np.uint16] | npt.NDArray[np.int32] | npt.NDArray[np.float32]
    """shape (ny, nx) [ADU]; row 0 is the first that was read."""
    start: datetime | None
    """Start of the exposure by the camera, UTC; None where it does not tell."""
    exposure_time_s: Seconds | None
    """As the camera says it was; None where it does not tell."""


class Camera(Device, Protocol):
    """A camera."""

    def facts(self) -> CameraFacts:
        """Return what does not change."""

    def start_exposure(self, exposure_time: Seconds, *, light: bool) -> None:
        """Start an exposure; with `light` False the shutter stays closed, if there is one."""

    def state(self) -> CameraState:
        """Ask what it does."""

    def image_ready(self) -> bool:
        """Tell whether a frame can be downloaded."""

    def download(self, pulse: Callable[[], None]) -> RawFrame:
        """Fetch the frame.

        Parameters
        ----------
        pulse : callable
            Called at least twice a second while data arrive; what it raises ends the
            download, and the frame may be fetched again.
        """

    def abort_exposure(self) -> None:
        """End an exposure; nothing is read out."""

    def temperature(self) -> Celsius | None:
        """Return the sensor's temperature."""

    def set_temperature(self, setpoint: Celsius | None) -> None:
        """Cool to `setpoint`; None turns the cooler off."""

    def set_binning(self, binning: int) -> None:
        """Bin by the same number along both axes."""

    def set_gain(self, gain: int) -> None:
        """Set the camera's own gain number, where it has one."""

    def gain_setting(self) -> int | None:
        """Return the camera's own gain number."""


class FilterWheel(Device, Protocol):
    """A filter wheel."""

    def filters(self) -> Sequence[str]:
        """Return the names of the filters, by position from 0."""

    def position(self) -> int | None:
        """Return the position; None while it turns."""

    def move_to(self, position: int) -> None:
        """Start to turn."""


class Focuser(Device, Protocol):
    """A focuser that knows its position."""

    @property
    def max_position(self) -> Steps:
        """The outermost position."""

    def position(self) -> Steps:
        """Return the position."""

    def moving(self) -> bool:
        """Tell whether it moves."""

    def move_to(self, position: Steps) -> None:
        """Start to move."""

    def halt(self) -> None:
        """Stop at once."""

    def temperature(self) -> Celsius | None:
        """Return the temperature at the focuser; None where it does not tell."""


class CoverState(StrEnum):
    """What the mirror cover says."""

    ABSENT = "absent"
    OPEN = "open"
    CLOSED = "closed"
    MOVING = "moving"
    UNKNOWN = "unknown"
    ERROR = "error"


class LampState(StrEnum):
    """What the flat field lamp says."""

    ABSENT = "absent"
    OFF = "off"
    WARMING = "warming"
    READY = "ready"
    UNKNOWN = "unknown"
    ERROR = "error"


class Cover(Device, Protocol):
    """A mirror cover, a flat field lamp, or both."""

    def cover(self) -> CoverState:
        """Ask the cover."""

    def open_cover(self) -> None:
        """Start to open the cover."""

    def close_cover(self) -> None:
        """Start to close the cover."""

    def lamp(self) -> LampState:
        """Ask the lamp."""

    def lamp_on(self, brightness: Fraction) -> None:
        """Light the lamp, at a fraction of its full brightness."""

    def lamp_off(self) -> None:
        """Put the lamp out."""


class SafetyMonitor(Device, Protocol):
    """A device with one word: safe, or not."""

    def is_safe(self) -> bool:
        """Ask whether it is safe."""


class Reading(NamedTuple):
    """A measured value and how old it is."""

    value: float
    age_s: Seconds


class ObservingConditions(Device, Protocol):
    """A weather station."""

    def read(self) -> Mapping[str, Reading]:
        """Return what it measures, by the names of `QUANTITIES`; what it lacks is left out."""


QUANTITIES: Mapping[str, str] = {
    "cloud_cover": "%",
    "dew_point": "deg C",
    "humidity": "%",
    "pressure": "hPa",
    "rain_rate": "mm/h",
    "sky_brightness": "lux",
    "sky_quality": "mag/arcsec2",
    "sky_temperature": "deg C",
    "star_fwhm": "arcsec",
    "temperature": "deg C",
    "wind_direction": "deg",
    "wind_gust": "m/s",
    "wind_speed": "m/s",
}
"""The weather's quantities and their units."""
