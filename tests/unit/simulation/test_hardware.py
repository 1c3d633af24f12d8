"""A device is had as it is configured."""

from __future__ import annotations

from pathlib import Path

import pytest

from toros.clock import REAL
from toros.config import Settings
from toros.config.hardware import Device
from toros.simulation.hardware import KINDS, open_device, open_world


def settings(folder: Path, **observatory: float) -> Settings:
    return Settings.model_validate(
        {
            "State Folder": str(folder),
            "Observatory": {
                "Longitude (deg)": observatory.get("longitude"),
                "Latitude (deg)": observatory.get("latitude"),
            },
        }
    )


@pytest.mark.parametrize("kind", KINDS)
def test_simulated_devices(tmp_path: Path, kind: str) -> None:
    device = open_device(kind, Device(driver="simulated"), settings(tmp_path), REAL)
    assert device is not None
    device.connect()
    assert device.connected()
    assert (tmp_path / "simulation").is_dir()


@pytest.mark.parametrize("kind", KINDS)
def test_alpaca_devices(tmp_path: Path, kind: str) -> None:
    alpaca = Device(driver="alpaca", address="127.0.0.1:1")
    device = open_device(kind, alpaca, settings(tmp_path), REAL)
    assert device is not None
    assert "127.0.0.1:1" in device.name


def test_no_device(tmp_path: Path) -> None:
    assert open_device("dome", Device(), settings(tmp_path), REAL) is None
    with pytest.raises(ValueError, match="oven"):
        open_device("oven", Device(), settings(tmp_path), REAL)


def test_the_place_of_the_observatory(tmp_path: Path) -> None:
    assert open_world(settings(tmp_path), REAL).site.latitude_deg == -24.6231
    world = open_world(settings(tmp_path, longitude=10.0, latitude=50.0), REAL)
    assert (world.site.longitude_deg, world.site.latitude_deg) == (10.0, 50.0)
