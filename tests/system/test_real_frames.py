"""Real frames of real cameras: inspected, and calibrated by a real daemon."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits

from tests.site_rules import SITE_RULES
from tests.system.daemons import BIN, Preprocessor
from tests.system.provenance import combinations, walk
from toros.errors import TorosError

TIMEOUT_S = 300.0
FOLDERS = ("dialects", "eso085", "hatp32", "panoptes", "st402", "stl1001e")


@pytest.fixture(scope="module")
def frames(shared_data) -> Path:
    return shared_data / "frames"


@pytest.fixture(scope="module")
def expected(frames) -> list[dict[str, str]]:
    with (frames / "EXPECTED.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# ---- toros inspect ---------------------------------------------------------------------------


def inspect(path: Path, *options: str | Path) -> dict[str, dict]:
    command = [BIN / "toros", "inspect", path, "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = json.loads(done.stdout)
    return {row["file"]: row for row in found}


def mistakes(row: dict[str, str], found: dict, type_column: str) -> list[str]:
    """Say where `toros inspect` tells something else of a frame than a careful reader."""
    wrong = []
    if found["type"] != row[type_column]:
        wrong.append(f"type {found['type']}, not {row[type_column]}")
    if row["start_utc"]:
        start = datetime.fromisoformat(row["start_utc"]).replace(tzinfo=UTC)
        told = datetime.fromisoformat(found["start_utc"]).replace(tzinfo=UTC)
        # The keywords of this one differ by 2.3 s.
        tolerance_s = 3.0 if row["file"].endswith("gmos.fits") else 0.002
        if abs((told - start).total_seconds()) > tolerance_s:
            wrong.append(f"start {told}, not {start}")
    # One unit of the last decimal that is written.
    temperature_c = 10.0 ** -min(len(row["temperature_c"].partition(".")[2]), 2)
    for column, tolerance in (("exposure_time_s", 1e-3), ("temperature_c", temperature_c)):
        if row[column] and (
            found[column] is None or abs(found[column] - float(row[column])) > tolerance
        ):
            wrong.append(f"{column} {found[column]}, not {row[column]}")
    if row["filter"] and found["filter"] != row["filter"]:
        wrong.append(f"filter {found['filter']}, not {row['filter']}")
    if found["reason"] and found["type"] != "unknown":
        wrong.append(f"cannot be used: {found['reason']}")
    return [f"{row['file']}: {what}" for what in wrong]


@pytest.mark.parametrize("folder", FOLDERS)
def test_inspect_with_the_built_in_rules(frames, expected, folder, tmp_path):
    without = tmp_path / "toros.conf.yaml"
    without.write_text("{}\n")
    found = inspect(frames / folder, "--config", without)
    rows = [row for row in expected if row["file"].startswith(f"{folder}/")]
    assert {f"{folder}/{name}" for name in found} == {row["file"] for row in rows}
    assert rows
    assert not [
        line for row in rows
        for line in mistakes(row, found[row["file"].removeprefix(f"{folder}/")], "type")
    ]  # fmt: skip


def test_inspect_with_the_sites_rules(frames, expected, tmp_path):
    configuration = tmp_path / "toros.conf.yaml"
    configuration.write_text(yaml.safe_dump({"Preprocessor": {"Header Rules": SITE_RULES}}))
    found = inspect(frames, "--config", configuration)
    assert set(found) == {row["file"] for row in expected} | {"EXPECTED.csv"}
    column = "type_with_site_rules"
    assert not [line for row in expected for line in mistakes(row, found[row["file"]], column)]
    command = [BIN / "toros", "inspect", frames, "--config", configuration]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert "stack_dark: 7 to make" in told
    assert "PARTIAL, missing: " in told


# ---- calibrated by a daemon ------------------------------------------------------------------


@pytest.fixture(scope="module")
def daemon(frames, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    sources = {"Folders": [str(frames), str(folder / "incoming")]}
    changes = {"Header Rules": SITE_RULES, "Sources": sources}
    with Preprocessor(folder, changes={"Preprocessor": changes}) as running:
        yield running


def calibrate(daemon: Preprocessor, url: Path) -> dict:
    order = daemon.desk.submit("calibrate_file_batch", url=str(url))
    return daemon.desk.wait(order["id"], TIMEOUT_S)["result"]


def product(result: dict, pattern: str) -> list[np.ndarray]:
    """Return data, uncertainty and mask of the one product of that name."""
    (path,) = Path(result["folder"]).glob(pattern)
    with fits.open(path) as hdus:
        return [np.array(hdu.data) for hdu in hdus]


def raw(path: Path) -> np.ndarray:
    return fits.getdata(path).astype(np.float64)


@pytest.fixture(scope="module")
def held_out(daemon, frames):
    """Calibrate the STL-1001E's set, less the last 60 s dark, the 300 s dark and the last flat."""
    folder = daemon.incoming / "stl1001e"
    kept_out = ("darks-expos1-*5.DARK.FIT", "darks-expos300s-*", "flat-*4.FIT")
    shutil.copytree(frames / "stl1001e", folder, ignore=shutil.ignore_patterns(*kept_out))
    assert len(list(folder.iterdir())) == 5 + 5 + 4
    result = calibrate(daemon, folder)
    assert (result["made"], result["partial"]) == (
        {"bias_stack": 1, "dark_stack": 1, "flat_stack": 1}, 0,
    )  # fmt: skip
    return result


def test_a_held_out_dark_falls_from_169_to_13(held_out, frames):
    dark = raw(frames / "stl1001e" / "darks-expos1-Neg5-Vis.00000005.DARK.FIT")
    stack = product(held_out, "dark_stack_60s*.fits")[0]
    print(f"held-out dark: {dark.std():.1f} -> {(dark - stack).std():.2f} ADU")
    assert dark.std() == pytest.approx(169, abs=1)
    assert (dark - stack).std() < 13.5


def test_bias_and_scaled_dark_take_a_300_s_dark_from_454_to_60(held_out, frames):
    """Of pixels that can be scaled at all.

    Not those near saturation at 300 s (24), nor the one whose dark current jumps
    between two values among the six darks of 60 s: it alone would make 73 of 60.
    """
    dark = raw(frames / "stl1001e" / "darks-expos300s-Neg5-Vis.00000000.DARK.FIT")
    short = [raw(path) for path in sorted((frames / "stl1001e").glob("darks-expos1-*"))]
    good = (dark < 60_000) & (np.ptp(short, axis=0) < 6000)
    assert np.count_nonzero(~good) == 25
    bias, stack = product(held_out, "bias*.fits")[0], product(held_out, "dark_stack_60s*.fits")
    left = dark - bias - 5 * (stack[0] - bias)
    print(f"300 s dark: {dark[good].std():.1f} -> {left[good].std():.1f} ADU; "
          f"where the mask says good: {left[stack[2] == 0].std():.1f} ADU")  # fmt: skip
    assert dark[good].std() == pytest.approx(454, abs=2)
    assert left[good].std() < 63


def test_a_held_out_flats_structure_falls_from_209_to_058_percent(held_out, frames):
    flat = raw(frames / "stl1001e" / "flat-expos23s-Neg5-Vis.00000004.FIT")
    bias, dark = (product(held_out, f"{kind}_*.fits")[0] for kind in ("bias_stack", "dark_stack"))
    master, _, mask = product(held_out, "flat_stack*.fits")
    signal = flat - bias - (dark - bias) * 23 / 60
    corrected = (signal / master)[mask == 0]
    before, after = (100 * x.std() / x.mean() for x in (signal, corrected))
    (path,) = Path(held_out["folder"]).glob("flat_stack*.fits")
    gain = fits.getval(path, "GAIN")
    shot = 100 / np.sqrt(gain * np.median(signal))
    print(f"held-out flat: {before:.2f} -> {after:.2f} %, shot noise {shot:.2f} %, gain {gain:.2f}")
    assert before == pytest.approx(2.09, abs=0.01)
    assert after < 0.595
    assert shot == pytest.approx(0.51, abs=0.03)
    # One frame over the mean of four: shot noise alone leaves so much.
    assert after == pytest.approx(shot * np.sqrt(1 + 1 / 4), rel=0.01)


# Where the middle one of the spectrograph's three slits is lit.
SLIT = np.s_[120:215, 60:]
UNUSABLE = 1 | 4 | 8  # no data, low response, saturated


@pytest.mark.parametrize(
    ("lamp", "raw_adu", "dark_adu", "flat_adu"),
    [("hg-240", 220, 54, 36), ("neon-1200", 351, 25, 24)],
)
def test_the_st402s_lights(daemon, frames, lamp, raw_adu, dark_adu, flat_adu):
    """Background of the spectra: mean of the five lights' standard deviations in the slit."""
    result = calibrate(daemon, frames / "st402")
    assert result["made"] == {"calibrated_light": 12, "dark_stack": 3, "flat_stack": 1}
    assert result["partial"] == 2  # the two stars' exposure times have no dark
    master = product(result, f"dark_stack_{lamp.partition('-')[2]}s*.fits")[0]
    figures = []
    for path in sorted((frames / "st402").glob(f"L2-sci-{lamp}*")):
        light = raw(path)
        data, _, mask = product(result, f"{path.stem}_calibrated_*.fits")
        lit = (mask[SLIT] & UNUSABLE) == 0
        figures.append([image[SLIT][lit].std() for image in (light, light - master, data)])
    before, dark, after = np.mean(figures, axis=0)
    print(f"{lamp} s: {before:.0f} -> {dark:.1f} -> {after:.1f} ADU ({len(figures)} lights)")
    assert len(figures) == 5
    assert before == pytest.approx(raw_adu, rel=0.03)
    assert dark < dark_adu + 1
    assert after < flat_adu


def test_all_folders_thrown_together(daemon, frames, expected):
    """A mess as it may be: everything that can be made is, of one camera each."""
    order = daemon.desk.submit("calibrate_file_batch", url=str(frames))
    # One flat has no light in it: that step fails, by name, and the others go on.
    with pytest.raises(TorosError, match=r"dialects/flat-mef\.fits: too faint") as failed:
        daemon.desk.wait(order["id"], TIMEOUT_S)
    result = failed.value.status["result"]
    assert {step["step"]: step["state"] for step in result["steps"]} == {
        "stack_bias": "done", "stack_dark": "done", "stack_flat": "failed", "correct_light": "done",
    }  # fmt: skip
    assert [item["file"] for item in result["quarantined"]] == ["EXPECTED.csv"]
    types = Counter(row["type_with_site_rules"] for row in expected)
    assert result["frames"] == types | {"unknown": types["unknown"] + 1}
    assert result["made"] == {
        "bias_stack": 2, "calibrated_light": 52, "dark_stack": 7, "flat_stack": 3
    }  # fmt: skip

    report = json.loads(Path(result["report_json"]).read_text())
    products = {one["file"]: one for one in report["products"]}
    for one in products.values():
        cameras = {camera(frames / name) for name in raw_files(one, products)}
        assert len(cameras) == 1, one["file"]
    lights = [one for one in products.values() if one["type"] == "calibrated_light"]
    planes = {(name, one["file"]) for one in lights for name in one["made_of"]}
    expected_lights = {row["file"] for row in expected if row["type_with_site_rules"] == "light"}
    assert {name for name, _ in planes} == expected_lights
    complete = {one["made_of"][0] for one in lights if not one["partial"]}
    assert complete == {name for name in expected_lights if "st402/L2-sci" in name}
    assert len(combinations(daemon, result["file_batch"])) == len(products)
    walk(daemon)


def raw_files(one: dict, products: dict[str, dict]) -> set[str]:
    """Return the raw files that a product is made of, its masters' included."""
    found = set(one["made_of"])
    for master in one["masters"]:
        found |= raw_files(products[master], products)
    return found


def camera(path: Path) -> tuple[object, ...]:
    """Tell cameras apart without the preprocessor: by folder, by what the header says."""
    with fits.open(path) as hdus:
        headers = [hdu.header for hdu in hdus if hdu.data is not None and hdu.data.ndim == 2]
        first = {**hdus[0].header, **headers[0]}
    binning = tuple(first.get(key) for key in ("XBINNING", "YBINNING", "CCDXBIN", "CCDYBIN"))
    shape = headers[0]["NAXIS1"], headers[0]["NAXIS2"]
    return path.parent.name, first.get("INSTRUME"), shape, binning
