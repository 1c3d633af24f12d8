"""Every Alpaca driver behind the fault proxy; the simulators tell what really happened."""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.contract.rigs import KINDS, AlpacaRig, eventually
from tests.system.observatory import AlpacaObservatory, FaultProxy
from toros.devices.protocols import CameraState, PierSide, ShutterState
from toros.errors import (
    DeviceError,
    DeviceFault,
    DeviceLacks,
    DeviceNonsense,
    DeviceNotConnected,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnreachable,
    Interrupted,
)

QUESTIONS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "dome": ("GET dome/0/shutterstatus", lambda d: d.shutter()),
    "mount": ("GET telescope/0/declination", lambda d: d.pointing()),
    "camera": ("GET camera/0/camerastate", lambda d: d.state()),
    "filter_wheel": ("GET filterwheel/0/position", lambda d: d.position()),
    "focuser": ("GET focuser/0/position", lambda d: d.position()),
    "cover": ("GET covercalibrator/0/coverstate", lambda d: d.cover()),
    "safety_monitor": ("GET safetymonitor/0/issafe", lambda d: d.is_safe()),
    "observing_conditions": ("GET observingconditions/0/humidity", lambda d: d.read()),
}
COMMANDS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "dome": ("PUT dome/0/openshutter", lambda d: d.open_shutter()),
    "mount": ("PUT telescope/0/unpark", lambda d: d.unpark()),
    "camera": ("PUT camera/0/cooleron", lambda d: d.set_temperature(None)),
    "filter_wheel": ("PUT filterwheel/0/position", lambda d: d.move_to(2)),
    "focuser": ("PUT focuser/0/move", lambda d: d.move_to(5000)),
    "cover": ("PUT covercalibrator/0/opencover", lambda d: d.open_cover()),
}
# What a fault is called, its options, and what the driver makes of it.
TROUBLE: dict[str, tuple[dict[str, Any], tuple[type[DeviceError], ...]]] = {
    "hang": ({}, (DeviceTimeout,)),
    "late_reply": ({"delay_s": 30.0}, (DeviceTimeout,)),
    "late_call": ({"delay_s": 30.0}, (DeviceTimeout,)),
    "slow": ({"bytes_per_s": 20.0}, (DeviceTimeout,)),
    "stalled": ({}, (DeviceTimeout,)),
    "lost_reply": ({}, (DeviceUnreachable,)),
    "reset": ({}, (DeviceUnreachable,)),
    "truncated": ({}, (DeviceUnreachable, DeviceNonsense)),
    "http_status": ({}, (DeviceFault,)),
    "garbage": ({"text": "<html>who are you?</html>"}, (DeviceNonsense,)),
}
ERRORS: dict[int, type[DeviceError]] = {
    0x400: DeviceLacks,
    0x401: DeviceRefused,
    0x402: DeviceRefused,
    0x407: DeviceNotConnected,
    0x408: DeviceRefused,
    0x409: DeviceRefused,
    0x40B: DeviceRefused,
    0x40C: DeviceLacks,
    0x40E: DeviceRefused,
    0x4FF: DeviceFault,
    0x500: DeviceFault,
    0xFFF: DeviceFault,
}


def connected(rig: AlpacaRig, kind: str, **settings: Any) -> Any:
    """Return a connected device that gives up soon and asks once."""
    rig.open(kind).connect()
    return rig.open(kind, **{"timeout_s": 1.0, "retries": 0, **settings})


def all_at_once(kinds: Iterable[str], work: Callable[[str], None]) -> None:
    """Hold all kinds of devices to something at the same time, for most of it is waiting."""

    def hold(kind: str) -> None:
        try:
            work(kind)
        except BaseException as error:
            error.add_note(f"of the {kind}")
            raise

    with ThreadPoolExecutor(len(KINDS)) as pool:
        list(pool.map(hold, kinds))


@pytest.mark.parametrize("fault", TROUBLE)
def test_questions_in_trouble(faulty: AlpacaRig, proxy: FaultProxy, fault: str) -> None:
    devices = {kind: connected(faulty, kind) for kind in KINDS}
    options, errors = TROUBLE[fault]
    for call, _ in QUESTIONS.values():
        proxy.fault(fault, call, **options)

    def fails(kind: str) -> None:
        call, ask = QUESTIONS[kind]
        begun = time.monotonic()
        with pytest.raises(errors) as caught:
            ask(devices[kind])
        assert time.monotonic() - begun < 3
        assert faulty.address in caught.value.message
        assert call.rpartition("/")[2] in caught.value.message

    def goes_on(kind: str) -> None:
        assert QUESTIONS[kind][1](devices[kind]) is not None

    all_at_once(KINDS, fails)
    proxy.clear()
    all_at_once(KINDS, goes_on)


@pytest.mark.parametrize(
    "fault", ["hang", "lost_reply", "reset", "truncated", "garbage", "http_status"]
)
def test_questions_are_asked_again(faulty: AlpacaRig, proxy: FaultProxy, fault: str) -> None:
    # The dome's shutter is in a hurry: it is not asked again by a driver that waited in vain.
    kinds = [kind for kind in KINDS if not (kind == "dome" and fault == "hang")]
    devices = {kind: connected(faulty, kind, retries=2) for kind in kinds}
    for kind in kinds:
        proxy.fault(fault, QUESTIONS[kind][0], count=2, **TROUBLE[fault][0])

    def answers(kind: str) -> None:
        call, ask = QUESTIONS[kind]
        assert ask(devices[kind]) is not None
        assert len(proxy.calls(call)) == 3

    all_at_once(kinds, answers)


@pytest.mark.parametrize("fault", TROUBLE)
def test_commands_in_trouble_are_sent_once(
    faulty: AlpacaRig, proxy: FaultProxy, fault: str
) -> None:
    devices = {kind: connected(faulty, kind, retries=5) for kind in COMMANDS}
    options, errors = TROUBLE[fault]
    for call, _ in COMMANDS.values():
        proxy.fault(fault, call, **options)

    def fails(kind: str) -> None:
        call, command = COMMANDS[kind]
        with pytest.raises(errors):
            command(devices[kind])
        assert len(proxy.calls(call)) == 1

    all_at_once(COMMANDS, fails)
    proxy.clear()
    all_at_once(COMMANDS, lambda kind: COMMANDS[kind][1](devices[kind]) and None)


@pytest.mark.parametrize("number", ERRORS, ids=hex)
def test_every_refusal_is_told(faulty: AlpacaRig, proxy: FaultProxy, number: int) -> None:
    devices = {kind: connected(faulty, kind, retries=2) for kind in KINDS}
    for call, _ in (*COMMANDS.values(), *QUESTIONS.values()):
        proxy.fault("error", call, number=number, message="for a reason")

    def refused(kind: str) -> None:
        for call, do in filter(None, (COMMANDS.get(kind), QUESTIONS[kind])):
            if kind == "observing_conditions" and ERRORS[number] is DeviceLacks:
                continue  # it lacks a sensor, which is no error
            with pytest.raises(DeviceError, match="for a reason") as caught:
                do(devices[kind])
            assert type(caught.value) is ERRORS[number]
            assert len(proxy.calls(call)) == 1

    all_at_once(KINDS, refused)


IMPOSSIBLE: dict[str, tuple[Callable[[Any], object], list[Any]]] = {
    "dome/0/shutterstatus": (lambda d: d.shutter(), [-1, 5, True, "closed", None]),
    "dome/0/azimuth": (lambda d: d.azimuth(), [-1, 400, math.nan, "90"]),
    "dome/0/atpark": (lambda d: d.at_park(), [1, "true", None]),
    "telescope/0/rightascension": (lambda d: d.pointing(), [25, -0.1, math.inf, None]),
    "telescope/0/declination": (lambda d: d.pointing(), [-91, math.nan]),
    "telescope/0/altitude": (lambda d: d.horizontal(), [91, 1e300]),
    "telescope/0/sideofpier": (lambda d: d.pier_side(), [2, "east"]),
    "telescope/0/equatorialsystem": (lambda d: d.pointing(), [5, -1]),
    "camera/0/camerastate": (lambda d: d.state(), [6, None]),
    "camera/0/imageready": (lambda d: d.image_ready(), [1]),
    "camera/0/ccdtemperature": (lambda d: d.temperature(), [-274, math.nan]),
    "camera/0/cameraxsize": (lambda d: d.facts(), [0, 1e12, "x"]),
    "filterwheel/0/position": (lambda d: d.position(), [-2, 1.5]),
    "filterwheel/0/names": (lambda d: d.filters(), ["V", [1], None]),
    "focuser/0/position": (lambda d: d.position(), [10**12, 1.5]),
    "focuser/0/maxstep": (lambda d: d.max_position, [0]),
    "covercalibrator/0/coverstate": (lambda d: d.cover(), [6]),
    "covercalibrator/0/calibratorstate": (lambda d: d.lamp(), [-1]),
    "safetymonitor/0/issafe": (lambda d: d.is_safe(), [1, "true", None]),
    "safetymonitor/0/connected": (lambda d: d.is_safe(), ["yes"]),
    "observingconditions/0/temperature": (lambda d: d.read(), [-300, math.nan]),
    "observingconditions/0/windspeed": (lambda d: d.read(), [-1, 1e5, "calm"]),
    "observingconditions/0/timesincelastupdate": (lambda d: d.read(), ["now", math.inf]),
}
OWNERS = {
    "telescope": "mount",
    "filterwheel": "filter_wheel",
    "covercalibrator": "cover",
    "safetymonitor": "safety_monitor",
    "observingconditions": "observing_conditions",
}


@pytest.mark.parametrize("call", IMPOSSIBLE)
def test_what_cannot_be_is_refused(faulty: AlpacaRig, proxy: FaultProxy, call: str) -> None:
    alpaca_type = call.partition("/")[0]
    ask, values = IMPOSSIBLE[call]
    for value in values:
        device = connected(faulty, OWNERS.get(alpaca_type, alpaca_type))
        number = proxy.fault("value", call, value=value)
        with pytest.raises(DeviceNonsense, match=call.rpartition("/")[2]):
            ask(device)
        proxy.clear(number)


def test_what_a_device_lacks_is_none(faulty: AlpacaRig, proxy: FaultProxy) -> None:
    dome, mount = connected(faulty, "dome"), connected(faulty, "mount")
    camera, focuser = connected(faulty, "camera"), connected(faulty, "focuser")
    proxy.fault("error", "GET *", number=0x400, message="not here")
    assert dome.azimuth() is None
    assert dome.at_park() is False
    assert mount.pier_side() is PierSide.UNKNOWN
    assert mount.at_park() is False
    assert camera.temperature() is None
    assert camera.gain_setting() is None
    assert focuser.temperature() is None
    for needed in (dome.shutter, mount.pointing, camera.state, focuser.position):
        with pytest.raises(DeviceLacks):
            needed()


# ---- closing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["hang", "late_call", "reset", "http_status"])
def test_a_close_that_did_not_arrive_is_told(
    faulty: AlpacaRig, proxy: FaultProxy, fault: str
) -> None:
    dome = connected(faulty, "dome")
    dome.open_shutter()
    options, errors = TROUBLE[fault]
    proxy.fault(fault, "PUT dome/0/closeshutter", **options)
    with pytest.raises(errors):
        dome.close_shutter()
    assert faulty.shutter() is dome.shutter() is ShutterState.OPEN
    proxy.clear()
    dome.close_shutter()
    eventually(lambda: faulty.shutter() is ShutterState.CLOSED)


@pytest.mark.parametrize("fault", ["late_reply", "lost_reply", "truncated", "garbage"])
def test_a_close_whose_answer_is_lost_was_one(
    faulty: AlpacaRig, proxy: FaultProxy, fault: str
) -> None:
    dome = connected(faulty, "dome")
    dome.open_shutter()
    options, errors = TROUBLE[fault]
    proxy.fault(fault, "PUT dome/0/closeshutter", **options)
    with pytest.raises(errors):
        dome.close_shutter()
    eventually(lambda: dome.shutter() is ShutterState.CLOSED)
    assert faulty.shutter() is ShutterState.CLOSED


def test_nothing_delays_a_close(faulty: AlpacaRig, proxy: FaultProxy) -> None:
    """Neither an image that stalls, nor another device, nor this dome's own hung calls."""
    camera = connected(faulty, "camera", timeout_s=10.0)
    dome = connected(faulty, "dome", timeout_s=10.0)
    dome.open_shutter()
    camera.start_exposure(0.0, light=False)
    eventually(camera.image_ready, 30.0)
    proxy.fault("stalled", "camera/0/imagearray", bytes=10_000)
    for calls in ("telescope", "GET dome/0/azimuth", "PUT dome/0/slewtoazimuth"):
        proxy.fault("hang", calls)

    def quietly(call: Callable[[], object]) -> None:
        # They fail, or are let go at the end.
        with contextlib.suppress(DeviceError):
            call()

    mount = faulty.open("mount", timeout_s=10.0)
    others = [
        threading.Thread(target=quietly, args=(call,))
        for call in (
            lambda: camera.download(lambda: None), mount.slewing, dome.azimuth,
            lambda: dome.slew_to_azimuth(90.0),
        )
    ]  # fmt: skip
    for other in others:
        other.start()
    eventually(lambda: sum(call["ended_s"] is None for call in proxy.calls()) == len(others))
    begun = time.monotonic()
    dome.close_shutter()
    assert dome.shutter() is ShutterState.CLOSED
    dome.abort()
    assert time.monotonic() - begun < 1.0
    assert all(other.is_alive() for other in others)
    assert faulty.shutter() is ShutterState.CLOSED
    proxy.clear()
    for other in others:
        other.join(20)


# ---- devices that lie ------------------------------------------------------------------------


def test_a_stuck_shutter_is_seen(faulty: AlpacaRig, proxy: FaultProxy) -> None:
    dome = connected(faulty, "dome")
    dome.open_shutter()
    proxy.fault("shutter_stuck", "dome")
    dome.close_shutter()
    assert dome.shutter() is ShutterState.OPEN
    proxy.clear()
    proxy.fault("shutter_stuck", "dome", moving=True)
    dome.close_shutter()
    assert dome.shutter() is ShutterState.CLOSING
    assert dome.slewing() is True
    assert faulty.shutter() is ShutterState.OPEN
    proxy.clear()
    dome.close_shutter()


def test_a_shutters_error_is_seen(faulty: AlpacaRig, proxy: FaultProxy) -> None:
    dome = connected(faulty, "dome")
    proxy.fault("shutter_error", "dome")
    dome.close_shutter()
    assert dome.shutter() is ShutterState.ERROR


def test_a_false_park_is_what_the_mount_says(faulty: AlpacaRig, proxy: FaultProxy) -> None:
    mount = connected(faulty, "mount")
    mount.unpark()
    before = faulty.observatory.get("telescope/0/declination")
    proxy.fault("false_park", "telescope")
    mount.park()
    assert mount.at_park() is True
    assert faulty.observatory.get("telescope/0/atpark") is False
    # Only where it points tells the truth.
    assert mount.pointing().dec_deg == pytest.approx(before, abs=0.1)


def test_a_slaved_dome_parks(faulty: AlpacaRig) -> None:
    dome = connected(faulty, "dome")
    faulty.observatory.put("dome/0/slaved", Slaved=True)
    dome.park()
    eventually(dome.at_park)
    assert faulty.observatory.get("dome/0/slaved") is False


# ---- images ----------------------------------------------------------------------------------


def exposed(rig: AlpacaRig, **settings: Any) -> Any:
    camera = connected(rig, "camera", **settings)
    camera.start_exposure(0.0, light=False)
    eventually(camera.image_ready, 30.0)
    return camera


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        *((fault, {"bytes": count}) for fault in ("truncated", "stalled") for count in (20, 1000)),
        *((fault, {}) for fault in ("reset", "http_status", "garbage", "lost_reply", "hang")),
    ],
)
def test_a_broken_image_is_none(
    faulty: AlpacaRig, proxy: FaultProxy, fault: str, place: dict[str, int]
) -> None:
    camera = exposed(faulty)
    options, errors = TROUBLE[fault]
    options = {**options, **place}
    proxy.fault(fault, "camera/0/imagearray", **options)
    with pytest.raises(errors):
        camera.download(lambda: None)
    proxy.clear()
    assert camera.download(lambda: None).data.shape == camera.facts().shape


def test_an_image_that_breaks_once_is_fetched_again(faulty: AlpacaRig, proxy: FaultProxy) -> None:
    camera = exposed(faulty, retries=1)
    proxy.fault("truncated", "camera/0/imagearray", bytes=50_000, count=1)
    assert camera.download(lambda: None).data.shape == camera.facts().shape


def test_a_slow_image_comes_and_the_pulse_beats(faulty: AlpacaRig, proxy: FaultProxy) -> None:
    camera = exposed(faulty, timeout_s=1.0)
    proxy.fault("slow", "camera/0/imagearray", bytes_per_s=50_000.0)
    beats = [time.monotonic()]
    frame = camera.download(lambda: beats.append(time.monotonic()))
    beats.append(time.monotonic())
    assert frame.data.shape == camera.facts().shape
    assert beats[-1] - beats[0] > 1.5  # longer than the timeout
    assert max(b - a for a, b in itertools.pairwise(beats)) <= 0.5


def test_a_download_that_is_broken_off_can_be_made_again(
    faulty: AlpacaRig, proxy: FaultProxy
) -> None:
    camera = exposed(faulty, timeout_s=5.0)
    proxy.fault("stalled", "camera/0/imagearray", bytes=30_000)

    def pulse() -> None:
        raise Interrupted("the weather turns")

    begun = time.monotonic()
    with pytest.raises(Interrupted):
        camera.download(pulse)
    assert time.monotonic() - begun < 1.0
    proxy.clear()
    assert camera.download(pulse).data.shape == camera.facts().shape
    assert camera.state() is CameraState.IDLE


# ---- the server itself -----------------------------------------------------------------------


def test_a_frozen_server_is_a_timeout(alpaca_observatory: AlpacaObservatory) -> None:
    alpaca_observatory.reset()
    rig = AlpacaRig(alpaca_observatory)
    devices = {kind: connected(rig, kind) for kind in KINDS}

    def fails(kind: str) -> None:
        with pytest.raises(DeviceTimeout):
            QUESTIONS[kind][1](devices[kind])

    alpaca_observatory.pause()
    try:
        all_at_once(KINDS, fails)
    finally:
        alpaca_observatory.resume()
    all_at_once(KINDS, lambda kind: QUESTIONS[kind][1](devices[kind]) and None)


def test_a_server_that_is_gone_is_unreachable_until_it_is_back(
    alpaca_observatory: AlpacaObservatory,
) -> None:
    dome = connected(AlpacaRig(alpaca_observatory), "dome", timeout_s=10.0, retries=1)
    alpaca_observatory.kill()
    try:
        for call in (dome.shutter, dome.close_shutter, dome.slewing):
            with pytest.raises(DeviceUnreachable, match="cannot be reached"):
                call()
    finally:
        alpaca_observatory.start()
    dome.connect()
    assert dome.shutter() is ShutterState.CLOSED
