"""Frames begin when the sensor has its temperature."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from toros.config import Settings
from toros.simulation.observatory import World
from toros.telescope.cooling import Cooling
from toros.telescope.hardware import Devices, Hardware


class HandClock:
    """A clock that is moved by hand."""

    rate = 1.0

    def __init__(self) -> None:
        self.now_s = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(1_780_000_000 + self.now_s, UTC)

    def monotonic(self) -> float:
        return self.now_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.now_s += timeout_s
        return event.is_set()


@pytest.fixture
def cooled(tmp_path):
    """Make the cooling of a simulated camera to a temperature [C]; returns it with its clock."""

    def make(wanted_c: float | None) -> tuple[Cooling, HandClock]:
        clock = HandClock()
        camera = World(tmp_path, clock, (-67.33, -24.63, 4637.0)).camera()
        camera.connect()
        hardware = Hardware(Devices(camera=camera), (), clock, lambda: None)
        settings = Settings.model_validate({"Telescope": {"Temperature (C)": wanted_c}})
        return Cooling(settings, hardware, clock), clock

    return make


def test_it_is_done_when_the_sensor_is_there(cooled):
    cooling, clock = cooled(-20.0)
    cooling.begin()
    assert not cooling.is_done()
    clock.now_s += 600.0
    assert cooling.is_done()


def test_a_temperature_that_is_never_reached_is_told_and_not_waited_for(cooled, caplog):
    cooling, clock = cooled(-100.0)
    cooling.begin()
    clock.now_s += 1000.0
    assert not cooling.is_done()
    clock.now_s += 1000.0
    assert cooling.is_done()
    assert "not at -100.0 C" in caplog.text


def test_without_a_temperature_nothing_is_waited_for(cooled):
    cooling, _ = cooled(None)
    cooling.begin()
    assert cooling.is_done()
