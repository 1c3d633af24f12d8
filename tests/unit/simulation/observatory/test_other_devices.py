"""Filter wheel, focuser, cover and weather."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from tests.unit.simulation.observatory.conftest import NIGHT, HandClock
from toros.devices.protocols import CoverState, LampState
from toros.errors import DeviceNonsense, DeviceRefused
from toros.simulation.observatory import World


def test_the_wheel_turns_the_shorter_way(world: World, clock: HandClock) -> None:
    wheel = world.filter_wheel()
    wheel.connect()
    assert wheel.filters() == ["B", "V", "R", "I"]
    wheel.move_to(3)
    assert wheel.position() is None
    clock.go(1.1)
    assert wheel.position() == 3
    wheel.move_to(1)
    clock.go(1.9)
    assert wheel.position() is None
    clock.go(0.2)
    assert wheel.position() == 1
    with pytest.raises(DeviceRefused, match="position 4"):
        wheel.move_to(4)


def test_the_focuser_moves_and_halts(world: World, clock: HandClock) -> None:
    focuser = world.focuser()
    focuser.connect()
    start = focuser.position()
    focuser.move_to(start + 500)
    clock.go(1.0)
    assert focuser.position() == start + 250
    focuser.halt()
    clock.go(10.0)
    assert focuser.position() == start + 250
    assert not focuser.moving()
    with pytest.raises(DeviceRefused):
        focuser.move_to(focuser.max_position + 1)
    world.set_fault("focuser", "stuck")
    focuser.move_to(0)
    clock.go(1000.0)
    assert focuser.moving()


def test_cover_and_lamp(world: World, clock: HandClock) -> None:
    cover = world.cover()
    cover.connect()
    assert cover.cover() is CoverState.CLOSED
    assert cover.lamp() is LampState.OFF
    cover.lamp_on(0.5)
    assert cover.lamp() is LampState.WARMING
    clock.go(3.1)
    assert cover.lamp() is LampState.READY
    cover.lamp_off()
    cover.open_cover()
    assert cover.cover() is CoverState.MOVING
    clock.go(8.1)
    assert cover.cover() is CoverState.OPEN
    with pytest.raises(DeviceRefused, match="brightness"):
        cover.lamp_on(1.5)


def test_the_weather_is_clear_until_it_is_set(world: World) -> None:
    station, monitor = world.observing_conditions(), world.safety_monitor()
    station.connect()
    monitor.connect()
    assert monitor.is_safe()
    assert station.read()["rain_rate"] == (0.0, 0.0)
    world.set_weather(rain_rate=1.2)
    assert not monitor.is_safe()
    assert station.read()["rain_rate"].value == 1.2
    world.set_weather(safe=True)
    assert monitor.is_safe()
    world.set_weather(safe="derived")
    assert not monitor.is_safe()
    world.set_weather(rain_rate=0)
    assert monitor.is_safe()


def test_a_script_goes_by_the_simulated_time(world: World, clock: HandClock) -> None:
    script = [
        (600.0, {"humidity": 95.0}),
        (NIGHT + timedelta(minutes=20), {"humidity": 40.0, "safe": False}),
    ]
    world.set_script(script)
    seen = []
    for _ in range(4):
        seen.append((world.weather().values["humidity"], world.weather().safe))
        clock.go(500.0)
    assert seen == [(30.0, True), (30.0, True), (95.0, False), (40.0, False)]
    world.set_script([(10.0, {"safe": True})])
    clock.go(11.0)
    assert world.weather().safe


def test_a_long_past_is_folded(world: World, clock: HandClock) -> None:
    for number in range(100):
        world.set_weather(wind_speed=float(number % 10), safe=None)
        clock.go(1000.0)
    assert len(world.weather_file.read().entries) < 12
    assert world.weather().values["wind_speed"] == 9.0


@pytest.mark.parametrize("wrong", [{"rain": 1.0}, {"humidity": "wet"}, {"safe": "perhaps"}])
def test_wrong_weather_is_refused(world: World, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        world.set_weather(**wrong)  # type: ignore[arg-type]


def test_weather_faults(world: World, clock: HandClock) -> None:
    station, monitor = world.observing_conditions(), world.safety_monitor()
    station.connect()
    monitor.connect()
    world.set_fault("observing_conditions", "stale")
    clock.go(90.0)
    world.set_weather(humidity=99.0)
    assert station.read()["humidity"] == (30.0, pytest.approx(90.0))
    world.clear_faults("observing_conditions")
    world.set_fault("observing_conditions", "nonsense", quantity="wind_speed", value=math.nan)
    world.set_fault("observing_conditions", "lacks", quantity="rain_rate")
    told = station.read()
    assert math.isnan(told["wind_speed"].value)
    assert "rain_rate" not in told
    world.set_fault("safety_monitor", "nonsense")
    with pytest.raises(DeviceNonsense):
        monitor.is_safe()
