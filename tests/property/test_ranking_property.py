"""Whatever the map and the catalogue: the ranking is that of the formula."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.galaxy_fields import exact, make_catalogue, random_galaxies
from toros.lvcgcn.ranking import Selection, rank
from toros.lvcgcn.skymaps.sky_map import SkyMap


def random_map(rng: np.random.Generator, with_distance: bool) -> SkyMap:
    """Draw tiles of orders 0 to 4 that cover a part of the sky, with all kinds of distances."""
    order, index = np.zeros(12, dtype=int), np.arange(12)
    for _ in range(4):
        split = rng.random(len(order)) < 0.3
        children = (index[split][:, None] * 4 + np.arange(4)).ravel()
        order = np.concatenate([order[~split], np.repeat(order[split] + 1, 4)])
        index = np.concatenate([index[~split], children])
    keep = rng.random(len(order)) < 0.8
    keep[0] = True
    order, index = order[keep], index[keep]
    tiles = len(order)
    probability = rng.exponential(size=tiles) * rng.choice([0, 1, 1e-6, 1], tiles)
    probability[0] += 1
    if not with_distance:
        return SkyMap.from_tiles(order, index, probability)
    mu = rng.uniform(-300, 500, tiles)
    sigma = 10 ** rng.uniform(-1, 3, tiles)
    norm = 10 ** rng.uniform(-8, -3, tiles) * (rng.random(tiles) < 0.9)
    return SkyMap.from_tiles(order, index, probability, (mu, sigma, norm))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    galaxies=st.integers(1, 300),
    level=st.floats(0.01, 0.999),
    with_distance=st.booleans(),
)
def test_the_ranking_is_that_of_the_formula(seed, galaxies, level, with_distance):
    rng = np.random.default_rng(seed)
    sky_map = random_map(rng, with_distance)
    values = random_galaxies(rng, galaxies)
    with tempfile.TemporaryDirectory() as folder:
        catalogue = make_catalogue(Path(folder), values)
        ranking = rank(sky_map, catalogue, Selection(level, weight="none"))
        names, scores = exact(sky_map, values, None, level)
        told = scores > 1e-290  # below it float64 itself has an end
        best = ranking.best(len(names))
    assert len(best) >= told.sum()
    np.testing.assert_allclose(best.score[: told.sum()], scores[told], rtol=1e-9)
    if with_distance:
        first = min(100, told.sum())
        assert best.name[:first] == names[:first]
