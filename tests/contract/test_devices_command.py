"""``toros devices``: what is found, and whether the configured devices answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.contract.rigs import AlpacaRig
from tests.system.observatory import FaultProxy
from toros.cli.toros import main


def write_settings(folder: Path, address: str, **weather: Any) -> Path:
    device = {"Driver": "alpaca", "Address": address, "Timeout (s)": 2.0, "Retries": 0}
    settings = {
        "State Folder": str(folder / "state"),
        "Dome": {
            "Device": device,
            "Mount": device,
            "Weather": {
                "Sources": [
                    {"Name": "rain", "Kind": "safety_monitor", "Address": address},
                    {"Name": "mast", "Kind": "observing_conditions", "Address": address},
                    {"Name": "page", "Kind": "file", "Path": "/weather.json"},
                ]
            },
        },
        "Telescope": dict.fromkeys(("Mount", "Camera", "Filter Wheel", "Focuser", "Cover"), device),
        **weather,
    }
    path = folder / "toros.conf.yaml"
    path.write_text(json.dumps(settings), "utf-8")
    return path


def check(configuration: Path, *options: str) -> Result:
    return CliRunner().invoke(
        main, ["devices", "check", "--config", str(configuration), *options], catch_exceptions=False
    )


def test_all_that_is_configured_is_tried(faulty: AlpacaRig, tmp_path: Path) -> None:
    faulty.set_safe(False)
    done = check(write_settings(tmp_path, faulty.address))
    assert done.exit_code == 0, done.output
    for said in ("Dome / Device", "shutter closed", "Dome / Weather / rain", "unsafe",
                 "humidity 60 %", "Telescope / Camera", "256 x 192 pixels, idle", "at Red",
                 "of 100000 steps", "cover closed, lamp off", "(ICRS)"):  # fmt: skip
        assert said in done.output
    assert "page" not in done.output
    # It was left as it was found.
    assert faulty.observatory.get("camera/0/connected") is False


def test_one_that_fails_is_told_and_the_others_are_tried(
    faulty: AlpacaRig, proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.fault("error", "GET camera/0/camerastate", number=0x500, message="no power")
    proxy.fault("hang", "focuser")
    configuration = write_settings(tmp_path, faulty.address)
    done = check(configuration)
    assert done.exit_code == 1
    assert "Telescope / Camera: camera" in done.stderr
    assert "no power" in done.stderr
    assert "Telescope / Focuser: focuser" in done.stderr
    assert "not answered within 2 s" in done.stderr
    assert done.stdout.count("FAILS") == 2

    told = {entry["setting"]: entry for entry in json.loads(check(configuration, "--json").stdout)}
    assert told["Telescope / Camera"]["ok"] is False
    assert told["Telescope / Camera"]["state"] is None
    assert told["Dome / Device"]["ok"] is True
    assert told["Dome / Device"]["address"] == faulty.address


def test_the_simulated_devices_are_tried(tmp_path: Path) -> None:
    device = {"Driver": "simulated"}
    configuration = tmp_path / "toros.conf.yaml"
    settings = {
        "State Folder": str(tmp_path),
        "Dome": {
            "Device": device,
            "Weather": {"Sources": [{"Name": "sky", "Kind": "simulated"}]},
        },
        "Telescope": {"Mount": device, "Camera": device},
    }
    configuration.write_text(json.dumps(settings), "utf-8")
    done = check(configuration)
    assert done.exit_code == 0, done.output
    assert "simulated" in done.output


def test_nothing_configured_is_no_failure(tmp_path: Path) -> None:
    configuration = tmp_path / "toros.conf.yaml"
    configuration.write_text(f"State Folder: {tmp_path}\n")
    done = check(configuration)
    assert done.exit_code == 0
    assert "names no device" in done.stderr


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_discovery_ends_in_time(options: list[str]) -> None:
    done = CliRunner().invoke(main, ["devices", "--timeout", "0.3", *options])
    assert done.exit_code == 0, done.output
    if options:
        assert isinstance(json.loads(done.stdout), list)
