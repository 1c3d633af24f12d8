"""Plates are solved blind, in a process of its own, and never wrongly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from tests.unit.images.sky_frames import need_solver, sky_frame
from toros.errors import ConfigurationError, Interrupted, NotSolved
from toros.images import solver
from toros.images.solving import Near, Solution, check_solver, solve, solve_sources
from toros.images.sources import find_sources
from toros.images.star_index import index_files
from toros.simulation.sky import draw_stars


@pytest.fixture(autouse=True)
def _solver() -> None:
    need_solver()


def off_arcsec(solution: Solution, ra: float, dec: float) -> float:
    found = SkyCoord(solution.ra_deg, solution.dec_deg, unit="deg")
    return float(found.separation(SkyCoord(ra, dec, unit="deg")).arcsec)


def random_field(count: int = 80, seed: int = 1) -> np.ndarray:
    """Draw stars of no sky."""
    rng = np.random.default_rng(seed)
    image = np.zeros((600, 800), dtype=np.float32)
    x, y = rng.uniform(0, 800, count), rng.uniform(0, 600, count)
    draw_stars(image, x, y, rng.uniform(3e3, 1e5, count), fwhm_px=2.5)
    return image + rng.normal(500, 8, image.shape).astype(np.float32)


@pytest.mark.parametrize(
    ("ra", "dec", "extra"),
    [
        (10.0, 41.0, {}),
        (83.8, -5.4, {"scale": 8.0, "turn": 33.0, "fwhm_px": 1.7, "hot_fraction": 0.002}),
        (0.02, 0.0, {"turn": 180.0, "mirrored": True, "gradient_adu": 800.0}),
        (266.4, -29.0, {"scale": 3.0, "bend": 3.0, "faint_per_deg2": 2000.0}),
        (37.0, 89.9, {"scale": 6.0, "turn": 271.0}),
        (200.0, -89.5, {"scale": 6.0}),
        (150.0, 20.0, {"scale": 20.0, "dim_mag": 2.5}),
    ],
)
def test_a_drawn_sky_is_found(ra: float, dec: float, extra: dict[str, float]) -> None:
    frame = sky_frame(ra, dec, **extra)
    solution = solve(frame.image)
    assert off_arcsec(solution, ra, dec) < 0.3 * frame.scale
    assert solution.scale_arcsec == pytest.approx(frame.scale, rel=2e-3)
    assert solution.mirrored == extra.get("mirrored", False)
    assert solution.matches >= 10
    assert solution.found >= 0.7 * solution.expected
    assert solution.residual_arcsec < 0.4 * frame.scale
    if abs(dec) < 80:
        turned = solution.rotation_deg - extra.get("turn", 0.0)
        assert (turned + 180) % 360 - 180 == pytest.approx(0, abs=0.2)
    # Everywhere in the frame: counted from 1 instead of 0, this would be a pixel off.
    y, x = np.mgrid[50:551:100, 50:751:100].astype(float)
    back = solution.wcs().all_world2pix(*frame.wcs.all_pix2world(x.ravel(), y.ravel(), 0), 0)
    dx, dy = back[0] - x.ravel(), back[1] - y.ravel()
    assert abs(np.median(dx)) < 0.2
    assert abs(np.median(dy)) < 0.2
    assert np.hypot(dx, dy).max() < 1.0


def test_the_cards_make_a_header() -> None:
    solution = solve(sky_frame(10.0, 41.0).image)
    header = fits.Header(solution.cards)
    assert header["RADESYS"] == "ICRS"
    assert header["CTYPE1"] == "RA---TAN-SIP"
    again = WCS(fits.Header.fromstring(header.tostring()))
    assert again.all_pix2world(399.5, 299.5, 0) == pytest.approx(
        [solution.ra_deg, solution.dec_deg], abs=1e-6
    )


def test_hints_that_hold_help_and_others_prevent() -> None:
    sources = find_sources(sky_frame(10.0, 41.0, scale=4.0).image)
    shape = (600, 800)
    hinted = solve_sources(sources, shape, near=Near(10.5, 41.5, 3.0), scale_arcsec=(3.6, 4.4))
    assert off_arcsec(hinted, 10.0, 41.0) < 2
    with pytest.raises(NotSolved):
        solve_sources(
            sources, shape, near=Near(100.0, -41.0, 3.0), scale_arcsec=(3.6, 4.4), timeout_s=1
        )
    with pytest.raises(NotSolved):
        solve_sources(
            sources, shape, near=Near(10.0, 41.0, 3.0), scale_arcsec=(7.0, 8.0), timeout_s=1
        )


@pytest.mark.parametrize("seed", [1, 2])
def test_stars_of_no_sky_are_not_solved(seed: int) -> None:
    with pytest.raises(NotSolved):
        solve(random_field(seed=seed), timeout_s=2)


def test_a_piece_of_sky_among_stars_of_none_is_not_trusted() -> None:
    """The solver recognises the piece, which is a third of the frame; the rest denies it."""
    frame = sky_frame(10.0, 41.0, scale=8.0, faint_per_deg2=50.0)
    image = frame.image.copy()
    image[:, 420:] = random_field(60)[:, 420:] + 500
    image[:130] = random_field(60, seed=3)[:130] + 500
    with pytest.raises(NotSolved, match="is not trusted"):
        solve(image, timeout_s=5)


def test_too_few_stars_are_not_even_searched_for() -> None:
    start = time.monotonic()
    with pytest.raises(NotSolved, match="shows 0 stars; at least 10 are needed"):
        solve(np.random.default_rng(1).normal(500, 8, (400, 400)))
    assert time.monotonic() - start < 3


def children() -> set[int]:
    """Return the processes that this one has started and not yet buried."""
    mine = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            mine.add(int(path.parent.name))
    return mine


def test_the_deadline_is_kept_and_nothing_is_left_behind() -> None:
    sources = find_sources(random_field())
    before, start = children(), time.monotonic()
    with pytest.raises(NotSolved, match="no solution within 1 s"):
        solve_sources(sources, (600, 800), scale_arcsec=(0.1, 1000), timeout_s=1)
    assert time.monotonic() - start < 3
    assert children() <= before


def test_a_search_can_be_ended() -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    start = time.monotonic()
    with pytest.raises(Interrupted):
        solve_sources(find_sources(random_field()), (600, 800), timeout_s=30, stop=stop)
    assert time.monotonic() - start < 5


def ask(task: dict[str, object], *options: str) -> subprocess.CompletedProcess[str]:
    """Run the solver's program as its parent does."""
    command = [sys.executable, "-P", *options, str(Path(solver.__file__))]
    return subprocess.run(
        command, input=json.dumps(task), capture_output=True, text=True, timeout=60, check=False
    )


def task_of(image: np.ndarray, timeout_s: float) -> dict[str, object]:
    sources = find_sources(image)
    return {
        "stars": list(zip(sources.x.tolist(), sources.y.tolist(), strict=True)),
        "scale_arcsec": (0.1, 1000),
        "near": None,
        "indexes": [str(path) for path in index_files()],
        "timeout_s": timeout_s,
    }


def test_a_solver_whose_parent_is_gone_ends_by_itself() -> None:
    start = time.monotonic()
    done = ask(task_of(random_field(), timeout_s=-4.0))  # and five seconds of grace
    assert done.returncode == -signal.SIGALRM
    assert time.monotonic() - start < 10


def test_a_missing_package_is_named() -> None:
    answer = json.loads(ask(task_of(random_field(), 5.0), "-S", "-I").stdout)
    assert "astrometry" in answer["missing"]


def test_missing_index_files_name_the_package(tmp_path: Path) -> None:
    image = sky_frame(10.0, 41.0).image
    for attempt in (lambda: check_solver(tmp_path), lambda: solve(image, index_folder=tmp_path)):
        with pytest.raises(ConfigurationError, match="apt-get install astrometry-data-tycho2"):
            attempt()


def test_a_damaged_index_is_no_solution(tmp_path: Path) -> None:
    (tmp_path / "index-tycho2-07.littleendian.fits").write_bytes(b"SIMPLE  =" + b" " * 50_000)
    with pytest.raises(NotSolved, match="the solver's process failed"):
        solve(sky_frame(10.0, 41.0).image, index_folder=tmp_path)


def test_indexes_without_tycho_07_are_verified_by_their_own_stars(tmp_path: Path) -> None:
    for path in index_files():
        if "tycho2-07" not in path.name:
            (tmp_path / path.name).symlink_to(path)
    frame = sky_frame(10.0, 41.0, scale=8.0)
    solution = solve(frame.image, index_folder=tmp_path)
    assert off_arcsec(solution, 10.0, 41.0) < 4


def real(folder: Path) -> np.ndarray:
    with fits.open(folder) as hdus:
        return next(hdu.data for hdu in hdus if hdu.is_image and hdu.data is not None)


@pytest.mark.parametrize("number", [0, 11, 23])
def test_real_frames_without_a_dark(shared_data: Path, number: int) -> None:
    path = sorted((shared_data / "frames" / "hatp32").iterdir())[number]
    header = fits.getheader(path)
    solution = solve(real(path))
    # The mount's own word is good to half a degree; its scale is a nominal one.
    assert off_arcsec(solution, header["RA"], header["DEC"]) < 2000
    assert solution.scale_arcsec == pytest.approx(header["IM_SCALE"], rel=0.015)
    assert solution.mirrored
    assert solution.found >= 0.9 * solution.expected
    assert solution.residual_arcsec < 1.6


def test_a_real_mosaic_of_colours(shared_data: Path) -> None:
    path = shared_data / "frames" / "panoptes" / "solved.fits.fz"
    solution = solve(real(path))
    with fits.open(path) as hdus:
        known = WCS(hdus[1].header)
    centre = [float(v) for v in known.all_pix2world(349.5, 349.5, 0)]
    assert off_arcsec(solution, *centre) < 10  # a pixel
    assert solution.matches > 200


@pytest.mark.parametrize("name", ["pole.fits", "rotation.fits"])
def test_real_frames_without_stars(shared_data: Path, name: str) -> None:
    with pytest.raises(NotSolved, match="stars; at least 10"):
        solve(real(shared_data / "frames" / "panoptes" / name))


@pytest.mark.long
def test_a_night_of_real_frames(shared_data: Path) -> None:
    paths = sorted((shared_data / "frames" / "hatp32").iterdir())
    places = [solve(real(path)) for path in paths]
    assert len(places) == 24
    assert all(solution.residual_arcsec < 1.6 for solution in places)
    # The mount drifts slowly: no solution stands out.
    ra = np.array([solution.ra_deg for solution in places])
    assert (np.diff(ra) < 0.01).all()
    assert (np.diff(ra) > -0.06).all()


@pytest.mark.long
def test_places_all_over_the_sky() -> None:
    """One degree is found everywhere, and nothing is ever found wrong."""
    rng = np.random.default_rng(11)
    solved = 0
    for seed in range(60):
        ra, dec = rng.uniform(0, 360), float(np.degrees(np.arcsin(rng.uniform(-1, 1))))
        frame = sky_frame(
            ra, dec, scale=rng.uniform(4.5, 9.0), turn=rng.uniform(0, 360),
            mirrored=bool(rng.integers(2)), bend=rng.uniform(0, 2), fwhm_px=rng.uniform(1.6, 4),
            hot_fraction=0.001, gradient_adu=300.0, seed=seed,
        )  # fmt: skip
        try:
            solution = solve(frame.image)
        except NotSolved:
            continue
        assert off_arcsec(solution, ra, dec) < frame.scale
        solved += 1
    assert solved >= 58
