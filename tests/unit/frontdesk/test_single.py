"""One instance at a time, with real processes that end in all ways."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from toros.errors import AlreadyRunning, StorageFailed
from toros.frontdesk.single import hold_lock

HOLD = """
import sys, time
from pathlib import Path
from toros.frontdesk.single import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""

FORK = """
import os, sys, time
from pathlib import Path
from toros.frontdesk.single import hold_lock
with hold_lock(Path(sys.argv[1])):
    if os.fork() == 0:  # a pool's process, which outlives the daemon
        print("held", flush=True)
        time.sleep(60)
        os._exit(0)
    sys.stdin.read()
"""

DETACH = """
import sys, time
from pathlib import Path
from daemon import DaemonContext
from toros.frontdesk.single import hold_lock
path, end = Path(sys.argv[1]), Path(sys.argv[2])
lock = hold_lock(path)
with DaemonContext(pidfile=lock, files_preserve=[lock] if sys.argv[3] == "preserved" else None):
    while not end.exists():
        time.sleep(0.02)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "toros-preprocessor.pid"


def start(script: str, *arguments: Path | str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_held(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def pid_in(path: Path) -> int:
    return int(path.read_text())


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where nobody reaps orphans a dead one remains as a zombie.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_the_lock_is_held_with_the_pid_and_then_gone(path: Path) -> None:
    with hold_lock(path) as lock:
        assert lock.held
        assert path.read_bytes() == b"%d\n" % os.getpid()
    assert not lock.held
    assert not path.exists()
    with hold_lock(path):
        pass


def test_a_second_instance_is_refused_with_pid_and_file(path: Path) -> None:
    with start(HOLD, path) as first:
        wait_held(first)
        with pytest.raises(AlreadyRunning, match=f"{path}: the process {first.pid} holds it"):
            hold_lock(path)
        assert pid_in(path) == first.pid
        first.communicate("")
    hold_lock(path).release()


def test_a_killed_instance_leaves_no_lock(path: Path) -> None:
    with start(HOLD, path) as first:
        wait_held(first)
        first.kill()
    assert pid_in(path) == first.pid  # the file is left, the lock is not
    with hold_lock(path):
        assert pid_in(path) == os.getpid()


def test_a_pool_that_outlives_a_killed_daemon_holds_no_lock(path: Path) -> None:
    with start(FORK, path) as first:
        wait_held(first)
        orphan = int(Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text())
        first.kill()
        first.wait()
        try:
            hold_lock(path).release()
        finally:
            os.kill(orphan, signal.SIGKILL)


@pytest.mark.parametrize("descriptor", ["preserved", "closed"])
def test_the_lock_passes_through_detaching(path: Path, tmp_path: Path, descriptor: str) -> None:
    end = tmp_path / "end"
    launcher = start(DETACH, path, end, descriptor)
    launcher.communicate(timeout=30)
    assert launcher.returncode == 0
    wait_until(lambda: path.exists() and pid_in(path) != launcher.pid)
    daemon = pid_in(path)
    assert is_running(daemon)
    with pytest.raises(AlreadyRunning, match=f"process {daemon} holds"):
        hold_lock(path)
    end.touch()
    wait_until(lambda: not path.exists())
    wait_until(lambda: not is_running(daemon))
    hold_lock(path).release()


def test_a_detached_process_that_is_killed_leaves_no_lock(path: Path, tmp_path: Path) -> None:
    launcher = start(DETACH, path, tmp_path / "end", "preserved")
    launcher.communicate(timeout=30)
    wait_until(lambda: pid_in(path) != launcher.pid)
    daemon = pid_in(path)
    os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: not is_running(daemon))
    hold_lock(path).release()


def test_detaching_is_refused_while_another_one_runs(path: Path, tmp_path: Path) -> None:
    with hold_lock(path):
        launcher = subprocess.run(
            [sys.executable, "-c", DETACH, path, tmp_path / "end", "preserved"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert launcher.returncode == 1
    assert f"AlreadyRunning: {path}: the process {os.getpid()} holds it" in launcher.stderr


def test_at_most_one_of_many_holds_it(path: Path) -> None:
    """Take and release in several threads, each with a descriptor of its own."""
    holders: list[int] = []
    overlaps: list[int] = []
    taken = [0]

    def work() -> None:
        for _ in range(300):
            try:
                lock = hold_lock(path)
            except AlreadyRunning:
                continue
            holders.append(1)
            overlaps.append(len(holders))
            taken[0] += 1
            holders.pop()
            lock.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken[0] > 0
    assert set(overlaps) == {1}


def test_a_file_that_is_no_pid_file_is_not_overwritten(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious\n")
    with pytest.raises(StorageFailed, match="not a file with a process number"):
        hold_lock(path)
    assert path.read_text() == "precious\n"
    link = path.with_name("link.pid")
    link.symlink_to(path)
    with pytest.raises(StorageFailed, match=r"link\.pid"):
        hold_lock(link)


@pytest.mark.parametrize(
    "left", [b"", b"123\n", b"      4711\n", b"12345678901234\n", bytes(11)]
)  # the last is what a power cut may leave
def test_what_another_program_left_is_taken_over(path: Path, left: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(left)
    with hold_lock(path):
        assert path.read_bytes() == b"%d\n" % os.getpid()


def test_a_file_that_was_replaced_is_left_to_its_owner(path: Path) -> None:
    first = hold_lock(path)
    path.unlink()
    with hold_lock(path):
        first.release()
        assert pid_in(path) == os.getpid()


def test_a_lock_whose_descriptor_detaching_closed_is_taken_again(path: Path) -> None:
    lock = hold_lock(path)
    os.close(lock.fileno())
    with lock, pytest.raises(AlreadyRunning):
        hold_lock(path)
    assert not path.exists()


def test_a_released_lock_cannot_be_entered(path: Path) -> None:
    lock = hold_lock(path)
    lock.release()
    lock.release()
    with pytest.raises(ValueError, match="was released"):
        lock.__enter__()
