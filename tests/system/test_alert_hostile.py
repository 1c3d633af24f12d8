"""Hostile notices and maps through the real robot: refused on record, at a bounded cost."""

from __future__ import annotations

import base64
import gzip
import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from tests.system.alerts import NOON, AlertRobot, WebSink, closing, until
from tests.system.brokers import RawBroker
from tests.system.robot_forks import Starter
from tests.unit.lvcgcn.notices.samples import classic, lvk, param
from tests.unit.lvcgcn.notices.test_hostile import REFUSED
from tests.unit.lvcgcn.skymaps.maps import FLAT, fits_file
from tests.unit.lvcgcn.skymaps.test_hostile import TABLE, bomb
from toros.database.alert_tables import AlertNotice
from toros.errors import NoticeRefused, SkyMapRefused
from toros.lvcgcn.notices import LIMIT_BYTES
from toros.simulation.notices import make_notice
from toros.simulation.sky_maps import make_sky_map

BEFORE_DECODING_MB = 50.0
NOW = f"{NOON:%Y-%m-%dT%H:%M:%SZ}"


def good(event: str) -> bytes:
    """Make a notice that there is nothing wrong with."""
    content = make_sky_map(197.4487, -23.3838, 41.0, 60.0, seed=1, tiles=3072)
    return make_notice(event, "INITIAL", NOON, NOON, content)


def with_map(event: str, content: bytes) -> bytes:
    """Make a notice with any content for its map."""
    text = base64.b64encode(content).decode()
    body = {"time": NOW, "far": 1e-9, "significant": True, "skymap": text}
    return lvk(superevent_id=event, time_created=NOW, event=body)


def swift(trigger: int, *what: str, **rest: Any) -> bytes:
    return classic("SWIFT", 61, *what, trigger=trigger, date=NOW[:-1], **rest)


def without_end() -> bytes:
    """Make a map whose table says that it has 50 million pixels, and three gigabytes of zeros."""
    header = fits_file({"PROB": np.zeros(12)}, FLAT | {"NSIDE": 2048})[: 2 * 2880]
    old, new = (f"{'NAXIS2':8}= {rows:20}".encode() for rows in (12, 12 * 2048**2))
    assert header.count(old) == 1
    member = gzip.compress(bytes(100_000_000), 9)
    return gzip.compress(header.replace(old, new)) + member * 30


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[AlertRobot, RawBroker, WebSink]]:
    """Run a robot that listens to a broker which says anything; it is warm."""
    web, folder = WebSink(), tmp_path_factory.mktemp("hostile")
    with RawBroker() as broker:
        section = {
            "VTP": [{"Name": "raw", "Address": broker.address}],
            "Sky Maps": {"Addresses": [f"http://{web.address}/"], "Timeout (s)": 30},
        }
        robot = AlertRobot(folder / "robot", section)
        with closing(web, robot):
            robot.start()
            broker.accept()
            robot.drop("good", good("S260611a"))
            robot.until_notice("S260611a", "Initial")
            yield robot, broker, web


def rows(robot: AlertRobot) -> list[AlertNotice]:
    database = robot.database()
    try:
        with database.reading() as session:
            return list(session.scalars(select(AlertNotice).order_by(AlertNotice.id)))
    finally:
        database.close()


def until_refused(
    robot: AlertRobot, count: int, last: int, timeout_s: float = 60.0
) -> list[AlertNotice]:
    """Wait until so many more notices are refused on record; return their rows."""

    def refused() -> list[AlertNotice]:
        found = [row for row in rows(robot) if row.outcome == "refused" and row.id > last]
        return found if len(found) >= count else []

    found: list[AlertNotice] = until(refused, f"{count} refusals", timeout_s)
    assert len(found) == count
    assert all(row.message for row in found)
    return found


def test_hostile_notices_end_as_refusals_and_cost_little(watched: Any) -> None:
    robot, broker, _ = watched
    begun_mb, last = robot.forget_peak(), rows(robot)[-1].id
    raws = {name: raw for name, (raw, _) in REFUSED.items() if raw}  # an empty file is none yet
    raws["far too long"] = b"{" + b" " * (3 * LIMIT_BYTES)
    for n, raw in enumerate(raws.values()):
        robot.drop(f"{n:03d}", raw)
    # A packet that says it has two gigabytes, and one that says it is a VOEvent and is a bomb.
    broker.send(b"<?xml version='1.0'?>", length=2**31)
    broker.accept()
    broker.send(REFUSED["a bomb"][0].replace(b"//x#y", b"//by#vtp"))
    refused = until_refused(robot, len(raws) + 1, last)
    assert {row.status_code for row in refused} == {NoticeRefused.code}
    broker.send(swift(1))
    robot.until_notice("Swift-BAT-1", "BAT_GRB_Pos")
    grown_mb = robot.peak_mb() - begun_mb
    print(f"MEASURED {len(refused)} hostile notices: {grown_mb:.1f} MB over {begun_mb:.0f} MB")
    assert grown_mb <= BEFORE_DECODING_MB


def test_hostile_maps_end_as_refusals_within_the_limits(watched: Any) -> None:
    robot, _, web = watched
    begun_mb, last = robot.forget_peak(), rows(robot)[-1].id
    maps = {name: make() for name, (make, _) in TABLE.items()}
    maps["zeros that inflate to 100 MB"] = bomb(12 * 1024**2)
    maps["three gigabytes"] = without_end()
    count = 0
    for n, content in enumerate(maps.values()):
        if content and len(raw := with_map(f"S{n + 1:06d}h", content)) <= LIMIT_BYTES:
            robot.drop(f"{n:03d}", raw)
            count += 1
    assert count >= len(maps) - 1
    web.files["/zeros.fits"] = (bomb(12 * 1024**2), 0.0)
    link = param("skymap_fits", f"http://{web.address}/zeros.fits")
    robot.drop("linked", swift(2, link, place=None))
    elsewhere = param("skymap_fits", "http://127.0.0.1:1/elsewhere.fits")
    robot.drop("elsewhere", swift(3, elsewhere, place=None))
    refused = until_refused(robot, count + 2, last)
    assert {row.status_code for row in refused} == {SkyMapRefused.code}
    robot.drop("next", good("S260611b"))
    told = robot.until_notice("S260611b", "Initial")
    assert told["notices"][0]["outcome"] == "answered"
    grown_mb = robot.peak_mb() - begun_mb
    print(f"MEASURED {len(refused)} hostile maps: {grown_mb:.1f} MB over {begun_mb:.0f} MB")
    assert grown_mb <= 512 * 1.048576 + BEFORE_DECODING_MB  # what reading a map may take


@pytest.mark.long
def test_a_notice_that_ends_the_robot_again_and_again_is_set_aside(tmp_path: Path) -> None:
    """Killed each time it is under way, as by the system when memory is short."""
    web = WebSink()
    web.files["/13.fits"] = web.files["/14.fits"] = (bytes(1_000_000), 600.0)
    section = {"Sky Maps": {"Addresses": [f"http://{web.address}/"], "Timeout (s)": 600}}
    robot = AlertRobot(tmp_path / "robot", section)
    links = {n: param("skymap_fits", f"http://{web.address}/{n}.fits") for n in (13, 14)}
    raws = {n: swift(n, link, place=None) for n, link in links.items()}
    poison, innocent = (robot.archive().keep(raw, "test").path.name for raw in raws.values())
    tries = robot.state / "alerts" / "tries"
    starter = Starter(robot)

    def is_under_way(attempt: int) -> bool:
        path = tries / poison
        return path.exists() and path.stat().st_size == attempt

    with closing(starter, web):
        for attempt in range(1, 6):
            pid = starter.start()
            until(lambda n=attempt: is_under_way(n), f"attempt {attempt}", 60.0)
            if attempt == 1:
                until((tries / innocent).exists, "the other one is under way, too")
                web.files["/14.fits"] = (make_sky_map(10.0, 20.0, 40.0, 60.0, tiles=3072), 0.0)
            if attempt == 2:  # new ones go on all the while; who is suspected has one to wait for
                robot.drop("good", good("S260611a"))
                robot.until_notice("S260611a", "Initial")
                assert (tries / innocent).stat().st_size == 1, "it is not charged again"
            if attempt == 3:  # now the guilty one had to wait
                robot.until_notice("Swift-BAT-14", "BAT_GRB_Pos")
            starter.kill(pid)
        starter.start()
        aside = robot.state / "alerts" / "aside"
        reason = aside / f"{poison}.reason.txt"
        until((aside / poison).exists, "it is set aside")
        assert "again and again" in reason.read_text()
        assert (aside / poison).read_bytes() == raws[13]
        until(robot.answers, "an answer")
        assert robot.desk.status()["notices"] == {"under_way": 0, "in_trouble": 0}
        robot.drop("next", good("S260611b"))
        robot.until_notice("S260611b", "Initial")


@pytest.mark.long
def test_a_map_that_memory_is_too_short_for_is_set_aside(watched: Any) -> None:
    """The robot may take 150 MB more than it has; the map needs 400 MB to be read."""
    robot, _, _ = watched
    pid = robot.process.pid
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    (size_kb,) = [int(line.split()[1]) for line in status.splitlines() if line[:6] == "VmSize"]
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    limit = size_kb * 1024 + 150_000_000
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, before[1]))
    many = np.zeros(12 * 2048**2, dtype=np.float32)
    many[:4096] = np.linspace(1, 2, 4096)
    many /= many.sum(dtype=np.float64)
    cards = FLAT | {"NSIDE": 2048, "ORDERING": "RING"}
    raw = with_map("S260611m", fits_file({"PROB": many}, cards, packed=True))
    assert len(raw) <= LIMIT_BYTES
    robot.drop("large", raw)
    aside = robot.state / "alerts" / "aside"
    begun = time.monotonic()
    until(lambda: list(aside.glob("*.reason.txt")), "it is set aside", 120.0)
    print(f"MEASURED set aside after {time.monotonic() - begun:.0f} s")
    (reason,) = aside.glob("*.reason.txt")
    assert "MemoryError" in reason.read_text()
    robot.drop("next", good("S260611c"))
    robot.until_notice("S260611c", "Initial")
    os.kill(pid, signal.SIGTERM)
    assert robot.process.wait(60) == 0
