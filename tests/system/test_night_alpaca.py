"""A short night on the Alpaca simulators: others' devices, wall time, three real daemons."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from astropy.io import fits

from tests.conftest import free_port
from tests.system.observatory import AlpacaObservatory, dark_places, dark_site
from toros.cli.processes import running
from toros.client import FrontDesk
from toros.database.session import Database
from toros.sky.almanac import night_of
from toros.sky.site import Site
from toros.telescope.picture import deed_of

SERVICES = ("dome", "preprocessor", "telescope")
FILTERS = ("B", "V", "R")
NOW = datetime.now(UTC)


def until(happens: Callable[[], Any], what: str, timeout_s: float = 90.0) -> Any:
    """Wait for what is bound to come."""
    deadline = time.monotonic() + timeout_s
    while not (come := happens()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.3)
    return come


def settings_of(folder: Path, server: AlpacaObservatory) -> dict[str, Any]:
    """Make the configuration of an observatory whose every device is on one server."""
    longitude, latitude, height = server.site

    def device() -> dict[str, Any]:
        return {"Driver": "alpaca", "Address": server.address, "Timeout (s)": 3.0}

    keys = ("Mount", "Camera", "Filter Wheel", "Focuser", "Cover")
    monitor = {"Name": "monitor", "Kind": "safety_monitor", "Address": server.address}
    return {
        "Observatory": {
            "Name": "Alpaca", "Longitude (deg)": longitude, "Latitude (deg)": latitude,
            "Height (m)": height,
        },
        **{f"{name.capitalize()} Service Address": {"Port": free_port()} for name in SERVICES},
        "Lvcgcn Service Address": {"Port": free_port()},
        "State Folder": str(folder / "state"),
        "Logging": {"File": str(folder / "log" / "toros.log"), "Log Level": "DEBUG"},
        "Preprocessor": {"Free Space Reserve (MB)": 1.0},
        "Dome": {
            "Device": device(), "Safe Before Opening (s)": 1.0,
            "Weather": {"Sources": [monitor], "Limits": []},
        },
        "Telescope": {
            "Stage": 3, **{key: device() for key in keys}, "Filters": list(FILTERS),
            "Focal Length (mm)": 2000.0, "Free Space Reserve (MB)": 1.0,
            "Planning": {"Moon Distance (deg)": 0.0, "Settle (s)": 0.0, "Readout (s)": 1.0},
            "Calibration": {"Biases": 2, "Darks": 2, "Flats": 0, "Flat Light": "none"},
        },
    }  # fmt: skip


def setting_places() -> list[tuple[float, float]]:
    """Return places that are past the meridian: the sooner they are observed, the better."""
    site = dark_site(NOW)
    (eastern, *_) = dark_places(site, NOW)
    return [((eastern[0] - 16.0 - 6.0 * n) % 360.0, site[1] + 4.0 * n) for n in range(3)]


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_short_night_on_the_alpaca_simulators(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = AlpacaObservatory(tmp_path / "simulators", setting_places(), dark_site(NOW))
        stack.enter_context(server)
        settings = settings_of(tmp_path, server)
        configuration = tmp_path / "toros.conf.yaml"
        configuration.write_text(yaml.safe_dump(settings), "utf-8")
        (tmp_path / "log").mkdir()
        server.put("safetymonitor/0/issafe", IsSafe=True)
        desks: dict[str, FrontDesk] = {}
        for service in SERVICES:
            port = settings[f"{service.capitalize()} Service Address"]["Port"]
            url = f"http://127.0.0.1:{port}"
            daemon = running(service, configuration, url, tmp_path / "log" / "stderr")
            desks[service] = stack.enter_context(daemon)
        telescope = desks["telescope"]
        for n, (ra, dec) in enumerate(server.places[:3]):
            telescope.submit(
                "observation", id=f"field-{n}", ra=ra, dec=dec, filter=FILTERS[n],
                exposure_time=1.0, number_of_exposures=2, target=f"field {n}",
            )  # fmt: skip
        for n in range(3):
            done = telescope.wait(f"field-{n}", 120.0)
            assert done["result"]["exposures"] == 2
        # Weather closes it in mid-night, by the dome alone; then it opens again.
        server.put("safetymonitor/0/issafe", IsSafe=False)
        until(lambda: server.get("dome/0/shutterstatus") == 1, "the dome to close")
        until(lambda: telescope.status()["state"] == "suspended", "the night to be suspended")
        server.put("safetymonitor/0/issafe", IsSafe=True)
        until(lambda: server.get("dome/0/shutterstatus") == 0, "the dome to open again")
        telescope.submit("close_night", id="close")
        telescope.wait("close", 120.0)
        assert server.get("dome/0/shutterstatus") == 1
        assert server.get("telescope/0/atpark") is True
        (order,) = until(
            lambda: desks["preprocessor"].submit("list_orders")["orders"], "the night's batch"
        )
        made = desks["preprocessor"].wait(order["id"], 120.0, order_user=order["user"])
    site = Site(*server.site)
    database = Database(f"sqlite:///{tmp_path / 'state' / 'toros.db'}")
    date = night_of(site, datetime.now(UTC)).date
    deed = deed_of(database, date.isoformat())
    kinds = Counter(shot.exposure_type for shot in deed.shots)
    assert kinds == {"light": 6, "bias": 2, "dark": 2}
    states = [after for _, _, after, _ in deed.changes]
    assert (states[0], states[-1]) == ("preparing", "closed")
    assert "suspended" in states
    assert made["result"]["products"] == 6 + 2
    lights = sorted((tmp_path / "state" / "incoming" / date.isoformat()).glob("*_light_*.fits"))
    for number, path in enumerate(lights):
        header = fits.getheader(path)
        assert header["RADESYS"] == "ICRS"
        field = int(header["OBJECT"].rpartition(" ")[2])
        ra, dec = server.places[field]
        assert abs(header["RA"] - ra) < 0.05, number
        assert abs(header["DEC"] - dec) < 0.05
        assert header["FILTER"] == FILTERS[field]
