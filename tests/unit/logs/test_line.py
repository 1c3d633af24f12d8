"""The line of a record: its form, and that nothing from outside acts through it."""

from __future__ import annotations

import logging
import re
import sys

from hypothesis import given
from hypothesis import strategies as st

from toros.logs.line import LineFormatter, escape

FORMATTER = LineFormatter("preprocessor")


def record(message: object, *args: object, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("toros.module", logging.INFO, "f.py", 1, message, args, None)
    made.created = 1795248930.123
    made.__dict__.update(fields)
    return made


def test_the_form_of_a_line() -> None:
    line = FORMATTER.format(record("frame %d of %d", 1, 2, order="order-id"))
    assert line == (
        "2026-11-21T08:15:30.123Z INFO preprocessor [order-id] toros.module: frame 1 of 2"
    )


def test_a_line_outside_an_order() -> None:
    assert " [-] toros.module: x" in FORMATTER.format(record("x"))


@given(st.text(), st.text(), st.text())
def test_one_record_is_one_printable_line(message: str, order: str, name: str) -> None:
    line = FORMATTER.format(record("%s", message, order=order, name=name))
    assert line.isprintable()


def test_escapes_are_readable() -> None:
    assert escape("a\nb\r\x1b[31m\u202e\u2028\udc80µ°") == (
        "a\\nb\\r\\x1b[31m\\u202e\\u2028\\udc80µ°"
    )


def test_a_traceback_is_indented_and_escaped() -> None:
    try:
        raise ValueError("bad\n2026-11-21T00:00:00.000Z INFO forged\x1b[2J")  # noqa: TRY301
    except ValueError:
        made = record("it failed", exc_info=sys.exc_info())
    made.exc_text = "2026-11-21T00:00:00.000Z INFO forged by another handler"
    first, *rest = FORMATTER.format(made).split("\n")
    assert first.endswith("it failed")
    assert len(rest) >= 4
    assert all(re.match(r"    .*\Z", line) for line in rest)
    assert all(line.isprintable() for line in rest)
    assert "another handler" not in "".join(rest)
    assert rest[-2] == "    ValueError: bad"


def test_long_messages_and_tracebacks_are_cut_in_the_middle() -> None:
    made = record("begin %s end", "x" * 4_000_000, exc_text="top " + "y" * 4_000_000 + " bottom")
    text = FORMATTER.format(made)
    assert len(text) < 60_000
    assert "begin xx" in text
    assert "xx end" in text
    assert text.endswith(" bottom")


def test_a_wrong_log_call_still_makes_a_line() -> None:
    assert "%d apples [it could not" in FORMATTER.format(record("%d apples", "three"))


def test_an_object_that_cannot_be_written_still_makes_a_line() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert "RuntimeError" in FORMATTER.format(record("%s", Broken()))
    assert "Broken" in FORMATTER.format(record(Broken()))
