"""A night whose camera hangs on a server of others that stops or dies in mid-download."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.night import FEW_FRAMES, MID_NIGHT, Observatory, observatory
from tests.system.observatory import AlpacaObservatory, FaultProxy
from toros.simulation.observatory import WorldSettings

#: In wall time, as the camera's server is.
QUICK = WorldSettings(
    shape=(64, 64), faintest_v_mag=14.0, shutter_s=1.0, dome_speed_deg_s=120.0,
    mount_speed_deg_s=120.0, settle_s=0.1, readout_s=0.3, download_s=0.2, cover_s=0.5,
    filter_step_s=0.1,
)  # fmt: skip
IMAGE = "GET camera/*/imagearray"
BYTES_PER_S = 4e6
"""Of the 8 MB of an image more is on its way than buffers hold."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


class LargeCamera(AlpacaObservatory):
    shape = (2048, 2048)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AlpacaObservatory]:
    with LargeCamera(tmp_path / "server") as running:
        yield running


@pytest.fixture
def proxy(server: AlpacaObservatory, tmp_path: Path) -> Iterator[FaultProxy]:
    with FaultProxy(tmp_path / "proxy", server.address) as running:
        running.fault("slow", IMAGE, bytes_per_s=BYTES_PER_S)
        yield running


def test_the_camera_s_server_stopped_and_killed_in_mid_download(
    tmp_path: Path, server: AlpacaObservatory, proxy: FaultProxy
) -> None:
    camera = {"Driver": "alpaca", "Address": proxy.address, "Timeout (s)": 3.0}
    changes: dict[str, Any] = {**FEW_FRAMES, "Telescope": {**FEW_FRAMES["Telescope"]}}
    changes["Telescope"] |= {"Camera": camera, "Temperature (C)": None}
    with observatory(tmp_path, MID_NIGHT, 1.0, changes=changes, hardware=QUICK) as site:
        site.start("dome", "telescope")
        site.order(2, exposure_time=1.0, number_of_exposures=1)

        in_mid_download(site, proxy)
        server.pause()
        rain_until_parked(site, "the camera's server is stopped in mid-download")
        server.resume()
        site.dry()

        in_mid_download(site, proxy)
        server.kill()
        rain_until_parked(site, "the camera's server is killed in mid-download")
        server.start()
        site.dry()

        site.until_done(2)
        site.none_twice_none_lost()
        whole = [call for call in proxy.calls(IMAGE) if call["sent_bytes"] > 8e6]
        assert sum(site.taken().values()) >= len(whole) == 2, "what was read out is kept"
        assert site.made.broken_promises() == []


def in_mid_download(site: Observatory, proxy: FaultProxy) -> None:
    """Wait until a part of an image has come, and not all of it."""
    since = len(proxy.calls(IMAGE))

    def comes() -> bool:
        calls = proxy.calls(IMAGE)[since:]
        return bool(calls) and 0 < calls[-1]["sent_bytes"] < 6e6 and not calls[-1]["ended_s"]

    site.until(comes, "a download")


def rain_until_parked(site: Observatory, what: str) -> None:
    """Let it rain: the dome closes in time, the telescope parks and tells that it is suspended."""
    rain = time.monotonic()
    site.close_in_rain(what)
    parks = site.until(lambda: site.told_after("mount", "park", rain), "the mount's park", 60.0)
    print(f"MEASURED {what}: {parks[0].real_s - rain:.1f} s from rain to the mount's park")
    site.until(lambda: site.status().get("state") == "suspended", "the suspended night", 30.0)
