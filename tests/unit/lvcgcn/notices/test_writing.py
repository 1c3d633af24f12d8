"""Candidates written as a VOEvent: valid by the standard's schema, and read back."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from toros.errors import AlertError, NoticeRefused
from toros.lvcgcn.notices import Author, Candidate, Position, read_notice, write_voevent

AUTHOR = Author("org.example/toros", "TOROS", "A. Observer", "observer@example.org")
NOW = datetime(2019, 8, 15, 12, 30, 15, tzinfo=UTC)
EVENT_TIME = datetime(2019, 8, 14, 21, 10, 39, 12957, tzinfo=UTC)
CITED = "ivo://gwnet/LVC#S190814bv-5-Update"
CANDIDATES = [
    Candidate(
        "NGC 253", 11.888, -25.2882, 0.01, 0.3, 17.25, 0.05, "r", NOW, "Macón", "new & <faint>"
    ),
    Candidate("TOROS J0050-2517", 12.6, -25.3),
]


@pytest.fixture
def vp() -> Any:
    return pytest.importorskip("voeventparse", reason="voevent-parse is for Python 3.11")


def written(**changes: Any) -> bytes:
    arguments: dict[str, Any] = {
        "event": "S190814bv",
        "candidates": CANDIDATES,
        "author": AUTHOR,
        "issued": NOW,
        "event_time": EVENT_TIME,
        "cites": [CITED],
        "importance": 0.5,
        "description": "Two candidates.",
    }
    return write_voevent(**(arguments | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"candidates": []},
        {"candidates": CANDIDATES[1:], "event_time": None, "cites": [], "importance": None},
        {"author": Author("ivo://org.example/toros"), "description": ""},
        {"is_test": True, "serial": 12, "how": "retraction"},
        {"event": "Swift-BAT-876016"},
    ],
)
def test_it_is_valid_by_the_standards_schema(vp: Any, changes: dict[str, Any]) -> None:
    vp.assert_valid_as_v2_0(vp.loads(written(**changes)))


def test_it_is_read_back(vp: Any) -> None:
    notice = read_notice(written())
    assert (notice.event, notice.mission) == ("TOROS-S190814bv", "TOROS")
    assert (notice.kind, notice.is_known, notice.is_test) == ("TOROS_Candidates", True, False)
    assert notice.ivorn == "ivo://org.example/toros#S190814bv-1"
    assert (notice.issued, notice.event_time, notice.serial) == (NOW, EVENT_TIME, 1)
    assert notice.position == Position(11.888, -25.2882, 0.01, None)
    assert not notice.is_retraction


def test_tests_and_retractions_are_read_back_as_such(vp: Any) -> None:
    assert read_notice(written(is_test=True)).is_test
    assert read_notice(written(how="retraction")).is_retraction


def test_each_candidate_is_a_group(vp: Any) -> None:
    voevent = vp.loads(written())
    groups = vp.get_grouped_params(voevent)
    first = {name: param["value"] for name, param in groups["NGC 253"].items()}
    assert first == {
        "RA": "11.888",
        "Dec": "-25.2882",
        "Position_Error": "0.01",
        "Probability": "0.3",
        "Magnitude": "17.25",
        "Magnitude_Error": "0.05",
        "Band": "r",
        "Observed": "2019-08-15T12:30:15Z",
        "Observatory": "Macón",
        "Remark": "new & <faint>",
    }
    assert "Magnitude" not in groups["TOROS J0050-2517"]
    assert vp.get_toplevel_params(voevent)["Event"]["value"] == "S190814bv"


def test_it_says_who_when_why_and_what_about(vp: Any) -> None:
    voevent = vp.loads(written())
    assert voevent.Who.AuthorIVORN == "ivo://org.example/toros"
    assert voevent.Who.Date == "2019-08-15T12:30:15"
    assert voevent.Who.Author.contactEmail == "observer@example.org"
    assert voevent.Why.attrib["importance"] == "0.5"
    assert voevent.Why.Inference.Name == "S190814bv"
    assert dict(voevent.Why.Inference.attrib) == {"probability": "0.3", "relation": "associated"}
    assert voevent.Citations.EventIVORN == CITED
    assert voevent.Citations.EventIVORN.attrib["cite"] == "followup"
    assert voevent.Description == "Two candidates."


def test_another_zone_is_turned_into_utc(vp: Any) -> None:
    local = NOW.astimezone(timezone(timedelta(hours=-3)))
    assert read_notice(written(issued=local)).issued == NOW


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"candidates": [Candidate("A", float("nan"), 0)]}, "A: RA is nan"),
        ({"candidates": [Candidate("A", 0, 91)]}, "A: Dec is 91; .*-90 to 90"),
        ({"candidates": [Candidate("A", 0, 0, probability=2)]}, "A: Probability is 2"),
        ({"candidates": [Candidate("A\n", 0, 0)]}, "candidate is 'A\\\\n'"),
        ({"candidates": [Candidate("A", 0, 0, remark="\0")]}, "A: Remark"),
        ({"event": ""}, "event"),
        ({"importance": 7}, "importance is 7"),
        ({"how": "joke"}, "would not be valid"),
    ],
)
def test_what_cannot_stand_in_it_is_refused(vp: Any, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(NoticeRefused, match=reason):
        written(**changes)


def test_a_time_without_a_zone_is_a_mistake(vp: Any) -> None:
    with pytest.raises(ValueError, match="has no zone"):
        written(issued=NOW.replace(tzinfo=None))


def test_without_voevent_parse_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "voeventparse", None)  # as on Python 3.12
    with pytest.raises(AlertError, match=r"voevent-parse is not installed .*3\.11"):
        written()
