"""Several processes share one observatory, and none of them is needed for it to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.simulation.observatory.conftest import SITE, HandClock
from toros.clock import SimulatedClock
from toros.devices.protocols import CameraState, ShutterState
from toros.errors import ConfigurationError, DeviceFault, DeviceTimeout
from toros.simulation.observatory import ARRIVED, World
from toros.simulation.observatory.state import StateFile
from toros.simulation.observatory.weather import WeatherState

RATE = 20.0
OTHER = """
import sys, time
from datetime import datetime
from pathlib import Path
from toros.clock import SimulatedClock
from toros.simulation.observatory import World

folder, anchor, start = sys.argv[1:4]
clock = SimulatedClock(datetime.fromisoformat(anchor), datetime.fromisoformat(start), {rate})
world = World(Path(folder), clock, {site})
device = getattr(world, sys.argv[4])()
device.connect()
{work}
print("done", flush=True)
time.sleep(60)
"""


@pytest.fixture
def shared(tmp_path: Path) -> World:
    start = datetime(2026, 6, 11, 4, 0, tzinfo=UTC)
    return World(tmp_path / "world", SimulatedClock(datetime.now(UTC), start, RATE), SITE)


def run_other(world: World, device: str, work: str) -> subprocess.Popen[str]:
    clock = world.clock
    assert isinstance(clock, SimulatedClock)
    code = OTHER.format(rate=RATE, site=SITE, work=work)
    arguments = [str(world.folder), clock.anchor.isoformat(), clock.start.isoformat(), device]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    return process


def test_hardware_goes_on_when_its_process_is_killed(shared: World) -> None:
    other = run_other(shared, "dome", "device.open_shutter(); device.slew_to_azimuth(120.0)")
    os.kill(other.pid, signal.SIGKILL)
    other.wait(10)
    dome = shared.dome()
    dome.connect()
    assert dome.shutter() in (ShutterState.OPENING, ShutterState.OPEN)
    deadline = time.monotonic() + 20
    while dome.slewing():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert dome.shutter() is ShutterState.OPEN
    assert dome.azimuth() == pytest.approx(120.0)
    events = [(e.event, e.pid) for e in shared.truth()]
    assert events[:2] == [("open_shutter", other.pid), ("slew_to_azimuth", other.pid)]
    assert events[2:] == [(ARRIVED, 0), (ARRIVED, 0)]


def test_an_exposure_outlives_its_process(shared: World) -> None:
    other = run_other(shared, "camera", "device.start_exposure(40.0, light=False)")
    os.kill(other.pid, signal.SIGKILL)
    other.wait(10)
    camera = shared.camera()
    camera.connect()
    assert camera.state() is CameraState.EXPOSING
    deadline = time.monotonic() + 20
    while not camera.image_ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert camera.download(lambda: None).data.shape == (256, 256)


def test_no_change_of_two_processes_is_lost(shared: World) -> None:
    work = "for _ in range(100): world.set_weather(wind_speed=1.0)"
    others = [run_other(shared, "dome", work) for _ in range(2)]
    for other in others:
        other.kill()
        other.wait(10)
    assert len(shared.weather_file.read().entries) == 200
    assert len([e for e in shared.truth() if e.event == "set_weather"]) == 200


def test_a_stopped_process_does_not_stop_the_others(tmp_path: Path) -> None:
    first = StateFile(tmp_path / "state.json", WeatherState, WeatherState())
    second = StateFile(tmp_path / "state.json", WeatherState, WeatherState(), lock_timeout_s=0.2)

    def hold(state: WeatherState) -> WeatherState:
        with pytest.raises(DeviceTimeout, match="another process"):
            second.change(lambda s: s)
        return state

    first.change(hold)


def test_a_state_that_is_none_is_told(world: World) -> None:
    dome = world.dome()
    dome.connect()
    (world.folder / "dome.json").write_text("[{]")
    with pytest.raises(DeviceFault, match=r"dome\.json"):
        dome.shutter()


def test_wrong_hardware_is_told(tmp_path: Path, clock: HandClock) -> None:
    for text in ('{"shutter": 3}', '{"shutter_s": 0}', '{"filters": ["Ha"]}', "{"):
        (tmp_path / "world.json").write_text(text)
        with pytest.raises(ConfigurationError, match=r"world\.json"):
            World(tmp_path, clock, SITE)
