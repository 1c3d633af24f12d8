"""Made-up sky maps are as the published ones, and as they were asked for."""

from __future__ import annotations

import gzip
from io import BytesIO

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy_healpix import lonlat_to_healpix, uniq_to_level_ipix
from scipy.integrate import trapezoid

from toros.simulation.sky_maps import Shape, make_sky_map


def table(content: bytes) -> tuple[fits.FITS_rec, fits.Header]:
    with fits.open(BytesIO(content)) as hdus:
        hdus.verify("exception")
        return hdus[1].data, hdus[1].header


def regions(content: bytes, ra: float, dec: float) -> tuple[float, float, float, int]:
    """Return total, 90 % area [deg2], the level at a place, the number of tiles."""
    data, _ = table(content)
    level, pixel = uniq_to_level_ipix(data["UNIQ"].astype(np.int64))
    area = 4 * np.pi / (12 * 4.0**level)
    assert area.sum() == pytest.approx(4 * np.pi)
    density = data["PROBDENSITY"]
    place = np.argsort(-density)
    reached = np.cumsum((density * area)[place])
    deg2 = np.interp(0.9, reached, np.cumsum(area[place])) * (180 / np.pi) ** 2
    at = lonlat_to_healpix(ra * units.deg, dec * units.deg, 2**29, order="nested")
    here = np.flatnonzero(pixel == at >> 2 * (29 - level))
    assert len(here) == 1
    return reached[-1], deg2, reached[np.flatnonzero(place == here[0])[0]], len(data)


@pytest.mark.parametrize("shape", ["arc", "ellipse"])
@pytest.mark.parametrize("area", [10.0, 150.0, 1500.0, 10_000.0, 30_000.0])
def test_area_and_place_are_as_asked(area: float, shape: Shape) -> None:
    random = np.random.default_rng(int(area))
    for seed in range(2):
        ra, dec = random.uniform(0, 360), np.degrees(np.arcsin(random.uniform(-1, 1)))
        content = make_sky_map(ra, dec, 40.0, area, seed=seed, shape=shape)
        total, deg2, level, tiles = regions(content, ra, dec)
        assert total == pytest.approx(1)
        assert deg2 == pytest.approx(area, rel=0.01)
        assert level <= 0.9
        # As BAYESTAR's: 3072 tiles, and 7 rounds that split 768 of them.
        assert tiles == 19_200
        assert len(content) < 1_000_000


def test_places_of_many_maps_are_anywhere_within() -> None:
    levels = [
        regions(make_sky_map(20, 10, None, 300, seed=seed, tiles=6000), 20, 10)[2]
        for seed in range(25)
    ]
    assert max(levels) < 0.9
    assert np.ptp(levels) > 0.4


def test_number_of_tiles() -> None:
    content = make_sky_map(20, 10, 100, 10_000, tiles=100_000)
    total, deg2, level, tiles = regions(content, 20, 10)
    assert tiles == pytest.approx(100_000, rel=0.1)
    assert total == pytest.approx(1)
    assert deg2 == pytest.approx(10_000, rel=0.01)
    assert level < 0.9


def test_header_is_as_the_published_ones() -> None:
    content = make_sky_map(197.45, -23.38, 40.0, 30, seed=1, event="MS170817a")
    _, header = table(content)
    assert header["OBJECT"] == "MS170817a"
    assert header["ORDERING"] == "NUNIQ"
    assert header["PIXTYPE"] == "HEALPIX"
    assert header["COORDSYS"] == "C"
    assert header["INDXSCHM"] == "EXPLICIT"
    assert header["TTYPE1"] == "UNIQ"
    assert header["TUNIT2"] == "sr-1"
    assert header["TUNIT5"] == "Mpc-2"
    assert header["MJD-OBS"] == 51544.0
    assert 25 < header["DISTMEAN"] < 60
    assert 5 < header["DISTSTD"] < 20


@pytest.mark.parametrize("error", [0.05, 0.25, 0.45])
def test_distance_is_normalised_and_near_the_true_one(error: float) -> None:
    data, header = table(
        make_sky_map(197.45, -23.38, 40.0, 500, seed=2, distance_relative_error=error)
    )
    r = np.linspace(0, 400, 40_001)[1:]
    for row in data[:: len(data) // 30]:
        gauss = np.exp(-0.5 * ((r - row["DISTMU"]) / row["DISTSIGMA"]) ** 2)
        density = row["DISTNORM"] * r**2 * gauss / (row["DISTSIGMA"] * np.sqrt(2 * np.pi))
        assert trapezoid(density, r) == pytest.approx(1, rel=1e-3)
        mean = trapezoid(density * r, r)
        deviation = np.sqrt(trapezoid(density * r**2, r) - mean**2)
        assert deviation / mean == pytest.approx(error, rel=0.35)
    assert header["DISTMEAN"] == pytest.approx(40, rel=0.6)
    assert np.std(data["DISTMU"]) > 0.5 * error  # it varies over the sky


@pytest.mark.parametrize("seed", range(4))
def test_true_distance_is_within_the_error_at_the_place(seed: int) -> None:
    data, _ = table(make_sky_map(197.45, -23.38, 40.0, 200, seed=seed, tiles=8000))
    level, pixel = uniq_to_level_ipix(data["UNIQ"].astype(np.int64))
    at = lonlat_to_healpix(197.45 * units.deg, -23.38 * units.deg, 2**29, order="nested")
    row = data[pixel == at >> 2 * (29 - level)][0]
    r = np.linspace(0, 200, 20_001)
    density = r**2 * np.exp(-0.5 * ((r - row["DISTMU"]) / row["DISTSIGMA"]) ** 2)
    mean = trapezoid(density * r, r) / trapezoid(density, r)
    deviation = np.sqrt(trapezoid(density * r**2, r) / trapezoid(density, r) - mean**2)
    assert abs(mean - 40.0) < 1.05 * deviation


def test_without_distance() -> None:
    data, header = table(make_sky_map(197.45, -23.38, None, 500))
    assert data.names == ["UNIQ", "PROBDENSITY"]
    assert "DISTMEAN" not in header


def test_seed_decides() -> None:
    one = make_sky_map(10, 20, 30, 400, seed=4, tiles=4000)
    assert one == make_sky_map(10, 20, 30, 400, seed=4, tiles=4000)
    assert one != make_sky_map(10, 20, 30, 400, seed=5, tiles=4000)


def test_flat_map_has_the_same_probability() -> None:
    nside = 64
    content = make_sky_map(100, 50, 30, 400, seed=4, flat_nside=nside)
    data, header = table(gzip.decompress(content))
    assert (header["ORDERING"], header["NSIDE"], len(data)) == ("NESTED", 64, 12 * nside**2)
    assert data["PROB"].sum() == pytest.approx(1)
    fine, _ = table(make_sky_map(100, 50, 30, 400, seed=4))
    level, pixel = uniq_to_level_ipix(fine["UNIQ"].astype(np.int64))
    base = np.bincount(
        pixel >> 2 * (level - 4),
        fine["PROBDENSITY"] * 4 * np.pi / (12 * 4.0**level),
        minlength=3072,
    )
    np.testing.assert_allclose(data["PROB"].reshape(3072, -1).sum(1), base, atol=1e-12)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"area_deg2": 40_000}, "area_deg2 is 40000; it must be 1 to 33000"),
        ({"dec_deg": -91}, "dec_deg is -91"),
        ({"distance_relative_error": 0.7}, "distance_relative_error is 0.7"),
        ({"flat_nside": 100}, "flat_nside is 100"),
    ],
)
def test_arguments_out_of_range(changed: dict[str, float], said: str) -> None:
    arguments = {"ra_deg": 1, "dec_deg": 2, "distance_mpc": 3, "area_deg2": 400} | changed
    with pytest.raises(ValueError, match=said):
        make_sky_map(**arguments)  # type: ignore[arg-type]
