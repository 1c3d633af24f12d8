"""Sky maps are read as they stand, whatever their form."""

from __future__ import annotations

import gzip
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy_healpix.core import healpix_to_lonlat, ring_to_nested

from tests.unit.lvcgcn.skymaps.maps import FLAT, MULTI_ORDER, ORDER, fits_file, spot, uniform_tiles
from toros.errors import SkyMapRefused
from toros.lvcgcn.skymaps.credible import credible_area, probability_at
from toros.lvcgcn.skymaps.limits import MapLimits
from toros.lvcgcn.skymaps.reading import read_sky_map
from toros.lvcgcn.skymaps.sky_map import WHOLE_SKY, SkyMap
from toros.simulation.sky_maps import make_sky_map

DISTANCE = ("DISTMU", "DISTSIGMA", "DISTNORM")


@pytest.fixture(scope="module")
def made() -> bytes:
    return make_sky_map(197.45, -23.38, 40.0, 30.0, seed=3, event="MS170817a")


def same(one: SkyMap, other: SkyMap, rtol: float = 0.0) -> None:
    np.testing.assert_array_equal(one.first, other.first)
    np.testing.assert_array_equal(one.order, other.order)
    np.testing.assert_allclose(one.probability, other.probability, rtol=rtol or 1e-14, atol=1e-300)
    for column in ("distance_mu", "distance_sigma", "distance_norm"):
        np.testing.assert_allclose(getattr(one, column), getattr(other, column), rtol=rtol)


def test_multi_order_is_what_astropy_reads(made: bytes) -> None:
    sky_map = read_sky_map(made)
    table = fits.getdata(BytesIO(made), 1)
    order = (np.floor(np.log2(table["UNIQ"].astype(np.float64) / 4)) / 2).astype(np.int64)
    index = table["UNIQ"].astype(np.int64) - 4 * 4**order
    place = np.argsort(index * 4 ** (29 - order))
    np.testing.assert_array_equal(sky_map.order, order[place])
    np.testing.assert_array_equal(sky_map.index, index[place])
    density = table["PROBDENSITY"][place]
    np.testing.assert_allclose(sky_map.density_sr, density, rtol=1e-14, atol=1e-300)
    np.testing.assert_array_equal(sky_map.distance_mu, table["DISTMU"][place])
    np.testing.assert_array_equal(sky_map.distance_sigma, table["DISTSIGMA"][place])
    np.testing.assert_array_equal(sky_map.distance_norm, table["DISTNORM"][place])


def test_tiles_are_sorted_and_cover_the_sky_once(made: bytes) -> None:
    sky_map = read_sky_map(made)
    assert sky_map.first[0] == 0
    np.testing.assert_array_equal(sky_map.first[1:], sky_map.last[:-1])
    assert sky_map.last[-1] == WHOLE_SKY
    assert sky_map.area_sr.sum() == pytest.approx(4 * np.pi)
    assert sky_map.probability.sum() == pytest.approx(1)


def test_header_becomes_facts(made: bytes) -> None:
    facts = read_sky_map(made).facts
    header = fits.getheader(BytesIO(made), 1)
    assert facts["object"] == "MS170817a"
    assert facts["instruments"] == ["H1", "L1", "V1"]
    assert facts["date_obs"] == "2000-01-01T00:00:00.000"
    assert facts["distmean_mpc"] == header["DISTMEAN"]
    assert facts["diststd_mpc"] == header["DISTSTD"]
    assert facts["form"] == "multi-order"
    assert "reference" not in facts


def test_unsigned_unique_and_gzip_change_nothing(made: bytes) -> None:
    table = fits.getdata(BytesIO(made), 1)
    columns = {name: np.asarray(table[name]).byteswap() for name in table.names}
    columns = {name: values.view(values.dtype.newbyteorder()) for name, values in columns.items()}
    columns["UNIQ"] = columns["UNIQ"].astype(np.uint64)
    unsigned = fits_file(columns, MULTI_ORDER)
    assert fits.getheader(BytesIO(unsigned), 1)["TZERO1"] == 2**63
    same(read_sky_map(unsigned), read_sky_map(made))
    same(read_sky_map(gzip.compress(made)), read_sky_map(made))


def test_probabilities_instead_of_densities(made: bytes) -> None:
    sky_map = read_sky_map(made)
    unique = sky_map.index + 4 * 4 ** sky_map.order.astype(np.int64)
    raw = fits_file({"UNIQ": unique, "PROB": sky_map.probability}, MULTI_ORDER)
    again = read_sky_map(raw)
    np.testing.assert_array_equal(again.probability, sky_map.probability)
    assert not again.has_distance


def test_small_numbers_are_widened() -> None:
    columns = uniform_tiles()
    raw = fits_file(
        {
            "UNIQ": columns["UNIQ"].astype(np.int32),
            "PROBDENSITY": columns["PROBDENSITY"].astype(np.float32),
        },
        MULTI_ORDER,
    )
    sky_map = read_sky_map(raw)
    assert sky_map.probability.dtype == np.float64
    assert set(sky_map.order) == {ORDER}


def test_flat_map_becomes_the_tiles_that_it_was_made_of(made: bytes) -> None:
    flattened = make_sky_map(197.45, -23.38, 40.0, 30.0, seed=3, flat_nside=256)
    sky_map, fine = read_sky_map(flattened), read_sky_map(made)
    coarse = fine.order <= 8
    finer = fine.first[~coarse] >> 2 * (29 - 8)
    # A few neighbours that are alike (nothing is there) become one.
    expected = coarse.sum() + len(np.unique(finer))
    assert 0.98 * expected < len(sky_map) <= expected
    assert sky_map.facts["form"] == "flat"
    tile = sky_map.tiles_of(fine.first)
    np.testing.assert_allclose(
        sky_map.density_sr[tile[coarse]], fine.density_sr[coarse], rtol=1e-12, atol=1e-300
    )
    assert sky_map.distance_mu is not None
    assert fine.distance_mu is not None
    np.testing.assert_array_equal(sky_map.distance_mu[tile[coarse]], fine.distance_mu[coarse])
    assert credible_area(sky_map, 0.9) == pytest.approx(credible_area(fine, 0.9), rel=0.01)


@pytest.mark.parametrize("name", ["PROB", "PROBABILITY"])
@pytest.mark.parametrize("per_row", [1, 1024])
@pytest.mark.parametrize("nested", [True, False])
def test_flat_maps_keep_each_pixel(nested: bool, per_row: int, name: str) -> None:
    nside = 32
    probability = spot(nside, nested)
    raw = fits_file(
        {name: probability},
        FLAT | {"NSIDE": nside, "ORDERING": "NESTED" if nested else "RING"},
        per_row,
        packed=True,
    )
    sky_map = read_sky_map(raw)
    order = "nested" if nested else "ring"
    lon, lat = healpix_to_lonlat(np.arange(len(probability)), nside, order=order)
    np.testing.assert_allclose(
        probability_at(sky_map, lon.deg, lat.deg), probability * 12 * nside**2 / (4 * np.pi)
    )


def test_flat_ring_map_with_distance() -> None:
    nside = 16
    count = 12 * nside**2
    columns = {"PROB": spot(nside, nested=False)}
    columns |= {name: np.linspace(10, 20, count) + n for n, name in enumerate(DISTANCE)}
    sky_map = read_sky_map(fits_file(columns, FLAT | {"NSIDE": nside, "ORDERING": "RING"}))
    place = np.argsort(ring_to_nested(np.arange(count), nside))
    assert sky_map.distance_mu is not None
    assert sky_map.distance_norm is not None
    np.testing.assert_allclose(sky_map.distance_mu, columns["DISTMU"][place], rtol=1e-7)
    np.testing.assert_allclose(sky_map.distance_norm, columns["DISTNORM"][place], rtol=1e-7)


@pytest.mark.parametrize("nested", [True, False])
def test_listed_pixels(nested: bool) -> None:
    nside = 32
    probability = spot(nside, nested)
    listed = np.flatnonzero(probability > 1e-7)
    raw = fits_file(
        {"PIXEL": listed, "PROB": probability[listed]},
        FLAT | {"NSIDE": nside, "INDXSCHM": "EXPLICIT", "ORDERING": "NESTED" if nested else "RING"},
    )
    sky_map = read_sky_map(raw)
    assert len(sky_map) == len(listed)
    order = "nested" if nested else "ring"
    lon, lat = healpix_to_lonlat(np.arange(len(probability)), nside, order=order)
    at = probability_at(sky_map, lon.deg, lat.deg) * 4 * np.pi / (12 * nside**2)
    np.testing.assert_allclose(at[listed], probability[listed])
    assert not at[probability <= 1e-7].any()


def test_many_different_pixels_are_joined_far_out() -> None:
    nside = 128
    probability = spot(nside)
    raw = fits_file({"PROB": probability}, FLAT | {"NSIDE": nside})
    every = read_sky_map(raw)
    assert len(every) == len(probability)
    sky_map = read_sky_map(raw, MapLimits(tiles=50_000))
    assert len(sky_map) < 50_000
    assert sky_map.probability.sum() == pytest.approx(1, abs=1e-12)
    for level in (0.5, 0.9, 0.99):
        assert credible_area(sky_map, level) == pytest.approx(credible_area(every, level), rel=1e-4)
    best = np.argsort(-every.probability)[:10_000]
    assert np.isin(every.first[best], sky_map.first).all()
    # And one that does not fit even so is coarser.
    coarse = read_sky_map(raw, MapLimits(tiles=4000))
    assert len(coarse) <= 4000
    assert credible_area(coarse, 0.9) == pytest.approx(credible_area(every, 0.9), rel=0.01)


def test_tiles_without_distance_have_norm_0() -> None:
    columns = uniform_tiles()
    count = len(columns["UNIQ"])
    columns |= {name: np.ones(count) for name in DISTANCE}
    columns["DISTMU"][3], columns["DISTSIGMA"][4], columns["DISTNORM"][5] = np.inf, np.nan, 0
    sky_map = read_sky_map(fits_file(columns, MULTI_ORDER))
    assert sky_map.distance_norm is not None
    assert sky_map.distance_mu is not None
    assert np.flatnonzero(sky_map.distance_norm == 0).tolist() == [3, 4, 5]
    assert np.isfinite(sky_map.distance_mu).all()


def test_missing_tiles_that_carry_nothing_are_allowed() -> None:
    columns = uniform_tiles()
    half = {name: values[: len(values) // 2] for name, values in columns.items()}
    half["PROBDENSITY"] = half["PROBDENSITY"] * 2
    sky_map = read_sky_map(fits_file(half, MULTI_ORDER))
    assert sky_map.area_sr.sum() == pytest.approx(2 * np.pi)
    assert sky_map.tiles_of([WHOLE_SKY - 1]).tolist() == [-1]


def test_map_behind_other_parts(made: bytes) -> None:
    hdus = fits.open(BytesIO(made))
    other = fits.BinTableHDU.from_columns([fits.Column("TIME", "D", array=np.zeros(7))])
    content = BytesIO()
    fits.HDUList([fits.PrimaryHDU(np.zeros((5, 7))), other, hdus[1]]).writeto(content)
    same(read_sky_map(content.getvalue()), read_sky_map(made))


# Name, 90 % area in square degrees, number of tiles.
REAL = [
    ("GW170817_moc.multiorder.fits", 16.2, 15030),
    ("userguide_bayestar.multiorder.fits", 31.0, 19200),
    ("lvcgcn_test_bayestar_flat.fits.gz", 1176.4, 19200),
]


@pytest.mark.parametrize(("name", "area_deg2", "tiles"), REAL)
def test_real_maps(shared_data: Path, name: str, area_deg2: float, tiles: int) -> None:
    sky_map = read_sky_map((shared_data / "skymaps" / name).read_bytes())
    assert credible_area(sky_map, 0.9) == pytest.approx(area_deg2, rel=0.01)
    assert len(sky_map) == tiles
    assert sky_map.probability.sum() == pytest.approx(1, abs=1e-9)
    assert sky_map.has_distance


@pytest.mark.long
def test_real_large_flat_map(shared_data: Path) -> None:
    raw = (shared_data / "skymaps" / "S190814bv_LALInference_flat.fits.gz").read_bytes()
    sky_map = read_sky_map(raw)
    assert credible_area(sky_map, 0.9) == pytest.approx(23.1, rel=0.01)
    assert sky_map.facts["distmean_mpc"] == pytest.approx(267.4, abs=0.1)
    # Many pixels, few tiles.
    assert len(sky_map) == 16_896


def test_limits_are_the_callers(made: bytes) -> None:
    with pytest.raises(SkyMapRefused, match="bytes, where at most 1000 are allowed"):
        read_sky_map(made, MapLimits(bytes=1000))
    with pytest.raises(SkyMapRefused, match="tiles, where at most 100 are"):
        read_sky_map(made, MapLimits(pixels=100))
    with pytest.raises(SkyMapRefused, match=r"not read after 0 s"):
        read_sky_map(gzip.compress(made), MapLimits(seconds=0))
    with pytest.raises(SkyMapRefused, match="inflates beyond|at most 100000 bytes"):
        read_sky_map(made, MapLimits(inflated_bytes=100_000))
    with pytest.raises(SkyMapRefused, match="where at most"):
        read_sky_map(made, MapLimits(memory_bytes=1_000_000))
