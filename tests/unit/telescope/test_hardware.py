"""The devices in the hands of the control loop, with faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.telescope.night_parts import Observatory, observatory
from toros.devices.protocols import CoverState
from toros.errors import DeviceTimeout, InvalidField, NoDevice
from toros.telescope.control import Shut
from toros.telescope.hardware import Devices, Hardware


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Observatory]:
    with observatory(tmp_path, begin=False, rate=200.0) as made:
        made.parts.hardware.connect()
        yield made


def test_the_wheels_own_names_are_known_once_it_is_connected(at: Observatory):
    hardware = at.parts.hardware
    assert hardware.filter_names == ("B", "V", "R", "I")
    assert hardware.set_filter("R") == "R"
    assert hardware.set_filter(None) == "R"
    with pytest.raises(InvalidField, match="'ZZ'; the wheel has B, V, R, I"):
        hardware.set_filter("ZZ")


def test_a_frame_is_fetched_again_after_a_broken_download(at: Observatory):
    at.world.set_fault("camera", "download_fails", times=1)
    frame = at.parts.hardware.expose(1.0, light=False)
    assert frame.data.shape == at.world.hardware.shape


def test_what_the_pulse_raises_ends_an_exposure_and_clears_the_camera(at: Observatory):
    calls = iter(range(3))

    def pulse() -> None:
        if next(calls, None) is None:
            raise Shut("clouds")

    hardware = Hardware(at.parts.hardware.devices, (), at.parts.clock, pulse)
    with pytest.raises(Shut):
        hardware.expose(600.0, light=False)
    assert str(hardware.camera.state()) == "idle"


def test_a_wait_has_an_end(at: Observatory):
    with pytest.raises(DeviceTimeout, match="a test: not done after 0.1 s"):
        at.parts.hardware.until("a test", lambda: False, 0.1)


def test_cover_and_lamp(at: Observatory):
    hardware = at.parts.hardware
    cover = hardware.devices.cover
    assert cover is not None
    hardware.light_lamp(0.5)
    hardware.open_cover()
    assert cover.cover() is CoverState.OPEN
    assert str(cover.lamp()) == "off"
    hardware.close_cover()
    assert cover.cover() is CoverState.CLOSED


def test_a_device_that_is_not_there_is_named(at: Observatory):
    bare = Hardware(Devices(), (), at.parts.clock, lambda: None)
    for use in (lambda: bare.mount, lambda: bare.camera, lambda: bare.focus(1)):
        with pytest.raises(NoDevice, match="Driver: none"):
            use()
    assert bare.set_filter("R") == "R"
    bare.open_cover()
    bare.lamp_off()


def test_a_silent_camera_is_not_waited_for_twice(at: Observatory):
    hardware = at.parts.hardware
    hardware.camera.start_exposure(3000.0, light=False)
    at.world.set_fault("camera", "hangs", seconds=0.2, calls=["state"])
    silent = Hardware(
        Devices(camera=at.world.camera(timeout_s=0.1)), (), at.parts.clock, lambda: None
    )
    silent.camera.connect()
    silent.stop_exposure()
    at.world.clear_faults()
    silent.stop_exposure()
    assert str(hardware.camera.state()) == "exposing", "it is left to the next exposure"
    silent.abort()  # a person's word is passed on all the same
    assert str(hardware.camera.state()) == "idle"
