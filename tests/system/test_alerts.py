"""An alert end to end: brokers of Kafka and VOEvents, the robot, two front desks, mail, web."""

from __future__ import annotations

import base64
import csv
import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.system.alerts import NOON, AlertRobot, MailSink, RecordingDesk, WebSink, closing, until
from tests.system.brokers import CometBroker, KafkaBroker
from tests.unit.lvcgcn.notices.samples import lvk, unified
from toros.database.observing import Target
from toros.errors import EventNotFound, InvalidField, NoticeRefused, OrderError
from toros.lvcgcn.notices import read_notice
from toros.simulation.notices import make_notice
from toros.simulation.sky_maps import make_sky_map

TOPIC = "igwn.gwalert"
OBSERVER, GREY, NONE = "observer@example.org", "grey@example.org", "nobody@example.org"
THIEF = "thief@example.org"
GOOD = {"Macon", "North", OBSERVER, "slack", "full", "broker"}
REFUSING = {"refuses": "refused", NONE: "refused"}
LATER = {"hangs": "waiting", "away": "waiting", GREY: "waiting"}


def sky_map(area_deg2: float) -> bytes:
    """Make a sky map around NGC 4993."""
    return make_sky_map(
        197.4487, -23.3838, 41.0, area_deg2, seed=4993, tiles=3072, shape="ellipse",
        distance_relative_error=0.15,
    )  # fmt: skip


@dataclass
class Scene:
    """All that takes part."""

    robot: AlertRobot
    kafka: KafkaBroker
    comet: CometBroker
    north: RecordingDesk
    mail: MailSink
    web: WebSink
    issued: datetime = NOON

    def send(self, event: str, kind: Any, content: bytes | None) -> float:
        """Send a notice by Kafka; return when [s]."""
        # Notices have whole seconds: each at least one after the last.
        now = self.issued = max(self.robot.now(), self.issued + timedelta(seconds=1))
        raw = make_notice(event, kind, now, now, content)
        begun = time.monotonic()
        self.kafka.produce(TOPIC, [raw])
        return begun

    def targets(self, event: str) -> dict[str, str]:
        """Return the real telescope's targets of an event and their states."""
        database = self.robot.database()
        try:
            with database.reading() as session:
                rows = session.query(Target).filter(Target.event == event).order_by(Target.rank)
                return {row.name: row.state for row in rows}
        finally:
            database.close()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("alerts")
    north, mail, web = RecordingDesk(), MailSink(), WebSink()
    # Two refuse for good; one hangs, and two are away, until they are let come back.
    web.answers.update({"/refuses": 403, "/hangs": 60.0, "/away": 503})
    mail.answers.update({GREY: "450 come back later", NONE: "550 no such mailbox"})
    hooks = [
        {"Name": "slack", "Address": f"http://{web.address}/slack"},
        {"Name": "full", "Form": "full", "Address": f"http://{web.address}/full"},
        {"Name": "broker", "Form": "assignments",
         "Address": f"http://user:pass%20word@{web.address}/assignments"},
        *({"Name": name, "Address": f"http://{web.address}/{name}"}
          for name in ("refuses", "hangs", "away")),
    ]  # fmt: skip
    with (
        closing(north, mail, web),
        KafkaBroker() as kafka,
        CometBroker(folder / "comet", alive_s=2.0) as comet,
    ):
        for topic in (TOPIC, "gcn.heartbeat"):
            kafka.create(topic)
        kafka.beat("gcn.heartbeat", 0.5)
        section = {
            "Kafka": {"Servers": [kafka.address]},
            "VTP": [{"Name": "comet", "Address": comet.address}],
            "Tell": {"Mail": [OBSERVER, GREY, NONE], "Webhooks": hooks},
        }
        robot = AlertRobot(
            folder / "robot", section, north=north.address,
            changes={"Email Configuration": mail.settings},
        )  # fmt: skip
        with closing(robot):
            robot.start("telescope", "lvcgcn")
            robot.until_connected()
            yield Scene(robot, kafka, comet, north, mail, web)


def attachments(mail: Any) -> dict[str, bytes]:
    return {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}


def test_an_event_from_its_first_notice_to_its_retraction(scene: Scene) -> None:
    event, robot = "S260611a", scene.robot
    begun = scene.send(event, "PRELIMINARY", sky_map(600.0))
    until(lambda: scene.north.of(event), "the list in the north")
    north_s = scene.north.moments[-1] - begun
    until(lambda: scene.targets(event), "the list at the telescope")
    print(
        f"MEASURED first list {north_s:.2f} s, telescope's table {time.monotonic() - begun:.2f} s"
    )
    first = robot.until_told(event, {**dict.fromkeys(GOOD, "delivered"), **REFUSING, **LATER})
    assert {m["attempts"] for m in first["told"] if m["recipient"] in GOOD} == {1}
    lists = robot.desk.submit("get_targets", event=event)["lists"]
    names = {site: [target["name"] for target in made["targets"]] for site, made in lists.items()}
    assert "NGC4993" in names["Macon"]
    assert names["Macon"] != names["North"]
    assert set(scene.targets(event)) == set(names["Macon"])
    (sent,) = scene.north.of(event)
    assert [target["name"] for target in sent["targets"]] == names["North"]
    assert (sent["request"], sent["revision"]) == ("receive_targets", first["revision"])

    scene.web.answers.update({"/hangs": 200, "/away": 200})
    scene.mail.answers[GREY] = "250 OK"
    begun = scene.send(event, "UPDATE", sky_map(60.0))
    second = robot.until_notice(event, "Update")
    assert second["revision"] > first["revision"]
    made = robot.desk.submit("get_targets", event=event, observatory="Macon")["lists"]["Macon"]
    after = {target["name"] for target in made["targets"]}

    def is_updated() -> bool:
        found = scene.targets(event)
        return {name for name, state in found.items() if state == "waiting"} == after

    until(is_updated, "the telescope has the new list, and no other target")
    print(f"MEASURED update in the telescope's table {time.monotonic() - begun:.2f} s")

    scene.send(event, "RETRACTION", None)
    until(lambda: set(scene.targets(event).values()) == {"withdrawn"}, "the withdrawal")
    last = _until_everybody_has_heard(scene, event)
    assert last["state"] == "retracted"
    assert [each["targets"] == [] for each in scene.north.of(event)] == [False, False, True]
    revisions = [each["revision"] for each in scene.north.of(event)]
    assert revisions == [first["revision"], second["revision"], last["revision"]]
    scene.north.assert_nothing_twice()
    _assert_mails(scene, event, names["Macon"][0])
    _assert_posts(scene, event, names)


def _until_everybody_has_heard(scene: Scene, event: str) -> dict[str, Any]:
    """Wait until who was away has heard of all, each once, and each outcome is told."""
    heard = dict.fromkeys((*GOOD, *LATER), "delivered")
    told = scene.robot.until_told(event, {**REFUSING, **heard})
    errors = {each["recipient"]: each["last_error"] for each in told["told"]}
    assert "403" in errors["refuses"]
    assert "no such mailbox" in errors[NONE]
    assert not any(errors[who] for who in heard)
    assert scene.mail.attempts[GREY] > len(scene.mail.of(GREY)) == 3
    for path in ("/away", "/hangs", "/slack"):
        kinds = [body["text"].partition(" (")[0].rpartition(" ")[2] for body in scene.web.of(path)]
        assert kinds == ["Preliminary", "Update", "Retraction"], "in order, each once"
    return told


def _assert_mails(scene: Scene, event: str, best: str) -> None:
    mails = scene.mail.of(OBSERVER)
    assert [mail["Subject"].partition(" (")[0] for mail in mails] == [
        f"[TOROS] {event}: {kind}" for kind in ("Preliminary", "Update", "Retraction")
    ]
    text = mails[0].get_body(("plain",)).get_content()
    assert best in text
    assert "90 % areas" in text
    files = attachments(mails[0])
    assert set(files) >= {
        "event.json", "notice.json", "sky.png", "targets-Macon.csv", "targets-North.csv",
    }  # fmt: skip
    assert read_notice(files["notice.json"]).event == event
    assert files["sky.png"].startswith(b"\x89PNG")
    rows = list(csv.DictReader(io.StringIO(files["targets-Macon.csv"].decode())))
    assert rows[0]["name"] == best
    if "voevent.xml" in files:  # written where voevent-parse is
        assert event in files["voevent.xml"].decode()
    assert "RETRACTED" in mails[2].get_body(("plain",)).get_content()


def _assert_posts(scene: Scene, event: str, names: dict[str, list[str]]) -> None:
    slack, full, broker = (
        [body for body in scene.web.of(f"/{form}") if event in json.dumps(body)]
        for form in ("slack", "full", "assignments")
    )
    assert [set(body) for body in slack] == [{"text"}] * 3
    assert names["Macon"][0] in slack[0]["text"]
    assert [t["name"] for t in full[0]["lists"]["North"]["targets"]] == names["North"]
    assert full[2]["lists"]["North"]["targets"] == []
    assert broker[0]["alert"]["graceid"] == event
    assert list(broker[0]["assignments"]["Macon"]) == names["Macon"]
    assert broker[2]["gcnnotice"]["gcntype"] == "Retraction"
    assert "assignments" not in broker[2]
    heads = next(heads for path, heads, _ in scene.web.posts if path == "/assignments")
    assert heads["Authorization"] == "Basic " + base64.b64encode(b"user:pass word").decode()


def test_a_voevent_of_another_mission_by_vtp(
    scene: Scene, shared_data: Path, tmp_path: Path
) -> None:
    raw = (shared_data / "alerts" / "Swift_876016_BAT_GRB_Pos.xml").read_bytes()
    now = f"{scene.robot.now():%Y-%m-%dT%H:%M:%S}".encode()
    raw = raw.replace(b"<Date>2018-12-13T12:58:42<", b"<Date>" + now + b"<")
    path = tmp_path / "swift.xml"
    path.write_bytes(raw)
    begun = time.monotonic()
    scene.comet.send(path)
    event = "Swift-BAT-876016"
    told = scene.robot.until_told(event, dict.fromkeys(("Macon", "North"), "delivered"))
    print(f"MEASURED VOEvent to both front desks {time.monotonic() - begun:.2f} s, sender included")
    assert told["notices"][0]["source"] == "vtp-comet"
    place = read_notice(raw).position
    assert place is not None
    lists = scene.robot.desk.submit("get_targets", event=event)["lists"]
    assert any(made["targets"] for made in lists.values())
    for made in lists.values():
        for target in made["targets"]:
            assert target["kind"] == "position"
            assert target["ra_deg"] == pytest.approx(place.ra_deg)
            assert target["dec_deg"] == pytest.approx(place.dec_deg)
    scene.robot.until_told(event, {OBSERVER: "delivered"})
    (mail,) = [mail for mail in scene.mail.of(OBSERVER) if event in mail["Subject"]]
    assert attachments(mail)["notice.xml"] == raw


def test_a_hostile_notice_adds_no_header_and_calls_nobody(scene: Scene) -> None:
    event = "EinsteinProbe-WXT-h1"
    word = f"=?utf-8?q?x=0d=0aBcc:_{THIEF.replace('@', '=40')}=0d=0a=0d=0aHi?="
    calls = "<!channel> @everyone <https://evil.example|win>"
    now = f"{scene.robot.now():%Y-%m-%dT%H:%M:%SZ}"
    place = {"ra": 197.4, "dec": -23.4, "ra_dec_error": 0.05, "alert_datetime": now}
    raws = [
        unified("einstein_probe/wxt/alert", id=["h0"], notice_type="x\nBcc: x@y.z", **place),
        unified("einstein_probe/wxt/alert", id=["h1"], notice_type=f"{word} {calls}", **place),
        lvk(superevent_id="S260611h", time_created=now, alert_type=word),
    ]
    scene.kafka.produce(TOPIC, raws)
    told = scene.robot.until_told(event, dict.fromkeys(GOOD, "delivered"))
    (mail,) = [mail for mail in scene.mail.of(OBSERVER) if event in mail["Subject"]]
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith(f"[TOROS] {event}: = ?utf-8?q?x=0d=0aBcc")
    assert {to for to, _ in scene.mail.mails} <= {OBSERVER, GREY}
    assert "Hi" not in mail
    (post,) = [body for body in scene.web.of("/slack") if event in body["text"]]
    for call in ("<!", "<https", "@everyone"):
        assert call not in post["text"]
    assert "evil.example" in post["text"], "shown, as text"
    assert Path(told["folder"]).parent.parent == scene.robot.state / "alerts" / "events"
    # A kind that nobody knows is kept and flagged, whatever it is called; nobody is told.
    unknown = scene.robot.until_notice("S260611h", word)
    assert [(each["is_known"], each["outcome"]) for each in unknown["notices"]] == [
        (False, "recorded")
    ]
    assert unknown["told"] == []
    assert scene.robot.event("EinsteinProbe-WXT-h0") is None, "refused: a line break in its kind"


def test_what_can_be_asked_for(scene: Scene, tmp_path: Path) -> None:
    desk, robot, event = scene.robot.desk, scene.robot, "S260611q"
    now = robot.now()
    raw = make_notice(event, "INITIAL", now, now, sky_map(60.0))
    assert desk.wait(desk.submit("process_alert", text=raw.decode())["id"], 60.0)["result"][
        "outcome"
    ] == "answered"  # fmt: skip
    path = tmp_path / "again.json"
    path.write_bytes(raw)
    again = desk.wait(desk.submit("process_alert", path=str(path))["id"], 60.0)["result"]
    assert (again["outcome"], again["event"]) == ("repeated", event)
    told = desk.submit("get_event", event=event)
    assert (told["state"], again["revision"]) == ("active", told["revision"])
    assert told["summary"]["area_90_deg2"] == pytest.approx(60.0, rel=0.02)
    _ask_wrongly(desk, tmp_path)
    lists = desk.submit("get_targets", event=event)["lists"]
    as_csv = desk.submit("get_targets", event=event, form="csv", observatory="Macon")["lists"]
    names = [row["name"] for row in csv.DictReader(io.StringIO(as_csv["Macon"]))]
    assert names == [target["name"] for target in lists["Macon"]["targets"]]
    forms = desk.submit("get_targets", event=event, form="assignments")["lists"]
    assert list(forms["assignments"]["Macon"]) == names
    report = {"event": event, "observatory": "North", "name": names[0], "state": "done"}
    desk.wait(desk.submit("report_target", **report, exposures=3)["id"], 30.0)
    assert desk.submit("get_event", event=event)["reports"][0]["exposures"] == 3
    gone = desk.wait(desk.submit("retract", event=event, reason="a glitch")["id"], 30.0)["result"]
    assert gone["state"] == "retracted"
    robot.until_told(event, dict.fromkeys(GOOD, "delivered"))
    until(lambda: set(scene.targets(event).values()) == {"withdrawn"}, "the withdrawal")
    assert scene.north.of(event)[-1]["targets"] == []
    for state, is_there in (("active", False), ("retracted", True), ("any", True)):
        page = desk.submit("list_events", state=state, page_size=100)
        assert (event in [each["event"] for each in page["events"]]) == is_there
    first = desk.submit("list_events", page_size=1)
    assert len(first["events"]) == 1
    assert first["total"] == page["total"]
    status = desk.status()
    assert {source["name"] for source in status["sources"]} == {"Kafka", "VTP comet", "folder hand"}
    assert status["observatories"] == ["Macon", "North"]
    assert status["catalogue"]["galaxies"] > 1000


def _ask_wrongly(desk: Any, tmp_path: Path) -> None:
    for request in ("get_event", "get_targets"):
        with pytest.raises(EventNotFound, match="S999999z"):
            desk.submit(request, event="S999999z")
    with pytest.raises(EventNotFound, match="Paranal"):
        desk.submit("get_targets", event="S260611q", observatory="Paranal")
    with pytest.raises(EventNotFound, match="S999999z"):
        desk.wait(desk.submit("retract", event="S999999z")["id"], 30.0)
    (tmp_path / "rubbish").write_bytes(b"\x00rubbish")
    with pytest.raises(NoticeRefused, match="begins with"):
        desk.wait(desk.submit("process_alert", path=str(tmp_path / "rubbish"))["id"], 30.0)
    for path in ("relative.json", str(tmp_path / "missing.json")):
        with pytest.raises(InvalidField, match="path"):
            desk.wait(desk.submit("process_alert", path=path)["id"], 30.0)
    for fields in ({}, {"path": "/a", "text": "{}"}):
        with pytest.raises(OrderError, match="one of them"):
            desk.submit("process_alert", **fields)
