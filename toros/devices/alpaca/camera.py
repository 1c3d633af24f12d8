"""An Alpaca camera."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

import alpaca.camera

from toros.clock import from_iso
from toros.config.hardware import Device
from toros.devices.alpaca.device import AlpacaDevice
from toros.devices.alpaca.image import ACCEPT, read_image
from toros.devices.alpaca.replies import flag, number, one_of, text, whole
from toros.devices.alpaca.transport import Transport
from toros.devices.protocols import CameraFacts, CameraState, Celsius, RawFrame, Seconds
from toros.errors import DeviceError

_log = logging.getLogger(__name__)

T = TypeVar("T")

_STATE: Mapping[int, CameraState] = {
    0: CameraState.IDLE,
    1: CameraState.WAITING,
    2: CameraState.EXPOSING,
    3: CameraState.READING,
    4: CameraState.DOWNLOADING,
    5: CameraState.ERROR,
}
_RGGB = 2
"""The SensorType of a colour sensor whose pattern the headers can tell."""
_INT32 = 2**31 - 1
_TEMPERATURE = number(-273.15, 100, "deg C")


class AlpacaCamera(AlpacaDevice):
    """A camera behind an Alpaca server. It is read out whole.

    References
    ----------
    ASCOM ICameraV4.
    """

    kind = "camera"
    alpaca_type = "camera"
    platform_7 = 4

    def __init__(self, settings: Device) -> None:
        super().__init__(settings, alpaca.camera.Camera)
        self._images = Transport(settings, self.alpaca_type, self.name)

    def facts(self) -> CameraFacts:
        """Return what does not change while it is connected."""
        size = whole(1, 1_000_000)
        pixel_x = self._told("PixelSizeX", number(0, 1000, "um"))
        pixel_y = self._told("PixelSizeY", number(0, 1000, "um"))
        return CameraFacts(
            name=self._ask("Name", text).strip(),
            shape=(self._ask("CameraYSize", size), self._ask("CameraXSize", size)),
            pixel_um=(pixel_x, pixel_y) if pixel_x and pixel_y else None,
            gain_e_adu=self._told("ElectronsPerADU", number(0, 1e6, "e/ADU")),
            full_well_e=self._told("FullWellCapacity", number(0, 1e9, "e")),
            max_adu=self._told("MaxADU", whole(0, _INT32)),
            has_shutter=bool(self._ask_if_there("HasShutter", flag)),
            can_cool=bool(self._ask_if_there("CanSetCCDTemperature", flag)),
            can_abort=bool(self._ask_if_there("CanAbortExposure", flag)),
            max_binning=self._max_binning(),
            bayer=self._bayer(),
        )

    def start_exposure(self, exposure_time: Seconds, *, light: bool) -> None:
        """Start an exposure [s]; with `light` False the shutter stays closed, if there is one."""
        self._alpaca.StartExposure(float(exposure_time), bool(light))

    def state(self) -> CameraState:
        """Ask what it does."""
        return self._ask("CameraState", one_of(_STATE))

    def image_ready(self) -> bool:
        """Tell whether a frame can be downloaded."""
        return self._ask("ImageReady", flag)

    def download(self, pulse: Callable[[], None]) -> RawFrame:
        """Fetch the frame.

        Parameters
        ----------
        pulse : callable
            Called at least twice a second while data arrive; what it raises ends the
            download, and the frame may be fetched again.

        Raises
        ------
        DeviceTimeout
            The server was silent for a whole timeout.
        DeviceError
            There is no frame, or not all of it.
        """
        call = f"{self.name}: imagearray"
        data = self._images.download("imagearray", ACCEPT, lambda r: read_image(call, r), pulse)
        return RawFrame(data, self._start(), self._exposure_time_s())

    def abort_exposure(self) -> None:
        """End an exposure; nothing is read out."""
        self._alpaca.AbortExposure()

    def temperature(self) -> Celsius | None:
        """Return the sensor's temperature [deg C]; None where it does not tell."""
        return self._ask_if_there("CCDTemperature", _TEMPERATURE)

    def set_temperature(self, setpoint: Celsius | None) -> None:
        """Cool to `setpoint` [deg C]; None turns the cooler off."""
        if setpoint is not None:
            self._alpaca.SetCCDTemperature = float(setpoint)
        self._alpaca.CoolerOn = setpoint is not None

    def set_binning(self, binning: int) -> None:
        """Bin by the same number along both axes, and read the whole sensor."""
        size = whole(1, 1_000_000)
        nx, ny = self._ask("CameraXSize", size), self._ask("CameraYSize", size)
        device = self._alpaca
        device.BinX = device.BinY = int(binning)
        # The part that is read counts in binned pixels, so it comes after the binning.
        device.StartX = device.StartY = 0
        device.NumX, device.NumY = nx // int(binning), ny // int(binning)

    def set_gain(self, gain: int) -> None:
        """Set the camera's own gain number, where it has one."""
        self._alpaca.Gain = int(gain)

    def gain_setting(self) -> int | None:
        """Return the camera's own gain number; None where it has none."""
        return self._ask_if_there("Gain", whole(-_INT32, _INT32))

    def _told(self, attribute: str, check: Callable[[object], T]) -> T | None:
        """Ask for what must be positive; drivers that do not know it say 0."""
        return self._ask_if_there(attribute, check) or None

    def _max_binning(self) -> int:
        most = [self._ask_if_there(name, whole(1, 1000)) for name in ("MaxBinX", "MaxBinY")]
        return min(n or 1 for n in most)

    def _bayer(self) -> str | None:
        if self._ask_if_there("SensorType", whole(0, 5)) != _RGGB:
            return None
        x = (self._ask_if_there("BayerOffsetX", whole(0, 1)) or 0) % 2
        y = (self._ask_if_there("BayerOffsetY", whole(0, 1)) or 0) % 2
        rows = ("RG", "GB")
        return "".join(rows[(row + y) % 2][(column + x) % 2] for row in (0, 1) for column in (0, 1))

    def _start(self) -> datetime | None:
        """Ask when the exposure began; a frame that was read out is not lost for want of it."""
        try:
            said = self._ask_if_there("LastExposureStartTime", text)
            return None if said is None else from_iso(said.strip())
        except (DeviceError, ValueError) as error:
            _log.warning("%s: the start of the exposure is not known: %s", self.name, error)
            return None

    def _exposure_time_s(self) -> float | None:
        try:
            return self._ask_if_there("LastExposureDuration", number(0, 1e6, "s"))
        except DeviceError as error:
            _log.warning("%s: the exposure time is not known: %s", self.name, error)
            return None
