"""The table of a night's states."""

from __future__ import annotations

import pytest

from toros.errors import NotInThisState
from toros.telescope.states import MEANINGS, TABLE, Event, State, after, diagram


def test_every_state_is_reached_and_left():
    assert set(TABLE.values()) == set(State)
    assert {before for before, _ in TABLE} == set(State)
    assert set(MEANINGS) == set(State)


def test_every_state_but_error_may_fail_and_error_waits_for_a_person():
    assert all(after(s, Event.FAULT) is State.ERROR for s in State if s is not State.ERROR)
    assert [event for state, event in TABLE if state is State.ERROR] == [Event.ACKNOWLEDGE]


def test_the_dome_opens_only_from_a_prepared_or_suspended_night():
    assert {s for (s, event) in TABLE if event is Event.OPENED} == {
        State.PREPARING,
        State.SUSPENDED,
    }


def test_an_unlisted_way_is_refused_and_names_the_others():
    with pytest.raises(NotInThisState, match="prepare"):
        after(State.CLOSED, Event.OBSERVE)


def test_the_diagram_has_every_state_and_event():
    drawn = diagram()
    for name in (*State, *Event):
        assert f"{name}" in drawn
