"""A missing field that was given under another name."""

from __future__ import annotations

import pytest

from toros.errors import InvalidField
from toros.workorders import parse


@pytest.mark.parametrize(
    ("given", "told"),
    [({"ulr": "/x"}, "did you mean it by 'ulr'?"), ({}, "the request needs it")],
)
def test_the_refusal_says_what_may_have_been_meant(given, told):
    with pytest.raises(InvalidField, match="url: missing; ") as refused:
        parse({"request": "calibrate_file_batch", **given}, "preprocessor")
    assert told in refused.value.message
