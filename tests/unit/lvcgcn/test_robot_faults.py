"""The robot where not all goes well: maps, catalogues, recipients that cannot be had."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.unit.lvcgcn.notices.samples import classic, param
from tests.unit.lvcgcn.robots import DETECTED, make_robot, notice, sky_map
from toros.config import Settings
from toros.errors import InvalidField, SkyMapUnreachable, StorageFailed
from toros.lvcgcn.relay import _escaped
from toros.lvcgcn.requests import Resources, _read

Make = Callable[..., Resources]


@pytest.fixture
def make(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    numbers = itertools.count()
    packaged = tmp_path_factory.getbasetemp() / "packaged-catalogue"
    return lambda **section: make_robot(tmp_path / str(next(numbers)), packaged, **section)


def swift(after_s: float, *more: str, number: int = 61, serial: int = 1, **rest: object) -> bytes:
    issued = DETECTED + timedelta(seconds=after_s)
    raw = classic("SWIFT", number, *more, date=f"{issued:%Y-%m-%dT%H:%M:%S}", **rest)
    return raw.replace(b"1234567-001", b"1234567-%03d" % serial)


def unreachable_map(timeout_s: float = 0.3) -> tuple[str, dict[str, object]]:
    address = f"http://127.0.0.1:{free_port()}/"
    section = {"Addresses": [address], "Timeout (s)": timeout_s}
    return param("skymap_fits", f"{address}map.fits"), {"Sky Maps": section}


def test_a_retraction_waits_for_no_sky_map(make: Make) -> None:
    link, section = unreachable_map()
    robot = make(**section).robot
    assert robot.take(swift(10.0), "test").outcome == "answered"
    gone = robot.take(
        swift(20.0, link, param("Def_NOT_a_GRB", "true"), serial=2, place=None), "test"
    )
    assert gone.outcome == "answered"
    assert robot.alerts.tell("Swift-BAT-1234567")["state"] == "retracted"


@pytest.mark.parametrize("seed", range(3))
def test_of_one_second_the_retraction_is_the_last(make: Make, seed: int) -> None:
    robot = make().robot
    robot.take(notice("UPDATE", 900.0, sky_map(60.0, seed)), "test")
    assert robot.take(notice("RETRACTION", 900.0), "test").outcome == "answered"


def test_a_map_that_is_never_there_ends_as_a_refusal(make: Make) -> None:
    link, section = unreachable_map()
    robot = make(**section, Relay={"Age Limit (h)": 1}).robot
    raw = swift(10.0, link, place=None)
    with pytest.raises(SkyMapUnreachable):
        robot.take(raw, "test")
    (kept,) = robot.archive.waiting()
    early = datetime.now(UTC) - timedelta(hours=2)
    kept.path.rename(kept.path.with_name(f"{early:%Y%m%dT%H%M%S.%fZ}{kept.path.name[23:]}"))
    (kept,) = robot.archive.waiting()
    handled = robot.handle(kept)
    assert handled.outcome == "refused"
    assert "map.fits" in handled.message
    assert not robot.archive.waiting()


def test_a_map_too_many_is_fetched_later(make: Make) -> None:
    link, section = unreachable_map()
    robot = make(**section).robot
    for _ in range(4):
        assert robot.maps._fetching.acquire(blocking=False)
    with pytest.raises(SkyMapUnreachable, match="4 other sky maps are being fetched"):
        robot.take(swift(10.0, link), "test")
    assert robot.take(swift(10.0, serial=2), "test").outcome == "answered"


def test_without_a_catalogue_notices_wait_for_one(make: Make) -> None:
    robot = make().robot
    packaged = robot.archive.folder / "packaged"
    there = packaged.readlink()
    packaged.unlink()
    packaged.write_text("no folder")
    with pytest.raises(StorageFailed):
        robot.take(notice(), "test")
    robot._try(robot.archive.waiting()[0])
    assert robot.state() == {"under_way": 0, "in_trouble": 1}
    packaged.unlink()
    packaged.symlink_to(there)
    assert robot.handle(robot.archive.waiting()[0]).outcome == "answered"


def test_a_weight_that_the_catalogue_has_not_gives_way(make: Make) -> None:
    robot = make(Galaxies={"Weight": "stellar_mass"}).robot
    handled = robot.take(notice(), "test")
    assert handled.outcome == "answered"
    assert handled.folder is not None
    summary = json.loads((handled.folder / "event.json").read_text())["summary"]
    assert summary["weight"] == "luminosity_k"


@pytest.mark.parametrize("order", [(1, 3), (3, 1)])
def test_notices_without_a_place_end_alike_in_every_order(
    make: Make, order: tuple[int, ...]
) -> None:
    robot = make()
    for n in order:
        robot.robot.take(swift(10.0 * n, number=60, serial=n, place=None), "test")
    told = robot.alerts.tell("Swift-BAT-1234567")
    assert Path(told["folder"]).name.startswith("20260611T001314")
    robot.robot.take(swift(5.0, serial=9), "test")
    told = robot.alerts.tell("Swift-BAT-1234567")
    assert "BAT_GRB_Pos" in told["folder"], "what tells a place is newer than all that do not"


def test_who_was_not_told_of_an_event_is_not_told_of_its_end(make: Make) -> None:
    robot = make()
    robot.robot.take(notice(event="MS260611a"), "test")
    withdraw = robot.relay.of_retraction("MS260611a", "", {}, robot.clock.now())
    robot.alerts.retract("MS260611a", "", ["Macon", "North"], withdraw)
    assert robot.outbox.messages.counts()["waiting"] == 0
    assert robot.alerts.tell("MS260611a")["state"] == "retracted"


def test_a_repetition_names_no_folder_that_is_not_there(make: Make) -> None:
    robot = make(**{"Mock Alerts": "ignore"}).robot
    for _ in range(2):
        assert robot.take(notice(event="MS260611a"), "test").folder is None


def test_what_is_too_long_for_a_notice_is_refused_unread(make: Make) -> None:
    robot = make().robot
    handled = robot.take(b"{" + b" " * 60_000_000, "test")
    assert handled.outcome == "refused"
    assert "60000001 bytes" in handled.message


def test_a_chat_calls_nobody() -> None:
    hostile = "<!channel> <@U1> @everyone @here & co"
    assert _escaped(hostile) == (
        "&lt;!channel&gt; &lt;@\u2060U1&gt; @\u2060everyone @\u2060here &amp; co"
    )


def test_a_path_of_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "missing"):
        with pytest.raises(InvalidField, match="path"):
            _read(tmp_path / name, Settings())


def test_a_file_that_is_not_for_everybody_is_read_from_own_folders_only(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    path.write_bytes(b"{}")
    path.chmod(0o600)
    with pytest.raises(InvalidField, match="State Folder"):
        _read(path, Settings())
    assert _read(path, Settings(state_folder=tmp_path)) == b"{}"
    path.chmod(0o644)
    assert _read(path, Settings()) == b"{}"
