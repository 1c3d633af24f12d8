"""Two real cameras: what their own masters do for frames that are held out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from tests.unit.preprocessor.batch import reduce
from toros import store
from toros.images import read_facts, read_product
from toros.preprocessor.grouping import Frame
from toros.preprocessor.jobs import Product
from toros.preprocessor.planning import Job, plan


def rule(pattern: str, frame_type: str) -> SimpleNamespace:
    """Make a site rule on file names: flats are headed Light Frame."""
    return SimpleNamespace(file_name=pattern, header={}, set={"type": frame_type}, keywords={})


RULES = (rule("*flat-*", "flat"), rule("*dark-flat-*", "dark"), rule("*-arc-*", "unknown"))


def load(folder: Path) -> list[Frame]:
    if not folder.is_dir():
        pytest.skip(f"the real frames are not here: no folder {folder}")
    frames = []
    for path in sorted(folder.iterdir()):
        facts = read_facts(path, path.name, RULES, 400.0)
        frames += [Frame(str(path), path.name, store.sha256_of(path), h, facts) for h in facts.hdus]
    return frames


def hold_out(frames: list[Frame], name: str) -> tuple[list[Frame], Frame]:
    """Call a calibration frame a light."""
    (one,) = [frame for frame in frames if frame.name == name]
    light = replace(one, facts=replace(one.facts, frame_type="light"))
    return [light if frame is one else frame for frame in frames], light


def pixels(product: Product) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    data, sigma, mask, _ = read_product(Path(product.path))
    return data.astype(np.float64), sigma.astype(np.float64), mask


def calibrated(made: list[tuple[Job, Product]], name: str) -> Product:
    (found,) = [
        product
        for job, product in made
        if job.kind == "calibrated_light" and job.frames[0].name == name
    ]
    return found


@pytest.fixture(scope="module")
def stl1001e(shared_data: Path) -> list[Frame]:
    return load(shared_data / "frames" / "stl1001e")


def of_type(frames: list[Frame], *types: str) -> list[Frame]:
    return [frame for frame in frames if frame.facts.frame_type in types]


@pytest.mark.parametrize("number", [0, 4])
def test_a_held_out_dark(stl1001e: list[Frame], tmp_path: Path, number: int) -> None:
    name = f"darks-expos1-Neg5-Vis.0000000{number}.DARK.FIT"
    frames, light = hold_out(of_type(stl1001e, "bias", "dark"), name)
    product = calibrated(reduce(frames, tmp_path), name)
    raw = fits.getdata(light.path).astype(float)
    data, sigma, _ = pixels(product)
    assert raw.std() == pytest.approx(169, abs=1)
    assert data.std() < 13
    # And the uncertainty is that of the usual pixels.
    assert product.scalars["noise_after_adu"] == pytest.approx(np.median(sigma), rel=0.05)
    assert len(product.missing) == 1


def test_a_dark_five_times_as_long(stl1001e: list[Frame], tmp_path: Path) -> None:
    name = "darks-expos300s-Neg5-Vis.00000000.DARK.FIT"
    frames, light = hold_out(of_type(stl1001e, "bias", "dark"), name)
    product = calibrated(reduce(frames, tmp_path), name)
    assert product.scalars["dark_scale"] == pytest.approx(5)
    raw = fits.getdata(light.path).astype(float)
    data, _, mask = pixels(product)
    unsaturated = raw < 60000
    assert raw[unsaturated].std() == pytest.approx(454, abs=1)
    # What is left beside cosmic rays of the single frame: noise of hot pixels, scaled by 5.
    assert data[unsaturated].std() < 75
    both = (raw < 50000) & (raw - data < 50000)
    assert data[both].std() < 61
    assert data[unsaturated & (mask == 0)].std() < 30


def test_a_held_out_flat(stl1001e: list[Frame], tmp_path: Path) -> None:
    name = "flat-expos23s-Neg5-Vis.00000000.FIT"
    frames, _ = hold_out(stl1001e, name)
    made = reduce([frame for frame in frames if frame.facts.exposure_time_s != 300], tmp_path)
    product = calibrated(made, name)
    assert product.missing == ()
    level = product.scalars["level_dark_adu"]
    assert product.scalars["spread_dark_adu"] / level == pytest.approx(0.0207, abs=0.0005)
    data, sigma, mask = pixels(product)
    good = mask == 0
    structure = data[good].std() / np.median(data[good])
    assert structure < 0.006
    # Of which all is noise.
    assert structure == pytest.approx(np.median(sigma[good]) / np.median(data[good]), rel=0.02)


@pytest.fixture(scope="module")
def st402(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Frame], list[tuple[Job, Product]]]:
    frames = load(shared_data / "frames" / "st402")
    return frames, reduce(frames, tmp_path_factory.mktemp("st402"))


@pytest.mark.parametrize(
    ("pattern", "most_adu"),
    [("L2-sci-hg-240", (220, 47, 36)), ("L2-sci-neon-1200", (460, 25, 24))],
)
def test_background_of_spectra(st402, pattern: str, most_adu: tuple[float, ...]) -> None:
    frames, made = st402
    darks = {job.name: product for job, product in made if job.kind == "dark_stack"}
    found = []
    for frame in frames:
        if not frame.name.startswith(pattern):
            continue
        product = calibrated(made, frame.name)
        assert product.missing == ()
        raw = fits.getdata(frame.path).astype(float)
        (dark,) = [darks[job.dark_of[0]] for job, one in made if one is product and job.dark_of[0]]
        data, _, mask = pixels(product)
        # Where the flat's lamp reaches, beside the lines.
        background = ((mask & 4) == 0) & (np.abs(data) < 500)
        assert background.mean() > 0.65
        stages = (raw, raw - pixels(dark)[0], data)
        found.append([float(stage[background].std()) for stage in stages])
    assert len(found) == 5
    noise = np.median(found, axis=0)
    assert noise[0] > 3 * noise[1]
    assert noise[1] > noise[2]
    assert (noise < most_adu).all()


def test_flats_without_a_dark_are_left_out_by_name(st402) -> None:
    frames, made = st402
    masters = [product.as_master(job.name) for job, product in made]
    planned = plan("stack_flat", frames, masters)
    (job,) = planned.jobs
    assert {frame.name[:11] for frame in job.frames} == {"L2-flat-hg-"}
    assert {name[:12] for name, _ in planned.left_out} == {"L2-flat-red-"}
    assert all("exposure time" in reason for _, reason in planned.left_out)


def test_short_exposures_without_bias_or_dark_are_partial(st402) -> None:
    _, made = st402
    product = calibrated(made, "L2-star-hg-10.00000000.FIT")
    assert [reason.split(":")[0] for reason in product.missing] == ["bias", "dark", "flat"]
    assert "240 s instead of 10 s" in product.missing[1]


def test_all_cameras_thrown_together_do_not_mix(shared_data: Path) -> None:
    frames: list[Frame] = []
    for folder in sorted((shared_data / "frames").iterdir()):
        if folder.is_dir() and folder.name in ("stl1001e", "st402", "hatp32", "eso085"):
            frames += load(folder)
    for step in ("stack_bias", "stack_dark", "stack_flat"):
        for job in plan(step, frames, []).jobs:
            assert len({Path(frame.path).parent for frame in job.frames}) == 1
            assert len({frame.facts.instrument for frame in job.frames}) == 1
            assert len({frame.facts.shape for frame in job.frames}) == 1
