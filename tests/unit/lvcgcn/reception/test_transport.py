"""Packets of the VOEvent Transport Protocol."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from toros.lvcgcn.reception.transport import Packet, message, read_packet

NOW = datetime(2026, 11, 21, 8, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize("namespace", ["xml", "schema"])
@pytest.mark.parametrize("role", ["iamalive", "authenticate", "ack", "nak"])
def test_transport_messages(role, namespace):
    raw = (
        f'<trn:Transport role="{role}" version="1.0" '
        f'xmlns:trn="http://www.telescope-networks.org/{namespace}/Transport/v1.1">'
        "<Origin> ivo://a/b&amp;c </Origin><TimeStamp>now</TimeStamp></trn:Transport>"
    )
    assert read_packet(raw.encode()) == Packet(role, "ivo://a/b&c")


def test_a_voevent_is_known_by_its_beginning():
    raw = (
        b'<?xml version="1.0"?><v:VOEvent xmlns:v="http://www.ivoa.net/xml/VOEvent/v2.0" \
ivorn="ivo://x#1&amp;2" role="test"><Who>'
        + b"broken < " * 10
    )
    assert read_packet(raw) == Packet("voevent", "ivo://x#1&2")


def test_real_notices(shared_data):
    for path in sorted((shared_data / "alerts").glob("*.xml")):
        packet = read_packet(path.read_bytes())
        assert packet.kind == "voevent", path
        assert packet.identity.startswith("ivo://"), path


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff\xfe",
        b"not XML",
        b'{"superevent_id": "S1"}',
        b"<html/>",
        b"<Transport/>",
        b'<Transport role="voevent"/>',
        b'<?xml version="1.0" encoding="nonsense"?><VOEvent ivorn="x"/>',
        b'<!DOCTYPE V [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>'
        b'<VOEvent ivorn="&b;"/>',
        b"<a>" * 100_000,
        b"<" + b"a" * 1_000_000,
    ],
)
def test_anything_else_is_unknown(raw):
    assert read_packet(raw) == Packet("unknown")


def test_an_origin_without_end_is_bounded():
    raw = b'<Transport role="iamalive"><Origin>' + b"x" * 3_000_000
    assert len(read_packet(raw).identity) < 100_000


def test_an_answer_is_xml_whatever_it_answers():
    raw = message("ack", "ivo://a\"'<&>#1", NOW, "ivo://us")
    assert int.from_bytes(raw[:4]) == len(raw) - 4
    root = ElementTree.fromstring(raw[4:])
    assert root.attrib["role"] == "ack"
    assert root.findtext("Origin") == "ivo://a\"'<&>#1"
    assert root.findtext("Response") == "ivo://us"
    assert root.findtext("TimeStamp") == "2026-11-21T08:15:30Z"
    assert read_packet(raw[4:]) == Packet("ack", "ivo://a\"'<&>#1")
