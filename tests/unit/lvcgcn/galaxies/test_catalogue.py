"""An open catalogue: rows by place, names, weights; and what is no catalogue."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.galaxy_fields import make_catalogue, random_galaxies
from toros.errors import CatalogueRefused
from toros.lvcgcn.galaxies import versions
from toros.lvcgcn.galaxies.catalogue import Catalogue


@pytest.fixture(scope="module")
def values():
    return random_galaxies(np.random.default_rng(1), 3000)


@pytest.fixture(scope="module")
def catalogue(values, tmp_path_factory):
    return make_catalogue(tmp_path_factory.mktemp("catalogue"), values)


def test_rows_are_in_the_order_of_their_place(catalogue):
    place = catalogue.columns["place"]
    assert len(catalogue) == len(place) == 3000
    assert (np.diff(place) >= 0).all()


def test_every_galaxy_is_there_with_its_values(catalogue, values):
    rows = np.arange(len(catalogue))
    source = np.array([int(name[1:]) for name in catalogue.names(rows)])
    assert sorted(source) == list(range(3000))
    ra, dec = catalogue.positions(rows)
    assert np.abs(dec - values["dec"][source]).max() < 2e-7
    turn = (ra - values["ra"][source] + 180) % 360 - 180
    assert np.abs(turn * np.cos(np.radians(dec))).max() < 2e-7
    for name in ("distance", "b_magnitude", "k_magnitude", "stellar_mass"):
        np.testing.assert_allclose(catalogue.columns[name], values[name][source], rtol=1e-7)
    np.testing.assert_array_equal(
        catalogue.columns["distance_f4"], values["distance"][source].astype("f4")
    )


def test_rows_from_finds_the_first_row_at_or_after_a_place(catalogue):
    place = catalogue.columns["place"]
    rng = np.random.default_rng(0)
    asked = np.concatenate(
        [
            place[::7], place[::5] + 1, rng.integers(0, 12 << 58, 500),
            rng.integers(0, 12 << 16, 500) << 42, [0, 12 << 58],
        ]
    )  # fmt: skip
    np.testing.assert_array_equal(catalogue.rows_from(asked), np.searchsorted(place, asked))


def test_columns_cannot_be_changed(catalogue):
    with pytest.raises(ValueError, match="read-only"):
        catalogue.columns["distance"][0] = 1


def test_auto_takes_the_first_weight_that_is_known_for_half(tmp_path, values):
    catalogue = make_catalogue(tmp_path / "all", values)
    assert catalogue.choose_weight("auto")[0] == "stellar_mass"
    few = {**values, "stellar_mass": np.where(np.arange(3000) % 3, np.nan, 1e10)}
    assert make_catalogue(tmp_path / "k", few).choose_weight("auto")[0] == "luminosity_k"
    none = {name: values[name] for name in ("ra", "dec", "distance")}
    bare = make_catalogue(tmp_path / "none", none)
    assert bare.choose_weight("auto")[0] == "none"
    assert bare.choose_weight("none") == ("none", "as wanted")
    with pytest.raises(CatalogueRefused, match="'luminosity_k' is wanted"):
        bare.choose_weight("luminosity_k")


def test_a_damaged_file_is_found(tmp_path, values):
    catalogue = make_catalogue(tmp_path, values)
    assert catalogue.check() == []
    path = catalogue.version / "distance.bin"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    assert catalogue.check() == ["distance"]


def test_no_catalogue_is_refused(tmp_path):
    with pytest.raises(CatalogueRefused, match="toros catalog build"):
        Catalogue.open(tmp_path)
    with pytest.raises(CatalogueRefused, match="toros catalog build"):
        Catalogue.open(tmp_path / "not" / "there")


def damage_size(version):
    with (version / "place.bin").open("ab") as file:
        file.write(b"12345678")


def damage_missing(version):
    (version / "names.bin").unlink()


def damage_manifest(version):
    (version / "manifest.json").write_text("{")


def damage_layout(version):
    path = version / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))


@pytest.mark.parametrize("damage", [damage_size, damage_missing, damage_manifest, damage_layout])
def test_a_catalogue_with_damage_is_refused(tmp_path, values, damage):
    make_catalogue(tmp_path, values)
    version = versions.current(tmp_path)
    damage(version)
    with pytest.raises(CatalogueRefused, match=str(version)):
        Catalogue.open(tmp_path)
