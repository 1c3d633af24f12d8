"""An Alpaca weather station."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import alpaca.observingconditions

from toros.config.hardware import Device
from toros.devices.alpaca.device import AlpacaDevice
from toros.devices.alpaca.replies import number, shown
from toros.devices.protocols import Reading
from toros.errors import DeviceLacks, DeviceNonsense, DeviceNotConnected

_ZERO_K = -273.15

# Alpaca's units are those of `toros.devices.protocols.QUANTITIES`.
_SENSORS: Mapping[str, tuple[str, Callable[[object], float]]] = {
    "cloud_cover": ("CloudCover", number(0, 100, "%")),
    "dew_point": ("DewPoint", number(_ZERO_K, 100, "deg C")),
    "humidity": ("Humidity", number(0, 100, "%")),
    "pressure": ("Pressure", number(100, 1200, "hPa")),
    "rain_rate": ("RainRate", number(0, 2000, "mm/h")),
    "sky_brightness": ("SkyBrightness", number(0, 1e6, "lux")),
    "sky_quality": ("SkyQuality", number(-30, 30, "mag/arcsec2")),
    "sky_temperature": ("SkyTemperature", number(_ZERO_K, 100, "deg C")),
    "star_fwhm": ("StarFWHM", number(0, 1000, "arcsec")),
    "temperature": ("Temperature", number(_ZERO_K, 100, "deg C")),
    "wind_direction": ("WindDirection", number(0, 360, "deg")),
    "wind_gust": ("WindGust", number(0, 200, "m/s")),
    "wind_speed": ("WindSpeed", number(0, 200, "m/s")),
}


class AlpacaObservingConditions(AlpacaDevice):
    """A weather station behind an Alpaca server.

    References
    ----------
    ASCOM IObservingConditionsV2.
    """

    kind = "observing_conditions"
    alpaca_type = "observingconditions"
    platform_7 = 2

    def __init__(self, settings: Device) -> None:
        super().__init__(settings, alpaca.observingconditions.ObservingConditions)

    def read(self) -> Mapping[str, Reading]:
        """Return what it measures, by the names of `QUANTITIES`; what it lacks is left out.

        A sensor that has never measured anything has an infinite age.

        Raises
        ------
        DeviceNotConnected
            It has no connection to its sensors. Some drivers go on with the last values.
        DeviceError
            It does not tell, or one of its values cannot be: then none is to be trusted.
        """
        if not self.connected():
            raise DeviceNotConnected(f"{self.name}: not connected")
        readings: dict[str, Reading] = {}
        for quantity, (sensor, check) in _SENSORS.items():
            # All are asked for each time: what is lacking now may be a hub that is starting.
            value = self._ask_if_there(sensor, check)
            if value is not None:
                readings[quantity] = Reading(value, self._age_s(sensor))
        if not readings:
            raise DeviceLacks(f"{self.name}: it has no sensor at all")
        return readings

    def _age_s(self, sensor: str) -> float:
        """Return how old a sensor's value is; of all sensors, where it does not tell for one."""
        try:
            age = self._alpaca.TimeSinceLastUpdate(sensor)
        except DeviceLacks:
            age = self._alpaca.TimeSinceLastUpdate("")
        try:
            age_s = number(-1e12, 1e12, "s")(age)
        except ValueError as error:
            raise DeviceNonsense(
                f"{self.name}: timesincelastupdate of {sensor} is {shown(age)}: {error}"
            ) from None
        return age_s if age_s >= 0 else math.inf
