"""What leaves is readable to the standard library, or a defect."""

from __future__ import annotations

import math
import xmlrpc.client
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toros.frontdesk.wire import decode_call, encode_fault, encode_result


def travelled(value: Any) -> Any:
    (result,), method = xmlrpc.client.loads(encode_result(value))
    assert method is None
    return result


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (None, None),
        (True, True),
        (2**31 - 1, 2**31 - 1),
        (-(2**31), -(2**31)),
        (2**31, "2147483648"),
        (-(10**30), "-" + "1" + "0" * 30),
        (math.nan, None),
        (-math.inf, None),
        (5e-324, 5e-324),
        (0.1, 0.1),
        ("a<b>&]]>\r\n\t", "a<b>&]]>\r\n\t"),
        ("\x00\x1b[31m\x7f", "\\x00\\x1b[31m\x7f"),
        ("\ud800 \ufffe", "\\ud800 \\ufffe"),
        ("\U0001f52d é", "\U0001f52d é"),
        ((1, [2.0]), [1, [2.0]]),
        ({"a&b": {"\x01": None}}, {"a&b": {"\\x01": None}}),
        (datetime(2019, 3, 5, 14, 34, 54, 234000, UTC), "2019-03-05T14:34:54.234"),
        (
            datetime(2019, 3, 5, 16, 34, 54, tzinfo=timezone(timedelta(hours=2))),
            "2019-03-05T14:34:54.000",
        ),
        (datetime(2019, 3, 5, 14, 34, 54), "2019-03-05T14:34:54.000"),  # noqa: DTZ001
    ],
)
def test_values(value: Any, arrives: Any) -> None:
    result = travelled(value)
    assert result == arrives
    assert type(result) is type(arrives)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, np.float64(1)]}, r"result.a\[1\]: a numpy.float64"),
        (np.int32(1), "result: a numpy.int"),
        (np.str_("x"), "numpy.str_"),
        (np.bool_(True), "numpy.bool"),
        (np.zeros(2), "numpy.ndarray"),
        ({1: 2}, "the key 1 is no str"),
        (b"x", "builtins.bytes"),
        ({1, 2}, "builtins.set"),
        (object(), "builtins.object"),
        (1 + 2j, "builtins.complex"),
    ],
)
def test_defects(value: Any, place: str) -> None:
    with pytest.raises(TypeError, match=place):
        encode_result(value)


def test_faults() -> None:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        xmlrpc.client.loads(encode_fault(204, "ra: 400 <deg>\x00"))
    assert caught.value.faultCode == 204
    assert caught.value.faultString == "ra: 400 <deg>\\x00"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(anything)
def test_everything_plain_leaves_as_well_formed_xml(value: Any) -> None:
    document = encode_result(value)
    ET.fromstring(document)
    xmlrpc.client.loads(document)


carried = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**31), 2**31 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", min_codepoint=32, exclude_characters="\ufffe\uffff"))
    | st.text("\r\n\t<&>]"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abc\r&é", max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(carried)
def test_what_xml_can_carry_arrives_unchanged(value: Any) -> None:
    assert repr(travelled(value)) == repr(value)
    # And our own decoder reads our own encoder.
    call = encode_result(value).replace(b"methodResponse>", b"methodCall>")
    call = call.replace(b"<params>", b"<methodName>m</methodName><params>", 1)
    assert repr(decode_call(call)) == repr(("m", [value]))
