"""``toros catalog``: its words and exit codes."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from toros.cli.catalog import catalog_group
from toros.lvcgcn.galaxies import versions


@pytest.fixture
def run():
    runner = CliRunner()
    return lambda *arguments: runner.invoke(catalog_group, [str(a) for a in arguments])


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "few.csv"
    rows = "".join(f"G{n},{n},{n / 2},{500 * n},12\n" for n in range(1, 150))
    path.write_text(f"Name,ra,dec,v,Kmag\n{rows}G150,1,bright,1,1\n")
    return path


def test_build_and_info(run, source, tmp_path):
    folder = tmp_path / "catalogue"
    built = run(
        "build",
        source,
        "--folder",
        folder,
        "--mapping",
        "distance=v:km/s",
        "--hubble",
        50,
        "--json",
    )
    assert built.exit_code == 0, built.output
    assert "few.csv, line 151: dec: dec 'bright' is no number; left out" in built.stderr
    told = json.loads(built.stdout)
    assert told["galaxies"] == told["with distance"] == 149
    assert told["rows that cannot be used"] == 1
    assert told["weight"].startswith("luminosity_k")
    info = run("info", "--folder", folder, "--verify", "--json")
    assert info.exit_code == 0
    assert json.loads(info.stdout) == {**told, "damaged": []}
    plain = run("info", "--folder", folder)
    assert "galaxies: 149" in plain.stdout


def test_the_folder_is_by_default_the_configured_one(run, source, tmp_path):
    configuration = tmp_path / "toros.conf.yaml"
    configuration.write_text(f"State Folder: {tmp_path / 'state'}\n")
    built = run("build", source, "--config", configuration)
    assert built.exit_code == 0, built.output
    assert versions.current(tmp_path / "state" / "catalogue") is not None


def test_a_damaged_catalogue_is_told_by_the_exit_code(run, source, tmp_path):
    run("build", source, "--folder", tmp_path / "c")
    path = versions.current(tmp_path / "c") / "place.bin"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    found = run("info", "--folder", tmp_path / "c", "--verify")
    assert found.exit_code == 1
    assert "damaged: place" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("info", "--folder", "{tmp}/none"), "make one with `toros catalog build`"),
        (("info", "--folder", "{tmp}/none"), "ranks the packaged catalogue"),
        (("build", "{source}", "--folder", "{tmp}/c", "--mapping", "ra=x"), "no such field"),
        (("build", "{source}", "--folder", "{tmp}/c", "--bad-share", "0.001"), "1 of 150 rows"),
        (("build", "{source}", "--folder", "{tmp}/c", "--format", "glade+"), "cannot be used"),
    ],
)
def test_refusals(run, source, tmp_path, arguments, words):
    told = run(*(a.format(tmp=tmp_path, source=source) for a in arguments))
    assert told.exit_code == 1
    assert "CatalogueRefused (504)" in told.stderr
    assert words in told.stderr
    assert told.stdout == ""
