"""A focus run with the simulated focuser and sky."""

from __future__ import annotations

from pathlib import Path

from tests.unit.telescope.night_parts import observatory


def test_a_night_begins_with_a_focus_run_if_that_is_configured(tmp_path: Path):
    focus = {"At Start": True, "Step": 150, "Positions": 7, "Exposure (s)": 20.0}
    with observatory(tmp_path, Focus=focus) as at:
        _, order = at.order(1, number_of_exposures=1)
        at.wait(lambda: order.ended, "the order", 40.0)
        focuser = at.parts.hardware.devices.focuser
        assert focuser is not None
        assert abs(focuser.position() - at.world.hardware.focuser_best) < 60
        assert at.parts.camera.count("focus") == 7
