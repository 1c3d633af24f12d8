"""What the tests of devices share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.devices.stub import Stub, stub


@pytest.fixture
def server() -> Iterator[Stub]:
    """Run an Alpaca server that answers what the test tells it to."""
    with stub() as running:
        yield running
