"""Solutions are believed if the stars say so: true ones, and many kinds of wrong ones."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS

from tests.unit.images.sky_frames import SkyFrame, need_solver, sky_frame, true_wcs
from toros.errors import NotSolved
from toros.images.sources import Sources, find_sources
from toros.images.star_index import Stars, index_files, read_stars, tycho_catalogue
from toros.images.verification import LEAST_SHARE, verify

# In the galactic plane with many faint stars, in a dense field, and far from it.
PLACES = [(270.0, -30.0, 5.0, 3000.0), (120.0, -40.0, 10.0, 1000.0), (190.0, 30.0, 6.0, 300.0)]


@pytest.fixture(scope="module", params=PLACES, ids=["plane", "dense", "pole"])
def seen(request: pytest.FixtureRequest) -> tuple[SkyFrame, Sources]:
    need_solver()
    ra, dec, scale, faint = request.param
    frame = sky_frame(ra, dec, scale=scale, faint_per_deg2=faint)
    return frame, find_sources(frame.image)


def stars_of(wcs: WCS, frame: SkyFrame) -> Stars:
    catalogue = tycho_catalogue(index_files())
    assert catalogue is not None
    radius = 0.7 * np.hypot(*frame.image.shape) * frame.scale / 3600
    return read_stars(catalogue, *wcs.wcs.crval, radius)


def test_the_truth_is_believed(seen: tuple[SkyFrame, Sources]) -> None:
    frame, sources = seen
    shape = frame.image.shape
    evidence = verify(frame.wcs, shape, frame.scale, sources, stars_of(frame.wcs, frame))
    assert evidence.found >= 0.9 * evidence.expected
    assert evidence.matches >= 10
    assert evidence.residual_arcsec < 0.4 * frame.scale
    assert evidence.zero_point_mag == pytest.approx(21.0, abs=0.3)


@pytest.mark.parametrize("kind", ["shifted", "turned", "scaled", "mirrored", "elsewhere"])
def test_what_is_wrong_is_not(seen: tuple[SkyFrame, Sources], kind: str) -> None:
    frame, sources = seen
    rng = np.random.default_rng(1)
    shape = frame.image.shape
    for _ in range(8):
        made = {"ra": frame.ra, "dec": frame.dec, "scale": frame.scale, "shape": shape}
        if kind == "shifted":
            made["ra"] += rng.uniform(8, 60) * frame.scale / 3600 / np.cos(np.radians(frame.dec))
        elif kind == "turned":
            made["turn"] = rng.uniform(3, 357)
        elif kind == "scaled":
            made["scale"] *= rng.choice([1.05, 1.2, 0.9])
        elif kind == "mirrored":
            made["mirrored"] = True
        else:
            made |= {"ra": rng.uniform(0, 360), "dec": rng.uniform(-60, 60)}
        wcs = true_wcs(**made)
        with pytest.raises(NotSolved, match="is not trusted|too few"):
            verify(wcs, shape, made["scale"], sources, stars_of(wcs, frame))


def test_seventy_percent_are_needed(seen: tuple[SkyFrame, Sources]) -> None:
    frame, sources = seen
    shape, stars = frame.image.shape, stars_of(frame.wcs, frame)
    rng = np.random.default_rng(2)
    for lost, right in ((0.15, True), (0.5, False)):
        some = sources.select(rng.random(len(sources)) > lost)
        if right:
            evidence = verify(frame.wcs, shape, frame.scale, some, stars)
            assert LEAST_SHARE <= evidence.found / evidence.expected < 0.95
        else:
            with pytest.raises(NotSolved):
                verify(frame.wcs, shape, frame.scale, some, stars)


def test_ten_are_needed() -> None:
    need_solver()
    frame = sky_frame(190.0, 30.0, scale=2.0, shape=(500, 500))
    with pytest.raises(NotSolved, match="too few to verify"):
        verify(frame.wcs, (500, 500), 2.0, find_sources(frame.image), stars_of(frame.wcs, frame))


def test_stars_without_a_magnitude_are_expected() -> None:
    need_solver()
    frame = sky_frame(120.0, -40.0, scale=6.0)
    stars = stars_of(frame.wcs, frame)
    blank = Stars(stars.ra, stars.dec, np.full_like(stars.mag, np.nan))
    sources = find_sources(frame.image)
    evidence = verify(frame.wcs, frame.image.shape, 6.0, sources, blank)
    assert evidence.expected >= min(200, 0.9 * frame.stars)
