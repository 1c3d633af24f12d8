"""A simulated observatory whose time passes when a test says so."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from toros.simulation.observatory import World, WorldSettings

SITE = (-67.3283, -24.6231, 4637.0)
NIGHT = datetime(2026, 6, 11, 4, 0, tzinfo=UTC)


class HandClock:
    """A clock that a test moves by hand; waiting on it moves it, too."""

    rate = 1.0

    def __init__(self, start: datetime = NIGHT) -> None:
        self.start = start
        self.passed_s = 0.0

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.passed_s)

    def monotonic(self) -> float:
        return 1000.0 + self.passed_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.passed_s += timeout_s
        return event.is_set()

    def go(self, seconds: float) -> None:
        self.passed_s += seconds


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def world(tmp_path: Path, clock: HandClock) -> World:
    return World(tmp_path / "world", clock, SITE, WorldSettings())
