"""The archive: whole or absent, in order, whatever happens to the process."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from toros import clock
from toros.errors import DiskFull, StorageFailed
from toros.lvcgcn.reception import Archive, Kept

WORKER = """
import os, sys
from pathlib import Path
from toros import clock
from toros.lvcgcn.reception import Archive

archive = Archive(Path(sys.argv[1]), clock.REAL)
archive.clear()
number = 0
while True:
    raw = b"%d %d " % (os.getpid(), number) + b"x" * 20_000
    kept = archive.keep(raw, "test")
    print(number, flush=True)
    if number % 3 == 1:
        archive.done(kept, "done")
    elif number % 3 == 2:
        archive.set_aside(kept, "because")
    number += 1
"""


class SetBack:
    """A clock that goes back an hour at each look."""

    rate = 1.0

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, 8, 15, 30, 123456, UTC)

    def now(self) -> datetime:
        self.time -= timedelta(hours=1)
        return self.time

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, event, timeout_s):
        return event.wait(timeout_s)


@pytest.fixture
def archive(tmp_path) -> Archive:
    return Archive(tmp_path / "alerts", clock.REAL)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_is_kept_waits_with_time_source_and_checksum(archive):
    before = datetime.now(UTC)
    kept = archive.keep(b'{"superevent_id": "S1"}', "kafka-igwn.gwalert")
    assert before <= kept.received <= datetime.now(UTC)
    assert kept.source == "kafka-igwn.gwalert"
    assert kept.sha256 == hashlib.sha256(kept.read()).hexdigest()[:16]
    assert kept.path.suffix == ".json"
    assert archive.waiting() == [kept]
    assert kept.read() == b'{"superevent_id": "S1"}'


@pytest.mark.parametrize(
    ("raw", "suffix"),
    [
        (b"<?xml version='1.0'?><a/>", ".xml"),
        (b"\xef\xbb\xbf \n <a/>", ".xml"),
        (b"[1]", ".json"),
        (b"\xff\x00", ".bin"),
        (b"", ".bin"),
    ],
)
def test_the_name_tells_what_it_looks_like(archive, raw, suffix):
    kept = archive.keep(raw, "x")
    assert kept.path.suffix == suffix
    assert archive.waiting()[0].read() == raw


def test_the_order_is_that_of_receipt_even_if_the_clock_goes_back(tmp_path):
    archive = Archive(tmp_path, SetBack())
    kept = [archive.keep(b"%d" % n, f"source-{9 - n}") for n in range(10)]
    assert archive.waiting() == kept


def test_the_same_bytes_twice_are_kept_twice(archive):
    first, second = archive.keep(b"same", "a"), archive.keep(b"same", "a")
    assert [kept.path for kept in archive.waiting()] == [first.path, second.path]
    assert first.path != second.path


def test_done_moves_to_the_day_with_the_outcome(archive):
    kept = archive.keep(b"<a/>", "vtp-x")
    moved = archive.done(kept, "old news!")
    assert archive.waiting() == []
    day = kept.received.date().isoformat()
    assert moved.path.parent == archive.folder / "archive" / day
    assert moved.path.name == f"{kept.path.stem}_old-news.xml"
    assert moved.read() == b"<a/>"
    assert Kept.from_path(moved.path) == moved
    assert archive.done(kept, "old news!") == moved, "once more does nothing"


def test_done_of_what_was_never_there_is_told(archive):
    kept = archive.keep(b"a", "b")
    kept.path.unlink()
    with pytest.raises(StorageFailed, match=kept.path.name):
        archive.done(kept, "done")


def test_aside_is_with_the_reason(archive):
    kept = archive.keep(b"\x00", "vtp-x")
    moved = archive.set_aside(kept, "NoticeRefused: no XML \udc80")
    assert archive.waiting() == []
    assert moved.path.parent == archive.folder / "aside"
    reason = moved.path.with_name(moved.path.name + ".reason.txt")
    assert reason.read_text() == "NoticeRefused: no XML \\udc80\n"


@pytest.mark.parametrize(
    "source",
    [
        "../../etc/passwd",
        "/",
        "",
        ".hidden",
        "a\nb\x00c",
        "ü🌌",
        "x" * 5000,
        "a_b",
        "-rf",
        "..",
        "\udc80",
    ],
)
def test_no_source_makes_a_bad_name(archive, source):
    kept = archive.keep(b"raw", source)
    assert kept.path.parent == archive.incoming
    assert len(kept.path.name) < 130
    assert archive.waiting() == [kept]
    outcome = archive.done(kept, source)
    assert outcome.path.parent.parent == archive.folder / "archive"
    assert Kept.from_path(outcome.path) == outcome


def test_strangers_in_the_folder_are_left_alone(archive):
    for name in (".partial-abc-20261121T081530.123456Z_a_0123456789abcdef.xml", "notes.txt",
                 "20261321T081530.123456Z_a_0123456789abcdef.xml"):  # fmt: skip
        (archive.incoming / name).write_bytes(b"half")
    assert archive.waiting() == []
    archive.clear()
    assert len(list(archive.incoming.iterdir())) == 2


def test_a_full_disk_refuses_and_leaves_nothing(small_disk):
    archive = Archive(small_disk, clock.REAL)
    with pytest.raises(DiskFull, match="free some space"):
        for _ in range(20):
            archive.keep(bytes(300_000), "kafka")
    waiting = archive.waiting()
    assert 0 < len(waiting) < 20
    assert all(len(kept.read()) == 300_000 for kept in waiting)
    assert len(list(archive.incoming.iterdir())) == len(waiting), "nothing half is left"


def test_on_a_full_disk_what_waits_can_still_be_set_aside(small_disk):
    archive = Archive(small_disk, clock.REAL)
    archive.keep(b"x", "a")
    with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError):
        while True:
            filler.write(bytes(4096))
    archive.set_aside(archive.waiting()[0], "r" * 60_000)
    assert archive.waiting() == []


def check_nothing_lost(folder: Path, pid: int, told: int) -> None:
    """Each notice that was told to be kept is there, whole, in exactly one place."""
    found: dict[bytes, int] = {}
    for path in folder.rglob("*Z_test_*"):
        if path.name.startswith(".partial-") or path.name.endswith(".reason.txt"):
            continue
        raw = path.read_bytes()
        assert len(raw) > 20_000, f"half: {path}"
        found[raw.split(b"x")[0]] = found.get(raw.split(b"x")[0], 0) + 1
    mine = {key: n for key, n in found.items() if key.startswith(b"%d " % pid)}
    # What was under way when the kill came may be there as well: kept, and not yet told.
    assert told <= len(mine) <= told + 1
    assert set(mine.values()) == {1}
    assert all(b"%d %d " % (pid, n) in mine for n in range(told))


def kill_at_random(folder: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder)], stdout=subprocess.PIPE, cwd=PROJECT
        ) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"0\n"
            time.sleep(rng.uniform(0, 0.15))
            worker.kill()
            told = 1 + len([n for n in worker.stdout.read().split(b"\n")[:-1] if n])
            worker.wait(20)
        check_nothing_lost(folder, worker.pid, told)
    archive = Archive(folder, clock.REAL)
    archive.clear()
    assert not [name for name in names(folder) if ".partial-" in name]
    for kept in archive.waiting():
        assert hashlib.sha256(kept.read()).hexdigest().startswith(kept.sha256)


def test_a_kill_at_any_moment_loses_nothing_and_halves_nothing(tmp_path):
    kill_at_random(tmp_path, kills=2, seed=1)


@pytest.mark.long
def test_many_kills_lose_nothing(tmp_path):
    kill_at_random(tmp_path, kills=15, seed=2)


def test_those_that_wait_are_listed_by_their_names_alone(archive):
    for number in range(500):
        name = f"20261121T081530.{number:06d}Z_kafka_0123456789abcdef.xml"
        (archive.incoming / name).symlink_to("nowhere")  # to look into it would fail
    assert [kept.received.microsecond for kept in archive.waiting()] == list(range(500))
