"""What people ask of the night."""

from __future__ import annotations

from toros.errors import Interrupted, NightFaultLatched
from toros.telescope.wishes import Wishes


def test_a_newer_wish_ends_the_older_one():
    wishes = Wishes()
    first, second = wishes.ask("open"), wishes.ask("close")
    assert first.done.is_set()
    assert isinstance(first.error, Interrupted)
    assert wishes.what == "close"
    assert not wishes.grant("open")
    assert wishes.grant("prepare", "close")
    assert second.done.is_set()
    assert second.error is None
    assert wishes.what is None


def test_a_refused_wish_has_its_error_and_a_withdrawn_one_is_forgotten():
    wishes = Wishes()
    refused = wishes.ask("open")
    wishes.refuse(NightFaultLatched("x"))
    assert isinstance(refused.error, NightFaultLatched)
    wish = wishes.ask("open")
    wishes.withdraw(refused)
    assert wishes.what == "open"
    wishes.withdraw(wish)
    assert wishes.what is None
