"""GLADE+ and GLADE 2.3 as text."""

from __future__ import annotations

import numpy as np
import pytest

from toros.lvcgcn.galaxies.columns import B_CALCULATED
from toros.lvcgcn.galaxies.glade import GLADE_23, GLADE_PLUS, parse_block, read_text
from toros.simulation.galaxies import glade_plus_block


def plus(**values: object) -> bytes:
    """Write a line of GLADE+, `null` where nothing is given."""
    places = {
        "glade": 1, "pgc": 2, "gwgc": 3, "leda": 4, "xsc": 5, "wise": 6, "sdss": 7, "kind": 8,
        "ra": 9, "dec": 10, "b": 11, "b_flag": 13, "k": 19, "d": 33, "d_err": 34, "d_kind": 35,
        "mass": 36,
    }  # fmt: skip
    columns = ["null"] * 40
    for name, value in {"glade": 7, "kind": "G", "ra": 10, "dec": -20, **values}.items():
        columns[places[name] - 1] = str(value)
    return " ".join(columns).encode() + b"\n"


def test_values_are_read_from_the_published_columns():
    line = plus(
        ra=197.44877,
        dec=-23.38389,
        b=13.3,
        b_flag=1,
        k=9.224,
        d=41.2,
        d_err=2.9,
        d_kind=2,
        mass=4.5,
    )
    (galaxy,) = parse_block(line, GLADE_PLUS).records
    assert galaxy["distance"] == 41.2
    assert galaxy["distance_error"] == np.float32(2.9)
    assert galaxy["b_magnitude"] == np.float32(13.3)
    assert galaxy["k_magnitude"] == np.float32(9.224)
    assert galaxy["stellar_mass"] == np.float32(4.5e10)
    assert galaxy["flags"] == 2 | B_CALCULATED


def test_unknown_values_are_nan_and_keep_the_galaxy():
    (galaxy,) = parse_block(plus(), GLADE_PLUS).records
    for name in ("distance", "distance_error", "b_magnitude", "k_magnitude", "stellar_mass"):
        assert np.isnan(galaxy[name])
    assert galaxy["flags"] == 0


@pytest.mark.parametrize("distance", [0, -3, "inf", "-inf"])
def test_a_distance_that_cannot_be_is_unknown(distance):
    (galaxy,) = parse_block(plus(d=distance), GLADE_PLUS).records
    assert np.isnan(galaxy["distance"])


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"gwgc": "NGC4993", "leda": "NGC4993", "pgc": 45657}, b"NGC4993"),
        ({"leda": "797191", "xsc": "00484277-2346230"}, b"HyperLEDA 797191"),
        ({"leda": "ESO474-026"}, b"ESO474-026"),
        ({"xsc": "00484277-2346230", "pgc": 5}, b"2MASX J00484277-2346230"),
        ({"wise": "J0048-23"}, b"J0048-23"),
        ({"pgc": 5}, b"PGC 5"),
        ({"glade": 99}, b"GLADE+ 99"),
    ],
)
def test_the_name_is_the_best_known_designation(values, name):
    assert parse_block(plus(**values), GLADE_PLUS).records["name"].tolist() == [name]


def test_quasars_are_left_out_and_counted():
    batch = parse_block(plus() + plus(kind="Q", sdss="000000.45+174625.4"), GLADE_PLUS)
    assert len(batch.records) == 1
    assert batch.left_out == {"quasars": 1}
    assert batch.bad_count == 0


def test_glade_23_has_its_own_columns_and_leaves_out_clusters():
    line = (
        b"2789 NGC0253 NGC0253 00473313-2517196 null G 11.88806 -25.288799 3.92595099046 null "
        b"0.00091602 7.34 0.30 null 4.874 0.015 4.143 0.015 3.822 0.016 3 0\n"
    )
    batch = parse_block(line + line.replace(b" G ", b" C "), GLADE_23)
    (galaxy,) = batch.records
    assert galaxy["name"] == b"NGC0253"
    assert galaxy["distance"] == 3.92595099046
    assert galaxy["b_magnitude"] == np.float32(7.34)
    assert galaxy["k_magnitude"] == np.float32(3.822)
    assert batch.left_out == {"globular clusters": 1}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (plus().replace(b" G ", b" "), "39 columns"),
        (plus()[:-1] + b" 1\n", "41 columns"),
        (plus(b="bright"), "'bright' is no number"),
        (plus(ra=400), "ra 400.0"),
        (plus(dec="null"), "dec nan"),
        (plus(mass="1e"), "column 36: '1e'"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_costs_no_other(bad, reason):
    batch = parse_block(plus(gwgc="A") + bad + plus(gwgc="B"), GLADE_PLUS, line=100)
    assert batch.records["name"].tolist() == [b"A", b"B"]
    assert batch.bad_count == 1
    assert batch.bad[0].line == 101
    assert reason in batch.bad[0].reason


def test_a_line_too_short_beside_one_too_long_is_not_shifted_into_place():
    batch = parse_block(plus()[:-1].rsplit(b" ", 1)[0] + b"\n" + plus()[:-1] + b" 1\n", GLADE_PLUS)
    assert len(batch.records) == 0
    assert batch.bad_count == 2


def test_blank_lines_and_comments_are_no_rows():
    batch = parse_block(b"# a head line\n\n" + plus(), GLADE_PLUS)
    assert (len(batch.records), batch.bad_count, batch.lines) == (1, 0, 3)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_stretches_of_a_file_have_every_line_once(tmp_path, parts):
    path = tmp_path / "glade.txt"
    path.write_bytes(b"".join(plus(gwgc=f"G{n}") for n in range(50))[:-1])  # no last line feed
    size = path.stat().st_size
    names = [
        name
        for n in range(parts)
        for batch in read_text(path, GLADE_PLUS, size * n // parts, size * (n + 1) // parts)
        for name in batch.records["name"].tolist()
    ]
    assert names == [f"G{n}".encode() for n in range(50)]


def test_a_simulated_catalogue_is_read_without_a_bad_line():
    batch = parse_block(glade_plus_block(1, 0, 2000), GLADE_PLUS)
    assert batch.bad_count == 0
    assert len(batch.records) + batch.left_out["quasars"] == 2000
