"""The reference lists every kind that is read."""

from __future__ import annotations

import pytest

from tests.conftest import PROJECT
from toros.lvcgcn.notices.lvk import KINDS
from toros.lvcgcn.notices.own import KIND
from toros.lvcgcn.notices.packets import PACKETS, Packet
from toros.lvcgcn.notices.unified import SCHEMAS, Schema


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    text = (PROJECT / "docs/reference/notices.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("packet", PACKETS, ids=lambda packet: packet.kind)
def test_every_packet_is_listed(rows: list[list[str]], packet: Packet) -> None:
    start = [packet.mission, str(packet.number), f"`{packet.kind}`", f"`{packet.trigger}-…`"]
    row = next(row for row in rows if row[:4] == start)
    assert row[4].startswith("yes") == packet.has_position or packet.is_retraction
    stated = f"{packet.containment:.0%}".replace("%", " %") if packet.containment else ""
    assert row[5].startswith(stated if packet.has_position else "")


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.path)
def test_every_schema_is_listed(rows: list[list[str]], schema: Schema) -> None:
    start = [f"`{schema.path}`", schema.mission, f"`{schema.trigger}-…`"]
    assert any(row[:3] == start for row in rows)


def test_nothing_is_listed_that_is_not_read(rows: list[list[str]]) -> None:
    packets = [row for row in rows if len(row) == 6 and row[1].isdecimal()]
    schemas = [row for row in rows if len(row) == 5 and row[2].endswith("-…`")]
    assert len(packets) == len(PACKETS)
    assert len(schemas) == len(SCHEMAS)


@pytest.mark.parametrize("kind", [*KINDS, KIND])
def test_lvks_and_our_own_kinds_are_named(kind: str) -> None:
    assert f"`{kind}`" in (PROJECT / "docs/reference/notices.md").read_text()
