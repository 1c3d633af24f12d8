"""Notices that are broken, or mean harm: refused by name, and cheaply."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import PROJECT
from tests.unit.lvcgcn.notices.samples import classic, lvk, param, unified, voevent
from toros.errors import NoticeRefused
from toros.lvcgcn.notices import LIMIT_BYTES, read_notice

BOMB = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<VOEvent ivorn="ivo://x#y" role="test">&c;</VOEvent>"""
STOLEN = b"""<?xml version="1.0"?><!DOCTYPE b SYSTEM "file:///etc/passwd">
<VOEvent ivorn="ivo://x#y"/>"""
WHOLE = classic("SWIFT", 61)


def guano(**fields: object) -> bytes:
    return unified("swift/bat/guano/alert", id="1", **fields)


REFUSED: dict[str, tuple[bytes, str]] = {
    # what it is
    "nothing": (b"", "begins with ''; expected a JSON object or a VOEvent"),
    "blanks": (b" \n" * 9, "expected a JSON object or a VOEvent"),
    "rubbish": (bytes(range(256)), "expected a JSON object or a VOEvent"),
    "a list": (b"[1]", "expected a JSON object"),
    "too long": (b"{" + b" " * LIMIT_BYTES + b"}", f"bytes long; expected at most {LIMIT_BYTES}"),
    # JSON
    "truncated JSON": (lvk()[:-20], "ends being JSON at character"),
    "two objects": (b"{} {}", "ends being JSON at character 3"),
    "deep JSON": (b'{"a":' + b"[" * 15_000 + b"]" * 15_000 + b"}", "nested deeper than 32"),
    "deeper than 32": (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "nested deeper than 32"),
    "many lists": (b'{"a":[' + b"[]," * 30_000 + b"[]]}", "30000 times ','"),
    "NaN": (b'{"superevent_id": NaN}', "number NaN; expected a finite one"),
    "Infinity": (b'{"far": -Infinity}', "number -Infinity; expected a finite one"),
    "overflow": (b'{"far": 1e999}', "number '1e999'; expected a finite one"),
    "huge integer": (b'{"far": ' + b"9" * 5000 + b"}", "number of 5000 digits"),
    "a field twice": (b'{"ra": 1, "dec": 2, "ra": 3}', "'ra' is there twice"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "expected a JSON object or a VOEvent"),
    "Latin-1": ('{"a": "ü"}'.encode("latin-1"), "byte 7 is 0xfc; expected text in UTF-8"),
    "half a character": (b'{"id": "\\ud800"}', "half a character"),
    "megabytes beyond ASCII": (f'{{"a": "{"ü" * 600_000}"}}'.encode(), "text beyond ASCII"),
    "megabytes in escapes": (b'{"a": "' + b"\\ud83d\\ude00" * 400_000 + b'"}', "text of 400000"),
    # JSON of LVK
    "no name": (lvk(superevent_id=None), "superevent_id is None"),
    "a name of slashes": (lvk(superevent_id="../S240501an"), "superevent's name"),
    "a name of lines": (lvk(superevent_id="S24\nBcc: x"), "superevent_id is .*can be printed"),
    "no kind": (lvk(alert_type=None), "alert_type is None"),
    "no time": (lvk(time_created=None), "time_created is None"),
    "a time of another type": (lvk(time_created=1714557630), "time_created is 1714557630"),
    "the 13th month": (lvk(time_created="2024-13-01T00:00:00Z"), "time_created is '2024-13-01"),
    "the year 0": (lvk(time_created="0000-01-01T00:00:00Z"), "of the years 1970 to 2099"),
    "the year 9999": (lvk(time_created="9999-12-31T23:59:59-12:00"), "of the years 1970"),
    "an impossible zone": (lvk(time_created="2024-05-01T00:00:00+99:99"), "time_created"),
    "an event that is none": (lvk(event=[1, 2]), "event is a list of 2; expected an object"),
    "a rate in words": (lvk(event={"far": "1e-9"}), "event.far is '1e-9'; expected a number"),
    "a negative rate": (lvk(event={"far": -1}), "event.far is -1; expected a finite number, 0 to"),
    "a flag in words": (lvk(event={"significant": "yes"}), "event.significant is 'yes'"),
    "a flag that is a number": (lvk(event={"significant": 1}), "event.significant is 1"),
    "instruments of numbers": (lvk(event={"instruments": [1.5]}), "event.instruments"),
    "a probability of 2": (lvk(event={"classification": {"BNS": 2}}), "event.classification.BNS"),
    "a probability in words": (lvk(event={"properties": {"HasNS": []}}), "event.properties.HasNS"),
    "a map that is no text": (lvk(event={"skymap": 5}), "event.skymap is 5; expected a text in"),
    "an empty map": (lvk(event={"skymap": ""}), "event.skymap is ''; expected the base64 of"),
    "base64 cut short": (lvk(event={"skymap": "QUJDR"}), "event.skymap is 'QUJDR'; .*base64"),
    "base64 of other signs": (lvk(event={"skymap": "QU*D"}), "event.skymap is 'QU\\*D'"),
    "base64 that goes on": (lvk(event={"skymap": "QUI=QUJD"}), "event.skymap is 'QUI=QUJD'"),
    "base64 beyond ASCII": (lvk(event={"skymap": "QUJü"}), "event.skymap is 'QUJ"),
    "a combined map": (lvk(external_coinc={"combined_skymap": "?"}), "combined_skymap is '\\?'"),
    # JSON of other missions
    "declination 91": (guano(ra=1, dec=91), "declination is 91.0; .*-90 to 90"),
    "right ascension -1": (guano(ra=-1, dec=1), "right ascension is -1.0; .*0 to 360"),
    "an error of 200 degrees": (guano(ra=1, dec=1, ra_dec_error=200), "error radius is 200.0"),
    "a place in words": (guano(ra="1", dec=1), "ra is '1'; expected a number"),
    "an error of another type": (guano(ra=1, dec=1, ra_dec_error={}), "ra_dec_error is an object"),
    "too much contained": (guano(ra=1, dec=1, containment_probability=90), "containment_prob"),
    "a trigger time": (guano(trigger_time="noon"), "trigger_time is 'noon'; expected a time"),
    "a record number": (guano(record_number=-1), "record_number is -1"),
    "half a record": (guano(record_number=1.5), "record_number is 1.5; expected a whole number"),
    "a long identifier": (guano(alert_type="x" * 300), "at most 256 characters, not 300"),
    "an address": (guano(healpix_url=["a"]), "healpix_url is a list of 1; expected a text"),
    # XML
    "no XML": (b"<VOEvent", "no well-formed XML"),
    "truncated XML": (WHOLE[:-30], "no well-formed XML"),
    "another document": (b"<a/>", "root element is 'a'; expected VOEvent"),
    "a packet of the transport": (
        b'<trn:Transport xmlns:trn="http://telescope-networks.org/schema/Transport/v1.1"/>',
        "root element is 'Transport'",
    ),
    "a bomb": (BOMB, "document type"),
    "an external document type": (STOLEN, "document type"),
    "an undefined entity": (WHOLE.replace(b"GEOLUN", b"&xxe;"), "no well-formed XML"),
    "a hidden document type": (
        b"<?xml version='1.0' encoding='utf-7'?>+ADwAIQ-DOCTYPE b+AD4-<VOEvent/>",
        "encoding is 'utf-7'; expected UTF-8",
    ),
    "XML in UTF-16": (b"<\0?\0x\0m\0l\0", "byte 0x00"),
    "deep XML": (b"<VOEvent>" + b"<a>" * 3000 + b"</a>" * 3000 + b"</VOEvent>", "well-formed XML"),
    "many elements": (b"<VOEvent>" + b"<a/>" * 20_000 + b"</VOEvent>", "times '<'"),
    "many attributes": (
        b"<VOEvent " + b" ".join(b"a%d='1'" % n for n in range(20_000)) + b"/>",
        "20000 times '='",
    ),
    "megabytes of XML": (b"<VOEvent>" + b"x" * (2 << 20) + b"</VOEvent>", "bytes of XML"),
    "no ivorn": (WHOLE.replace(b"ivorn=", b"name="), "ivorn is ''"),
    "another role": (voevent("ivo://a#b", role="joke"), "role is 'joke'"),
    "no date": (classic("SWIFT", 61, date=""), "Who/Date is ''"),
    "a date in words": (classic("SWIFT", 61, date="yesterday"), "Who/Date is 'yesterday'"),
    "a declination of NaN": (classic("SWIFT", 61, place=(1, "NaN", 1)), "declination .* 'NaN'"),
    "an infinite error": (classic("SWIFT", 61, place=(1, 1, "inf")), "Error2Radius is 'inf'"),
    "an empty place": (classic("SWIFT", 61, place=("", "", "")), "right ascension .* ''"),
    "radians": (classic("SWIFT", 61, unit="rad"), "unit of the position is 'rad'; expected deg"),
    "a flag": (classic("SWIFT", 61, param("Test_Submission", "perhaps")), "Test_Submission"),
    "a serial number": (
        classic("SWIFT", 61).replace(b'"Pkt_Ser_Num" value="3"', b'"Pkt_Ser_Num" value="-3"'),
        "Pkt_Ser_Num is '-3'",
    ),
    "a rate": (classic("AMON", 173, param("FAR", "often")), "FAR is 'often'; expected a number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_for_what_is_wrong(name: str) -> None:
    raw, reason = REFUSED[name]
    with pytest.raises(NoticeRefused, match=reason) as refused:
        read_notice(raw)
    text = str(refused.value)
    assert "expected" in text
    assert len(text) < 300
    assert text.isprintable()


def test_the_limit_is_the_callers() -> None:
    with pytest.raises(NoticeRefused, match="expected at most 100"):
        read_notice(lvk(), limit_bytes=100)


def test_a_voevent_may_begin_with_a_byte_order_mark_or_blanks() -> None:
    for start in (b"\xef\xbb\xbf", b"\n  "):
        assert read_notice(start + WHOLE).event == "Swift-BAT-1234567"
        assert read_notice(start + lvk()).event == "S240501an"


def test_voevents_without_a_namespace_or_of_version_1_1_are_read() -> None:
    plain = WHOLE.replace(b"voe:VOEvent", b"VOEvent")
    space = b'<ObsDataLocation xmlns="http://www.ivoa.net/xml/STC/stc-v1.30.xsd"'
    older = WHOLE.replace(b"/v2.0", b"/v1.1").replace(b"<ObsDataLocation", space)
    for raw in (plain, older):
        assert read_notice(raw) == read_notice(WHOLE)


# What the bounds are for, each as large as they let it be.
COSTLY = """
import json, resource, sys
from tests.unit.lvcgcn.notices import test_hostile as hostile
from toros.errors import NoticeRefused
from toros.lvcgcn.notices import LIMIT_BYTES, read_notice
from toros.lvcgcn.notices.json_text import VALUES, WIDE_BYTES
from toros.lvcgcn.notices.xml_text import MARKS, XML_BYTES

def fill(start, unit, end, size):
    return start + unit * ((size - len(start) - len(end)) // len(unit)) + end

size = LIMIT_BYTES
costly = {
    "map": fill(hostile.lvk()[:-1].rpartition(b',')[0] + b',"event":{"skymap":"',
                b"QUJD", b'"}}', size),
    "escapes": fill(b'{"a":"', b"\\\\ud83d\\\\ude00", b'"}', size),
    "mixed": fill(b'{"a":"', b"A", b'\\\\ud83d\\\\ude00"}', size),
    "blanks": fill(b"{", b" ", b"}", size),
    "quotes": fill(b'{"a":"', b'\\\\"', b'"}', size),
    "wide": fill('{"a":"\\U0001f600'.encode(), b"a", b'"}', WIDE_BYTES),
    "long name": fill(b'{"', b"k", b'":1}', size),
    "objects": b'{"a":[' + b'{"":1.5},' * (VALUES - 2) + b"{}]}",
    "fields": b"{" + b",".join(b'"%d":0.5' % n for n in range(VALUES - 2)) + b"}",
    "unclosed": b'{"a":' + b"[" * (VALUES - 1),
    "rubbish": b"\\xff" * size,
    "XML text": fill(b"<VOEvent>", b"x", b"</VOEvent>", XML_BYTES),
    "XML elements": b"<VOEvent ivorn='a'><What>" + b"<Param name='a' value='b'/>" * (MARKS // 3)
                    + b"</What></VOEvent>",
    "XML attributes": b"<VOEvent " + b" ".join(b"a%d=''" % n for n in range(MARKS)) + b"/>",
}
costly.update({name: raw for name, (raw, _) in hostile.REFUSED.items()})
read_notice(hostile.WHOLE)
read_notice(hostile.lvk())
resource_used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
grown = {}
for name, raw in costly.items():
    before = resource_used()
    try:
        read_notice(raw)
    except NoticeRefused:
        pass
    grown[name] = (resource_used() - before) / 1024
json.dump(grown, sys.stdout)
"""


def test_the_costliest_notices_take_fifty_megabytes_at_most() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COSTLY], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    grown = json.loads(done.stdout)
    # The peak of all of them together, above that of two ordinary notices.
    assert sum(grown.values()) < 50, grown
