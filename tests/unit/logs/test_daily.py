"""The log file: days, disks that are full, folders that vanish."""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import missing_part
from toros.errors import StorageFailed
from toros.logs.daily import DailyFile
from toros.logs.line import LineFormatter

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "toros-dome.log"


def opened(path: Path, days_kept: int = 3, *, rotates: bool = True) -> DailyFile:
    handler = DailyFile(path, days_kept, rotates=rotates)
    handler.setFormatter(LineFormatter("dome"))
    return handler


def write(handler: DailyFile, message: str, moment: datetime = NOON) -> None:
    record = logging.LogRecord("toros.dome", logging.INFO, "f", 1, message, (), None)
    record.created = moment.timestamp()
    handler.handle(record)


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


def messages(path: Path) -> list[str]:
    return [line.rpartition(": ")[2] for line in path.read_text().splitlines()]


def test_a_day_ends_at_midnight_utc(path: Path) -> None:
    handler = opened(path)
    write(handler, "last", datetime(2026, 11, 21, 23, 59, 59, 999000, tzinfo=UTC))
    write(handler, "first", datetime(2026, 11, 22, tzinfo=UTC))
    handler.close()
    assert messages(path.with_name("toros-dome.log.2026-11-21")) == ["last"]
    assert messages(path) == ["first"]


def test_days_beyond_those_kept_are_removed_and_nothing_else(path: Path) -> None:
    path.parent.mkdir()
    others = ["toros.log.2020-01-01", "toros-dome.log.old", "toros-dome.log.2020-01-01.gz"]
    for name in [*others, "toros-dome.log.2020-01-01", "toros-dome.log.2020-01-01.1"]:
        path.with_name(name).touch()
    handler = opened(path)
    for day in range(8):
        write(handler, f"day {day}", NOON + timedelta(days=day))
    handler.close()
    dated = [f"toros-dome.log.2026-11-{day}" for day in (25, 26, 27)]
    assert names(path) == sorted([*others, "toros-dome.log", *dated])


def test_a_file_of_an_earlier_day_is_put_aside_at_the_start(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("old\n")
    os.utime(path, (NOON.timestamp(), NOON.timestamp()))
    handler = opened(path, 36500)
    write(handler, "new", NOON + timedelta(days=3))
    handler.close()
    assert path.with_name("toros-dome.log.2026-11-21").read_text() == "old\n"
    assert messages(path) == ["new"]


def test_a_restart_on_the_same_day_appends(path: Path) -> None:
    for message in ("one", "two"):
        handler = opened(path)
        write(handler, message, datetime.now(UTC))
        handler.close()
    assert messages(path) == ["one", "two"]


def test_a_clock_that_goes_back_overwrites_no_day(path: Path) -> None:
    for round_ in range(3):
        handler = opened(path, 36500)
        write(handler, f"round {round_}")
        write(handler, "next day", NOON + timedelta(days=1))
        handler.close()
        path.unlink()
    assert names(path) == [f"toros-dome.log.2026-11-21{end}" for end in ("", ".1", ".2")]


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_vanished_is_made_anew(path: Path, what: str) -> None:
    handler = opened(path)
    write(handler, "before")
    path.unlink()
    if what == "folder":
        path.parent.rmdir()
    write(handler, "after")
    handler.close()
    assert messages(path) == ["after"]


def test_a_file_that_logrotate_moved_is_left_alone(path: Path) -> None:
    handler = opened(path)
    write(handler, "before")
    path.rename(path.with_suffix(".1"))
    write(handler, "after")
    handler.close()
    assert messages(path) == ["after"]
    assert messages(path.with_suffix(".1")) == ["before"]


def test_what_is_lost_meanwhile_is_counted(path: Path) -> None:
    handler = opened(path)
    write(handler, "before")
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("a file in the folder's place")
    for _ in range(7):
        write(handler, "lost")
    path.parent.unlink()
    write(handler, "after")
    handler.close()
    remark, after = path.read_text().splitlines()
    assert "WARNING dome [-] toros.logs.daily: 7 lines of this log are lost: " in remark
    assert after.endswith("after")


def test_a_day_that_cannot_be_put_aside_goes_on_in_its_file(path: Path) -> None:
    handler = opened(path)
    write(handler, "before")
    long = path.with_name("x" * 250)  # room for the name, none for a date
    path.rename(long)
    handler.close()
    handler = opened(long)
    write(handler, "again")
    write(handler, "next day", NOON + timedelta(days=1))
    write(handler, "goes on", NOON + timedelta(days=1))
    handler.close()
    text = long.read_text()
    assert text.count("could not be put aside: File name too long") == 1
    assert text.endswith("goes on\n")


@pytest.mark.parametrize("in_place", ["file as folder", "folder", "pipe", "device"])
def test_what_is_no_log_file_is_refused(path: Path, in_place: str) -> None:
    if in_place == "file as folder":
        path.parent.touch()
    else:
        path.parent.mkdir()
        if in_place == "folder":
            path.mkdir()
        elif in_place == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/null")
    with pytest.raises(StorageFailed, match=r"toros-dome\.log|/log"):
        opened(path)


def test_the_file_is_not_for_everybody(path: Path) -> None:
    opened(path).close()
    assert path.stat().st_mode & 0o007 == 0


def test_a_pool_process_begins_no_new_file_but_follows(path: Path) -> None:
    daemon, worker = opened(path), opened(path, rotates=False)
    tomorrow = NOON + timedelta(days=1)
    write(daemon, "one")
    write(worker, "two", tomorrow)
    assert names(path) == ["toros-dome.log"]
    write(daemon, "three", tomorrow)
    write(worker, "four", tomorrow)
    for handler in (daemon, worker):
        handler.close()
    assert messages(path) == ["three", "four"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "toros-test", str(disk)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        missing_part("a small tmpfs (only root may mount one)", "sudo make test")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_fails_nobody(
    small_disk: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = small_disk / "toros-dome.log"
    handler = opened(path)
    write(handler, "before")
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(bytes(100_000))
    for _ in range(200):
        write(handler, "x" * 1000)
    second = opened(small_disk / "logs" / "other.log")  # the start is not refused either
    write(second, "unheard")
    ballast.unlink()
    write(handler, "after")
    write(second, "heard")
    handler.close()
    second.close()
    lines = path.read_text().splitlines()
    assert lines[0].endswith("before")
    assert "lines of this log are lost: [Errno 28] No space left on device" in lines[-2]
    assert lines[-1].endswith("after")
    assert "1 lines of this log are lost" in (small_disk / "logs" / "other.log").read_text()
    assert capfd.readouterr() == ("", "")


def test_a_line_that_was_cut_off_is_not_continued_by_the_next(path: Path) -> None:
    """A limit on the size of files cuts a line just as a full disk does."""
    handler = opened(path)
    write(handler, "before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 30, limits[1]))
    try:
        write(handler, "x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    write(handler, "after")
    handler.close()
    before, torn, remark, after = path.read_text().splitlines()
    assert before.endswith("before")
    assert len(torn) == 30
    assert "1 lines of this log are lost" in remark
    assert after.endswith("after")
