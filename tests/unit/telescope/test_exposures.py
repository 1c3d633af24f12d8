"""Exposures are stored whole, once, under a name of their own, and recorded, whatever happens."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select, text

from tests.unit.telescope.observing import NIGHT, frame, known, prepared
from toros import clock
from toros.database.batches import Batches
from toros.database.exposures import NOT_IN_REPOSITORY, TakenExposures, bare_row
from toros.database.models import Exposure
from toros.database.observing import TakenExposure
from toros.database.session import Database
from toros.devices.protocols import RawFrame
from toros.errors import DeviceNonsense, DiskFull, StorageFailed
from toros.images.headers import Origin
from toros.telescope import nights
from toros.telescope.exposures import ExposureStore

PATIENCE_S = 20.0


@pytest.fixture
def database(database_url):
    database = prepared(database_url)
    yield database
    database.close()


@pytest.fixture
def sqlite(tmp_path):
    database = prepared(f"sqlite:///{tmp_path / 'toros.db'}")
    yield database
    database.close()


@pytest.fixture
def opened():
    stores = []

    def open_store(folder, database, **options):
        options = {"reserve_bytes": 0, **options}
        made = ExposureStore(folder, TakenExposures(database, clock.REAL), **options)
        made.start()
        stores.append(made)
        return made

    yield open_store
    for made in stores:
        made.close()


def files_below(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_frame_becomes_a_file_and_a_row(database, tmp_path, opened):
    exposures = opened(tmp_path / "incoming", database)
    shot = frame()
    stored = exposures.store(shot, known())
    assert stored.path == tmp_path / "incoming" / NIGHT / f"{NIGHT}_00001_light_NGC-4993.fits"
    assert stored.sha256 == hashlib.sha256(stored.path.read_bytes()).hexdigest()
    assert files_below(tmp_path / "incoming") == [stored.path]
    assert np.array_equal(fits.getdata(stored.path), shot.data)
    assert exposures.settle(PATIENCE_S)
    (row,) = exposures.taken.find(night=NIGHT)
    assert (row.sequence, row.order_id, row.sha256) == (1, "o-1", stored.sha256)
    with database.reading() as session:
        (exposure,) = session.scalars(select(Exposure))
        assert exposure.path == NOT_IN_REPOSITORY
        assert exposure.name == stored.path.name
        assert (exposure.exposure_type, exposure.filter, exposure.exposure_time) == (
            "light", "R", 30.0,
        )  # fmt: skip
        assert (exposure.npix1, exposure.npix2, exposure.temperature) == (30, 20, -20.0)
        assert exposure.start == known().start_utc
        assert exposure.size_bytes == stored.path.stat().st_size


def test_the_preprocessor_takes_the_same_exposure_over(database, tmp_path, opened):
    exposures = opened(tmp_path, database)
    stored = exposures.store(frame(), known())
    assert exposures.settle(PATIENCE_S)
    batches = Batches(database, clock.REAL)
    (row,) = batches.known([stored.sha256]).values()
    batch = batches.of_url(str(stored.path.parent))
    batches.register(batch.id, [replace(row, path="batch-000001/raw/x.fits")], [])
    exposures.taken.record(replace(row, id=None), Origin(NIGHT, 1, "o-1", None))  # told again
    with database.reading() as session:
        (exposure,) = session.scalars(select(Exposure))
        (taken,) = session.scalars(select(TakenExposure))
    assert exposure.path == "batch-000001/raw/x.fits"
    assert (taken.exposure_id, taken.night, taken.sequence) == (exposure.id, NIGHT, 1)


def test_numbers_go_up_and_nothing_is_overwritten(sqlite, tmp_path, opened):
    first = opened(tmp_path, sqlite)
    paths = [first.store(frame(n), known(target_name=None)).path for n in range(1, 4)]
    assert [path.name for path in paths] == [f"{NIGHT}_0000{n}_light.fits" for n in (1, 2, 3)]
    assert first.settle(PATIENCE_S)
    first.close()
    paths[2].unlink()  # moved away: its number is not given again
    after_restart = opened(tmp_path, sqlite)
    assert after_restart.store(frame(), known()).sequence == 4


def test_another_stores_file_is_not_overwritten(sqlite, tmp_path, opened):
    one, two = opened(tmp_path, sqlite), opened(tmp_path, sqlite)
    assert one.store(frame(1), known()).sequence == 1
    content = (tmp_path / NIGHT / f"{NIGHT}_00001_light_NGC-4993.fits").read_bytes()
    two._last[NIGHT] = 0  # as if both had looked at the same moment
    stored = two.store(frame(2), known())
    assert stored.sequence == 2
    assert fits.getheader(stored.path)["SEQNUM"] == 2
    assert (tmp_path / NIGHT / f"{NIGHT}_00001_light_NGC-4993.fits").read_bytes() == content


def test_threads_get_numbers_of_their_own(sqlite, tmp_path, opened):
    exposures = opened(tmp_path, sqlite)
    stored = []
    threads = [
        threading.Thread(target=lambda n=n: stored.append(exposures.store(frame(n), known())))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.sequence for one in stored) == list(range(1, 9))
    assert exposures.settle(PATIENCE_S)
    assert len(exposures.taken.find(order_id="o-1")) == 8


def test_the_same_input_gives_the_same_bytes(tmp_path, opened):
    digests = set()
    for name in ("a", "b"):  # a database for each: in one the second frame is number 2
        database = prepared(f"sqlite:///{tmp_path / name}.db")
        digests.add(opened(tmp_path / name, database).store(frame(), known()).sha256)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", "etc-passwd"),
        ("Ω Cen", "Cen"),
        ("a/b\x00c", "a-b-c"),
        ("x" * 300, "x" * 40),
        (None, None),
        ("///", None),
        ("M 31 + ref", "M-31-+-ref"),
    ],
)
def test_names_of_files_are_plain(name, expected):
    end = "" if expected is None else f"_{expected}"
    assert nights.file_name(known(sequence=7, target_name=name)) == f"{NIGHT}_00007_light{end}.fits"


class TestFullDisk:
    def fill(self, folder):
        filler = folder / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(bytes(65536))
            except OSError:
                pass
        return filler

    def test_a_frame_is_kept_and_written_when_there_is_room(
        self, small_disk, sqlite, opened, caplog
    ):
        exposures = opened(small_disk, sqlite)
        exposures.reserve((500, 500), 2)
        filler = self.fill(small_disk)
        shot = frame(shape=(500, 500))
        with caplog.at_level(logging.ERROR):
            stored = exposures.store(shot, known())
        assert stored.waits
        assert "kept in memory" in caplog.text
        # A try to write it again may be under way just now; it leaves nothing half behind.
        deadline = time.monotonic() + PATIENCE_S
        while files_below(small_disk) != [filler]:
            assert time.monotonic() < deadline
        with pytest.raises(DiskFull, match="1 frames wait to be written"):
            exposures.reserve((1, 1), 2)
        assert exposures.state()["frames_waiting"] == 1
        assert not exposures.settle(0.1)
        filler.unlink()
        assert exposures.settle(PATIENCE_S)
        assert np.array_equal(fits.getdata(stored.path), shot.data)
        assert [row.sequence for row in exposures.taken.find(night=NIGHT)] == [1]
        exposures.reserve((500, 500), 2)
        assert exposures.state() == {"frames_waiting": 0, "rows_waiting": 0, "trouble": ""}

    def test_no_exposure_is_begun_that_would_not_fit(self, small_disk, sqlite, opened):
        exposures = opened(small_disk, sqlite)
        with pytest.raises(DiskFull, match="must stay free"):
            exposures.reserve((2000, 2000), 2)
        with pytest.raises(DiskFull):
            opened(small_disk, sqlite, reserve_bytes=1_900_000).reserve((500, 500), 2)

    def test_what_is_more_than_may_wait_stays_the_callers(self, small_disk, sqlite, opened):
        exposures = opened(small_disk, sqlite)
        self.fill(small_disk)
        waiting = [exposures.store(frame(n, (300, 300)), known()) for n in range(8)]
        assert all(stored.waits for stored in waiting)
        with pytest.raises(DiskFull):
            exposures.store(frame(9, (300, 300)), known())

    def test_what_is_lost_at_the_end_is_named(self, small_disk, sqlite, opened, caplog):
        exposures = opened(small_disk, sqlite)
        self.fill(small_disk)
        exposures.store(frame(shape=(500, 500)), known())
        with caplog.at_level(logging.ERROR):
            exposures.close()
        assert f"lost: exposure {NIGHT}_00001_light_NGC-4993.fits" in caplog.text
        exposures._waiting.clear()


def test_a_folder_that_is_away_is_waited_for(sqlite, tmp_path, opened):
    exposures = opened(tmp_path / "disk", sqlite)
    (tmp_path / "disk").rmdir()
    (tmp_path / "disk").write_text("a file where the disk was mounted")
    stored = exposures.store(frame(), known())
    assert stored.waits
    with pytest.raises((DiskFull, StorageFailed)):
        exposures.reserve((1, 1))
    (tmp_path / "disk").unlink()
    assert exposures.settle(PATIENCE_S)
    (row,) = exposures.taken.find()
    assert row.sequence == 1


def test_a_frame_without_pixels_is_the_cameras_nonsense(sqlite, tmp_path, opened):
    with pytest.raises(DeviceNonsense):
        opened(tmp_path, sqlite).store(RawFrame(np.zeros((0, 0), np.uint16), None, None), known())


def test_a_defect_of_the_header_does_not_cost_the_frame(sqlite, tmp_path, opened, caplog):
    odd = known(binning="two", pixel_um=(9.0, 9.0), focal_length_mm=500.0)
    stored = opened(tmp_path, sqlite).store(frame(), odd)
    assert np.array_equal(fits.getdata(stored.path), frame().data)
    assert fits.getheader(stored.path)["SEQNUM"] == 1
    assert "a defect in making the header" in caplog.text


class TestCamerasWord:
    start = known().start_utc

    def header(self, opened, database, folder, shot):
        return fits.getheader(opened(folder, database).store(shot, known()).path)

    def test_its_start_and_exposure_time_count(self, opened, sqlite, tmp_path):
        told = replace(frame(), start=self.start + timedelta(seconds=1.5), exposure_time_s=12.5)
        header = self.header(opened, sqlite, tmp_path, told)
        assert (header["DATE-OBS"], header["EXPTIME"]) == ("2026-06-11T01:02:04.956789", 12.5)

    def test_a_clock_that_is_off_is_not_believed(self, opened, sqlite, tmp_path):
        told = replace(frame(), start=datetime(1970, 1, 1, tzinfo=UTC), exposure_time_s=-1.0)
        header = self.header(opened, sqlite, tmp_path, told)
        assert (header["DATE-OBS"], header["EXPTIME"]) == ("2026-06-11T01:02:03.456789", 30.0)
        assert "clock of the camera is off" in str(header["COMMENT"])


class TestDatabaseAway:
    def test_files_get_their_rows_when_it_is_back(self, tmp_path, opened):
        folder = tmp_path / "database"
        folder.mkdir()
        url = f"sqlite:///{folder / 'toros.db'}"
        database = prepared(url)
        exposures = opened(tmp_path / "incoming", database)
        exposures.settle(PATIENCE_S)
        database.close()
        folder.rename(tmp_path / "away")
        started = time.monotonic()
        stored = [exposures.store(frame(n), known()) for n in range(3)]
        assert time.monotonic() - started < 5  # observing is not held up
        assert [one.waits for one in stored] == [False] * 3
        assert not exposures.settle(0.5)
        while (tmp_path / "away").exists():
            shutil.rmtree(folder, ignore_errors=True)  # an attempt may have made a new one
            with suppress(OSError):
                (tmp_path / "away").rename(folder)
        assert exposures.settle(PATIENCE_S)
        assert [row.sequence for row in exposures.taken.find()] == [1, 2, 3]
        database.close()

    def test_what_a_crash_left_without_a_row_gets_it_at_the_start(self, sqlite, tmp_path, opened):
        lost = opened(tmp_path / "incoming", Database("sqlite:////nowhere/at/all.db"))
        stored = [lost.store(frame(n), known(order_id=f"o-{n}")) for n in range(3)]
        lost.close()
        (tmp_path / "incoming" / "2019-03-05").mkdir()
        fits.PrimaryHDU(np.ones((4, 4))).writeto(
            tmp_path / "incoming" / "2019-03-05" / "2019-03-05_00001_light.fits"
        )  # by hand, with a name like ours
        (tmp_path / "incoming" / NIGHT / "notes.txt").write_text("by hand")
        (tmp_path / "incoming" / NIGHT / f"{NIGHT}_00009_dark.fits").write_bytes(b"broken")
        exposures = opened(tmp_path / "incoming", sqlite)
        assert exposures.settle(PATIENCE_S)
        rows = exposures.taken.find()
        assert [row.sha256 for row in rows] == [one.sha256 for one in stored]
        assert [row.order_id for row in rows] == ["o-0", "o-1", "o-2"]

    def test_a_schema_without_the_tables_is_waited_for_too(self, tmp_path, opened):
        database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
        exposures = opened(tmp_path / "incoming", database)
        assert not exposures.store(frame(), known()).waits
        assert not exposures.settle(0.3)
        database.close()


def test_leftovers_of_interrupted_writes_are_removed_after_a_while(sqlite, tmp_path, opened):
    night = tmp_path / NIGHT
    night.mkdir()
    old, young = (nights.staged(night / name) for name in ("a.fits", "b.fits"))
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    assert opened(tmp_path, sqlite).settle(PATIENCE_S)
    assert (old.exists(), young.exists()) == (False, True)


def test_a_row_that_cannot_be_made_keeps_no_other_from_its(database, tmp_path, opened):
    exposures = opened(tmp_path, database)
    exposures.store(frame(1), known(order_id="\ud800\x00"))  # no database holds that
    exposures.store(frame(2), known())
    assert exposures.settle(PATIENCE_S)
    assert 2 in {row.sequence for row in exposures.taken.find()}


def test_a_number_that_is_taken_does_not_cost_the_exposures_row(database, tmp_path, opened):
    exposures = opened(tmp_path, database)
    exposures.store(frame(), known())
    assert exposures.settle(PATIENCE_S)
    other = bare_row("other.fits", "f" * 64, 2880)
    exposures.taken.record(other, Origin(NIGHT, 1, None, None))
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM exposure")) == 2
        assert session.scalar(text("SELECT count(*) FROM taken_exposure")) == 1


def test_a_target_that_is_not_known_is_left_out(database, tmp_path, opened):
    exposures = opened(tmp_path, database)
    exposures.store(frame(), known(target_id=12345))
    assert exposures.settle(PATIENCE_S)
    assert [row.target_id for row in exposures.taken.find()] == [None]
