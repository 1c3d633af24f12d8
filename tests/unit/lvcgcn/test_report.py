"""What people are told of an event."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.unit.lvcgcn.notices.samples import classic
from tests.unit.lvcgcn.robots import MACON, notice
from toros.lvcgcn.answer import withdrawal
from toros.lvcgcn.files import facts_of
from toros.lvcgcn.notices import read_notice
from toros.lvcgcn.observatories import Observatory
from toros.lvcgcn.report import text
from toros.lvcgcn.targets import Limits, as_json
from toros.sky.site import Site

HERE = Observatory("Macon", "", Site(*MACON.values()), Limits())


def told(raw: bytes) -> str:
    read = read_notice(raw)
    answer = withdrawal(read, [HERE], datetime(2026, 6, 11, tzinfo=UTC))
    lists = {each.observatory: as_json(each) for each in answer.lists}
    return text(facts_of(read), answer.summary(), lists, 7)


def test_a_notice_without_a_place_does_not_blame_the_night() -> None:
    said = told(classic("SWIFT", 60, place=None))
    assert "tells no place" in said
    assert "can be observed" not in said


def test_a_retraction_says_that_and_nothing_of_the_night() -> None:
    said = told(notice("RETRACTION"))
    assert "RETRACTED" in said
    assert "can be observed" not in said
    assert "no place" not in said
