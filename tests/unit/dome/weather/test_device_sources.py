"""Devices as sources, and making the sources that the configuration names."""

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.dome.weather.parts import HandClock
from toros.clock import Clock
from toros.config import Settings
from toros.config.enclosure import Dome, Weather, WeatherSource
from toros.config.hardware import Device as DeviceSettings
from toros.devices.protocols import Device, Reading
from toros.dome.weather import make_sources
from toros.dome.weather.sources.conditions import ConditionsSource
from toros.dome.weather.sources.monitor import MonitorSource
from toros.errors import (
    DeviceNonsense,
    DeviceNotConnected,
    DeviceTimeout,
    DeviceUnreachable,
)


class FakeDevice:
    """A safety monitor and a weather station, as a test wants them."""

    name = "fake"

    def __init__(self) -> None:
        self.connects = 0
        self.live = False
        self.safe: object = True
        self.told: Mapping[str, Reading] = {}

    def connect(self) -> None:
        self.connects += 1
        self.live = True

    def disconnect(self) -> None:
        self.live = False

    def connected(self) -> bool:
        return self.live

    def is_safe(self) -> bool:
        if not self.live:
            raise DeviceNotConnected("fake: not connected")
        if isinstance(self.safe, Exception):
            raise self.safe
        return self.safe  # type: ignore[return-value]

    def read(self) -> Mapping[str, Reading]:
        if not self.live:
            raise DeviceNotConnected("fake: not connected")
        return self.told


SETTINGS = WeatherSource(name="rain", kind="safety_monitor", address="127.0.0.1:1")


def test_a_monitor_is_connected_when_it_is_first_asked() -> None:
    device = FakeDevice()
    source = MonitorSource(SETTINGS, lambda: device)
    assert device.connects == 0
    assert source.read().values == {"safe": Reading(1.0, 0.0)}
    device.safe = False
    assert source.read().values == {"safe": Reading(0.0, 0.0)}
    assert device.connects == 1


def test_a_monitor_that_was_let_go_is_connected_again_at_the_next_reading() -> None:
    device = FakeDevice()
    source = MonitorSource(SETTINGS, lambda: device)
    source.read()
    device.live = False
    with pytest.raises(DeviceNotConnected):
        source.read()
    assert source.read().values["safe"].value == 1
    assert device.connects == 2


def test_a_monitor_that_does_not_answer_is_not_connected_again_for_that() -> None:
    device = FakeDevice()
    source = MonitorSource(SETTINGS, lambda: device)
    device.safe = DeviceTimeout("late")
    for _ in range(2):
        with pytest.raises(DeviceTimeout):
            source.read()
    assert device.connects == 1


def test_a_word_that_is_no_word_is_nonsense() -> None:
    device = FakeDevice()
    device.safe = None
    with pytest.raises(DeviceNonsense, match="expected true or false"):
        MonitorSource(SETTINGS, lambda: device).read()


def test_no_such_device_is_no_answer() -> None:
    with pytest.raises(DeviceUnreachable, match="no such device"):
        MonitorSource(SETTINGS, lambda: None).read()


def test_conditions_keep_ages_and_refuse_what_cannot_be() -> None:
    device = FakeDevice()
    device.told = {
        "wind_speed": Reading(3.0, 12.5),
        "humidity": Reading(-300.0, 0.0),
        "pressure": Reading(math.nan, 0.0),
        "rain_rate": Reading(0.0, -1.0),
        "dew_point": Reading(1.0, math.inf),
        "of_another_kind": Reading(1.0, 0.0),
    }
    told = ConditionsSource(SETTINGS, lambda: device).read()
    assert told.values == {"wind_speed": Reading(3.0, 12.5)}
    assert set(told.problems) == {"humidity", "pressure", "rain_rate", "dew_point"}
    assert told.problems["humidity"] == "-300 % cannot be; 0 to 110 % can"


def test_the_configured_sources_are_made_and_none_is_asked(tmp_path: Path) -> None:
    opened: list[tuple[str, DeviceSettings]] = []
    device = FakeDevice()
    device.told = {"wind_speed": Reading(3.0, 0.0)}

    def open_device(
        kind: str, settings: DeviceSettings, _whole: Settings, _clock: Clock
    ) -> Device | None:
        opened.append((kind, settings))
        return device

    weather = Weather(
        sources=(
            WeatherSource(
                name="monitor", kind="safety_monitor", address="10.0.0.1:80", timeout_s=1.5
            ),
            WeatherSource(
                name="mast", kind="observing_conditions", address="10.0.0.1:80", device_number=2
            ),
            WeatherSource(name="file", kind="file", path=tmp_path / "w.json", age_limit_s=90.0),
            WeatherSource(name="net", kind="url", url="http://127.0.0.1:1/"),
            WeatherSource(name="simulated", kind="simulated"),
        )
    )
    whole = Settings(dome=Dome(weather=weather))
    sources = make_sources(whole, HandClock(rate=600.0), open_device)
    assert [source.name for source in sources] == [s.name for s in weather.sources]
    assert [source.period_s for source in sources] == [1.0, 1.0, 1.0, 2.0, 0.1]
    assert sources[2].age_limit_s == 90
    assert opened == []
    assert sources[0].read().values == {"safe": Reading(1.0, 0.0)}
    assert sources[4].read().values == {
        "safe": Reading(1.0, 0.0), "wind_speed": Reading(3.0, 0.0)
    }  # fmt: skip
    assert [kind for kind, _ in opened] == [
        "safety_monitor", "safety_monitor", "observing_conditions"
    ]  # fmt: skip
    first, simulated = opened[0][1], opened[1][1]
    assert (first.driver, first.address, first.timeout_s) == ("alpaca", "10.0.0.1:80", 1.5)
    assert simulated.driver == "simulated"
