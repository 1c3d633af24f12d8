"""The dome's daemon over the Alpaca simulators, with a fault proxy in between."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.system.domes import CLOSED_S, DomeDaemon, wait_for
from tests.system.observatory import AlpacaObservatory, FaultProxy

OPEN, CLOSED = 0, 1
CLOSE = "PUT dome/*/closeshutter"


@pytest.fixture(scope="module")
def simulators(tmp_path_factory) -> Iterator[AlpacaObservatory]:
    with AlpacaObservatory(tmp_path_factory.mktemp("observatory")) as running:
        yield running


@pytest.fixture
def observatory(simulators) -> AlpacaObservatory:
    simulators.reset()
    simulators.put("safetymonitor/0/connected", Connected=True)
    simulators.put("safetymonitor/0/issafe", IsSafe=True)
    simulators.put("dome/0/connected", Connected=True)
    return simulators


@pytest.fixture
def proxy(observatory, tmp_path) -> Iterator[FaultProxy]:
    with FaultProxy(tmp_path / "proxy", observatory.address) as running:
        yield running


@pytest.fixture
def make_dome(proxy, observatory, tmp_path) -> Iterator[Callable[..., DomeDaemon]]:
    made: list[DomeDaemon] = []

    def make(**dome_settings: Any) -> DomeDaemon:
        device = {"Driver": "alpaca", "Address": proxy.address, "Timeout (s)": 3}
        # The weather by a way of its own: its faults are others than the dome's.
        source = {"Name": "monitor", "Kind": "safety_monitor", "Address": observatory.address,
                  "Age Limit (s)": 5, "Timeout (s)": 2}  # fmt: skip
        settings = {"Device": device, "Mount": device, "Weather": {"Sources": [source]}}
        made.append(DomeDaemon(tmp_path, {"Dome": {**settings, **dome_settings}}))
        return made[-1].start()

    yield make
    for daemon in made:
        daemon.close()


def cloud(observatory: AlpacaObservatory) -> float:
    began = time.monotonic()
    observatory.put("safetymonitor/0/issafe", IsSafe=False)
    return began


def first_close(proxy: FaultProxy, after: float) -> float:
    """Return when the first command to close arrived at the proxy, after a moment [s]."""
    arrived = [call["arrived_s"] - after for call in proxy.calls(CLOSE)]
    took_s = min(moment for moment in arrived if moment >= 0)
    print(f"MEASURED {os.environ.get('PYTEST_CURRENT_TEST', '')}: {took_s:.2f} s")
    return took_s


def until_closed(observatory: AlpacaObservatory, timeout_s: float = 30.0) -> None:
    wait_for(
        lambda: observatory.get("dome/0/shutterstatus") == CLOSED, "a closed shutter", timeout_s
    )


def test_a_cloud_closes_it_and_parks_dome_and_mount(make_dome, observatory, proxy):
    dome = make_dome()
    dome.open()
    assert observatory.get("dome/0/shutterstatus") == OPEN
    dome.renew(az=200.0)
    wait_for(lambda: abs(observatory.get("dome/0/azimuth") - 200.0) < 3.0, "the dome to follow")
    bad = cloud(observatory)
    until_closed(observatory)
    assert first_close(proxy, bad) <= CLOSED_S
    wait_for(lambda: observatory.get("dome/0/atpark"), "the dome's park")
    wait_for(lambda: observatory.get("telescope/0/atpark"), "the mount's park")
    told = wait_for(
        lambda: not (told := dome.desk.submit("DomeStatus"))["open"] and told, "the dome's word"
    )
    assert told["connected"]


def later(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.mark.parametrize(
    ("kind", "calls", "options"),
    [
        later("hang", "GET *", {}),
        later("hang", "PUT dome/*/slewtoazimuth", {}),
        later("hang", "PUT telescope/*/*", {}),
        later("http_status", "GET dome/*/*", {"status": 500}),
        later("reset", CLOSE, {"count": 3}),
        later("hang", CLOSE, {"count": 1}),
        later("late_reply", CLOSE, {"delay_s": 10.0}),
        later("lost_reply", CLOSE, {}),
    ],
)
def test_faults_between_delay_no_closing(make_dome, observatory, proxy, kind, calls, options):
    dome = make_dome()
    dome.open()
    proxy.fault(kind, calls, **options)
    time.sleep(1.0)
    dome.renew()
    bad = cloud(observatory)
    until_closed(observatory)
    assert first_close(proxy, bad) <= CLOSED_S


@pytest.mark.long
def test_a_network_that_swallows_all_closes_when_it_is_back(make_dome, observatory, proxy):
    dome = make_dome()
    dome.open()
    proxy.pause()
    bad = cloud(observatory)
    wait_for(lambda: dome.told()["alarms"], "the alarm", 30.0)
    told = dome.desk.submit("DomeStatus")
    assert (told["open"], told["connected"]) == (True, False)
    proxy.resume()
    until_closed(observatory)
    assert first_close(proxy, bad) < 40.0


@pytest.mark.long
def test_a_safety_monitor_that_hangs_closes_it_at_its_age_limit(make_dome, observatory, proxy):
    source = {"Name": "monitor", "Kind": "safety_monitor", "Address": proxy.address,
              "Age Limit (s)": 4, "Timeout (s)": 2}  # fmt: skip
    dome = make_dome(Weather={"Sources": [source], "Limits": []})
    dome.open()
    dome.renew()
    proxy.fault("hang", "GET safetymonitor/*/*")
    answered = [call for call in proxy.calls("GET safetymonitor/*/issafe") if not call["fault"]]
    until_closed(observatory)
    took_s = first_close(proxy, answered[-1]["arrived_s"] + 4.0 - 1.0) - 1.0
    assert -0.5 < took_s <= CLOSED_S
    assert "age limit" in (dome.folder / "toros-dome.log").read_text()


@pytest.mark.long
def test_the_server_killed_and_started_again_with_an_open_shutter(make_dome, observatory, proxy):
    dome = make_dome()
    dome.open()
    bad = cloud(observatory)
    observatory.kill()
    time.sleep(2.0)
    observatory.start()
    observatory.put("dome/0/connected", Connected=True)
    # No command reaches a server that is not there: the time counts from when it answers again.
    outage_s = time.monotonic() - bad
    observatory.put("dome/0/openshutter")
    until_closed(observatory, 60.0)
    assert first_close(proxy, bad) - outage_s <= CLOSED_S
