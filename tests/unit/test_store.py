"""Files that are whole or absent: shown with real processes, real kills, a real full disk."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import missing_part
from toros import store
from toros.errors import DiskFull, StorageFailed

WRITER = "import sys; from pathlib import Path; from toros import store; \
store.write_whole(Path(sys.argv[1]), b'new' * 100_000)"


def strace(*options):
    program = shutil.which("strace")
    if program is None:
        missing_part("strace", "apt-get install strace")
    return [program, "-f", *options]


def test_a_file_appears_with_its_content_and_checksum(tmp_path):
    digest = store.write_whole(tmp_path / "a" / "b.bin", b"content")
    assert (tmp_path / "a" / "b.bin").read_bytes() == b"content"
    assert digest == hashlib.sha256(b"content").hexdigest() == store.sha256_of(tmp_path / "a/b.bin")


def test_an_error_in_the_block_leaves_the_old_file(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), store.whole_file(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_write_fsync_rename_fsync_folder_in_this_order(tmp_path):
    trace = tmp_path / "trace"
    command = [
        *strace("-y", "-o", str(trace), "-e", "trace=write,fsync,rename,renameat,renameat2"),
        sys.executable, "-c", WRITER, str(tmp_path / "target"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    calls = re.findall(r"^\d+ +(\w+)\((.*)", trace.read_text(), re.M)
    ours = [
        (name, "partial" if ".partial-" in rest and name != "fsync" else rest)
        for name, rest in calls
        if str(tmp_path) in rest
    ]
    kinds = [name for name, _ in ours]
    assert kinds[0] == "write"
    last_write = max(n for n, kind in enumerate(kinds) if kind == "write")
    fsync_file, rename, fsync_folder = kinds[last_write + 1 : last_write + 4]
    assert (fsync_file, rename.startswith("rename"), fsync_folder) == ("fsync", True, "fsync")
    assert ".partial-" in ours[last_write + 1][1]
    assert f"<{tmp_path}>" in ours[last_write + 3][1]


@pytest.mark.parametrize(
    ("call", "left"),
    [("write", {b"old"}), ("fsync", {b"old", b"new"}), ("rename", {b"old", b"new"})],
)
def test_a_kill_leaves_the_old_file_or_the_new(tmp_path, call, left):
    target = tmp_path / "target"
    outcomes, kills = set(), 0
    for when in range(1, 20):
        target.write_bytes(b"old")
        command = [
            *strace("-qq", "-o", "/dev/null", "-e", f"trace={call}"),
            "-e", f"inject={call}:signal=SIGKILL:when={when}",
            sys.executable, "-c", WRITER, str(target),
        ]  # fmt: skip
        killed = subprocess.run(command, check=False).returncode != 0
        content = target.read_bytes()
        assert content in (b"old", b"new" * 100_000)
        outcomes.add(content[:3])
        if not killed:
            break
        kills += 1
    assert kills
    assert outcomes == left | {b"new"}
    store.clear_partial(tmp_path)
    assert os.listdir(tmp_path) == ["target"]


def test_a_full_disk_is_told_and_nothing_is_left(small_disk):
    path = small_disk / "big"
    with pytest.raises(DiskFull, match="free some space"):
        store.write_whole(path, os.urandom(4_000_000))
    assert os.listdir(small_disk) == []


def test_a_folder_in_the_way_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed, match="file"):
        store.write_whole(tmp_path / "file" / "below", b"")


def test_the_reserve_stays_free(tmp_path):
    store.check_free_space(tmp_path, 0, 0)
    with pytest.raises(DiskFull, match="must stay free"):
        store.check_free_space(tmp_path, 0, 10**18)


def test_leftovers_are_cleared(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".partial-abc-x").write_bytes(b"half")
    (tmp_path / "sub" / "x").write_bytes(b"whole")
    assert store.clear_partial(tmp_path) == 1
    assert os.listdir(tmp_path / "sub") == ["x"]


def test_files_written_together_are_all_there_and_nothing_else(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    contents = {"a": b"new", "b": b"", "c": b"x" * 1_000_000}
    store.write_all(tmp_path, contents)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == contents


def test_files_written_together_fail_together_before_any_is_replaced(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(StorageFailed, match=re.escape(str(tmp_path))):
        store.write_all(tmp_path, {"a": b"new", "no/such/folder": b"x"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_files_written_together_survive_a_kill_whole_or_absent(tmp_path):
    folder = tmp_path / "out"
    writer = (
        "import sys; from pathlib import Path; from toros import store\n"
        "store.write_all(Path(sys.argv[1]), {f'f{n}': bytes([n]) * 300_000 for n in range(8)})"
    )
    for call, number in (("fsync", 1), ("rename", 1), ("rename", 4)):  # each thread's own count
        shutil.rmtree(folder, ignore_errors=True)
        inject = f"inject={call}:signal=SIGKILL:when={number}"
        subprocess.run(
            strace("-o", "/dev/null", "-e", f"trace={call}", "-e", inject,
                   sys.executable, "-c", writer, str(folder)),
            capture_output=True, timeout=60,
        )  # fmt: skip
        left = [path for path in folder.iterdir() if not path.name.startswith(".partial-")]
        assert len(left) < 8
        for path in left:
            assert path.read_bytes() == bytes([int(path.name[1:])]) * 300_000
