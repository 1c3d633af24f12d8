"""The report for a person."""

from __future__ import annotations

from toros.preprocessor.report import as_text


def product(file: str, kind: str, figures: dict[str, float], missing: tuple[str, ...] = ()) -> dict:
    return {
        "file": file, "type": kind, "partial": bool(missing), "missing": list(missing),
        "figures": figures, "made_of": ["a.fits", "b.fits"], "masters": [],
        "frames_rejected": [("b.fits", "saturated")],
    }  # fmt: skip


def test_masters_come_before_lights_with_their_figures_in_a_table():
    light = {"noise_before_adu": 6.0, "noise_after_adu": 5.5, "gain_e_adu": 1.4}
    report = {
        "file_batch": 1, "url": "/night", "version": "1", "status_code": 0, "message": "",
        "frames": {"bias": 2, "light": 1}, "quarantined": [], "not_taken": [], "unused": [],
        "steps": [{"step": "stack_bias", "state": "done", "message": ""}],
        "products": [
            product("light.fits", "calibrated_light", light, ("dark: there is none",)),
            product("map.fits", "fringe_map", {"own_figure": 3.0}),
            product("bias.fits", "bias_stack", {"level_adu": 22959.3, "frames": 2.0}),
        ],
    }  # fmt: skip
    text = as_text(report)
    order = [text.index(f"\n{k} (1)") for k in ("bias_stack", "calibrated_light", "fringe_map")]
    assert order == sorted(order)
    assert "Products: 1 bias_stack, 1 calibrated_light, 1 fringe_map; 1 of them PARTIAL" in text
    assert "noise before [adu]  after" in text
    assert "own_figure" in text
    assert "22959" in text
    assert "      PARTIAL, missing: dark: there is none\n" in text
    assert "      without b.fits: saturated\n" in text
    assert max(map(len, text.splitlines())) < 120
