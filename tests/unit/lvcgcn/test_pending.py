"""The robot's queue: who is next, who is suspected, and what a full disk does to the counts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from toros import clock
from toros.errors import DiskFull
from toros.lvcgcn.pending import Pending
from toros.lvcgcn.reception.archive import Archive, Kept


def pending_in(folder: Path) -> Pending:
    """Begin as a daemon that starts: with what is in the folder."""
    begun = Pending(Archive(folder, clock.REAL))
    begun.begin()
    return begun


def claimed(pending: Pending) -> Kept:
    kept = pending.claim()
    assert kept is not None
    return kept


def test_each_notice_is_claimed_once_in_the_order_of_receipt(tmp_path: Path) -> None:
    pending = pending_in(tmp_path)
    names = [pending.archive.keep(b"%d" % n, "test").path.name for n in range(3)]
    assert [claimed(pending).path.name for _ in names] == names
    assert pending.claim() is None


def test_what_was_under_way_when_the_daemon_died_is_handled_one_at_a_time(tmp_path: Path) -> None:
    before = pending_in(tmp_path)
    names = [before.archive.keep(b"%d" % n, "test").path.name for n in range(3)]
    for _ in names:
        assert before.count(claimed(before)) == 1
    after = pending_in(tmp_path)
    new = after.archive.keep(b"new", "test").path.name
    guilty, innocent = claimed(after), claimed(after)
    assert (guilty.path.name, innocent.path.name) == (names[0], new)
    assert after.claim() is None, "two suspects at a time"
    assert after.count(guilty) == 2
    after.set_aside(guilty, "it ended the daemon")
    after.release(guilty)
    assert claimed(after).path.name == names[1]
    assert after.state() == {"under_way": 2, "in_trouble": 0}


def test_who_was_under_way_twice_when_daemons_died_has_to_wait(tmp_path: Path) -> None:
    """Else a daemon that ends soon after each start would have it set aside, whyever it ends."""
    pending = pending_in(tmp_path)
    name = pending.archive.keep(b"1", "test").path.name
    for attempt in (1, 2):
        assert pending.count(claimed(pending)) == attempt
        pending = pending_in(tmp_path)
    begun = time.monotonic()
    assert pending.claim() is None
    while (kept := pending.claim()) is None:
        assert time.monotonic() < begun + 10.0
        time.sleep(0.05)
    assert (kept.path.name, time.monotonic() - begun > 1.5) == (name, True)


def test_a_stop_by_intent_is_no_attempt(tmp_path: Path) -> None:
    before = pending_in(tmp_path)
    before.archive.keep(b"1", "test")
    before.count(claimed(before))
    before.forget_under_way()
    after = pending_in(tmp_path)
    assert after.count(claimed(after)) == 1


def test_counts_of_what_is_gone_are_removed(tmp_path: Path) -> None:
    before = pending_in(tmp_path)
    kept = before.keep(b"1", "test")
    before.count(kept)
    before.archive.done(kept, "answered")  # and killed before the count was removed
    pending_in(tmp_path)
    assert list((tmp_path / "tries").iterdir()) == []


def test_a_full_disk_is_no_defect_of_a_notice(small_disk: Path) -> None:
    pending = pending_in(small_disk / "alerts")
    kept = pending.keep(b"1", "test")
    with (small_disk / "ballast").open("wb", 0) as ballast, pytest.raises(OSError, match="space"):
        while ballast.write(bytes(4096)):
            pass
    with pytest.raises(DiskFull, match="tries"):
        pending.count(kept)


def test_what_is_set_aside_is_no_trouble_any_more(tmp_path: Path) -> None:
    pending = pending_in(tmp_path)
    kept = pending.keep(b"1", "test")
    assert [pending.put_off(kept)[0] for _ in range(3)] == [1, 2, 3]
    assert pending.state()["in_trouble"] == 1
    pending.set_aside(kept, "why")
    assert pending.state()["in_trouble"] == 0
    assert (pending.archive.aside / f"{kept.path.name}.reason.txt").read_text() == "why\n"
