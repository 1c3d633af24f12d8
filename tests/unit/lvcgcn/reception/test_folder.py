"""The watched folder: whole files only, removed once they are archived."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

import pytest

from tests.system.brokers import wait_until
from toros import clock
from toros.config.alerts import Folder
from toros.errors import DiskFull
from toros.lvcgcn.reception.folder import LIMIT_BYTES, FolderReceiver

SETTLED_S = 0.3


class Shelf:
    """Keeps what comes, or raises; notes what lay in the folder at that moment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: list[bytes] = []
        self.sources: set[str] = set()
        self.still_there: list[bool] = []
        self.error: Exception | None = None

    def keep(self, raw: bytes, source: str) -> None:
        if self.error is not None:
            raise self.error
        files = [path for path in self.folder.iterdir() if path.is_file()]
        self.still_there.append(any(path.read_bytes() == raw for path in files))
        self.kept.append(raw)
        self.sources.add(source)


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "watched"
    made.mkdir()
    return made


@pytest.fixture
def shelf(folder) -> Shelf:
    return Shelf(folder)


@pytest.fixture
def receiver(folder, shelf):
    settings = Folder.model_validate({"Name": "hand", "Path": str(folder)})
    made = FolderReceiver(settings, shelf.keep, clock.REAL, poll_s=0.05, settled_s=SETTLED_S)
    made.start()
    yield made
    made.stop(5.0)


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def errors(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]


def test_files_are_archived_before_they_are_removed(folder, shelf, receiver):
    for number in range(3):
        (folder / f"{number}.xml").write_bytes(b"<a>%d</a>" % number)
    wait_until(lambda: not left(folder), "all are taken")
    assert shelf.kept == [b"<a>%d</a>" % number for number in range(3)], "as they were written"
    assert shelf.still_there == [True] * 3
    assert shelf.sources == {"folder-hand"}
    assert receiver.state()["received"] == 3


def test_a_file_that_is_being_written_is_left_until_it_is_whole(folder, shelf, receiver):
    with (folder / "slow.json").open("wb", buffering=0) as file:
        for _ in range(12):
            file.write(b"piece ")
            time.sleep(SETTLED_S / 4)
        assert shelf.kept == []
    wait_until(lambda: shelf.kept, "it is taken")
    assert shelf.kept == [b"piece " * 12]


def test_a_file_that_was_renamed_into_it_is_taken(folder, shelf, receiver):
    for name in (".hidden", "a.xml.part", "b.json.tmp", "c.xml~"):
        (folder / name).write_bytes(b"half")
    (folder / ".whole").write_bytes(b"whole")
    (folder / ".whole").rename(folder / "whole.xml")
    wait_until(lambda: shelf.kept, "it is taken")
    time.sleep(2 * SETTLED_S)
    assert shelf.kept == [b"whole"]
    assert len(left(folder)) == 4


def test_folders_links_and_pipes_are_left_alone(folder, shelf, receiver, tmp_path):
    (folder / "sub").mkdir()
    (folder / "sub" / "x.xml").write_bytes(b"x")
    (tmp_path / "outside").write_bytes(b"secret")
    (folder / "link.xml").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "pipe.xml")
    (folder / "last.xml").write_bytes(b"last")
    wait_until(lambda: shelf.kept, "the file is taken")
    time.sleep(0.2)
    assert shelf.kept == [b"last"]
    assert (folder / "link.xml").is_symlink()


@pytest.mark.parametrize("name", [b"\xff\xfe.xml", b"new\nline.xml", b"-rf *.xml", b"x" * 250])
def test_any_name(folder, shelf, receiver, name):
    (Path(os.fsdecode(os.fsencode(folder) + b"/" + name))).write_bytes(b"raw")
    wait_until(lambda: not left(folder), "it is taken")
    assert shelf.kept == [b"raw"]


def test_a_full_disk_leaves_the_file_and_is_told_once(folder, shelf, receiver, caplog):
    shelf.error = DiskFull("/archive: no space left")
    (folder / "a.xml").write_bytes(b"a")
    wait_until(lambda: receiver.state()["trouble"], "it is told")
    time.sleep(0.3)
    assert left(folder) == ["a.xml"]
    shelf.error = None
    wait_until(lambda: shelf.kept == [b"a"] and not left(folder), "it is taken")
    assert receiver.state()["trouble"] == ""
    assert len(errors(caplog)) == 1


def test_a_defect_of_the_archive_ends_nothing(folder, shelf, receiver, caplog):
    shelf.error = RuntimeError("a defect")
    (folder / "a.xml").write_bytes(b"a")
    wait_until(lambda: "a defect" in receiver.state()["trouble"], "it is told")
    time.sleep(0.3)
    shelf.error = None
    wait_until(lambda: shelf.kept == [b"a"] and not left(folder), "it is taken")
    assert len(errors(caplog)) == 1


def test_a_file_that_is_too_large_is_set_aside(folder, shelf, receiver, caplog):
    with (folder / "huge.xml").open("wb") as file:
        file.truncate(LIMIT_BYTES + 1)
    wait_until((folder / "aside" / "huge.xml.reason.txt").exists, "it is set aside")
    assert left(folder) == ["aside/huge.xml", "aside/huge.xml.reason.txt"]
    assert "at most 64000000" in (folder / "aside" / "huge.xml.reason.txt").read_text()
    assert len(errors(caplog)) == 1
    with (folder / "huge.xml").open("wb") as file:
        file.truncate(LIMIT_BYTES + 1)
    wait_until(lambda: len(left(folder)) == 4, "a second one beside the first")


def test_a_folder_that_is_missing_is_told_once_and_found_again(folder, shelf, receiver, caplog):
    caplog.set_level(logging.INFO)
    folder.rename(folder.with_name("away"))
    wait_until(lambda: receiver.state()["trouble"], "it is told")
    time.sleep(0.2)
    assert receiver.state()["connected"] is False
    folder.with_name("away").rename(folder)
    (folder / "a.xml").write_bytes(b"a")
    wait_until(lambda: shelf.kept == [b"a"], "it is taken")
    assert len(errors(caplog)) == 1
    assert "can be read again" in caplog.text


def test_a_file_that_is_replaced_meanwhile_is_taken_too(folder, tmp_path):
    kept: list[bytes] = []
    replaced = threading.Event()

    def keep(raw: bytes, _source: str) -> None:
        kept.append(raw)
        if not replaced.is_set():
            (folder / ".new").write_bytes(b"new one")
            (folder / ".new").rename(folder / "a.xml")
            replaced.set()

    (folder / "a.xml").write_bytes(b"old")
    settings = Folder.model_validate({"Name": "hand", "Path": str(folder)})
    receiver = FolderReceiver(settings, keep, clock.REAL, poll_s=0.05, settled_s=SETTLED_S)
    receiver.start()
    wait_until(lambda: not left(folder), "both are taken")
    receiver.stop()
    assert kept == [b"old", b"new one"]
