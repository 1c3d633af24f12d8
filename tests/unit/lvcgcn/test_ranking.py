"""The ranking of galaxies: truths, exactness, filters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.galaxy_fields import MADE, exact, make_catalogue, random_galaxies
from toros.errors import CatalogueRefused
from toros.lvcgcn.galaxies.building import build
from toros.lvcgcn.galaxies.mapping import read_mapping
from toros.lvcgcn.galaxies.packaged import packaged
from toros.lvcgcn.ranking import FIRST, KEEP, Ranked, Selection, rank
from toros.lvcgcn.scan import LEAST, NO_CUTS, PIECE, scan
from toros.lvcgcn.scoring import exact_scores, find_region
from toros.lvcgcn.skymaps.reading import read_sky_map
from toros.lvcgcn.skymaps.sky_map import SkyMap
from toros.simulation.sky_maps import make_sky_map


def without_distance(sky_map):
    return replace(sky_map, distance_mu=None, distance_sigma=None, distance_norm=None)


@pytest.fixture(scope="module")
def values():
    return random_galaxies(np.random.default_rng(3), 4000)


@pytest.fixture(scope="module")
def catalogue(values, tmp_path_factory):
    return make_catalogue(tmp_path_factory.mktemp("catalogue"), values)


@pytest.fixture(scope="module")
def sky_map():
    return read_sky_map(make_sky_map(40.0, -20.0, 150.0, 9000.0, seed=5, tiles=3072))


@pytest.fixture(scope="module")
def gw170817(shared_data):
    return read_sky_map((shared_data / "skymaps" / "GW170817_moc.multiorder.fits").read_bytes())


@pytest.fixture(scope="module")
def groups(shared_data, tmp_path_factory):
    source = shared_data / "catalogues" / "KourkchiTully2017_groups.csv"
    folder = tmp_path_factory.mktemp("groups")
    return build(source, folder, made=MADE, mapping=read_mapping(["distance=VLS:km/s"])).catalogue


@pytest.mark.parametrize(
    ("weight", "place"), [("none", 2), ("luminosity_b", 2), ("luminosity_k", 1), ("auto", 1)]
)
def test_the_host_in_the_groups_of_kourkchi_and_tully(gw170817, groups, weight, place):
    best = rank(gw170817, groups, Selection(weight=weight)).best(20)
    assert best.name.index("NGC4993") + 1 == place


def test_the_host_has_41_percent_of_the_k_weight(gw170817, groups):
    ranking = rank(gw170817, groups)
    assert ranking.weight == "luminosity_k"
    assert ranking.best(1).probability[0] == pytest.approx(0.41, abs=0.005)


def test_the_host_is_fifth_by_position_alone(gw170817, groups):
    selection = Selection(weight="none", distance_max_mpc=1e4)
    best = rank(without_distance(gw170817), groups, selection).best(20)
    assert best.name.index("NGC4993") + 1 == 5


@pytest.mark.parametrize("weight", ["auto", "none"])
def test_the_host_is_first_in_the_packaged_catalogue(gw170817, tmp_path, weight):
    best = rank(gw170817, packaged(tmp_path, MADE), Selection(weight=weight)).best(1)
    assert best.name == ["NGC4993"]


def test_ngc_253_is_too_near_for_s190814bv(shared_data, tmp_path):
    raw = (shared_data / "skymaps" / "S190814bv_LALInference_flat.fits.gz").read_bytes()
    sky_map = read_sky_map(raw)
    source = shared_data / "catalogues" / "GLADE_S190814bv_2000.csv"
    catalogue = build(
        source, tmp_path, made=MADE, mapping=read_mapping(["name=GWGC,HyperLEDA,2MASS"])
    ).catalogue
    flat = rank(without_distance(sky_map), catalogue, Selection(weight="none")).best(100)
    assert flat.name.index("NGC0253") + 1 == 17
    for weight in ("none", "luminosity_k", "luminosity_b"):
        deep = rank(sky_map, catalogue, Selection(weight=weight)).best(2000)
        assert "NGC0253" not in deep.name[:300]


def check_exact(ranking, names, scores):
    best = ranking.best(len(names) + 10)
    assert best.name == names
    np.testing.assert_allclose(best.score, scores, rtol=1e-9)
    assert ranking.total == pytest.approx(scores.sum(), rel=1e-5)
    np.testing.assert_allclose(best.probability, scores / scores.sum(), rtol=1e-5)


@pytest.mark.parametrize("area", [500.0, 9000.0])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.999])
def test_scores_are_those_of_the_formula(catalogue, values, area, level):
    sky_map = read_sky_map(make_sky_map(40.0, -20.0, 150.0, area, seed=5, tiles=3072))
    names, scores = exact(sky_map, values, None, level)
    assert names
    check_exact(rank(sky_map, catalogue, Selection(level, weight="none")), names, scores)


@pytest.mark.parametrize("weight", ["stellar_mass", "luminosity_k", "luminosity_b"])
def test_weights_multiply_the_score(catalogue, values, sky_map, weight):
    rows = np.arange(len(catalogue))
    source = [int(name[1:]) for name in catalogue.names(rows)]
    weights = np.empty(len(rows))
    weights[source] = catalogue.columns[f"weight_{weight}"]
    names, scores = exact(sky_map, values, weights, 0.9)
    ranking = rank(sky_map, catalogue, Selection(weight=weight))
    assert ranking.weight == weight
    check_exact(ranking, names, scores)


def test_maps_without_distance_rank_by_position_and_weight(catalogue, values, sky_map):
    flat = without_distance(sky_map)
    names, scores = exact(flat, values, None, 0.9)
    found = rank(flat, catalogue, Selection(weight="none")).best(len(names) + 1)
    assert sorted(found.name) == sorted(names)  # those of a tile are equal
    np.testing.assert_allclose(found.score, scores, rtol=1e-12)
    assert any(np.isnan(found.distance_mpc))


def test_the_listed_values_are_the_catalogues(catalogue, values, sky_map):
    best = rank(sky_map, catalogue).best(50)
    source = np.array([int(name[1:]) for name in best.name])
    assert best.rank.tolist() == list(range(1, 51))
    np.testing.assert_allclose(best.dec_deg, values["dec"][source], atol=2e-7)
    np.testing.assert_array_equal(best.distance_mpc, values["distance"][source])
    np.testing.assert_allclose(best.b_magnitude, values["b_magnitude"][source], rtol=1e-7)
    modulus = 5 * np.log10(values["distance"][source]) + 25
    np.testing.assert_allclose(best.k_absolute, values["k_magnitude"][source] - modulus, rtol=1e-6)
    np.testing.assert_allclose(best.stellar_mass, values["stellar_mass"][source], rtol=1e-6)
    assert (np.diff(best.score) <= 0).all()


def test_asking_for_more_goes_on_where_it_was(catalogue, sky_map):
    one = rank(sky_map, catalogue)
    parts = [one.best(count).name for count in (0, 1, 7, 600, 100_000)]
    whole = rank(sky_map, catalogue).best(100_000).name
    assert parts == [whole[:0], whole[:1], whole[:7], whole[:600], whole]
    assert len(whole) > FIRST


@pytest.mark.parametrize("keep", [1, 10, 100])
def test_a_scan_keeps_everything_above_its_threshold(catalogue, sky_map, keep):
    region = find_region(sky_map, catalogue, 0.9)
    cuts = replace(NO_CUTS, nearest=region.nearest, farthest=region.farthest)
    found = scan(region, catalogue, "none", cuts, keep)
    numbers = np.arange(len(region))
    _, scores = exact_scores(region, catalogue, numbers, "none")
    rough = scores / region.amplitude.max()
    above = rough > found.threshold * (1 + found.margin)
    assert len(found.scores) >= keep
    assert set(numbers[above]) <= set(found.numbers)
    np.testing.assert_allclose(found.scores, rough[found.numbers], rtol=found.margin)


def test_pieces_and_threads_change_nothing(tmp_path, sky_map):
    rows = 4 * PIECE + 1000
    values = random_galaxies(np.random.default_rng(6), rows)
    catalogue = make_catalogue(tmp_path, values)
    region = find_region(sky_map, catalogue, 0.999)
    assert len(region) > PIECE
    cuts = replace(NO_CUTS, nearest=region.nearest, farthest=region.farthest)
    exact_of = exact_scores(region, catalogue, np.arange(len(region)), "luminosity_k")[1]
    exact_of = np.nan_to_num(exact_of)
    best = np.argsort(-exact_of, kind="stable")[:1000]
    for threads in (1, 2):
        found = scan(region, catalogue, "luminosity_k", cuts, 1000, threads=threads)
        assert set(best) <= set(found.numbers)
        assert len(found.numbers) < 5000 * threads
        assert found.total == pytest.approx(exact_of.sum(), rel=1e-5)
    first = rank(sky_map, catalogue, Selection(0.999, weight="luminosity_k")).best(100)
    assert first.row.tolist() == region.rows_of(best[:100]).tolist()


def test_galaxies_beyond_single_precision_are_ranked_too(tmp_path):
    values = random_galaxies(np.random.default_rng(8), 500, farthest=60)
    values["distance"] = np.linspace(1, 60, 500)
    tile = np.arange(12)
    # Twelve tiles at 100 Mpc, sharp to 3 Mpc but one: 60 Mpc are 13 to 33 sigma away.
    sigma = np.where(tile == 3, 30.0, 3.0)
    mu = np.full(12, 100.0)
    sky_map = SkyMap.from_tiles(
        np.zeros(12), tile, np.full(12, 1 / 12), (mu, sigma, np.full(12, 1e-4))
    )
    names, scores = exact(sky_map, values, None, 1.0)
    assert (scores / scores[0] < LEAST["f4"]).any()
    check_exact(rank(sky_map, make_catalogue(tmp_path, values), Selection(1.0, weight="none")),
                names, scores)  # fmt: skip


def test_a_sharp_distance_is_ranked_in_double_precision(tmp_path):
    values = random_galaxies(np.random.default_rng(8), 500)
    values["distance"] = 1000 + np.arange(500) * 1e-5
    sky_map = SkyMap.from_tiles(
        np.zeros(12), np.arange(12), np.full(12, 1 / 12),
        (np.full(12, 1000.0), np.full(12, 1e-3), np.full(12, 1e-6)),
    )  # fmt: skip
    names, scores = exact(sky_map, values, None, 1.0)
    check_exact(rank(sky_map, make_catalogue(tmp_path, values), Selection(1.0, weight="none")),
                names, scores)  # fmt: skip


def test_tiles_without_distance_take_no_part(catalogue, values, sky_map):
    norm = sky_map.distance_norm.copy()
    norm[::2] = 0
    half = replace(sky_map, distance_norm=norm)
    names, scores = exact(half, values, None, 0.9)
    check_exact(rank(half, catalogue, Selection(weight="none")), names, scores)


def test_filters(catalogue, sky_map):
    whole = rank(sky_map, catalogue, Selection(weight="none")).best(10_000)
    tests = {
        "distance_max_mpc": (140.0, whole.distance_mpc <= 140),
        "apparent_magnitude_max": (15.0, whole.b_magnitude <= 15),
        "absolute_magnitude_max": (-20.0, whole.b_absolute <= -20),
    }
    for name, (limit, passed) in tests.items():
        some = rank(sky_map, catalogue, Selection(weight="none", **{name: limit}))
        best = some.best(10_000)
        assert best.row.tolist() == whole.row[passed].tolist()
        assert 0 < len(best) < len(whole)
        assert some.considered < rank(sky_map, catalogue).considered


def test_a_name_is_listed_once(tmp_path, values, sky_map):
    twice = {**values, "name": [f"G{n // 3}" for n in range(4000)]}
    best = rank(sky_map, make_catalogue(tmp_path, twice), Selection(weight="none")).best(150)
    assert len(best) == len(set(best.name)) == 150


def test_no_galaxy_in_the_region(tmp_path, values):
    sky_map = SkyMap.from_tiles([29], [5], [1.0], ([100.0], [30.0], [1e-4]))
    ranking = rank(sky_map, make_catalogue(tmp_path, values))
    assert ranking.considered == 0
    assert ranking.total == 0
    assert len(ranking.best(10)) == 0
    assert isinstance(ranking.best(10), Ranked)


def test_a_weight_that_is_not_there_is_refused(tmp_path, values, sky_map):
    bare = make_catalogue(tmp_path, {name: values[name] for name in ("ra", "dec", "distance")})
    with pytest.raises(CatalogueRefused, match="stellar_mass"):
        rank(sky_map, bare, Selection(weight="stellar_mass"))


def test_many_equal_scores_are_ranked_by_place(tmp_path):
    rows = 2 * KEEP + 1000
    rng = np.random.default_rng(1)
    values = {
        "ra": rng.uniform(0, 360, rows),
        "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, rows))),
    }
    catalogue = make_catalogue(tmp_path, values)
    sky_map = SkyMap.from_tiles(np.zeros(12), np.arange(12), np.full(12, 1 / 12))
    ranking = rank(sky_map, catalogue, Selection(1.0))
    assert ranking.considered == rows
    assert ranking.best(100).row.tolist() == list(range(100))
