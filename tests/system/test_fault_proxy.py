"""The fault proxy as a process, between a third party's client and a third party's server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from alpaca.camera import Camera
from alpaca.dome import Dome
from alpaca.exceptions import (
    AlpacaRequestException,
    DriverException,
    NotConnectedException,
)
from alpaca.telescope import Telescope
from astropy.coordinates import AltAz, EarthLocation, get_sun
from astropy.time import Time
from astropy.utils import iers

from tests.conftest import free_port
from tests.system.observatory import (
    BIN,
    AlpacaFault,
    AlpacaObservatory,
    FaultProxy,
    alpaca_call,
    end_process,
    site_with_sun_at,
    start_process,
    wait_until_answers,
)

CLOSED, OPEN = 1, 0
MOVING = {
    *("altitude", "azimuth", "declination", "rightascension", "siderealtime", "utcdate"),
    *("devicestate", "imagearray", "imagearrayvariant"),
}
"""What differs from moment to moment, or costs much."""


@pytest.fixture(scope="module")
def observatory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlpacaObservatory]:
    with AlpacaObservatory(tmp_path_factory.mktemp("observatory")) as running:
        yield running


@pytest.fixture(scope="module")
def running_proxy(
    observatory: AlpacaObservatory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultProxy]:
    with FaultProxy(tmp_path_factory.mktemp("proxy"), observatory.address) as running:
        yield running


@pytest.fixture
def proxy(observatory: AlpacaObservatory, running_proxy: FaultProxy) -> FaultProxy:
    """The proxy without faults, before an observatory in its first state."""
    running_proxy.clear()
    running_proxy.forget_calls()
    observatory.reset()
    return running_proxy


def expose(observatory: AlpacaObservatory) -> None:
    observatory.put("camera/0/startexposure", Duration=0.2, Light=True)
    deadline = time.monotonic() + 30
    while not observatory.get("camera/0/imageready"):
        assert time.monotonic() < deadline, "no image"
        time.sleep(0.05)


def raw(address: str, path: str, **options: Any) -> requests.Response:
    url = f"http://{address}/api/v1/{path}"
    return requests.get(url, headers={"Accept": "application/imagebytes"}, timeout=10, **options)


class TestForwarding:
    def test_every_question_of_every_device_gets_the_same_answer(
        self, observatory: AlpacaObservatory, proxy: FaultProxy
    ) -> None:
        devices = alpaca_call(observatory.address, "GET", "/api/endpoints")["discovered_endpoints"]
        questions = [
            f"{device}/0/{member}"
            for device, members in devices.items()
            for member in members["GET"]
            if member not in MOVING
        ]
        for question in questions:
            own, through = (
                self._comparable(requests.get(f"http://{address}/api/v1/{question}", timeout=10))
                for address in (observatory.address, proxy.address)
            )
            assert own == through, question
        assert len(questions) > 100

    @staticmethod
    def _comparable(answer: requests.Response) -> tuple[object, ...]:
        headers = {k.lower(): v for k, v in answer.headers.items()}
        headers.pop("date", None)
        headers.pop("content-length", None)  # the transaction's number grows
        body = answer.json()
        if isinstance(body, dict):
            body.pop("ServerTransactionID", None)
        return answer.status_code, headers, json.dumps(body)

    def test_alpyca_moves_the_dome_through_it(
        self, observatory: AlpacaObservatory, proxy: FaultProxy
    ) -> None:
        dome = Dome(proxy.address, 0)
        dome.Connected = True
        dome.OpenShutter()
        assert observatory.get("dome/0/shutterstatus") == OPEN
        assert dome.ShutterStatus == OPEN
        dome.SlewToAzimuth(123.0)
        assert dome.Slewing
        assert observatory.get("dome/0/slewing")
        dome.CloseShutter()
        assert observatory.get("dome/0/shutterstatus") == CLOSED
        (call,) = proxy.calls("PUT dome/0/slewtoazimuth")
        assert call["parameters"]["Azimuth"] == "123.0"

    def test_an_image_arrives_bit_for_bit(
        self, observatory: AlpacaObservatory, proxy: FaultProxy
    ) -> None:
        ra, dec = observatory.places[0]
        telescope = Telescope(proxy.address, 0)
        telescope.Connected = True
        telescope.Unpark()
        telescope.Tracking = True
        telescope.SlewToCoordinatesAsync(ra / 15, dec)
        while telescope.Slewing:
            time.sleep(0.1)
        expose(observatory)
        own, through = (raw(a, "camera/0/imagearray") for a in (observatory.address, proxy.address))
        assert own.content == through.content
        assert through.headers["Content-Type"] == "application/imagebytes"
        pixels = np.array(Camera(proxy.address, 0).ImageArray)
        assert pixels.shape == AlpacaObservatory.shape[::-1]
        assert pixels.max() > 10 * np.median(pixels)  # there are stars


class TestFaults:
    """Each as a client sees it, and what is true at the server meanwhile."""

    @pytest.mark.parametrize(
        ("kind", "options", "error", "carried_out"),
        [
            ("hang", {}, requests.ReadTimeout, False),
            ("late_call", {"delay_s": 60}, requests.ReadTimeout, False),
            ("late_reply", {"delay_s": 60}, requests.ReadTimeout, True),
            ("lost_reply", {}, requests.ConnectionError, True),
            ("reset", {}, requests.ConnectionError, False),
            ("truncated", {}, requests.exceptions.ChunkedEncodingError, True),
            ("stalled", {}, requests.exceptions.ConnectionError, True),
            ("garbage", {}, requests.exceptions.JSONDecodeError, True),
        ],
    )
    def test_a_close_that_gets_no_answer(
        self,
        observatory: AlpacaObservatory,
        proxy: FaultProxy,
        kind: str,
        options: dict[str, Any],
        error: type[Exception],
        carried_out: bool,
    ) -> None:
        observatory.put("dome/0/openshutter")
        proxy.fault(kind, "PUT dome/*/closeshutter", **options)
        with pytest.raises(error):
            requests.put(f"http://{proxy.address}/api/v1/dome/0/closeshutter", timeout=0.5).json()
        assert observatory.get("dome/0/shutterstatus") == (CLOSED if carried_out else OPEN)
        (call,) = proxy.calls("PUT dome/*/closeshutter")
        assert call["fault"] == kind
        assert (call["forwarded_s"] is not None) == carried_out
        proxy.clear()
        Dome(proxy.address, 0).CloseShutter()
        assert observatory.get("dome/0/shutterstatus") == CLOSED

    @pytest.mark.parametrize("number", [0x400, 0x401, 0x402, 0x407, 0x408, 0x409, 0x40B, 0x40E])
    def test_errors_are_alpacas(
        self, observatory: AlpacaObservatory, proxy: FaultProxy, number: int
    ) -> None:
        observatory.put("dome/0/openshutter")
        proxy.fault("error", "dome", number=number)
        with pytest.raises(AlpacaFault) as caught:
            alpaca_call(proxy.address, "PUT", "dome/0/closeshutter")
        assert caught.value.number == number
        assert observatory.get("dome/0/shutterstatus") == OPEN

    def test_alpyca_knows_the_errors(self, proxy: FaultProxy) -> None:
        dome = Dome(proxy.address, 0)
        proxy.fault("error", "GET dome/*/shutterstatus", number=0x407)
        proxy.fault("error", "GET dome/*/azimuth", number=0x5AB, message="gear")
        proxy.fault("http_status", "GET dome/*/atpark")
        with pytest.raises(NotConnectedException):
            _ = dome.ShutterStatus
        with pytest.raises(DriverException, match="gear") as caught:
            _ = dome.Azimuth
        assert caught.value.number == 0x5AB
        with pytest.raises(AlpacaRequestException):
            _ = dome.AtPark

    def test_a_shutter_that_is_stuck_and_a_park_that_lies(
        self, observatory: AlpacaObservatory, proxy: FaultProxy
    ) -> None:
        observatory.put("dome/0/openshutter")
        observatory.put("dome/0/synctoazimuth", Azimuth=77)
        observatory.put("dome/0/slewtoazimuth", Azimuth=78)  # it leaves its park position
        observatory.put("dome/0/abortslew")
        proxy.fault("shutter_stuck", "dome", moving=True)
        proxy.fault("false_park", "dome")
        dome = Dome(proxy.address, 0)
        dome.CloseShutter()
        dome.Park()
        assert (dome.ShutterStatus, dome.AtPark) == (3, True)
        assert observatory.get("dome/0/shutterstatus") == OPEN
        assert not observatory.get("dome/0/atpark")

    @pytest.mark.parametrize("kind", ["truncated", "stalled"])
    def test_an_image_that_breaks_off(
        self, observatory: AlpacaObservatory, proxy: FaultProxy, kind: str
    ) -> None:
        expose(observatory)
        proxy.fault(kind, "camera/*/imagearray", bytes=30_000, count=1)
        errors = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)
        with raw(proxy.address, "camera/0/imagearray", stream=True) as broken:
            broken.raw._fp.fp.raw._sock.settimeout(0.5)  # type: ignore[union-attr]
            with pytest.raises(errors):
                _ = broken.content
        ny, nx = AlpacaObservatory.shape
        assert len(raw(proxy.address, "camera/0/imagearray").content) == 44 + 2 * nx * ny


class TestObservatory:
    """What other tests rely on."""

    def test_a_reset_forgets_a_turn_that_is_under_way(self, observatory: AlpacaObservatory) -> None:
        observatory.put("dome/0/slewtoazimuth", Azimuth=200)
        observatory.reset()
        observatory.put("dome/0/slewtoazimuth", Azimuth=100)
        deadline = time.monotonic() + 20
        while observatory.get("dome/0/slewing"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert observatory.get("dome/0/azimuth") == 100

    @pytest.mark.parametrize("month", range(1, 13))
    @pytest.mark.parametrize(
        ("altitude_deg", "rising"), [(-35.0, False), (-8.0, True), (40.0, True)]
    )
    def test_the_sun_stands_as_wanted_at_the_site(
        self, month: int, altitude_deg: float, rising: bool
    ) -> None:
        now = datetime(2026, month, 21, 3 * month % 24, tzinfo=UTC)
        site = site_with_sun_at(now, altitude_deg, rising=rising)
        for minutes, expected in ((0, 0.0), (20, 1.0 if rising else -1.0)):
            moment = Time(now + timedelta(minutes=minutes))
            frame = AltAz(obstime=moment, location=EarthLocation.from_geodetic(*site))
            with iers.conf.set_temp("auto_download", False):
                difference = get_sun(moment).transform_to(frame).alt.deg - altitude_deg
            assert abs(difference) < 0.02 if expected == 0 else difference * expected > 1


class TestProcess:
    def test_the_command_says_what_it_does(
        self, observatory: AlpacaObservatory, tmp_path: Path
    ) -> None:
        faults = tmp_path / "faults.yaml"
        faults.write_text("- {fault: error, calls: PUT dome, number: 0x500, count: 1}\n", "utf-8")
        address = f"127.0.0.1:{free_port()}"
        command = [str(BIN / "toros"), "rehearse", "proxy", "--listen", address]
        command += ["--to", observatory.address, "--faults", str(faults)]
        process = start_process(command, tmp_path)
        try:
            wait_until_answers(process, tmp_path, lambda: alpaca_call(address, "GET", "/faults"))
            with pytest.raises(AlpacaFault):
                alpaca_call(address, "PUT", "dome/0/slewtoazimuth", {"Azimuth": 5})
            alpaca_call(address, "GET", "dome/0/azimuth")
            alpaca_call(address, "PUT", "dome/0/closeshutter")
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            end_process(process)
        said = (tmp_path / "log").read_text("utf-8").splitlines()
        assert said[0].endswith(f"forwards to {observatory.address}; faults in force: 1")
        shown = [line.split(" ", 1)[1] for line in said[2:]]
        assert shown[0].startswith(
            "PUT dome/0/slewtoazimuth Azimuth=5 -> error, not carried out, HTTP 200, error 0x500, "
        )
        assert shown[1].startswith("PUT dome/0/closeshutter -> carried out, HTTP 200, ")
        assert len(shown) == 2

    def test_a_wrong_file_of_faults_is_refused(self, tmp_path: Path) -> None:
        faults = tmp_path / "faults.yaml"
        faults.write_text("- fault: explode\n  calls: dome\n- fault: hang\n", "utf-8")
        command = [str(BIN / "toros"), "rehearse", "proxy", "--faults", str(faults)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert f"{faults}: fault 1: " in done.stderr
        assert f"{faults}: fault 2: calls: Field required" in done.stderr

    def test_a_frozen_observatory_is_felt_through_it(
        self, observatory: AlpacaObservatory, proxy: FaultProxy
    ) -> None:
        observatory.pause()
        try:
            with pytest.raises(requests.ReadTimeout):
                requests.get(f"http://{proxy.address}/api/v1/dome/0/azimuth", timeout=0.5)
        finally:
            observatory.resume()
        assert Dome(proxy.address, 0).Azimuth == observatory.get("dome/0/azimuth")

    def test_an_observatory_starts_again_at_its_address(
        self, observatory: AlpacaObservatory, proxy: FaultProxy
    ) -> None:
        observatory.kill()
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://{proxy.address}/api/v1/dome/0/azimuth", timeout=5)
        observatory.start()
        assert Dome(proxy.address, 0).ShutterStatus == CLOSED
        assert os.getpgid(observatory.process.pid) == observatory.process.pid  # type: ignore[union-attr]
