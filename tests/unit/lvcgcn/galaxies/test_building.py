"""Building a catalogue, and replacing one that is in use."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.galaxy_fields import MADE, make_catalogue, random_galaxies
from toros.errors import CatalogueRefused, StorageFailed
from toros.lvcgcn.galaxies import versions
from toros.lvcgcn.galaxies.building import build
from toros.lvcgcn.galaxies.catalogue import Catalogue
from toros.lvcgcn.galaxies.mapping import read_mapping
from toros.lvcgcn.galaxies.reading import recognise
from toros.simulation.galaxies import blocks, glade_plus_block

PROJECT = Path(__file__).resolve().parents[4]


def glade_plus(path, rows, seed=1):
    with path.open("wb") as file:
        for number, count in enumerate(blocks(rows)):
            file.write(glade_plus_block(seed, number, count))
    return path


def contents(folder):
    version = versions.current(folder)
    return {p.name: p.read_bytes() for p in version.iterdir() if p.suffix == ".bin"}


def test_the_real_groups_of_kourkchi_and_tully(shared_data, tmp_path):
    built = build(
        shared_data / "catalogues" / "KourkchiTully2017_groups.csv",
        tmp_path,
        made=MADE,
        mapping=read_mapping(["distance=VLS:km/s"]),
    )
    assert (built.rows, built.bad_count) == (15004, 0)
    catalogue = built.catalogue
    row = catalogue.names(np.arange(15004)).index("NGC4993")
    assert catalogue.columns["distance"][row] == pytest.approx(2692 / 70)
    assert catalogue.columns["k_magnitude"][row] == np.float32(9.29)
    assert catalogue.known("luminosity_k") > 0.9


def test_two_processes_make_the_same_catalogue_as_one(tmp_path):
    source = glade_plus(tmp_path / "glade.txt", 3000)
    with source.open("ab") as file:
        file.write(b"no galaxy\n")
    one = build(source, tmp_path / "one", made=MADE)
    progress = []
    two = build(
        source,
        tmp_path / "two",
        made=MADE,
        processes=2,
        progress=lambda *told: progress.append(told),
    )
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert one.left_out == two.left_out
    assert one.rows == two.rows == 3000 - one.left_out["quasars"]
    assert [bad.line for bad in two.bad] == [bad.line for bad in one.bad] == [3001]
    reading = [done for stage, done, _ in progress if stage == "reading"]
    writing = [done for stage, done, _ in progress if stage == "writing"]
    assert sum(reading) == source.stat().st_size
    assert sum(writing) == two.rows


def test_the_order_of_the_source_does_not_matter(tmp_path):
    source = glade_plus(tmp_path / "glade.txt", 500)
    lines = source.read_bytes().splitlines(keepends=True)
    random.Random(3).shuffle(lines)
    other = tmp_path / "shuffled.txt"
    other.write_bytes(b"".join(lines))
    build(source, tmp_path / "one", made=MADE)
    build(other, tmp_path / "two", made=MADE)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_bad_rows_are_counted_until_they_are_too_many(tmp_path):
    source = glade_plus(tmp_path / "glade.txt", 500)
    with source.open("ab") as file:
        file.write(b"no galaxy\n" * 4)
    built = build(source, tmp_path / "catalogue", made=MADE)
    assert built.bad_count == 4
    assert built.bad[0].line == 501
    with pytest.raises(CatalogueRefused, match="line 501: 2 columns, where 40 should be"):
        build(source, tmp_path / "catalogue", made=MADE, bad_share=0.001)
    assert Catalogue.open(tmp_path / "catalogue").facts["bad_rows"] == 4


@pytest.mark.parametrize("content", [b"", b"ra,dec\n", b"ra,dec\n,\n"])
def test_a_source_without_galaxies_is_refused_and_the_old_catalogue_stays(tmp_path, content):
    make_catalogue(tmp_path, random_galaxies(np.random.default_rng(1), 10))
    before = versions.current(tmp_path)
    source = tmp_path / "empty.csv"
    source.write_bytes(content)
    with pytest.raises(CatalogueRefused):
        build(source, tmp_path, made=MADE, bad_share=1.0)
    assert versions.current(tmp_path) == before
    assert len(Catalogue.open(tmp_path)) == 10


def test_forms_are_recognised(tmp_path):
    assert recognise(tmp_path / "a.CSV") == "csv"
    assert recognise(tmp_path / "a.vot") == "votable"
    text = tmp_path / "a.txt"
    text.write_text("x " * 40 + "\n")
    assert recognise(text) == "glade+"
    text.write_text("x " * 22 + "\n")
    assert recognise(text) == "glade2.3"
    text.write_text("x " * 21 + "\n")
    with pytest.raises(CatalogueRefused, match="21 columns in its first line"):
        recognise(text)
    with pytest.raises(CatalogueRefused, match="No such file"):
        recognise(tmp_path / "none.txt")


def test_only_one_build_at_a_time(tmp_path):
    make_catalogue(tmp_path, random_galaxies(np.random.default_rng(1), 10))
    with (
        versions.new_version(tmp_path),
        pytest.raises(CatalogueRefused, match="another build"),
        versions.new_version(tmp_path),
    ):
        pass


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match="file"):
        make_catalogue(tmp_path / "file", random_galaxies(np.random.default_rng(1), 10))


def test_who_has_the_old_catalogue_open_keeps_it(tmp_path):
    old = make_catalogue(tmp_path, random_galaxies(np.random.default_rng(1), 300))
    names = old.names(np.arange(300))
    new = make_catalogue(tmp_path, random_galaxies(np.random.default_rng(2), 200))
    assert not old.version.exists()
    assert old.names(np.arange(300)) == names
    assert np.isfinite(old.columns["distance_f4"]).sum() > 200
    assert len(new) == len(Catalogue.open(tmp_path)) == 200
    assert {p.name for p in tmp_path.iterdir()} == {new.version.name, "current", ".lock"}


BUILDER = """
import sys
from pathlib import Path
import numpy as np
from tests.galaxy_fields import make_catalogue, random_galaxies
number = 0
while True:
    number += 1
    rows = 100 + number % 50
    make_catalogue(Path(sys.argv[1]), random_galaxies(np.random.default_rng(number), rows))
    print("ready", flush=True)
"""

READER = """
import sys
from pathlib import Path
import numpy as np
from toros.errors import CatalogueRefused
from toros.lvcgcn.galaxies.catalogue import Catalogue
seen = set()
print("ready", flush=True)
opened = 0
while not Path(sys.argv[2]).exists():
    catalogue = Catalogue.open(Path(sys.argv[1]))
    rows = len(catalogue)
    assert {len(c) for n, c in catalogue.columns.items() if n not in ("names", "cell")} == {rows}
    assert len(set(catalogue.names(np.arange(rows)))) == rows
    assert (np.diff(catalogue.columns["place"]) >= 0).all()
    assert catalogue.columns["cell"][-1] == rows
    seen.add(catalogue.version.name)
    opened += 1
print(opened, len(seen), flush=True)
"""


def replaced_under_a_reader(tmp_path, kills):
    """Build again and again, killed at random moments, under a reader that never misses it."""
    folder, stop = tmp_path / "catalogue", tmp_path / "stop"
    make_catalogue(folder, random_galaxies(np.random.default_rng(0), 100))
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}

    def run(program, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(folder), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        return process

    reader = run(READER, str(stop))
    chance = random.Random(4)
    try:
        for _ in range(kills):
            builder = run(BUILDER)
            time.sleep(chance.uniform(0, 0.3))
            builder.send_signal(signal.SIGKILL)
            builder.communicate(timeout=30)
            assert reader.poll() is None, reader.stderr.read()
            Catalogue.open(folder)
    finally:
        stop.touch()
        told, errors = reader.communicate(timeout=60)
    assert reader.returncode == 0, errors
    opened, versions_seen = map(int, told.split())
    assert opened > versions_seen > 1
    # What the killed ones have left goes with the next build.
    new = make_catalogue(folder, random_galaxies(np.random.default_rng(0), 100))
    assert {p.name for p in folder.iterdir()} == {new.version.name, "current", ".lock"}


def test_a_reader_never_finds_none_or_half_while_builders_are_killed(tmp_path):
    replaced_under_a_reader(tmp_path, 3)


@pytest.mark.long
def test_a_reader_never_finds_none_or_half_while_many_builders_are_killed(tmp_path):
    replaced_under_a_reader(tmp_path, 12)


def test_the_processes_of_a_killed_build_end_too(tmp_path):
    source = glade_plus(tmp_path / "glade.txt", 60_000)
    program = (
        "import sys\nfrom pathlib import Path\nfrom tests.galaxy_fields import MADE\n"
        "from toros.lvcgcn.galaxies import building\n"
        "if __name__ == '__main__':\n"
        "    building.build(Path(sys.argv[1]), Path(sys.argv[2]), made=MADE, processes=2,\n"
        "        progress=lambda *told: print('at it', flush=True))\n"
    )
    script = tmp_path / "program.py"
    script.write_text(program)
    process = subprocess.Popen(
        [sys.executable, str(script), str(source), str(tmp_path / "catalogue")],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    assert process.stdout.readline() == "at it\n"
    children = _children(process.pid)
    assert children
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while any(_is_running(child) for child in children):
        assert time.monotonic() < deadline, "a process of the build goes on alone"
        time.sleep(0.05)
    assert versions.current(tmp_path / "catalogue") is None


def _children(pid):
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_running(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_manifest_tells_where_it_comes_from(tmp_path):
    source = glade_plus(tmp_path / "glade.txt", 500)
    built = build(source, tmp_path / "catalogue", made=MADE)
    facts = json.loads((built.catalogue.version / "manifest.json").read_text())
    assert facts["source"] == {
        "name": "glade.txt", "form": "glade+", "bytes": source.stat().st_size
    }  # fmt: skip
    assert facts["built"] == "2026-01-02T03:04:05+00:00"
    assert facts["rows"] == built.rows
    assert facts["lines"] == 500
    assert set(facts["columns"]) == set(built.catalogue.columns)
