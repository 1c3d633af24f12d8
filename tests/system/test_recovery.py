"""Kill -9 anywhere and start again: the work goes on, nothing is lost, nothing is twice."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import func, select

from tests.conftest import missing_part
from tests.system.conftest import small_night
from tests.system.daemons import Preprocessor
from toros import store
from toros.database.models import Combination, Exposure, StepRun, WorkOrder
from toros.database.session import Database
from toros.errors import ServiceUnreachable, TorosError

ORDER = {"request": "calibrate_file_batch", "id": "1", "user": "tester"}


def tree(daemon: Preprocessor) -> dict[str, str]:
    """Return every file of the repository with its checksum."""
    root = daemon.state / "repository"
    return {
        str(path.relative_to(root)): store.sha256_of(path)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def rows(url: str) -> dict[str, object]:
    """Return what must be the same in the database whatever was killed."""
    database = Database(url)
    with database.reading() as session:
        products = session.execute(
            select(Combination.run, Combination.name, Combination.sha256, func.count())
            .group_by(Combination.run, Combination.name, Combination.sha256)
            .order_by(Combination.name)
        ).all()
        told = {
            "products": [tuple(row) for row in products],
            "exposures": session.scalar(select(func.count()).select_from(Exposure)),
            "orders": [
                (row.order_id, row.state, row.status_code)
                for row in session.scalars(select(WorkOrder))
            ],
            "steps": sorted((row.step, row.state) for row in session.scalars(select(StepRun))),
        }
    database.close()
    return told


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night")
    small_night(folder / "raw")
    return folder / "raw"


def prepare(daemon: Preprocessor, night: Path) -> dict[str, str]:
    """Let the daemon read the night where it lies: the report names the url."""
    daemon.configure({"Preprocessor": {"Sources": {"Folders": [str(night)]}}})
    return {**ORDER, "url": str(night)}


def url_of(daemon: Preprocessor, database_url: str | None) -> str:
    return database_url or f"sqlite:///{daemon.state / 'toros.db'}"


@pytest.fixture(scope="module")
def reference(night, tmp_path_factory):
    """Reduce the night undisturbed: the truth that every disturbed run is held against."""
    daemon = Preprocessor(tmp_path_factory.mktemp("reference"))
    order = prepare(daemon, night)
    with daemon:
        daemon.desk.send(order)
        daemon.desk.wait("1", 120)
    return tree(daemon), rows(url_of(daemon, None))


def finish(daemon: Preprocessor, order: dict[str, str]) -> None:
    """Send the order (again) and wait for its end."""
    daemon.desk.send(order)
    daemon.desk.wait(order["id"], 120)


def assert_as_undisturbed(daemon, database_url, reference):
    files, told = reference
    assert tree(daemon) == files
    assert rows(url_of(daemon, database_url)) == told


def strace(trace: Path, calls: str, when: int) -> tuple[str, ...]:
    """Make the command that kills a process at a thread's n-th call of a kind."""
    return (
        shutil.which("strace") or missing_part("strace", "apt-get install strace"),
        "-f", "-b", "execve", "-q", "-o", str(trace), "-e", f"trace={calls}",
        "-e", f"inject={calls}:signal=SIGKILL:when={when}",
    )  # fmt: skip


def killed_at(daemon: Preprocessor, order: dict[str, str], who: str, calls: str, when: int) -> bool:
    """Run the order; kill everything at the given system call; say if it came.

    strace counts each thread's calls for itself, so the daemon and the processes of its
    pool are killed in turn: `who` is one of them.
    """
    trace = daemon.folder / "trace"
    for old in daemon.folder.glob("trace*"):
        old.unlink()
    if who == "daemon":
        daemon.before = strace(trace, calls, when)
    daemon.start(wait=False)
    deadline = time.monotonic() + 60
    sent = False
    watched: dict[int, subprocess.Popen[bytes]] = {}
    try:
        while time.monotonic() < deadline:
            if who == "pool":
                for pid in pool(daemon):
                    if pid not in watched:
                        command = strace(Path(f"{trace}.{pid}"), calls, when)
                        watched[pid] = subprocess.Popen([*command, "-p", str(pid)])
            if any(
                "killed by SIGKILL" in path.read_text() for path in daemon.folder.glob("trace*")
            ):
                return True
            try:
                if not sent:
                    daemon.desk.send(order)
                    sent = True
                if daemon.desk.status("1")["status"] not in ("queued", "running"):
                    return False
            except (ServiceUnreachable, TorosError):
                pass
            time.sleep(0.02)
        pytest.fail(f"neither killed nor done: {daemon.stderr()}")
    finally:
        daemon.close()  # kills the whole group with -9: a power cut
        daemon.before = ()
        for process in watched.values():
            process.wait(20)


def pool(daemon: Preprocessor) -> list[int]:
    """Return the processes of a daemon's pool."""
    found = []
    for pid in members(daemon.process.pid):
        with suppress(OSError):
            if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text(errors="replace"):
                found.append(pid)
    return found


def kill_and_go_on(daemon, night, database_url, reference, who, calls, when) -> bool:
    order = prepare(daemon, night)
    came = killed_at(daemon, order, who, calls, when)
    daemon.start()
    finish(daemon, order)
    assert daemon.stop() == 0
    assert_as_undisturbed(daemon, database_url, reference)
    return came


@pytest.mark.parametrize(
    ("who", "calls", "when"),
    [
        ("daemon", "rename", 3),
        ("daemon", "fsync", 70),
        ("daemon", "fdatasync", 12),
        ("pool", "rename", 2),
        ("pool", "fsync", 3),
    ],
)
def test_a_kill_at_a_chosen_call(make_preprocessor, night, reference, who, calls, when):
    assert kill_and_go_on(make_preprocessor(), night, None, reference, who, calls, when)


def test_a_kill_at_a_commit_on_postgresql(make_preprocessor, night, reference, postgres):
    url = postgres.new_database()
    daemon = make_preprocessor(database_url=url)
    assert kill_and_go_on(daemon, night, url, reference, "daemon", "sendto", 60)


@pytest.mark.long
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    ("who", "calls", "step"),
    [
        ("daemon", "rename", 2),
        ("daemon", "fsync", 3),
        ("daemon", "fdatasync", 2),
        ("pool", "rename", 2),
        ("pool", "fsync", 2),
    ],
)
def test_kills_at_renames_fsyncs_and_commits(make_preprocessor, night, reference, who, calls, step):
    """Kill at every second or third call; with TOROS_EVERY_KILL set at each."""
    kills = 0
    for when in range(1, 400, 1 if os.environ.get("TOROS_EVERY_KILL") else step):
        daemon = make_preprocessor()
        came = kill_and_go_on(daemon, night, None, reference, who, calls, when)
        shutil.rmtree(daemon.folder)
        if not came:
            break
        kills += 1
    print(f"killed the {who} at {kills} calls of {calls}")
    assert kills >= 3


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_kills_at_every_32nd_message_to_postgresql(make_preprocessor, night, reference, postgres):
    kills = 0
    for when in range(4, 2000, 32):
        url = postgres.new_database()
        daemon = make_preprocessor(database_url=url)
        came = kill_and_go_on(daemon, night, url, reference, "daemon", "sendto", when)
        shutil.rmtree(daemon.folder)
        if not came:
            break
        kills += 1
    print(f"killed at {kills} messages to PostgreSQL")
    assert kills >= 10


def test_sigterm_checkpoints_and_the_order_goes_on(make_preprocessor, night, reference):
    daemon = make_preprocessor()
    order = prepare(daemon, night)
    daemon.start()
    daemon.desk.send(order)
    while daemon.desk.status("1")["status"] == "queued":
        time.sleep(0.02)
    assert daemon.stop() == 0
    url = url_of(daemon, None)
    state = Counter(order[1] for order in rows(url)["orders"])
    assert state["queued"] + state["done"] == 1
    daemon.start()
    finish(daemon, order)
    daemon.stop()
    assert_as_undisturbed(daemon, None, reference)


def test_the_pool_dies_with_its_daemon(make_preprocessor, night):
    daemon = make_preprocessor()
    order = prepare(daemon, night)
    daemon.start()
    daemon.desk.send(order)
    group = daemon.process.pid
    while len(members(group)) < 3:
        time.sleep(0.02)
        assert daemon.desk.status("1")["status"] in ("queued", "running")
    daemon.kill()
    deadline = time.monotonic() + 20
    while members(group):
        assert time.monotonic() < deadline, "processes of the pool have outlived their daemon"
        time.sleep(0.05)


def members(group: int) -> list[int]:
    """Return the live processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def test_a_killed_process_of_the_pool_is_replaced(make_preprocessor, night, reference):
    daemon = make_preprocessor()
    order = prepare(daemon, night)
    daemon.start()
    daemon.desk.send(order)
    victims = 0
    while daemon.desk.status("1")["status"] in ("queued", "running"):
        workers = pool(daemon)
        if workers and not victims:
            os.kill(workers[0], signal.SIGKILL)
            victims += 1
        time.sleep(0.02)
    assert victims
    assert daemon.desk.status("1")["status"] == "done"
    daemon.stop()
    assert_as_undisturbed(daemon, None, reference)


def test_a_committed_order_is_on_the_disk_before_its_receipt(make_preprocessor, night):
    daemon = make_preprocessor()
    order = prepare(daemon, night)
    daemon.start()
    assert daemon.desk.send(order)["status"] == "queued"
    daemon.kill()
    with sqlite3.connect(daemon.state / "toros.db") as database:
        assert database.execute("SELECT order_id FROM work_order").fetchall() == [("1",)]


class Call(NamedTuple):
    """A system call of a trace, by the lines on which it begins and ends."""

    begin: int
    end: int
    process: str
    name: str
    text: str


def read_trace(path: Path) -> list[Call]:
    """Read what strace has written, calls that were interrupted by others put together."""
    calls: list[Call] = []
    unfinished: dict[str, Call] = {}
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines()):
        process, _, text = line.partition(" ")
        text = text.strip()
        if text.startswith("<..."):
            begun = unfinished.pop(process, None)
            if begun is not None:
                calls.append(begun._replace(end=number))
        elif match := re.match(r"(\w+)\(", text):
            call = Call(number, number, process, match[1], text)
            if text.endswith("<unfinished ...>"):
                unfinished[process] = call
            else:
                calls.append(call)
    return sorted(calls)


def first(calls: list[Call], after: int, name: str, *texts: str) -> Call:
    """Return the first call of a name that begins after a line and holds all the texts."""
    for call in calls:
        fits = call.begin > after and re.fullmatch(name, call.name)
        if fits and all(text in call.text for text in texts):
            return call
    raise AssertionError(f"no {name} with {texts} after line {after}")


def test_the_order_of_writing(make_preprocessor, night):
    """Write, fsync, rename, fsync of the folder, commit; and the commit before the receipt."""
    daemon = make_preprocessor()
    order = {**prepare(daemon, night), "id": "the-order-of-writing"}
    trace = daemon.folder / "trace"
    daemon.before = (
        shutil.which("strace") or missing_part("strace", "apt-get install strace"),
        "-f", "-y", "-q", "-s", "4200", "-o", str(trace), "-e", "signal=none",
        "-e", "trace=write,pwrite64,fsync,fdatasync,rename,sendto",
    )  # fmt: skip
    daemon.start()
    daemon.desk.send(order)
    daemon.desk.wait(order["id"], 120)
    os.kill(daemon.desk.status()["pid"], signal.SIGTERM)
    daemon.process.wait(60)
    calls = read_trace(trace)
    wal, sync = "/toros.db-wal>", "fsync|fdatasync"
    recorded = first(calls, 0, "pwrite64", wal, order["id"])
    committed = first(calls, recorded.end, sync, wal)
    assert first(calls, 0, "sendto", order["id"], "queued").begin > committed.end
    made = [Path(name) for name in tree(daemon) if "/run-" in name or "/raw/" in name]
    assert len(made) == 16 + 2 * 6 + 2
    for path in made:
        renamed = first(calls, 0, "rename", f'/{path.as_posix()}"')
        source = renamed.text.split('"')[1]
        same = [call for call in calls if call.process == renamed.process]
        written = first(same, 0, "write", f"<{source}>") if "/run-" in str(path) else None
        flushed = first(same, written.end if written else 0, sync, f"<{source}>")
        assert flushed.end < renamed.begin
        listed = first(same, renamed.end, "fsync", f"/{path.parent.as_posix()}>")
        if path.suffix == ".fits":
            recorded = first(calls, 0, "pwrite64", wal, path.name)
            assert recorded.begin > listed.end, f"{path} is recorded before it is on the disk"
            first(calls, recorded.end, sync, wal)
