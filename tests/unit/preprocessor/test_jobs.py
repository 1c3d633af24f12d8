"""Products from files: bands, order, provenance, failures."""

from __future__ import annotations

import pickle
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty

from tests.known_answers.truth import Chip
from tests.unit.preprocessor.batch import reduce, write, write_night
from toros import store
from toros.errors import CorrectionFailed, DamagedFile, StackingFailed
from toros.images import read_product
from toros.preprocessor.inputs import sample_rows
from toros.preprocessor.jobs import Product, run_job
from toros.preprocessor.planning import DefaultSite, Job, plan


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list, list[tuple[Job, Product]]]:
    folder = tmp_path_factory.mktemp("night")
    frames = write_night(folder / "raw", Chip(shape=(80, 64)))
    return folder, frames, reduce(frames, folder / "products")


def test_the_chain_makes_every_product(night) -> None:
    _, _, made = night
    assert [product.kind for _, product in made] == [
        "bias_stack", "dark_stack", "flat_stack", "calibrated_light", "calibrated_light",
    ]  # fmt: skip
    for job, product in made:
        assert Path(product.path).name == job.name
        assert store.sha256_of(Path(product.path)) == product.sha256
        assert Path(product.preview_path).read_bytes().startswith(b"\x89PNG")
        assert product.missing == ()
        assert all(np.isfinite(value) for value in product.scalars.values())


def bytes_of(made: list[tuple[Job, Product]]) -> dict[str, bytes]:
    return {job.name: Path(product.path).read_bytes() for job, product in made} | {
        job.name + ".png": Path(product.preview_path).read_bytes() for job, product in made
    }


def test_bands_are_the_whole_frame_to_the_bit(night, tmp_path: Path) -> None:
    _, frames, made = night
    assert bytes_of(reduce(frames, tmp_path, memory_limit_mb=0.001)) == bytes_of(made)
    assert bytes_of(reduce(frames, tmp_path / "b", memory_limit_mb=0.2)) == bytes_of(made)


def test_order_of_input_and_folder_make_no_difference(night, tmp_path: Path) -> None:
    _, frames, made = night
    shuffled = list(frames)
    random.Random(3).shuffle(shuffled)
    assert bytes_of(reduce(shuffled, tmp_path / "elsewhere")) == bytes_of(made)


def test_jobs_travel_to_other_processes(night) -> None:
    _, _, made = night
    for job, product in made:
        assert pickle.loads(pickle.dumps(job)) == job
        assert pickle.loads(pickle.dumps(product)) == product


def test_progress_reaches_one(night, tmp_path: Path) -> None:
    _, _, made = night
    told: list[float] = []
    run_job(made[0][0], str(tmp_path), str(tmp_path), 0.001, told.append)
    assert told == sorted(told)
    assert len(told) > 10
    assert told[-1] == 1.0


def test_header_leads_back_to_every_input(night) -> None:
    _, frames, made = night
    by_name = {frame.name: frame.sha256 for frame in frames}
    masters = {job.name: product.sha256 for job, product in made}
    for job, product in made:
        header = fits.getheader(product.path)
        count = header["NCOMBINE"]
        assert count == len(job.frames)
        inputs = {header[f"INP{i:04d}"]: header[f"SHA{i:04d}"] for i in range(1, count + 1)}
        assert inputs == {frame.name: by_name[frame.name] for frame in job.frames}
        for i, used in enumerate(job.masters, start=1):
            assert header[f"MSHA{i}"] == masters[header[f"MASTER{i}"]] == used.sha256
        assert header["PARTIAL"] is False
        assert "DATE" not in header
        text = header.tostring()
        assert "/tmp" not in text
        assert str(Path(product.path).parent) not in text


def test_a_light_keeps_its_times_and_coordinates(night) -> None:
    _, _, made = night
    job, product = made[-1]
    header = fits.getheader(product.path)
    assert header["CTYPE1"] == "RA---TAN"
    assert header["CRVAL2"] == -20.25
    assert header["EXPTIME"] == 30.0
    assert header["FILTER"] == "R"
    assert header["DATE-OBS"].startswith("2026-03-01T22:16:00")
    assert header["DATE-AVG"].startswith("2026-03-01T22:16:15")
    assert header["GAINSRC"] == next(one.name for one in job.masters if one.kind == "flat_stack")
    assert header["RDNSRC"] == next(one.name for one in job.masters if one.kind == "bias_stack")
    assert header["DARKSCAL"] == 0.25
    assert header["NOISEAFT"] == pytest.approx(header["NOISEEXP"], rel=0.1)


def test_ccdproc_reads_a_product(night) -> None:
    _, _, made = night
    light = CCDData.read(made[-1][1].path, hdu_uncertainty="UNCERT", hdu_mask="MASK")
    assert light.unit == units.adu
    assert isinstance(light.uncertainty, StdDevUncertainty)
    assert light.mask is not None


def test_numbers_of_the_chip_come_out(night) -> None:
    _, _, made = night
    scalars = {job.kind: product.scalars for job, product in made}
    # 80 x 64 pixels: the gain's own scatter is 1.4 % a pair.
    assert scalars["flat_stack"]["gain_e_adu"] == pytest.approx(1.5, rel=0.04)
    assert scalars["bias_stack"]["read_noise_adu"] == pytest.approx(8 / 1.5, rel=0.03)
    assert scalars["calibrated_light"]["level_after_adu"] == pytest.approx(400, rel=0.01)


def test_without_any_master_a_light_is_written_and_says_so(tmp_path: Path) -> None:
    chip = Chip(shape=(40, 48))
    lights = write_night(tmp_path, chip, biases=0, darks=0, flats=0, lights=1)
    ((_, product),) = reduce(lights, tmp_path)
    header = fits.getheader(product.path)
    assert header["PARTIAL"] is True
    assert [reason.split(":")[0] for reason in product.missing] == ["bias", "dark", "flat"]
    assert header["MISSING2"] == product.missing[1] == "dark: there is no dark stack in this batch"
    data, sigma, mask, _ = read_product(Path(product.path))
    assert np.array_equal(data, fits.getdata(lights[0].path).astype(np.float32))
    assert np.isnan(sigma).all()
    assert not mask.any()
    assert "uncertainty unknown" in product.notes[0]


def test_the_configured_gain_and_read_noise_win(tmp_path: Path) -> None:
    frames = write_night(tmp_path, Chip(shape=(40, 48)), flats=0, lights=1)
    site = DefaultSite(gain_e_adu=1.25, read_noise_e=10.0)
    _, product = reduce(frames, tmp_path, site=site)[-1]
    header = fits.getheader(product.path)
    assert (header["GAIN"], header["GAINSRC"]) == (1.25, "configured")
    assert (header["RDNADU"], header["RDNSRC"]) == (8.0, "configured")
    assert product.missing == ("flat: there is no flat stack in this batch",)


def test_a_stack_of_one_is_noted(tmp_path: Path) -> None:
    frames = write_night(tmp_path, Chip(shape=(64, 64)), biases=1, darks=0, flats=0, lights=0)
    ((_, product),) = reduce(frames, tmp_path)
    data, sigma, _, header = read_product(Path(product.path))
    assert header["NCOMBINE"] == 1
    assert "one frame" in header["NOTE1"]
    assert np.array_equal(data, fits.getdata(frames[0].path).astype(np.float32))
    # The columns' offsets count as noise: 3 ADU beside 5.3.
    assert np.median(sigma) == pytest.approx(np.hypot(8 / 1.5, 3.0), rel=0.1)


def test_a_frame_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    frames = write_night(tmp_path, Chip(shape=(40, 48)), darks=0, flats=0, lights=0)
    Path(frames[2].path).write_bytes(b"SIMPLE  = nonsense")
    ((_, product),) = reduce(frames, tmp_path)
    assert [name for name, _ in product.frames_rejected] == ["bias2.fits"]
    assert len(product.frames_used) == 4
    header = fits.getheader(product.path)
    assert header["NCOMBINE"] == 4
    assert header["REJ0001"].startswith("bias2.fits: ")


def test_nothing_readable_is_an_error_that_names_every_file(tmp_path: Path) -> None:
    frames = write_night(tmp_path, Chip(shape=(40, 48)), biases=2, darks=0, flats=0, lights=1)
    for frame in frames:
        Path(frame.path).write_bytes(b"")
    with pytest.raises(StackingFailed, match=r"bias0\.fits: .*bias1\.fits: "):
        reduce(frames, tmp_path, steps=("stack_bias",))
    with pytest.raises(CorrectionFailed, match=r"light0\.fits: "):
        reduce(frames, tmp_path, steps=("correct_light",))
    assert list(tmp_path.glob("*_*.fits")) == []


def test_no_usable_flat_is_an_error_that_says_why(tmp_path: Path) -> None:
    chip = Chip(shape=(40, 48))
    flats = [write(tmp_path, f"{i}.fits", chip.expose(1, 1.0)[0], "flat") for i in range(2)]
    biases = write_night(tmp_path, chip, biases=3, darks=0, flats=0, lights=0)
    with pytest.raises(StackingFailed, match=r"0\.fits: too faint: median .* at least 500 needed"):
        reduce([*flats, *biases], tmp_path)


def test_a_damaged_master_is_named(night, tmp_path: Path) -> None:
    _, _, made = night
    job = made[-1][0]
    broken = tmp_path / "broken.fits"
    broken.write_bytes(b"")
    masters = (replace(job.masters[0], path=str(broken)), *job.masters[1:])
    with pytest.raises(DamagedFile, match=job.masters[0].name):
        run_job(replace(job, masters=masters), str(tmp_path), str(tmp_path), 64.0)


def test_flats_of_two_exposure_times_take_their_own_darks(tmp_path: Path) -> None:
    chip = Chip(shape=(64, 64), hot_fraction=0.0)
    chip.dark_rate[:] = 200.0
    frames = write_night(tmp_path, chip, darks=0, flats=0, lights=0)
    for i, time_s in enumerate((4.0, 4.0, 8.0, 8.0)):
        shots = ((f"dark{i}.fits", "dark", 0.0), (f"flat{i}.fits", "flat", 24000.0 / time_s))
        for name, kind, light in shots:
            pixels = chip.expose(1, time_s, light)[0]
            frames.append(write(tmp_path, name, pixels, kind, i, exposure_time_s=time_s))
    made = reduce(frames, tmp_path)
    (flat,) = [(job, product) for job, product in made if job.kind == "flat_stack"]
    assert len(set(flat[0].dark_of)) == 2
    assert flat[0].dark_scale == (1.0,) * 4
    assert flat[1].scalars["level_adu"] == pytest.approx(24000 / 1.5, rel=0.01)
    data, _, _, _ = read_product(Path(flat[1].path))
    assert (
        np.std(data / chip.response) < 0.006
    )  # shot noise of four flats: 0.3 %; of the darks: 0.2


def test_blank_and_saturated_pixels_are_masked(tmp_path: Path) -> None:
    frames = write_night(tmp_path, Chip(shape=(40, 48), hot_fraction=0.0), lights=0)
    pixels = Chip(shape=(40, 48)).expose(1, 30.0, 20.0)[0]
    pixels[3, 4] = 65535
    light = write(tmp_path, "light.fits", pixels, "light", exposure_time_s=30.0, filter="R")
    with fits.open(light.path, mode="update", do_not_scale_image_data=True) as opened:
        opened[0].header["BLANK"] = -32768
        opened[0].data[5, 6] = -32768
    light = replace(light, sha256=store.sha256_of(Path(light.path)))
    _, product = reduce([*frames, light], tmp_path)[-1]
    data, sigma, mask, _ = read_product(Path(product.path))
    assert mask[3, 4] == 8
    assert mask[5, 6] == 1
    assert np.isnan(data[5, 6])
    assert np.isnan(sigma[5, 6])
    assert np.count_nonzero(mask) == 2
    assert product.scalars["saturated_fraction"] == pytest.approx(1 / 1920)


@pytest.mark.parametrize("shape", [(1, 7), (16, 16), (255, 765), (4096, 4096), (17, 100_000)])
@pytest.mark.parametrize("frames", [1, 5, 20, 1000, 100_000])
def test_the_sample_is_bounded_and_inside(shape: tuple[int, int], frames: int) -> None:
    rows = [row for y0, y1 in sample_rows(shape, frames) for row in range(y0, y1)]
    assert rows == sorted(set(rows))
    assert 0 <= rows[0] <= rows[-1] < shape[0]
    assert len(rows) == 1 or len(rows) * shape[1] * frames <= 1 << 21


def test_a_plan_is_the_same_when_later_products_are_there_already(night) -> None:
    _, frames, made = night
    everything = [product.as_master(job.name) for job, product in made]
    for step in ("stack_bias", "stack_dark", "stack_flat", "correct_light"):
        planned = {job.name for job in plan(step, frames, everything).jobs}
        assert planned == {job.name for job, _ in made if job.step == step}
