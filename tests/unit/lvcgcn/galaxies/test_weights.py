"""Estimates of masses and luminosities."""

from __future__ import annotations

import numpy as np
import pytest

from tests.galaxy_fields import batch, random_galaxies
from toros.lvcgcn.galaxies.columns import WEIGHTS
from toros.lvcgcn.galaxies.weights import Estimates, Statistics, quantities

NAN = np.nan


def galaxies(**columns):
    rows = len(next(iter(columns.values())))
    return batch({"ra": np.arange(rows) * 1.0, "dec": np.zeros(rows), **columns}).records


def by_name(records):
    return records[np.argsort([int(name[1:]) for name in records["name"]])]


def test_luminosities_are_in_units_of_the_sun():
    (galaxy,) = [galaxies(distance=[10.0], k_magnitude=[3.27 + 30], b_magnitude=[5.44 + 30 - 25])]
    told = quantities(galaxy)
    assert told["luminosity_k"] == pytest.approx([1], rel=1e-5)
    assert told["luminosity_b"] == pytest.approx([1e10], rel=1e-5)
    assert np.isnan(told["stellar_mass"]).all()


def test_statistics_do_not_depend_on_the_batches():
    records = batch(random_galaxies(np.random.default_rng(2), 500)).records
    whole, one, two = Statistics(), Statistics(), Statistics()
    whole.add(records)
    two.add(records[:123])
    one.add(records[123:])
    one.merge(two)
    assert one.known == whole.known
    for name in ("luminosity_k", "stellar_mass per luminosity_b", "luminosity_b per square"):
        assert one.quantile(name, 0.5) == whole.quantile(name, 0.5)


def test_the_median_ratio_is_the_median():
    records = batch(random_galaxies(np.random.default_rng(2), 999)).records
    statistics = Statistics()
    statistics.add(records)
    told = quantities(records)
    median = np.nanmedian(told["stellar_mass"] / told["luminosity_k"])
    found = statistics.quantile("stellar_mass per luminosity_k", 0.5)
    assert found == pytest.approx(median, rel=0.03)


def test_what_is_known_is_kept_and_the_rest_estimated_in_its_order():
    # Masses are twice the Ks luminosity, ten times the B luminosity.
    distance = np.full(40, 100.0)
    k = np.linspace(8, 12, 40)
    b = k + (5.44 - 3.27) + 2.5 * np.log10(5)
    mass = 2 * 10 ** (-0.4 * (k - 35 - 3.27))
    mass[:3] = NAN
    k[1:3] = NAN
    b[2] = NAN
    records = galaxies(distance=distance, k_magnitude=k, b_magnitude=b, stellar_mass=mass)
    statistics = Statistics()
    statistics.add(records)
    weight = Estimates.of(statistics).weight(records, "stellar_mass")
    truth = 2 * 10 ** (-0.4 * (np.linspace(8, 12, 40) - 35 - 3.27))
    assert weight[3:] == pytest.approx(truth[3:], rel=1e-6)
    assert weight[:2] == pytest.approx(truth[:2], rel=0.03)
    # Nothing known: at the faint limit, the 5th percentile of what is known at that distance.
    assert weight[2] == pytest.approx(np.quantile(truth[3:], 0.05), rel=0.1)


def test_the_faint_limit_follows_the_distance():
    distance = np.concatenate([np.full(100, 100.0), [50.0, NAN]])
    k = np.concatenate([np.full(100, 12.0), [NAN, NAN]])
    records = galaxies(distance=distance, k_magnitude=k)
    statistics = Statistics()
    statistics.add(records)
    weight = Estimates.of(statistics).weight(records, "luminosity_k")
    assert weight[100] == pytest.approx(weight[0] / 4, rel=0.05)
    assert weight[101] == pytest.approx(weight[0], rel=0.05)


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_weight_is_positive_and_finite(name):
    records = batch(random_galaxies(np.random.default_rng(5), 300)).records
    statistics = Statistics()
    statistics.add(records)
    weight = Estimates.of(statistics).weight(records, name)
    assert np.isfinite(weight).all()
    assert (weight > 0).all()
