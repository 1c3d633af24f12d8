"""Archived notices, sent again: by the command, to the receivers as they are."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.conftest import free_port
from tests.system.brokers import wait_until
from toros import clock
from toros.cli.alert import alert_group
from toros.config.alerts import Folder, Vtp
from toros.lvcgcn.reception import Archive
from toros.lvcgcn.reception.folder import FolderReceiver
from toros.lvcgcn.reception.replay import Archived, pauses_as_archived, read_archived
from toros.lvcgcn.reception.vtp import VtpReceiver

NOTICE = b'<VOEvent ivorn="ivo://test#%d" role="test"/>'
NAME = "20261121T0815%06.3f000Z_vtp-x_0123456789abcdef_answered.xml"


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """Three notices as the archive named them, half a second apart."""
    made = [tmp_path / (NAME % (30 + n / 2)) for n in range(3)]
    for number, path in enumerate(made):
        path.write_bytes(NOTICE % number)
    return made


@pytest.fixture
def archive(tmp_path) -> Archive:
    return Archive(tmp_path / "alerts", clock.REAL)


def replay(*arguments: object) -> Result:
    return CliRunner().invoke(alert_group, ["replay", *map(str, arguments)])


@pytest.fixture
def subscriber(archive) -> Iterator[int]:
    """Run a VTP receiver that looks for a broker; give the port where it does."""
    port = free_port()
    settings = Vtp.model_validate({"Name": "x", "Address": f"127.0.0.1:{port}"})

    def keep(raw: bytes, source: str) -> None:
        archive.keep(raw, source)

    made = VtpReceiver(settings, keep, clock.REAL, first_delay_s=0.1, last_delay_s=0.1)
    made.start()
    yield port
    made.stop(2.0)


def test_a_voevent_broker_of_its_own(files, archive, subscriber):
    done = replay("--vtp", subscriber, "--pace", 0, *files)
    assert done.exit_code == 0, done.output
    assert [kept.read() for kept in archive.waiting()] == [NOTICE % n for n in range(3)]
    assert done.stdout.count(": acknowledged") == 3
    assert "3 notices sent" in done.stderr
    assert "toros-submit lvcgcn list_events" in done.stderr
    assert f"Address: 127.0.0.1:{subscriber}" in done.stderr


def test_the_summary_is_json(files, archive, subscriber):
    done = replay("--vtp", subscriber, "--like-archived", "--json", *files)
    told = json.loads(done.stdout)
    assert told["sent"] == 3
    assert [each["file"] for each in told["notices"]] == [str(path) for path in files]
    assert {each["outcome"] for each in told["notices"]} == {"acknowledged"}
    sent = [clock.from_iso(each["sent"]) for each in told["notices"]]
    assert all((b - a).total_seconds() >= 0.49 for a, b in itertools.pairwise(sent))


def test_pygcn_listens_to_it(shared_data, tmp_path):
    """An independent subscriber, with notices as they are; it writes each to a file."""
    files = sorted((shared_data / "alerts").glob("MS181101ab-*.xml"))
    program = str(Path(sys.executable).parent / "pygcn-listen")
    port = free_port()
    with subprocess.Popen(
        [program, f"127.0.0.1:{port}"], cwd=tmp_path, stderr=subprocess.DEVNULL
    ) as listener:
        try:
            done = replay("--vtp", port, "--pace", 0, *files)
            assert done.exit_code == 0, done.output
            sent = {path.read_bytes() for path in files}
            wait_until(lambda: {p.read_bytes() for p in tmp_path.iterdir()} == sent, "it has all")
        finally:
            listener.kill()


def test_nobody_subscribes(files):
    done = replay("--vtp", 0, "--wait", 0.2, *files)
    assert done.exit_code == 3
    assert "no subscriber came within 0.2 s" in done.stderr


def test_json_by_vtp_is_refused_with_the_ways_that_are_left_before_anything_is_sent(
    files, tmp_path
):
    (tmp_path / "a.json").write_text("{}")
    done = replay("--vtp", 0, "--wait", 0.2, files[0], tmp_path / "a.json")  # nobody subscribes
    assert done.exit_code == 1
    assert "--kafka, --folder or --front-desk" in done.stderr
    assert "waits for the robot" not in done.stderr


def test_into_a_watched_folder(files, archive, tmp_path):
    folder = tmp_path / "watched"
    folder.mkdir()
    (folder / files[0].name).write_bytes(b"one of its name waits")
    done = replay("--folder", folder, "--pace", 0, *files)
    assert done.exit_code == 0, done.output
    settings = Folder.model_validate({"Name": "hand", "Path": str(folder)})
    receiver = FolderReceiver(
        settings, lambda raw, source: archive.keep(raw, source) and None, clock.REAL,
        poll_s=0.05, settled_s=0.1,
    )  # fmt: skip
    receiver.start()
    wait_until(lambda: len(archive.waiting()) == 4, "all are taken")
    receiver.stop()
    taken = {kept.read() for kept in archive.waiting()}
    assert taken == {b"one of its name waits", *(NOTICE % n for n in range(3))}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--vtp", "1", "--folder", "x"], 2, "choose one of"),
        (["--kafka", "127.0.0.1:9092"], 2, "--kafka and --topic"),
        (["--folder", "/proc/none"], 1, "/proc/none: no such folder"),
        (["--front-desk", "http://127.0.0.1:1"], 3, "127.0.0.1:1"),
        (["--front-desk", "nonsense"], 1, "http://HOST:PORT"),
        (["--pace", "-1"], 2, "pace"),
    ],
)
def test_what_is_wrong_is_told(files, arguments, code, says):
    done = replay(*arguments, *files)
    assert done.exit_code == code, done.output
    assert says in done.stderr
    assert "Traceback" not in done.output


def test_no_text_is_refused_for_an_order(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"abc\xff")
    done = replay("--front-desk", "http://127.0.0.1:1", tmp_path / "a.bin")
    assert done.exit_code == 1
    assert "at byte 3" in done.stderr


def test_an_empty_file_is_refused_before_anything_is_sent(files, tmp_path):
    (tmp_path / "empty.xml").touch()
    begun = time.monotonic()
    done = replay("--vtp", 0, *files, tmp_path / "empty.xml")
    assert done.exit_code == 1
    assert "empty.xml is empty" in done.stderr
    assert time.monotonic() - begun < 30, "it did not wait for a subscriber"


def test_pauses_as_archived(files):
    assert pauses_as_archived(read_archived(files)) == pytest.approx([0.0, 0.5, 0.5])
    assert pauses_as_archived([]) == []


def test_pauses_need_names_of_the_archive_in_their_order(files, tmp_path):
    done = replay("--like-archived", "--folder", tmp_path, *reversed(files))
    assert done.exit_code == 1
    assert "not in the order of receipt" in done.stderr
    with pytest.raises(Exception, match="use --pace"):
        pauses_as_archived([Archived(Path("hand.xml"), b"x", None)])
