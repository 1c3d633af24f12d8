"""The robot: what becomes of notices, in which order ever they come."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.unit.lvcgcn.robots import EVENT, make_robot, messages_of, notice, sky_map
from toros.database.messages import Message
from toros.errors import EventNotFound, SkyMapRefused
from toros.lvcgcn.notices import read_notice
from toros.lvcgcn.own_alert import voevent_of
from toros.lvcgcn.requests import Resources

Make = Callable[..., Resources]


@pytest.fixture
def make(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    numbers = itertools.count()
    packaged = tmp_path_factory.getbasetemp() / "packaged-catalogue"

    def new(**section: Any) -> Resources:
        return make_robot(tmp_path / str(next(numbers)), packaged, **section)

    return new


def all_messages(robot: Resources) -> list[Message]:
    with robot.database.reading() as session:
        return list(session.scalars(select(Message).order_by(Message.id)))


def test_a_notice_leads_to_lists_files_and_messages(make: Make) -> None:
    robot = make()
    handled = robot.robot.take(notice(), "test")
    assert (handled.outcome, handled.event) == ("answered", EVENT)
    assert handled.folder is not None
    names = {path.name for path in handled.folder.iterdir()}
    assert names >= {
        "event.json", "notice.json", "skymap.fits", "assignments.json",
        "targets-Macon.json", "targets-Macon.csv", "targets-North.json", "targets-North.csv",
    }  # fmt: skip
    told = messages_of(robot, EVENT, handled.revision or 0)
    assert [each["recipient"] for each in told] == ["Macon", "North"]
    assert {each["request"] for each in told} == {"receive_targets"}
    sent = all_messages(robot)[0].content
    listed = json.loads((handled.folder / "targets-Macon.json").read_text())["targets"]
    assert [target["name"] for target in sent["targets"]] == [each["name"] for each in listed]
    assert sent["event"] == EVENT
    assert sent["revision"] == handled.revision
    assert not robot.robot.archive.waiting()


def test_the_same_notice_does_nothing_twice(make: Make) -> None:
    robot = make()
    first = robot.robot.take(notice(), "one source")
    again = robot.robot.take(notice(), "another source")
    assert again.outcome == "repeated"
    assert again.revision == first.revision
    assert again.folder == first.folder
    assert len(all_messages(robot)) == 2
    assert len(robot.alerts.tell(EVENT)["notices"]) == 1


def test_an_older_notice_overwrites_nothing(make: Make) -> None:
    robot = make()
    new = robot.robot.take(notice("UPDATE", 900.0, sky_map(30.0)), "test")
    old = robot.robot.take(notice("PRELIMINARY", 30.0), "test")
    assert old.outcome == "superseded"
    told = robot.alerts.tell(EVENT)
    assert told["revision"] == new.revision
    assert told["folder"] == str(new.folder)
    assert [each["outcome"] for each in told["notices"]] == ["answered", "superseded"]


def test_a_retraction_withdraws_what_was_relayed(make: Make) -> None:
    robot = make()
    first = robot.robot.take(notice(), "test")
    gone = robot.robot.take(notice("RETRACTION", 1800.0), "test")
    assert gone.outcome == "answered"
    assert (gone.revision or 0) > (first.revision or 0)
    assert [m.content["targets"] for m in all_messages(robot)[2:]] == [[], []]
    assert robot.alerts.tell(EVENT)["state"] == "retracted"
    assert all(not made["targets"] for made in robot.alerts.lists(EVENT)[1].values())


def test_a_retraction_that_comes_first_stays(make: Make) -> None:
    robot = make()
    assert robot.robot.take(notice("RETRACTION", 1800.0), "test").outcome == "recorded"
    assert robot.robot.take(notice(), "test").outcome == "superseded"
    assert robot.alerts.tell(EVENT)["state"] == "retracted"
    assert all_messages(robot) == []


def test_every_order_of_arrival_ends_alike(make: Make) -> None:
    sequence = [
        notice("EARLYWARNING", 5.0, sky_map(500.0)),
        notice("PRELIMINARY", 30.0, sky_map(100.0)),
        notice("UPDATE", 900.0, sky_map(30.0)),
    ]
    ends = []
    for order in itertools.permutations(sequence):
        robot = make()
        for raw in order:
            robot.robot.take(raw, "test")
        told = robot.alerts.tell(EVENT)
        _, lists = robot.alerts.lists(EVENT)
        names = {name: [t["name"] for t in made["targets"]] for name, made in lists.items()}
        ends.append((told["state"], Path(told["folder"]).name, names))
    assert all(end == ends[0] for end in ends)
    assert ends[0][2]["Macon"]


@pytest.mark.parametrize(
    ("section", "raw", "outcome"),
    [
        ({}, notice(event="MS260611a"), "recorded"),
        ({"Mock Alerts": "ignore"}, notice(event="MS260611a"), "ignored"),
        ({"Mock Alerts": "answer"}, notice(event="MS260611a"), "answered"),
        ({}, notice(significant=False), "recorded"),
        ({"Insignificant Alerts": "answer"}, notice(significant=False), "answered"),
        ({"Relay": {"Age Limit (h)": 24}}, notice(after_s=-200_000.0), "recorded"),
    ],
)
def test_settings_say_whom_to_tell(
    make: Make, section: dict[str, Any], raw: bytes, outcome: str
) -> None:
    robot = make(**section)
    handled = robot.robot.take(raw, "test")
    assert handled.outcome == outcome
    assert bool(all_messages(robot)) == (outcome == "answered")
    if outcome == "recorded":
        assert handled.folder is not None
        assert (handled.folder / "targets-Macon.json").is_file()
        assert handled.message  # why nobody is told


def test_who_was_told_hears_what_becomes_of_it(make: Make) -> None:
    robot = make()
    robot.robot.take(notice(), "test")
    later = robot.robot.take(notice("UPDATE", 900.0, significant=False), "test")
    assert later.outcome == "answered"


def test_rubbish_is_a_recorded_refusal(make: Make) -> None:
    robot = make()
    handled = robot.robot.take(b'{"superevent_id": "S1", "alert_type": 7}', "test")
    assert handled.outcome == "refused"
    assert handled.message
    assert robot.alerts.counts() == {"refused": 1}
    assert not robot.robot.archive.waiting()


def test_a_broken_sky_map_is_a_recorded_refusal_and_keeps_the_lists(make: Make) -> None:
    robot = make()
    good = robot.robot.take(notice(), "test")
    broken = robot.robot.take(notice("UPDATE", 900.0, sky_map()[:9000]), "test")
    assert broken.outcome == "refused"
    assert isinstance(broken.error, SkyMapRefused)
    told = robot.alerts.tell(EVENT)
    assert told["revision"] == good.revision
    assert [each["outcome"] for each in told["notices"]] == ["answered", "refused"]


def test_mail_and_webhooks_are_told_too(make: Make) -> None:
    hook = {"Address": "http://127.0.0.1:9/x"}
    robot = make(
        Tell={
            "Mail": ["observer@example.org"],
            "Webhooks": [
                {"Name": "chat", **hook},
                {"Name": "all", "Form": "full", **hook},
                {"Name": "broker", "Form": "assignments", **hook},
            ],
        }
    )
    robot.robot.take(notice(), "test")
    sent = {(each.channel, each.recipient): each.content for each in all_messages(robot)}
    assert set(sent) == {
        ("front_desk", "Macon"), ("front_desk", "North"), ("web", "chat"), ("web", "all"),
        ("web", "broker"), ("mail", "observer@example.org"),
    }  # fmt: skip
    assert set(sent["web", "chat"]) == {"text"}
    assert EVENT in sent["web", "chat"]["text"]
    assert set(sent["web", "all"]["lists"]) == {"Macon", "North"}
    assert set(sent["web", "broker"]) == {"alert", "gcnnotice", "assignments"}
    mail = sent["mail", "observer@example.org"]
    assert EVENT in mail["subject"]
    assert "Macon" in mail["text"]
    assert "\n" not in mail["subject"]


def test_retracted_by_hand(make: Make) -> None:
    robot = make()
    first = robot.robot.take(notice(), "test")
    add = robot.relay.of_retraction(EVENT, "a glitch", {}, robot.clock.now())
    revision = robot.alerts.retract(EVENT, "a glitch", ["Macon", "North"], add)
    assert revision > (first.revision or 0)
    assert [m.content["targets"] for m in all_messages(robot)[2:]] == [[], []]
    assert robot.robot.take(notice("INITIAL", 100.0), "test").outcome == "answered"
    assert robot.alerts.tell(EVENT)["state"] == "active"
    with pytest.raises(EventNotFound, match="S999999z"):
        robot.alerts.retract("S999999z", "", [], None)


def test_reports_of_targets_are_kept_once_each(make: Make) -> None:
    robot = make()
    robot.robot.take(notice(), "test")
    report = {
        "event": EVENT, "observatory": "North", "name": "NGC4993", "state": "failed",
        "message": "clouds", "exposures": 0,
    }  # fmt: skip
    robot.alerts.report(report)
    robot.alerts.report({**report, "state": "done", "message": "", "exposures": 3})
    told = robot.alerts.tell(EVENT)["reports"]
    assert [(each["state"], each["exposures"]) for each in told] == [("done", 3)]


def test_an_event_is_written_as_a_voevent_of_our_own(make: Make) -> None:
    pytest.importorskip("voeventparse", reason="voevent-parse is there on Python 3.11 only")
    robot = make()
    robot.robot.take(notice(), "test")
    told = robot.alerts.tell(EVENT)
    revision, lists = robot.alerts.lists(EVENT)
    written = voevent_of(
        told["notices"][0]["facts"], lists, revision, "org.test/robot", robot.clock.now()
    )
    read = read_notice(written.encode())
    assert read.event == f"TOROS-{EVENT}"
    best = max(
        (t for made in lists.values() for t in made["targets"]), key=lambda t: t["probability"]
    )
    assert read.position is not None
    assert (read.position.ra_deg, read.position.dec_deg) == pytest.approx(
        (best["ra_deg"], best["dec_deg"]), abs=1e-5
    )


def test_an_unknown_kind_is_kept_and_steers_nobody(make: Make) -> None:
    robot = make()
    first = robot.robot.take(notice(), "test")
    strange = notice("UPDATE", 900.0).replace(b'"UPDATE"', b'"HUNCH"')
    assert robot.robot.take(strange, "test").outcome == "recorded"
    told = robot.alerts.tell(EVENT)
    assert told["revision"] == first.revision
    assert [each["is_known"] for each in told["notices"]] == [True, False]
    alone = make()
    assert alone.robot.take(strange, "test").outcome == "recorded"
    assert all_messages(alone) == []
    assert alone.robot.take(notice(), "test").outcome == "answered"  # whatever comes first


def test_a_notice_of_the_future_is_refused(make: Make) -> None:
    robot = make()
    robot.robot.take(notice(), "test")
    handled = robot.robot.take(notice("UPDATE", 1e9), "test")
    assert handled.outcome == "refused"
    assert "in the future" in handled.message
    assert robot.robot.take(notice("RETRACTION", 1800.0), "test").outcome == "answered"


def test_a_voevent_of_another_robot_is_no_event_to_observe(make: Make) -> None:
    pytest.importorskip("voeventparse", reason="voevent-parse is there on Python 3.11 only")
    robot = make()
    robot.robot.take(notice(), "test")
    facts = robot.alerts.tell(EVENT)["notices"][0]["facts"]
    revision, lists = robot.alerts.lists(EVENT)
    written = voevent_of(facts, lists, revision, "org.test/robot", robot.clock.now())
    other = make()
    assert other.robot.take(written.encode(), "test").outcome == "recorded"
    assert all_messages(other) == []


def test_an_observatory_that_is_not_told_any_more_has_no_list(make: Make) -> None:
    robot = make()
    robot.robot.take(notice(), "test")
    robot.robot.observatories = robot.robot.observatories[:1]
    robot.robot.take(notice("UPDATE", 900.0, sky_map(30.0)), "test")
    assert set(robot.alerts.lists(EVENT)[1]) == {"Macon"}


def test_a_broken_catalogue_gives_way_to_the_packaged_one(make: Make) -> None:
    robot = make()
    folder = robot.settings.lvcgcn.galaxies.catalogue
    assert folder is not None
    (folder / "version-1").mkdir(parents=True)
    (folder / "current").symlink_to("version-1")
    handled = robot.robot.take(notice(), "test")
    assert handled.outcome == "answered"
    assert "OpenNGC" in robot.catalogue.tell()["source"]
