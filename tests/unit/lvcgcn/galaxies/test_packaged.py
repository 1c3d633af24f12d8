"""The catalogue that comes with the package."""

from __future__ import annotations

import numpy as np
import pytest

from tests.galaxy_fields import MADE
from toros.lvcgcn.galaxies import versions
from toros.lvcgcn.galaxies.packaged import packaged


def test_it_has_the_galaxies_of_the_ngc(tmp_path):
    catalogue = packaged(tmp_path, MADE)
    names = catalogue.names(np.arange(len(catalogue)))
    row = names.index("NGC4993")
    ra, dec = catalogue.positions(np.array([row]))
    assert (ra[0], dec[0]) == pytest.approx((197.44877, -23.38389), abs=1e-3)
    assert catalogue.columns["distance"][row] == pytest.approx(0.009787 * 299792.458 / 70)
    assert np.isnan(catalogue.columns["distance"][names.index("NGC0224")])  # it comes nearer
    assert len(catalogue) > 10_000
    assert catalogue.choose_weight("auto")[0] == "luminosity_k"


def test_it_is_made_once(tmp_path):
    packaged(tmp_path, MADE)
    version = versions.current(tmp_path)
    packaged(tmp_path, MADE)
    assert versions.current(tmp_path) == version
