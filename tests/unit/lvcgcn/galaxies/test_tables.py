"""CSV files and VOTables by a mapping."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from toros.errors import CatalogueRefused
from toros.lvcgcn.galaxies.mapping import complete, converter, read_mapping
from toros.lvcgcn.galaxies.tables import read_csv, read_votable


def read(path, *mapping, hubble=70.0):
    reader = read_votable if path.suffix == ".vot" else read_csv
    (batch,) = reader(path, read_mapping(mapping), hubble)
    return batch


def write(tmp_path, text, name="galaxies.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_usual_names_need_no_mapping(tmp_path):
    path = write(tmp_path, "Name,RAJ2000,DEJ2000,Dist,Bmag,Ksmag\nNGC1,1.5,-2.5,60,13,10\n")
    (galaxy,) = read(path).records
    assert galaxy["name"] == b"NGC1"
    assert galaxy["distance"] == 60
    assert galaxy["k_magnitude"] == 10


def test_a_mapping_has_units_and_second_choices(tmp_path):
    path = write(
        tmp_path, "id;other;h;d;v;kpc;lgm\nA;;1;2;;3000;11\n;B;1;2;700;;\n;;1;2;50;null;\n"
    )
    batch = read(
        path, "name=id,other", "ra=h:hourangle", "dec=d", "distance=kpc:kpc,v:km/s",
        "stellar_mass=lgm:dex(solMass)",
    )  # fmt: skip
    assert batch.records["name"].tolist() == [b"A", b"B", b"row 4"]
    assert batch.records["distance"][:2] == pytest.approx([3, 10])
    assert np.isnan(batch.records["distance"][2])  # 50 km/s tell no distance
    assert batch.records["stellar_mass"][0] == pytest.approx(1e11)
    assert len(np.unique(batch.records["place"])) == 1


def test_redshifts_give_distances_by_hubbles_law(tmp_path):
    path = write(tmp_path, "ra,dec,z\n1,2,0.01\n")
    (galaxy,) = read(path, "distance=z:redshift", hubble=67.7).records
    assert galaxy["distance"] == pytest.approx(2997.92458 / 67.7)


def test_names_printed_as_bytes_are_taken_off_their_wrapping(tmp_path):
    path = write(tmp_path, "ra,dec,GWGC,HyperLEDA\n1,2,b'---',b'IC1587'\n1,2,b'NGC253',b'x'\n")
    assert read(path).records["name"].tolist() == [b"IC1587", b"NGC253"]


def test_bad_rows_are_told_by_line(tmp_path):
    path = write(tmp_path, "ra,dec,dist\n1,2,3\n1,2\n1,bright,3\n1,-95,3\n1,2,\n")
    batch = read(path)
    assert len(batch.records) == 2
    assert [bad.line for bad in batch.bad] == [3, 4, 5]
    assert batch.bad_count == 3
    assert "2 fields" in batch.bad[0].reason
    assert "'bright'" in batch.bad[1].reason


def test_a_votable_brings_its_units(tmp_path):
    table = QTable(
        {
            "name": ["A", "B"],
            "ra": [1.0, 2.0] * u.hourangle,
            "dec": [1.0, 2.0] * u.deg,
            "dist": [1000.0, np.nan] * u.kpc,
        }
    )
    path = tmp_path / "t.vot"
    table.write(path, format="votable")
    batch = read(path)
    assert batch.records["name"].tolist() == [b"A", b"B"]
    assert batch.records["distance"][0] == pytest.approx(1)
    assert np.isnan(batch.records["distance"][1])
    plain = read(write(tmp_path, "ra,dec\n15,1\n30,2\n"))
    assert batch.records["place"].tolist() == plain.records["place"].tolist()


@pytest.mark.parametrize("content", [b"", b"no xml", b"<VOTABLE/>"])
def test_what_is_no_votable_is_refused(tmp_path, content):
    path = tmp_path / "t.vot"
    path.write_bytes(content)
    with pytest.raises(CatalogueRefused, match=r"t\.vot"):
        read(path)


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"ra,dec\n\xff\xfe,1\n")
    with pytest.raises(CatalogueRefused, match=r"t\.csv"):
        list(read_csv(path, {}, 70))


@pytest.mark.parametrize("text", ["distance", "distance=", "size=a", "=a"])
def test_a_mapping_that_is_none_is_refused(text):
    with pytest.raises(CatalogueRefused, match="COLUMN=FIELD"):
        read_mapping([text])


def test_a_field_that_is_not_there_is_refused():
    with pytest.raises(CatalogueRefused, match="no such field; it has a, b"):
        complete(read_mapping(["ra=c"]), ["a", "b"])
    with pytest.raises(CatalogueRefused, match="no field is mapped to dec"):
        complete({}, ["ra", "b"])


@pytest.mark.parametrize("unit", ["furlongs", "s", "mag"])
def test_a_unit_of_another_kind_is_refused(unit):
    with pytest.raises(CatalogueRefused, match=unit):
        converter("distance", unit, 70)
