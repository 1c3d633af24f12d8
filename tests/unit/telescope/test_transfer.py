"""Copies of exposures are whole, verified, and never replace anything."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.telescope.observing import NIGHT, frame, known, prepared
from toros import clock
from toros.database.exposures import TakenExposures
from toros.errors import DamagedFile, DiskFull, InvalidField, NoUsableFrames, OrderCancelled
from toros.telescope.exposures import ExposureStore
from toros.telescope.transfer import CHECKSUMS, check_destination, copy_exposures


def silent(_fraction, _text):
    pass


@pytest.fixture
def taken(tmp_path):
    database = prepared(f"sqlite:///{tmp_path / 'toros.db'}")
    taken = TakenExposures(database, clock.REAL)
    exposures = ExposureStore(tmp_path / "incoming", taken, reserve_bytes=0)
    exposures.start()
    for number in range(4):
        exposures.store(frame(number, (300, 300)), known(order_id=f"o-{number // 2}"))
    assert exposures.settle(20)
    exposures.close()
    yield taken
    database.close()


def copy(taken, tmp_path, destination, progress=silent, **which):
    rows = taken.find(**(which or {"night": NIGHT}))
    return copy_exposures(
        rows, tmp_path / "incoming", destination, reserve_bytes=0, progress=progress
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_night_is_copied_and_can_be_checked(taken, tmp_path):
    told = copy(taken, tmp_path, tmp_path / "archive" / "night")
    assert (told["copied"], told["already_there"], told["exposures"]) == (4, 0, 4)
    check = ["sha256sum", "--check", "--strict", CHECKSUMS]
    assert subprocess.run(check, cwd=tmp_path / "archive" / "night").returncode == 0
    assert len(names(tmp_path / "archive" / "night")) == 5


def test_orders_are_added_to_what_is_there(taken, tmp_path):
    target = tmp_path / "archive"
    assert copy(taken, tmp_path, target, order_id="o-0")["copied"] == 2
    assert len((target / CHECKSUMS).read_text().splitlines()) == 2
    told = copy(taken, tmp_path, target)
    assert (told["copied"], told["already_there"]) == (2, 2)
    assert len((target / CHECKSUMS).read_text().splitlines()) == 4


def test_an_interrupted_copy_goes_on(taken, tmp_path):
    def cancel(fraction, _text):
        if fraction >= 0.5:
            raise OrderCancelled

    with pytest.raises(OrderCancelled):
        copy(taken, tmp_path, tmp_path / "archive", cancel)
    assert len(names(tmp_path / "archive")) == 2
    assert copy(taken, tmp_path, tmp_path / "archive")["copied"] == 2


def test_another_file_of_that_name_stays(taken, tmp_path):
    target = tmp_path / "archive"
    target.mkdir()
    row = taken.find(night=NIGHT)[0]
    (target / row.name).write_text("mine")
    copy(taken, tmp_path, target)
    assert (target / row.name).read_text() == "mine"
    assert (target / f"{row.name[:-5]}.{row.sha256[:12]}.fits").is_file()
    assert copy(taken, tmp_path, target)["copied"] == 0


def test_what_is_damaged_or_gone_is_named_and_the_rest_copied(taken, tmp_path):
    rows = taken.find(night=NIGHT)
    folder = tmp_path / "incoming" / NIGHT
    (folder / rows[0].name).unlink()
    content = bytearray((folder / rows[1].name).read_bytes())
    content[-1] ^= 1
    (folder / rows[1].name).write_bytes(content)
    with pytest.raises(DamagedFile, match="2 of 4 exposures were not copied") as raised:
        copy(taken, tmp_path, tmp_path / "archive")
    assert "is not there" in raised.value.message
    assert "is not what was recorded" in raised.value.message
    assert names(tmp_path / "archive") == sorted([CHECKSUMS, rows[2].name, rows[3].name])


def test_a_full_disk_is_told_before(taken, tmp_path, small_disk):
    rows = taken.find(night=NIGHT) * 4
    with pytest.raises(DiskFull):
        copy_exposures(rows, tmp_path / "incoming", small_disk, reserve_bytes=0, progress=silent)
    assert names(small_disk) == []


def test_nothing_to_copy(taken, tmp_path):
    with pytest.raises(NoUsableFrames):
        copy(taken, tmp_path, tmp_path / "archive", order_id="o-99")


def test_a_destination_is_where_the_configuration_allows_it(tmp_path):
    archive, exposures = tmp_path / "archive", tmp_path / "incoming"
    check_destination(archive / "a", [archive], exposures)
    (tmp_path / "out").mkdir()
    archive.mkdir()
    (archive / "link").symlink_to(tmp_path / "out")
    for bad in (
        Path("archive"),
        archive / ".." / "out",
        tmp_path / "out",
        archive / "link" / "x",
        exposures / "x",
    ):
        with pytest.raises(InvalidField, match="destination"):
            check_destination(bad, [archive, exposures], exposures)
    with pytest.raises(InvalidField):
        check_destination(archive, [], exposures)


def test_a_copy_without_its_source_is_still_there(taken, tmp_path):
    copy(taken, tmp_path, tmp_path / "archive")
    shutil.rmtree(tmp_path / "incoming")
    assert copy(taken, tmp_path, tmp_path / "archive")["already_there"] == 4
