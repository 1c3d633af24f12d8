"""Faults are set from outside and hit the calls that they are to hit."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.unit.simulation.observatory.conftest import SITE
from toros.devices.protocols import ShutterState
from toros.errors import (
    DeviceError,
    DeviceFault,
    DeviceNotConnected,
    DeviceTimeout,
    DeviceUnreachable,
)
from toros.simulation.observatory import World
from toros.simulation.observatory.dome import SimulatedDome
from toros.simulation.observatory.faults import FAULTS


@pytest.fixture
def dome(world: World) -> SimulatedDome:
    dome = world.dome(timeout_s=0.05)
    dome.connect()
    return dome


def failures(dome: SimulatedDome, calls: int) -> list[int]:
    failed = []
    for number in range(calls):
        try:
            dome.shutter()
        except DeviceError:
            failed.append(number)
    return failed


def test_one_call_in_n_fails_the_same_ones_each_time(world: World, dome: SimulatedDome) -> None:
    world.set_fault("dome", "fails", one_in=10, seed=3)
    first = failures(dome, 200)
    assert 8 <= len(first) <= 35
    world.set_fault("dome", "fails", one_in=10, seed=3)
    assert failures(dome, 200) == first
    world.set_fault("dome", "fails", one_in=10, seed=4)
    assert failures(dome, 200) != first


def test_a_fault_is_over_after_its_hits(world: World, dome: SimulatedDome) -> None:
    world.set_fault("dome", "fails", times=2)
    assert failures(dome, 5) == [0, 1]


def test_a_fault_may_be_for_some_calls(world: World, dome: SimulatedDome) -> None:
    world.set_fault("dome", "drops", calls=["close_shutter"])
    dome.open_shutter()
    assert dome.shutter() is ShutterState.OPENING
    with pytest.raises(DeviceUnreachable):
        dome.close_shutter()
    assert dome.shutter() is ShutterState.OPENING
    refused = world.truth()[-1]
    assert refused.event == "close_shutter"
    assert str(refused.refused).startswith("DeviceUnreachable")


def test_an_answer_may_be_lost(world: World, dome: SimulatedDome) -> None:
    world.set_fault("dome", "drops", carried_out=True, calls=["open_shutter"])
    with pytest.raises(DeviceUnreachable):
        dome.open_shutter()
    assert dome.shutter() is ShutterState.OPENING


def test_an_answer_may_be_late(world: World, dome: SimulatedDome) -> None:
    world.set_fault("dome", "hangs", seconds=60.0)
    begun = time.monotonic()
    with pytest.raises(DeviceTimeout):
        dome.shutter()
    assert time.monotonic() - begun < 5
    world.set_fault("dome", "hangs", seconds=0.01)
    assert dome.shutter() is ShutterState.CLOSED


def test_a_device_may_be_disconnected(world: World, dome: SimulatedDome) -> None:
    world.set_fault("dome", "disconnected")
    assert not dome.connected()
    with pytest.raises(DeviceNotConnected):
        dome.close_shutter()
    world.clear_faults("dome")
    assert dome.connected()


def test_faults_are_shared(world: World, dome: SimulatedDome) -> None:
    World(world.folder, world.clock, SITE).set_fault("dome", "fails")
    with pytest.raises(DeviceFault):
        dome.shutter()


@pytest.mark.parametrize(
    ("device", "fault", "parameters", "says"),
    [
        ("roof", "fails", {}, "roof"),
        ("dome", "explodes", {}, "explodes"),
        ("dome", "fails", {"often": 3}, "often"),
        ("dome", "fails", {"one_in": 0}, "one_in"),
        ("dome", "fails", {"calls": "shutter"}, "calls"),
    ],
)
def test_a_fault_that_is_none_is_refused(
    world: World, device: str, fault: str, parameters: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        world.set_fault(device, fault, **parameters)  # type: ignore[arg-type]


def test_every_fault_can_be_set_and_is_documented(world: World) -> None:
    page = Path(PROJECT / "docs/explanation/simulated-observatory.md").read_text("utf-8")
    for device, kinds in FAULTS.items():
        assert f"`{device}`" in page
        for fault in kinds:
            world.set_fault(device, fault)
            assert f"`{fault}`" in page, f"{fault} is not documented"
    world.clear_faults()
