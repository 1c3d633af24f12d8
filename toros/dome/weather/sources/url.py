"""An address from which a weather station's data are fetched."""

from __future__ import annotations

from toros.clock import Clock
from toros.config.enclosure import WeatherSource
from toros.dome.weather.observation import Observation
from toros.dome.weather.sources import station
from toros.dome.weather.sources.fetch import fetch


class UrlSource:
    """Fetches a station's JSON.

    Without a time in it, the moment of reading counts: a server that goes on sending what
    it once got is not noticed then.

    Parameters
    ----------
    settings : WeatherSource
        With a url.
    clock : Clock
        What the station's time is compared with.
    """

    period_s = 2.0

    def __init__(self, settings: WeatherSource, clock: Clock) -> None:
        assert settings.url is not None  # the section checks it
        self.name = settings.name
        self.age_limit_s = settings.age_limit_s
        self._url = settings.url
        self._timeout_s = settings.timeout_s
        self._fields = settings.fields
        self._ages = station.Ages(clock)

    def read(self) -> Observation:
        """Fetch the data.

        Raises
        ------
        DeviceUnreachable, DeviceTimeout
            They cannot be had.
        DeviceNonsense
            They are no station's data.
        """
        content = fetch(self._url, self._timeout_s, station.MAX_BYTES)
        report = station.parse(content, self._fields)
        return station.observe(
            report, 0.0 if report.time is None else self._ages.age_s(report.time)
        )
