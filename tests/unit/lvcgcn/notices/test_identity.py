"""The same notice has one identity however it came; different ones have different ones."""

from __future__ import annotations

import base64
import json

from tests.unit.lvcgcn.notices.samples import classic, lvk, unified
from toros.lvcgcn.notices import read_notice


def lvk_with_map(content: bytes, **fields: object) -> bytes:
    text = base64.b64encode(content).decode()
    return lvk(event={"time": "2024-05-01T10:00:00Z", "skymap": text}, **fields)


def identities(*notices: bytes) -> set[str]:
    found = {read_notice(raw).identity for raw in notices}
    assert all(len(identity) == 32 and int(identity, 16) >= 0 for identity in found)
    return found


def test_layout_and_the_order_of_fields_do_not_matter() -> None:
    for raw in (lvk_with_map(b"map"), unified("svom/trigger", id="sb1", ra=1.50, dec=2)):
        values = json.loads(raw)
        backwards = dict(reversed(values.items()))
        assert len(identities(raw, json.dumps(backwards, indent=4).encode())) == 1


def test_lvks_identity_is_event_kind_time_and_map() -> None:
    first = lvk_with_map(b"map")
    assert len(identities(first, lvk_with_map(b"map", urls={}))) == 1
    others = (
        lvk_with_map(b"other map"),
        lvk_with_map(b"map", superevent_id="S240501ao"),
        lvk_with_map(b"map", alert_type="INITIAL"),
        lvk_with_map(b"map", time_created="2024-05-01T10:00:31Z"),
    )
    assert len(identities(first, *others)) == 5


def test_other_json_is_what_it_says() -> None:
    notices = [unified("svom/trigger", id="sb1", ra=ra, dec=2) for ra in (1.5, 1.6)]
    assert len(identities(*notices)) == 2


def test_a_voevent_is_its_name() -> None:
    notices = (classic("SWIFT", 61), classic("SWIFT", 61, role="test"))
    assert len(identities(*notices)) == 1
    assert len(identities(classic("SWIFT", 61), classic("SWIFT", 67))) == 2


def test_the_order_is_by_time_then_serial_then_identity() -> None:
    early = read_notice(classic("SWIFT", 61, date="2024-05-01T10:00:29"))
    late = read_notice(classic("SWIFT", 67))
    assert early.order < late.order
    twins = [read_notice(unified("svom/trigger", id="sb1", ra=ra, dec=2)) for ra in (1, 2)]
    assert twins[0].order != twins[1].order
