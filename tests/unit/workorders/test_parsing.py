"""From the wire to a typed work order, or to a clear refusal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toros.errors import InvalidField, MalformedOrder, NotMine, OrderError, UnknownRequest
from toros.workorders import COMMON, REQUESTS, SERVICES, parse
from toros.workorders.parsing import canonical, unknown_keys

PREPROCESSOR_EXAMPLE = {
    "id": "1",
    "request": "calibrate_file_batch",
    "url": "https://myaddres.org/get?allfiles",
    "datetime": "2019-03-05T14:34:54.234",
    "user": "Main Module",
}
TELESCOPE_EXAMPLE = {
    "id": "1",
    "request": "observation",
    "priority": None,
    "datetime": "2019-03-05T14:34:54.234",
    "ra": 132.23356,
    "dec": 34.254534,
    "user": "Main Module",
}


def test_the_documents_examples_are_taken_as_they_stand():
    order = parse(PREPROCESSOR_EXAMPLE, "preprocessor")
    assert order.url == "https://myaddres.org/get?allfiles"
    assert order.datetime == datetime(2019, 3, 5, 14, 34, 54, 234000, tzinfo=UTC)
    order = parse(TELESCOPE_EXAMPLE, "telescope")
    assert (order.ra, order.dec, order.priority) == (132.23356, 34.254534, None)


def test_another_daemons_request_is_refused_by_name():
    with pytest.raises(NotMine, match="'observation' belongs to the telescope daemon"):
        parse(TELESCOPE_EXAMPLE, "preprocessor")


@pytest.mark.parametrize("name", ["DomeStatus", "dome_status", "OpenDome", "close_dome"])
def test_the_domes_requests_have_two_forms(name):
    with pytest.raises(NotMine, match="dome"):
        parse({"request": name}, "preprocessor")
    assert parse({"request": name}, "dome")


@pytest.mark.parametrize("order", [None, 3, "x", [], [{"request": "status"}], True])
def test_what_is_no_dictionary_is_refused(order):
    with pytest.raises(MalformedOrder, match="dictionary"):
        parse(order, "preprocessor")


@pytest.mark.parametrize("order", [{}, {"request": None}, {"request": 3}, {"request": ["status"]}])
def test_an_order_without_a_request_is_refused(order):
    with pytest.raises(MalformedOrder, match="request"):
        parse(order, "preprocessor")


def test_an_unknown_request_is_refused_with_a_hint():
    with pytest.raises(UnknownRequest, match="did you mean 'calibrate_file_batch'"):
        parse({"request": "calibrate_filebatch"}, "preprocessor")


def test_a_very_long_name_costs_little_and_is_cut():
    with pytest.raises(UnknownRequest) as refused:
        parse({"request": "calibrate_file_batch" * 50_000}, "preprocessor")
    assert len(refused.value.message) < 400


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"url": None}, "url: missing"),
        ({"url": 3}, "url: got 3"),
        ({"url": ""}, "url: got ''"),
        ({"priority": 11}, r"priority: got 11.*\(0 to 10\)"),
        ({"priority": "high"}, "priority: got 'high'"),
        ({"datetime": "yesterday"}, "2019-03-05T14:34:54.234"),
        ({"datetime": "0001-01-01T00:00:00+05:00"}, "2019-03-05T14:34:54.234"),
        ({"user": "a\nb"}, "control"),
        ({"id": ""}, "id: got ''"),
        ({"id": "x" * 201}, "id: got 'xxx.* at most 200 characters"),
        ({"id": True}, "id: got True"),
    ],
)
def test_a_wrong_value_is_named(change, said):
    with pytest.raises(InvalidField, match=said):
        parse({**PREPROCESSOR_EXAMPLE, **change}, "preprocessor")


def test_every_wrong_value_is_named_at_once():
    with pytest.raises(InvalidField, match=r"dec: got 95.*\|.*|ra: got -1"):
        parse({**TELESCOPE_EXAMPLE, "ra": -1.0, "dec": 95.0}, "telescope")


def test_none_means_not_given():
    given_none = parse({**PREPROCESSOR_EXAMPLE, "priority": None, "more": None}, "preprocessor")
    assert given_none == parse(PREPROCESSOR_EXAMPLE, "preprocessor")


def test_unknown_keys_are_kept():
    order = parse({**PREPROCESSOR_EXAMPLE, "telescope": "T80", "night": 3}, "preprocessor")
    assert unknown_keys(order) == ["night", "telescope"]
    assert order.own_fields()["telescope"] == "T80"


def test_a_numeric_id_is_a_text():
    assert parse({**PREPROCESSOR_EXAMPLE, "id": 1}, "preprocessor").id == "1"


def test_equal_contents_have_equal_texts_whenever_they_were_written():
    first = parse(PREPROCESSOR_EXAMPLE, "preprocessor")
    later = parse({**PREPROCESSOR_EXAMPLE, "datetime": "2026-01-01T00:00:00"}, "preprocessor")
    other = parse({**PREPROCESSOR_EXAMPLE, "url": "https://elsewhere.org"}, "preprocessor")
    assert canonical(first) == canonical(later) != canonical(other)


@pytest.mark.parametrize("service", SERVICES)
def test_every_example_is_accepted(service):
    for request in (*COMMON, *REQUESTS[service]):
        order = parse({"request": request.request, **request.example}, service)
        assert type(order) is request
        assert request.__doc__
        for field in request.model_fields.values():
            assert field.description


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["request", "id", "url", "user", "priority", "datetime", "x"]), json_like
    ),
    st.sampled_from([None, "calibrate_file_batch", "status", "list_orders", "observation"]),
)
def test_whatever_comes_is_an_order_or_a_typed_refusal(order, request):
    if request is not None:
        order = {**order, "request": request}
    try:
        canonical(parse(order, "preprocessor"))
    except OrderError as error:
        assert error.message


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("ra", "132.2", "got '132.2'; Input should be a valid number, without quotes: 132.2"),
        ("ra", "1e2", ", without quotes: 100.0"),
        ("number_of_exposures", "3", ", without quotes: 3"),
    ],
)
def test_a_quoted_number_is_told_to_be_one(field, text, said):
    with pytest.raises(InvalidField) as refused:
        parse({**TELESCOPE_EXAMPLE, field: text}, "telescope")
    assert said in refused.value.message


@pytest.mark.parametrize("text", ["much", "NaN", "Infinity", "true", "[3]", "3.5", "", "9" * 5000])
def test_what_would_be_no_number_is_not_told_to_lose_its_quotes(text):
    with pytest.raises(InvalidField) as refused:
        parse({**TELESCOPE_EXAMPLE, "number_of_exposures": text}, "telescope")
    assert "quotes" not in refused.value.message
