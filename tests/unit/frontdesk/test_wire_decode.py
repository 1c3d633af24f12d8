"""A call is decoded to plain values, or refused with what is wrong and where."""

from __future__ import annotations

import re
import time
import xmlrpc.client
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.inputs import inputs
from toros.errors import MalformedMessage, TooLarge, TorosError
from toros.frontdesk.wire import WireLimits, decode_call


def around(value: str, before: str = "<?xml version='1.0'?>") -> bytes:
    return (
        f"{before}<methodCall><methodName>front_desk</methodName>"
        f"<params><param><value>{value}</value></param></params></methodCall>"
    ).encode()


def decoded(value: str) -> Any:
    method, (parameter,) = decode_call(around(value))
    assert method == "front_desk"
    return parameter


@pytest.mark.parametrize(
    ("xml", "value"),
    [
        ("text", "text"),
        ("", ""),
        ("  two  words ", "  two  words "),
        ("<string>a &lt; b &amp; c&#13;</string>", "a < b & c\r"),
        ("<string><![CDATA[<!DOCTYPE x>]]></string>", "<!DOCTYPE x>"),
        ("a<!-- no -->b", "ab"),
        ("<string/>", ""),
        ("<int>-2147483648</int>", -(2**31)),
        ("<i4>+2147483647</i4>", 2**31 - 1),
        ("<i8>7</i8>", 7),
        ("<ex:i8>7</ex:i8>", 7),
        ("\n <int>007</int> \n", 7),
        ("<boolean>1</boolean>", True),
        ("<boolean>0</boolean>", False),
        ("<double>-1.5</double>", -1.5),
        ("<double>1e-05</double>", 1e-05),
        ("<double>5.</double>", 5.0),
        ("<nil/>", None),
        ("<ex:nil/>", None),
        ("<dateTime.iso8601>20190305T14:34:54</dateTime.iso8601>", "2019-03-05T14:34:54.000"),
        ("<dateTime.iso8601>20190305T143454Z</dateTime.iso8601>", "2019-03-05T14:34:54.000"),
        (
            "<dateTime.iso8601>2019-03-05T14:34:54.234</dateTime.iso8601>",
            "2019-03-05T14:34:54.234",
        ),
        (
            "<dateTime.iso8601>2019-03-05T14:34:54+02:00</dateTime.iso8601>",
            "2019-03-05T12:34:54.000",
        ),
        ("<array><data/></array>", []),
        ("<array><data><value>a</value><value><nil/></value></data></array>", ["a", None]),
        ("<struct/>", {}),
        (
            "<struct> <member>\n<name>ra</name> <value><double>1.5</double></value></member>"
            "<member><name></name><value/></member></struct>",
            {"ra": 1.5, "": ""},
        ),
    ],
)
def test_values(xml: str, value: Any) -> None:
    result = decoded(xml)
    assert result == value
    assert type(result) is type(value)


def member(value: str, name: str = "ra") -> str:
    return f"<struct><member><name>{name}</name><value>{value}</value></member></struct>"


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (member("<double>NaN</double>"), "work_order.ra: 'NaN' is not a finite number"),
        (member("<double>-inf</double>"), "work_order.ra: '-inf' is not a finite number"),
        (member("<double>1e999</double>"), "work_order.ra: '1e999' is beyond the range"),
        (member("<double>1_0</double>"), "no decimal number"),
        (member("<double></double>"), "no decimal number"),
        (member("<double>0x10</double>"), "no decimal number"),
        (member("<double>" + "9" * 2000 + "</double>"), "no decimal number"),
        (member("<int>2147483648</int>"), "work_order.ra: the integer 2147483648 is beyond 32"),
        (member("<i8>-2147483649</i8>"), "send larger integers as strings"),
        (member("<int>" + "9" * 5000 + "</int>"), "no integer"),
        (member("<int>1.5</int>"), "no integer"),
        (member("<int> 1</int>"), "no integer"),
        (member("<int>٣</int>"), r"'\\u0663' is no integer"),
        (member("<boolean>true</boolean>"), "no boolean"),
        (member("<nil>0</nil>"), "nil is empty"),
        (member("<base64>AAAA</base64>"), "work_order.ra: base64 is not taken"),
        (member("<dateTime.iso8601>20190230T00:00:00</dateTime.iso8601>"), "no date and time"),
        (member("<dateTime.iso8601>20190305</dateTime.iso8601>"), "no date and time"),
        (
            member("<dateTime.iso8601>0001-01-01T00:00:00+10:00</dateTime.iso8601>"),
            "no date and time",
        ),
        (member("<int>x</int>", "a b\n"), r"work_order\['a b\\n'\]: 'x' is no integer"),
        (member("<float>1</float>"), "work_order.ra: <float> inside <value> is not XML-RPC"),
        (member("1<int>1</int>"), "work_order.ra: the text '1' stands beside a typed value"),
        (member("<int>1</int>1"), "work_order.ra: the text '1' stands outside"),
        (member("<int>1</int><int>1</int>"), "more than one value"),
        (member("<string>a<b/></string>"), "<b> inside <string> is not XML-RPC .here: text only"),
        (member("<int type='x'>1</int>"), "the attribute 'type' means nothing"),
        ("<struct><member><name>a</name></member></struct>", "<member> lacks its <value>"),
        ("<struct><member><value>a</value></member></struct>", "<value> stands in the wrong"),
        ("<struct><member/></struct>", "<member> lacks its <name>"),
        ("<struct>x</struct>", "the text 'x' stands outside of a value"),
        (
            "<struct>" + "<member><name>a</name><value/></member>" * 2 + "</struct>",
            "the member 'a' occurs twice",
        ),
        ("<array/>", "<array> lacks its <data>"),
        ("<array><data/><data/></array>", "<data> stands in the wrong place"),
        ("<array><value/></array>", "<value> inside <array>"),
        (
            "<array><data><value/><value><struct><member><name>dec</name><value><int/></value>"
            "</member></struct></value></data></array>",
            r"work_order\[1\].dec: '' is no integer",
        ),
        ("&#0;", "not well-formed"),
        ("\x01", "not well-formed"),
        ("&xxe;", "not well-formed"),
        ("&#xD800;", "not well-formed"),
        ("<?php x ?>", "processing instruction"),
    ],
)
def test_refusals(xml: str, message: str) -> None:
    with pytest.raises(MalformedMessage, match=message) as caught:
        decoded(xml)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 250


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty"),
        (b"   ", "not well-formed"),
        (b"hello", "not well-formed"),
        (b"\xff\xff", "not well-formed"),
        (around("a")[:-5], "not well-formed"),
        (around("a") + b"<x/>", "not well-formed"),
        (around("a").decode().encode("utf-16"), "UTF-16"),
        (around("a").decode().encode("utf-16-le"), "UTF-16"),
        (around("a", "<?xml version='1.0' encoding='utf-7'?>"), "encoding is 'utf-7'"),
        (around("a", "<!DOCTYPE methodCall>"), "DTD"),
        (around("a", "<!DOCTYPE x SYSTEM 'http://127.0.0.1/x'>"), "DTD"),
        (around("&a;", "<!DOCTYPE x [<!ENTITY a 'b'>]>"), "DTD"),
        (b"<methodResponse/>", "<methodResponse> as the outermost element"),
        (b"<methodCall/>", "lacks its <methodName>"),
        (b"<methodCall><methodName/></methodCall>", "lacks its <methodName>"),
        (b"<methodCall><params/></methodCall>", "<params> stands in the wrong place"),
        (
            b"<methodCall><methodName>a</methodName><methodName>b</methodName></methodCall>",
            "wrong place",
        ),
        (
            b"<methodCall><methodName>a</methodName><params><param/></params></methodCall>",
            "<param> lacks its <value>",
        ),
        (
            b"<methodCall><methodName>a</methodName><params><param><value/></param><param>"
            b"<value><int/></value></param></params></methodCall>",
            "parameter 2: '' is no integer",
        ),
    ],
)
def test_messages(body: bytes, message: str) -> None:
    with pytest.raises(MalformedMessage, match=message):
        decode_call(body)


def test_a_call_without_parameters() -> None:
    body = b"<methodCall><methodName>system.listMethods</methodName></methodCall>"
    assert decode_call(body) == ("system.listMethods", [])


@pytest.mark.parametrize("encoding", ["utf-8", "US-ASCII", "ISO-8859-1"])
def test_encodings(encoding: str) -> None:
    text = "e" if encoding == "US-ASCII" else "é"
    body = around(text, f"<?xml version='1.0' encoding='{encoding}'?>").decode().encode(encoding)
    assert decode_call(body)[1] == [text]


def nested(depth: int) -> str:
    return "<array><data><value>" * depth + "</value></data></array>" * depth


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (nested(5), "over 4 deep"),
        ("<array><data>" + "<value/>" * 50 + "</data></array>", "more than 40 XML elements"),
        ("x" * 101, "work_order: a text is longer than 100"),
        ("<string>" + "&#10;" * 101 + "</string>", "work_order: a text is longer than 100"),
        (member("1", "n" * 21), "longer than 20"),
        ("<struct>" + " " * 101 + "</struct>", "longer than 100"),
    ],
)
def test_limits(xml: str, message: str) -> None:
    limits = WireLimits(depth=4, elements=40, text_chars=100, name_chars=20)
    assert decode_call(around(nested(4)), limits)
    with pytest.raises(TooLarge, match=message):
        decode_call(around(xml), limits)


def test_what_is_meant_to_hurt_costs_little() -> None:
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(12))
    attributes = " ".join(f"a{n}='x'" for n in range(300_000))
    many = "".join(f"<member><name>{n}</name><value/></member>" for n in range(32_000))
    begin_s = time.process_time()
    for before, value in (
        (f'<!DOCTYPE x [<!ENTITY e0 "ha">{entities}]>', "&e12;"),
        ("", "<array><data><value>" * 200_000),
        ("", f"<int {attributes}>1</int>"),
        ("", "<!--" + "x" * 4_000_000 + "-->"),
        ("<!--" + "x" * 4_000_000 + "-->", ""),
        ("<?xml version='1.0'?><!DOCTYPE " + "x" * 4_000_000 + ">", ""),
        ("", "<" + "x" * 4_000_000 + "/>"),
    ):
        with pytest.raises(TorosError):
            decode_call(around(value, before))
    assert len(decoded(f"<struct>{many}</struct>")) == 32_000
    # Minutes without the guards: a bound against that, no benchmark.
    assert time.process_time() - begin_s < 20


def test_a_long_comment_within_reason_is_no_harm() -> None:
    assert decoded("<string>a<!--" + "x" * 60_000 + "-->b</string>") == "ab"


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**31), 2**31 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(codec="utf-8", min_codepoint=32), max_size=8), inner
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(plain)
def test_reads_what_the_standard_library_writes(value: Any) -> None:
    text = xmlrpc.client.dumps((value,), "front_desk", allow_none=True)
    if re.search("[\ufffe\uffff]", text):  # XML cannot carry these
        return
    (expected,), _ = xmlrpc.client.loads(text)
    method, (result,) = decode_call(text.encode())
    assert (method, result) == ("front_desk", expected)
    assert repr(result) == repr(expected)


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    with pytest.raises(TorosError):
        decode_call(body)
    with pytest.raises(TorosError):
        decode_call(around("x")[:60] + body)


def test_what_is_accepted_means_the_same_to_the_standard_library() -> None:
    """Over mutated messages: whoever both take, both read alike."""
    agreed = 0
    for made in inputs(seed=7, count=1500):
        if made.kind not in ("plain", "odd", "spoilt", "nasty"):
            continue
        body = made.raw.partition(b"\r\n\r\n")[2]
        try:
            method, parameters = decode_call(body)
        except TorosError:
            continue
        text = body.replace(b"<ex:nil/>", b"<nil/>")
        expected, expected_method = xmlrpc.client.loads(text)
        assert (method, repr(tuple(parameters))) == (expected_method, repr(expected))
        agreed += 1
    assert agreed > 500
