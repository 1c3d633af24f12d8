"""Credible regions, volumes and distances, against sums, integrals and draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy_healpix.core import healpix_to_lonlat, lonlat_to_healpix
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from toros.errors import SkyMapRefused
from toros.lvcgcn.skymaps.cones import cone_map
from toros.lvcgcn.skymaps.credible import (
    credible_area,
    credible_level_at,
    credible_tiles,
    credible_volume,
    distance,
    probability_at,
    ranges29,
    tile_distances,
)
from toros.lvcgcn.skymaps.places import centres_of, pixels_of
from toros.lvcgcn.skymaps.reading import read_sky_map
from toros.lvcgcn.skymaps.sky_map import WHOLE_SKY, SkyMap
from toros.simulation.sky_maps import make_sky_map

DEG2 = (180 / np.pi) ** 2


@pytest.fixture(scope="module")
def sky_map() -> SkyMap:
    return read_sky_map(make_sky_map(50.0, -30.0, 80.0, 150.0, seed=5))


def one_tile(mu: float, sigma: float) -> SkyMap:
    """Return twelve tiles; one has all the probability, and a normalised distance."""
    norm = 1 / quad(lambda r: r**2 * normal(r, mu, sigma), 0, max(mu, 0) + 12 * sigma)[0]
    probability = np.zeros(12)
    probability[7] = 1
    everywhere = np.ones(12)
    return SkyMap.from_tiles(
        np.zeros(12), np.arange(12), probability, (mu * everywhere, sigma * everywhere,
                                                   norm * everywhere)
    )  # fmt: skip


def normal(r: float, mu: float, sigma: float) -> float:
    return float(np.exp(-0.5 * ((r - mu) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi)))


def draw(sky_map: SkyMap, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw places and distances from the map: tile, place in it, and distance by rejection."""
    random = np.random.default_rng(seed)
    tile = random.choice(len(sky_map), count, p=sky_map.probability / sky_map.probability.sum())
    nside = 1 << sky_map.order[tile].astype(np.int64)
    lon, lat = healpix_to_lonlat(
        sky_map.index[tile], nside, random.random(count), random.random(count), order="nested"
    )
    assert sky_map.distance_mu is not None
    assert sky_map.distance_sigma is not None
    mu, sigma = sky_map.distance_mu[tile], sky_map.distance_sigma[tile]
    high = np.maximum(mu, 0) + 8 * sigma
    grid = np.linspace(0, 1, 2001)[1:] * high[:, None]
    weight = np.cumsum(grid**2 * np.exp(-0.5 * ((grid - mu[:, None]) / sigma[:, None]) ** 2), 1)
    at = random.random(count) * weight[:, -1]
    place = (weight < at[:, None]).sum(1)
    return lon.deg, lat.deg, grid[np.arange(count), np.minimum(place, 1999)]


def test_region_is_the_densest_tiles(sky_map: SkyMap) -> None:
    density = sky_map.probability / (np.pi / 3 * 4.0 ** -sky_map.order.astype(float))
    for level in (0.1, 0.5, 0.9, 0.99):
        chosen = credible_tiles(sky_map, level)
        assert density[chosen].min() >= density[~chosen].max()
        inside = sky_map.probability[chosen].sum()
        assert inside >= level
        assert inside - sky_map.probability[chosen][np.argmin(density[chosen])] < level


def test_area_is_that_of_the_same_map_in_small_pixels(sky_map: SkyMap) -> None:
    nside = 512
    index = np.arange(12 * nside**2)
    lon, lat = healpix_to_lonlat(index, nside, order="nested")
    density = np.sort(probability_at(sky_map, lon.deg, lat.deg))[::-1]
    pixel_sr = 4 * np.pi / len(index)
    for level in (0.5, 0.9):
        reached = np.searchsorted(np.cumsum(density) * pixel_sr, level)
        assert credible_area(sky_map, level) == pytest.approx(reached * pixel_sr * DEG2, rel=5e-3)


def test_what_is_drawn_is_covered_as_often_as_the_level_says(sky_map: SkyMap) -> None:
    count = 4000
    ra, dec, _ = draw(sky_map, count)
    levels = credible_level_at(sky_map, ra, dec)
    ranges = ranges29(sky_map, 0.9)
    pixel = pixels_of(ra, dec)
    within = np.searchsorted(ranges.ravel(), pixel, side="right") % 2 == 1
    for level in (0.2, 0.5, 0.9):
        spread = np.sqrt(level * (1 - level) / count)
        assert np.mean(levels <= level) == pytest.approx(level, abs=4 * spread)
    assert np.mean(within) == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / count))


def test_ranges_are_the_region_sorted_and_apart(sky_map: SkyMap) -> None:
    ranges = ranges29(sky_map, 0.9)
    chosen = credible_tiles(sky_map, 0.9)
    assert np.sum(ranges[:, 1] - ranges[:, 0]) == np.sum((sky_map.last - sky_map.first)[chosen])
    assert (ranges[:, 0] < ranges[:, 1]).all()
    assert (ranges[1:, 0] > ranges[:-1, 1]).all()
    ra, dec = centres_of(sky_map.order, sky_map.index)
    inside = np.searchsorted(ranges.ravel(), pixels_of(ra, dec), side="right") % 2 == 1
    np.testing.assert_array_equal(inside, chosen)


def test_everything_is_one_range() -> None:
    sky_map = SkyMap.from_tiles(np.zeros(12), np.arange(12), np.full(12, 1 / 12))
    assert ranges29(sky_map, 1.0).tolist() == [[0, WHOLE_SKY]]
    assert credible_area(sky_map, 1.0) == pytest.approx(41252.96, abs=0.01)
    assert credible_area(sky_map, 0.3) == pytest.approx(0.3 * 41252.96, abs=0.01)


def test_places_and_tiles(sky_map: SkyMap) -> None:
    tile = sky_map.tiles_of(pixels_of(*centres_of(sky_map.order, sky_map.index)))
    np.testing.assert_array_equal(tile, np.arange(len(sky_map)))
    lon, lat = np.array([0.1, 200.0]) * units.deg, np.array([89.9, -45.0]) * units.deg
    expected = lonlat_to_healpix(lon, lat, 2**29, order="nested")
    np.testing.assert_array_equal(pixels_of([0.1, 200.0], [89.9, -45.0]), expected)


@given(mu=st.floats(-60, 300), sigma=st.floats(5, 60))
def test_moments_are_those_of_the_integrals(mu: float, sigma: float) -> None:
    made = one_tile(mu, sigma)
    high = max(mu, 0) + 12 * sigma
    moments = [
        quad(lambda r: r**k * normal(r, mu, sigma), 0, high, epsabs=0, limit=200)[0]  # noqa: B023
        for k in (2, 3, 4)
    ]
    mean = moments[1] / moments[0]
    deviation = np.sqrt(moments[2] / moments[0] - mean**2)
    found = tile_distances(made)
    assert found[0][7] == pytest.approx(mean, rel=1e-5)
    assert found[1][7] == pytest.approx(deviation, rel=1e-4)
    assert distance(made) == pytest.approx((mean, deviation), rel=1e-4)


@pytest.mark.parametrize(("mu", "sigma"), [(100.0, 10.0), (30.0, 20.0), (-20.0, 30.0)])
def test_volume_of_one_tile(mu: float, sigma: float) -> None:
    made = one_tile(mu, sigma)
    r = np.linspace(0, max(mu, 0) + 9 * sigma, 400_001)
    step = r[1] - r[0]
    shell = r**2 * np.exp(-0.5 * ((r - mu) / sigma) ** 2)
    best = np.argsort(-np.exp(-0.5 * ((r - mu) / sigma) ** 2), kind="stable")
    reached = np.cumsum(shell[best]) / shell.sum()
    for level in (0.5, 0.9):
        volume = np.sum(r[best][: np.searchsorted(reached, level)] ** 2) * step * np.pi / 3
        assert credible_volume(made, level) == pytest.approx(volume, rel=1e-3)


def test_volume_of_many_tiles(sky_map: SkyMap) -> None:
    """Draw from the posterior: the region of that volume must contain 90 %.

    By the densities of the draws themselves: the 10 % quantile of dP/dV is the
    region's threshold, and the volume is the integral of 1 / (dP/dV) over its draws.
    """
    count = 20_000
    random = np.random.default_rng(8)
    assert sky_map.distance_mu is not None
    assert sky_map.distance_sigma is not None
    assert sky_map.distance_norm is not None
    tile = random.choice(len(sky_map), count, p=sky_map.probability)
    mu, sigma = sky_map.distance_mu[tile], sky_map.distance_sigma[tile]
    # Rejection from the Gaussian that is as wide, by r squared.
    r = np.empty(count)
    waiting = np.arange(count)
    while waiting.size:
        drawn = random.normal(mu[waiting], sigma[waiting])
        most = (np.maximum(mu[waiting], 0) + 6 * sigma[waiting]) ** 2
        taken = (drawn > 0) & (random.random(waiting.size) < drawn**2 / most)
        r[waiting[taken]] = drawn[taken]
        waiting = waiting[~taken]
    density = sky_map.density_sr[tile] * sky_map.distance_norm[tile]
    density *= np.exp(-0.5 * ((r - mu) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    for level in (0.5, 0.9):
        inside = density >= np.quantile(density, 1 - level)
        weights = np.where(inside, 1 / density, 0)
        volume = weights.mean()
        error = weights.std() / np.sqrt(count)
        # The threshold's own error moves the volume by about as much.
        found = credible_volume(sky_map, level)
        assert found == pytest.approx(volume, abs=5 * error + 0.02 * volume)


def test_volume_against_another_implementation(shared_data: Path) -> None:
    """Values of ligo.skymap 2.5.4's crossmatch, whose distances are binned."""
    raw = (shared_data / "skymaps" / "GW170817_moc.multiorder.fits").read_bytes()
    sky_map = read_sky_map(raw)
    assert credible_volume(sky_map, 0.9) == pytest.approx(225.71, rel=2e-3)
    assert credible_volume(sky_map, 0.5) == pytest.approx(51.79, rel=2e-3)
    assert credible_area(sky_map, 0.9) == pytest.approx(16.15794334, rel=1e-8)
    assert credible_area(sky_map, 0.5) == pytest.approx(5.00146715, rel=1e-8)


def test_distance_is_the_headers_or_the_tiles(sky_map: SkyMap) -> None:
    said = sky_map.facts["distmean_mpc"], sky_map.facts["diststd_mpc"]
    assert distance(sky_map) == said
    bare = SkyMap.from_tiles(
        sky_map.order,
        sky_map.index,
        sky_map.probability,
        (sky_map.distance_mu, sky_map.distance_sigma, sky_map.distance_norm),  # type: ignore[arg-type]
    )
    assert distance(bare) == pytest.approx(said, rel=1e-3)
    _, _, r = draw(bare, 3000)
    assert distance(bare) == pytest.approx((r.mean(), r.std()), rel=0.05)


def test_map_without_distance_has_none() -> None:
    sky_map = cone_map(10, 20, 1)
    assert distance(sky_map) is None
    assert credible_volume(sky_map, 0.9) is None
    with pytest.raises(ValueError, match="no distance"):
        tile_distances(sky_map)


@pytest.mark.parametrize("level", [0, -0.1, 1.1, float("nan")])
def test_levels_are_checked(sky_map: SkyMap, level: float) -> None:
    with pytest.raises(ValueError, match="level is"):
        credible_tiles(sky_map, level)
    with pytest.raises(ValueError, match="level is"):
        credible_volume(sky_map, level)


@pytest.mark.parametrize("containment", [0.39, 0.5, 0.68, 0.9, 0.99])
@pytest.mark.parametrize("error_deg", [0.0, 0.05, 3.0, 25.0])
@pytest.mark.parametrize(("ra", "dec"), [(123.4, -56.7), (0.0, 90.0), (359.99, 0.0)])
def test_cone_contains_what_it_says(
    ra: float, dec: float, error_deg: float, containment: float
) -> None:
    sky_map = cone_map(ra, dec, error_deg, containment)
    radius = np.radians(max(error_deg, 10 / 3600))
    cap = 2 * np.pi * (1 - np.cos(radius)) * DEG2
    assert credible_area(sky_map, containment) == pytest.approx(cap, rel=5e-3)
    assert sky_map.area_sr.sum() == pytest.approx(4 * np.pi)
    assert sky_map.probability.sum() == pytest.approx(1)
    assert len(sky_map) < 15_000
    assert credible_level_at(sky_map, ra, dec)[0] < 0.02
    # Those at the circle's edge are as deep as the circle, but for half a tile's width.
    edge = credible_level_at(sky_map, [ra], [dec - np.degrees(radius)])
    assert edge[0] == pytest.approx(containment, abs=0.045)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((10, 91, 1, 0.9), "dec_deg is 91"),
        ((float("nan"), 0, 1, 0.9), "ra_deg is nan"),
        ((10, 0, -1, 0.9), "error_deg is -1"),
        ((10, 0, 180, 0.9), "error_deg is 180; it must be 0 to 90"),
        ((10, 0, 1, 1.0), "containment is 1"),
    ],
)
def test_cone_of_nonsense(numbers: tuple[float, float, float, float], said: str) -> None:
    with pytest.raises(SkyMapRefused, match=said):
        cone_map(*numbers)


def test_containment_is_90_percent_unless_said() -> None:
    assert credible_area(cone_map(1, 2, 3), 0.5) == credible_area(cone_map(1, 2, 3, 0.9), 0.5)
