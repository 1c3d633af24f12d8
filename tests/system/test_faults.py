"""Disks, databases and files that fail while a daemon works: it says so, and goes on afterwards."""

from __future__ import annotations

import shutil
import time
from email import message_from_bytes, policy

import pytest

from tests.conftest import free_port, missing_part
from tests.system.faults import Disk, hanging, immutable, until
from tests.system.test_recovery import (
    ORDER,
    assert_as_undisturbed,
    night,
    prepare,
    reference,
    rows,
    tree,
    url_of,
)
from toros import store
from toros.client import FrontDesk
from toros.errors import DamagedFile, DatabaseUnavailable, DiskFull, StorageFailed

__all__ = ["night", "reference"]  # fixtures

WHOLE_KB = 4096
"""A disk on which all that a small night needs has room, SQLite included."""


@pytest.fixture
def make_disk(tmp_path):
    made = []

    def make(size_kb, folder=None):
        made.append(Disk(folder or tmp_path / f"disk-{len(made)}", size_kb))
        return made[-1]

    yield make
    for disk in made:
        disk.unmount()


def log_of(daemon):
    return daemon.log.read_text("utf-8", "replace")


def products(daemon):
    return list((daemon.state / "repository").glob("batch-*/run-*/*.fits"))


def send_and_wait_for(daemon, order, pattern):
    """Send the order; return as soon as a file of the repository is there."""
    daemon.desk.send(order)
    root = daemon.state / "repository"
    until(lambda: next(root.glob(pattern), None), pattern, every_s=0.001)


def trouble(daemon):
    """Return what the state says of the database, unless it is well."""
    told = daemon.desk.status()["database"]
    return None if told == "ok" else told


def assert_nothing_half_written(daemon, reference):
    """Whatever lies under a final name is what an undisturbed run has put there."""
    files, _ = reference
    for name, digest in tree(daemon).items():
        hidden = store.PARTIAL_PREFIX in name or "/staging/" in name
        assert hidden or files[name] == digest, f"{name} is half written"


def assert_finishes(daemon, database_url, reference):
    daemon.desk.wait("1", 120)
    assert daemon.stop() == 0
    assert_as_undisturbed(daemon, database_url, reference)


# ---- a disk that is full -----------------------------------------------------------------------


def test_a_full_disk_refuses_orders_and_records_nothing(make_preprocessor, make_disk, night):
    daemon = make_preprocessor()
    disk = make_disk(WHOLE_KB, daemon.state)
    order = prepare(daemon, night)
    daemon.start()
    disk.leave_kb(500)  # less than the reserve of 1 MB
    with pytest.raises(DiskFull, match="must stay free"):
        daemon.desk.send(order)
    assert daemon.desk.submit("list_orders")["total"] == 0
    assert daemon.desk.submit("describe")["service"] == "preprocessor"
    disk.lighten()
    daemon.desk.send(order)
    daemon.desk.wait("1", 120)


def test_a_disk_full_at_the_start_is_waited_for(make_preprocessor, make_disk, night, reference):
    daemon = make_preprocessor()
    disk = make_disk(WHOLE_KB, daemon.state)
    order = prepare(daemon, night)
    disk.leave_kb(40)
    daemon.start()
    assert "full" in until(lambda: trouble(daemon), "the state tells of the disk")
    with pytest.raises(DiskFull):
        daemon.desk.send(order)
    disk.lighten()
    until(lambda: trouble(daemon) is None, "the daemon takes up its work")
    daemon.desk.send(order)
    assert_finishes(daemon, None, reference)


def fill_up(daemon, disk, night, left_kb):
    """Run the order with so little room; return its message once it waits, None if it is done."""
    order = prepare(daemon, night)
    daemon.configure({"Preprocessor": {"Free Space Reserve (MB)": 0}})
    daemon.start()
    disk.leave_kb(left_kb)
    try:
        daemon.desk.send(order)
    except DiskFull as error:
        return error.message

    def told():
        status = daemon.desk.status("1")
        assert status["status"] in ("queued", "running", "done"), status
        return status["status"] == "done" or status["message"] or trouble(daemon)

    said = until(told, "the disk is full, or the order done")
    return None if said is True else said


def fill_up_and_go_on(daemon, disk, night, reference, left_kb, database_url=None):
    """Let the disk be full at some point, and make room; return what was said meanwhile."""
    said = fill_up(daemon, disk, night, left_kb)
    assert_nothing_half_written(daemon, reference)
    disk.lighten()
    if said is None:
        assert_finishes(daemon, database_url, reference)
        return None
    assert "full" in said or "No space left" in said or "must stay free" in said, said
    assert "ERROR" in log_of(daemon)
    until(lambda: trouble(daemon) is None, "the database recovers")
    daemon.desk.send({**ORDER, "url": str(night)})  # once more if it was refused; else no effect
    assert_finishes(daemon, database_url, reference)
    return said


@pytest.mark.parametrize("left_kb", [0, pytest.param(300, marks=pytest.mark.long), 1100])
def test_a_full_disk_is_waited_for(make_preprocessor, make_disk, night, reference, left_kb):
    daemon = make_preprocessor()
    disk = make_disk(WHOLE_KB, daemon.state)
    assert fill_up_and_go_on(daemon, disk, night, reference, left_kb)


def full_repository(make_preprocessor, make_disk, night, reference, tmp_path, left_kb):
    """Let the repository's disk be full while the database has a disk of its own."""
    url = f"sqlite:///{tmp_path / f'{left_kb}.db'}"
    daemon = make_preprocessor(database_url=url)
    disk = make_disk(WHOLE_KB, daemon.state)
    said = fill_up_and_go_on(daemon, disk, night, reference, left_kb, url)
    shutil.rmtree(daemon.folder / "log")
    return said


@pytest.mark.parametrize("left_kb", [pytest.param(100, marks=pytest.mark.long), 700])
def test_a_full_repository_is_told_by_the_order(
    make_preprocessor, make_disk, night, reference, tmp_path, left_kb
):
    """At the copying of raw files, and in the midst of the products."""
    said = full_repository(make_preprocessor, make_disk, night, reference, tmp_path, left_kb)
    assert said.startswith("waiting: ")


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_disk_that_fills_up_at_every_write(
    make_preprocessor, make_disk, night, reference, tmp_path
):
    """ENOSPC wherever it comes when the room ends 40 KB later each time."""
    said = []
    for left_kb in range(0, 1500, 40):
        said.append(
            full_repository(make_preprocessor, make_disk, night, reference, tmp_path, left_kb)
        )
        if said[-1] is None:
            break
    print(f"full at {len(said) - 1} points, of {len(set(said)) - 1} kinds")
    assert said[-1] is None
    assert len(said) > 20


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_disk_with_the_database_fills_up_at_many_points(
    make_preprocessor, make_disk, night, reference
):
    count = 0
    for left_kb in range(0, 2600, 100):
        daemon = make_preprocessor()
        disk = make_disk(WHOLE_KB, daemon.state)
        if fill_up_and_go_on(daemon, disk, night, reference, left_kb) is None:
            break
        count += 1
    print(f"the disk of the database was full at {count} points")
    assert count > 10


def test_a_full_log_disk_costs_only_lines(make_preprocessor, make_disk, night, reference):
    daemon = make_preprocessor()
    disk = make_disk(64, daemon.folder / "small")
    disk.leave_kb(0)
    daemon.configure({"Logging": {"File": str(disk.folder / "toros.log")}})
    order = prepare(daemon, night)
    daemon.start()
    daemon.desk.send(order)
    daemon.desk.wait("1", 120)
    disk.lighten()
    daemon.desk.status()
    assert daemon.stop() == 0
    assert "lines of this log are lost" in (disk.folder / "toros-preprocessor.log").read_text()
    assert_as_undisturbed(daemon, None, reference)


# ---- a database that cannot be written, is away, or hangs ------------------------------------


def database_files(daemon):
    """Return the files that commits go to; the third, which processes share, is only memory."""
    return [daemon.state / "toros.db", daemon.state / "toros.db-wal"]


def test_a_read_only_database_is_told_and_waited_for(make_preprocessor, night, reference):
    daemon = make_preprocessor()
    order = prepare(daemon, night)
    daemon.start()
    with immutable(database_files(daemon)):
        with pytest.raises(DatabaseUnavailable, match="toros.db"):
            daemon.desk.send(order)
        assert trouble(daemon)
        time.sleep(2)
        assert trouble(daemon), "reading alone is no sign of recovery"
        assert daemon.desk.submit("describe")["service"] == "preprocessor"
        assert daemon.desk.submit("list_orders")["total"] == 0
    until(lambda: trouble(daemon) is None, "the state tells of the recovery")
    daemon.desk.send(order)
    assert_finishes(daemon, None, reference)
    assert log_of(daemon).count("the database is in trouble") <= 3


def test_a_database_read_only_in_mid_batch(make_preprocessor, night, reference):
    daemon = make_preprocessor()
    order = prepare(daemon, night)
    daemon.start()
    send_and_wait_for(daemon, order, "*/run-001/*.fits")
    with immutable(database_files(daemon)):
        until(lambda: trouble(daemon), "the state tells of the database")
        with pytest.raises(DatabaseUnavailable):
            daemon.desk.send({**order, "id": "2"})
        assert daemon.desk.status("1")["status"] == "running"
    assert_finishes(daemon, None, reference)


def test_postgresql_restarted_in_mid_batch(make_preprocessor, night, reference, postgres):
    url = postgres.new_database()
    daemon = make_preprocessor(database_url=url)
    order = prepare(daemon, night)
    daemon.start()
    send_and_wait_for(daemon, order, "*/run-001/*.fits")
    postgres.stop()
    try:
        until(lambda: trouble(daemon), "the state tells of the database")
        with pytest.raises(DatabaseUnavailable):
            daemon.desk.send({**order, "id": "2"})
        with pytest.raises(DatabaseUnavailable):
            daemon.desk.status("1")
        assert daemon.desk.submit("describe")["service"] == "preprocessor"
        time.sleep(3)
    finally:
        postgres.start()
    until(lambda: trouble(daemon) is None, "the state tells of the recovery")
    assert_finishes(daemon, url, reference)
    assert "the database answers again" in log_of(daemon)


def test_postgresql_away_at_the_start(make_preprocessor, night, reference, postgres):
    url = postgres.new_database()
    daemon = make_preprocessor(database_url=url)
    order = prepare(daemon, night)
    postgres.stop()
    try:
        daemon.start()
        assert trouble(daemon)
        with pytest.raises(DatabaseUnavailable):
            daemon.desk.send(order)
    finally:
        postgres.start()
    until(lambda: trouble(daemon) is None, "the daemon takes up its work")
    daemon.desk.send(order)
    assert_finishes(daemon, url, reference)


def test_postgresql_that_hangs(make_preprocessor, night, reference, postgres):
    url = postgres.new_database()
    daemon = make_preprocessor(database_url=url)
    order = prepare(daemon, night)
    daemon.start()
    send_and_wait_for(daemon, order, "*/run-001/*.fits")
    hurried = FrontDesk(daemon.url, timeout_s=3)
    patient = FrontDesk(daemon.url, timeout_s=15)
    with hanging(postgres):
        for number in range(3):
            with pytest.raises(DatabaseUnavailable):
                patient.send({**order, "id": f"not {number}"})
            assert hurried.status()["database"] != "ok"
            assert hurried.submit("describe")["service"] == "preprocessor"
    assert_finishes(daemon, url, reference)


@pytest.mark.long
def test_a_stop_while_postgresql_hangs(make_preprocessor, night, reference, postgres):
    url = postgres.new_database()
    daemon = make_preprocessor(database_url=url)
    order = prepare(daemon, night)
    daemon.start()
    send_and_wait_for(daemon, order, "*/run-001/*.fits")
    with hanging(postgres):
        assert daemon.stop() == 0
    daemon.start()
    assert_finishes(daemon, url, reference)


# ---- a repository that cannot be written ------------------------------------------------------


def test_a_repository_that_becomes_read_only(make_preprocessor, make_disk, night, reference):
    daemon = make_preprocessor()
    disk = make_disk(WHOLE_KB, daemon.state / "repository")
    order = prepare(daemon, night)
    daemon.start()
    send_and_wait_for(daemon, order, "*/run-001/*.fits")
    disk.read_only()
    with pytest.raises(StorageFailed, match="Read-only file system"):
        daemon.desk.wait("1", 60)
    assert_nothing_half_written(daemon, reference)
    with pytest.raises(StorageFailed, match="Read-only file system"):
        daemon.desk.submit("resume_file_batch", file_batch=1, id="2", user="tester")
        daemon.desk.wait("2", 60)
    disk.writable()
    assert_resumes(daemon, reference)


def assert_resumes(daemon, reference, order_id="3"):
    """Resume the batch; everything that counts is as in an undisturbed run."""
    daemon.desk.submit("resume_file_batch", file_batch=1, id=order_id, user="tester")
    daemon.desk.wait(order_id, 120)
    assert daemon.stop() == 0
    files, told = reference
    found = rows(url_of(daemon, None))
    assert found["steps"] == told["steps"]
    assert set(told["products"]) <= set(found["products"])
    now = tree(daemon)
    assert {name: now.get(name) for name in files} == files


# ---- raw files that are damaged or gone -------------------------------------------------------


def spoil_a_flat(daemon, order, spoil):
    """Spoil the last flat after the batch came in and before it is stacked; return it."""
    send_and_wait_for(daemon, order, "*/raw/*_flat_V.fits")
    raw = daemon.state / "repository" / "batch-000001" / "raw"
    until(lambda: len(list(raw.iterdir())) == 16, "all raw files", every_s=0.001)
    flat = max(raw.glob("*_flat_V.fits"))
    spoil(flat)
    return flat


def damage(path):
    """Turn a bit of the last pixel round, as a bad disk does."""
    with path.open("r+b") as file:
        file.seek(2880 * 2 + 100)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize(
    ("on_error", "steps"),
    [
        ("stop", ["stack_bias", "stack_dark", "stack_flat"]),
        ("continue", ["stack_bias", "stack_dark", "stack_flat", "correct_light"]),
    ],
)
def test_a_damaged_raw_file_is_named(make_preprocessor, night, reference, on_error, steps):
    daemon = make_preprocessor(changes={"Preprocessor": {"On Step Error": on_error}})
    order = prepare(daemon, night)
    daemon.start()
    flat = spoil_a_flat(daemon, order, damage)
    with pytest.raises(DamagedFile, match=flat.name) as failed:
        daemon.desk.wait("1", 120)
    result = failed.value.status["result"]
    assert [step["step"] for step in result["steps"]] == steps
    assert [step["state"] for step in result["steps"]][2] == "failed"
    assert result["partial"] == (2 if on_error == "continue" else 0)
    assert flat.name in log_of(daemon)
    shutil.copyfile(night / flat.name, flat)
    assert_resumes(daemon, reference)


def delete_once_registered(daemon):
    def delete(path):
        until((daemon.state / "repository/batch-000001/run-001").exists, "the run", every_s=0.001)
        path.unlink()

    return delete


@pytest.mark.parametrize("on_error", [pytest.param("stop", marks=pytest.mark.long), "continue"])
def test_a_deleted_raw_file_is_named(make_preprocessor, night, reference, on_error):
    daemon = make_preprocessor(changes={"Preprocessor": {"On Step Error": on_error}})
    order = prepare(daemon, night)
    daemon.start()
    flat = spoil_a_flat(daemon, order, delete_once_registered(daemon))
    with pytest.raises(DamagedFile, match=flat.name):
        daemon.desk.wait("1", 120)
    shutil.copyfile(night / flat.name, flat)
    assert_resumes(daemon, reference)


# ---- mail -------------------------------------------------------------------------------------


@pytest.fixture
def inbox():
    try:
        from aiosmtpd.controller import Controller
    except ImportError:
        missing_part("aiosmtpd", "pip install aiosmtpd")

    class Inbox:
        mails: list = []

        async def handle_DATA(self, _server, _session, envelope):
            self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
            return "250 taken"

    handler = Inbox()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield handler, controller.port
    controller.stop()


def mailing(port):
    return {
        "Admin Emails": ["admin@observatory.test"],
        "Email Configuration": {
            "Server": "127.0.0.1",
            "Port": port,
            "Security": "none",
            "Bundle (s)": 2,
        },
    }


def test_an_error_is_mailed_once(make_preprocessor, night, inbox):
    mails, port = inbox
    daemon = make_preprocessor(changes=mailing(port))
    order = prepare(daemon, night)
    daemon.start()
    flat = spoil_a_flat(daemon, order, damage)
    with pytest.raises(DamagedFile):
        daemon.desk.wait("1", 120)
    until(lambda: mails.mails, "the mail")
    assert daemon.stop() == 0
    assert len(mails.mails) == 1
    text = mails.mails[0].get_content()
    assert flat.name in text
    assert "[1]" in text
    assert "stack_flat" in text


def test_an_unreachable_mail_server_changes_nothing(make_preprocessor, night, reference):
    daemon = make_preprocessor(changes=mailing(free_port()))
    order = prepare(daemon, night)
    daemon.start()
    with pytest.raises(Exception, match="nothing-there"):
        daemon.desk.submit("calibrate_file_batch", id="0", url=f"{night}/nothing-there")
        daemon.desk.wait("0", 60)
    daemon.desk.send(order)
    daemon.desk.wait("1", 120)
    until(lambda: "mail" in log_of(daemon), "a line about the mail server")
    assert daemon.stop() == 0
    lines = [line for line in log_of(daemon).splitlines() if "toros.notify" in line]
    assert len([line for line in lines if "WARNING" in line]) <= 2, lines
    told = rows(url_of(daemon, None))
    assert {name for _, name, _, _ in told["products"]} == {
        name for _, name, _, _ in reference[1]["products"]
    }
