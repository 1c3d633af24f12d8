"""Bundles of errors keep their count, whatever is put into them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toros.notify.bundle import Bundle, Entry, one_line

ERRORS = st.lists(st.tuples(st.integers(0, 80), st.integers(1, 5)), max_size=150)


def filled(errors: list[tuple[int, int]]) -> Bundle:
    bundle = Bundle()
    for moment, (message, count) in enumerate(errors):
        bundle.add((f"message {message}",), Entry("text", moment, moment, count))
    return bundle


@given(ERRORS, ERRORS)
def test_no_error_is_lost_from_the_count(
    one: list[tuple[int, int]], two: list[tuple[int, int]]
) -> None:
    bundle = filled(one)
    bundle.absorb(filled(two))
    assert bundle.total == sum(count for _, count in one + two)
    assert len(bundle.entries) <= 50


def test_a_mail_that_was_given_up_is_told_of() -> None:
    _, body = filled([(1, 1)]).write("dome", "host", 12)
    assert "12 earlier errors could not be mailed" in body


@given(st.text(), st.integers(1, 50))
def test_one_line_is_one_short_printable_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) <= limit
