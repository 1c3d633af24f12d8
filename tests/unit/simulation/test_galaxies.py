"""The catalogue of galaxies that are not there."""

from __future__ import annotations

import numpy as np

from toros.lvcgcn.galaxies.glade import GLADE_PLUS, parse_block
from toros.simulation.galaxies import BLOCK, blocks, glade_plus_block


def test_blocks_add_up():
    assert blocks(2 * BLOCK + 7) == [BLOCK, BLOCK, 7]
    assert blocks(BLOCK) == [BLOCK]
    assert blocks(0) == []


def test_the_same_block_is_made_again_and_another_is_another():
    one = glade_plus_block(1, 5, 300)
    assert one == glade_plus_block(1, 5, 300)
    assert one != glade_plus_block(2, 5, 300)
    assert one.split()[8] != glade_plus_block(1, 6, 300).split()[8]


def test_lines_have_forty_columns_and_running_numbers():
    lines = glade_plus_block(1, 2, 300).splitlines()
    assert {len(line.split(b" ")) for line in lines} == {40}
    assert [int(line.split()[0]) for line in lines] == list(range(2 * BLOCK + 1, 2 * BLOCK + 301))


def test_it_is_shaped_like_glade_plus():
    batch = parse_block(glade_plus_block(3, 0, 20_000), GLADE_PLUS)
    galaxies = batch.records
    assert abs(batch.left_out["quasars"] / 20_000 - 0.03) < 0.005
    known = {name: np.isfinite(galaxies[name]).mean() for name in galaxies.dtype.names[1:6]}
    assert abs(known["distance"] - 0.97) < 0.01
    assert abs(known["b_magnitude"] - 0.97) < 0.01
    assert abs(known["k_magnitude"] - 0.05) < 0.01
    assert abs(known["stellar_mass"] - 0.89) < 0.02
    distance = galaxies["distance"][np.isfinite(galaxies["distance"])]
    assert 700 < np.median(distance) < 1100
    assert distance.min() > 0
    mass = galaxies["stellar_mass"][np.isfinite(galaxies["stellar_mass"])]
    assert 9 < np.median(np.log10(mass)) < 11.5


def test_numbers_survive_the_text():
    """The distance modulus ties three columns together; the name ties the place."""
    for line in glade_plus_block(4, 0, 500).decode().splitlines():
        columns = line.split()
        if "null" not in (columns[10], columns[13], columns[32]):
            modulus = 5 * np.log10(float(columns[32])) + 25
            assert abs(float(columns[10]) - float(columns[13]) - modulus) < 0.001
        if columns[5] != "null":
            name, dec = columns[5], float(columns[9])
            hours = int(name[1:3]) + int(name[3:5]) / 60 + float(name[5:10]) / 3600
            assert abs(hours * 15 - float(columns[8])) < 1e-4
            degrees = int(name[11:13]) + int(name[13:15]) / 60 + float(name[15:19]) / 3600
            assert abs(abs(dec) - degrees) < 1e-4
            assert name[10] == ("-" if dec < 0 else "+")
