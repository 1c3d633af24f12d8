"""Real daemons and simulated nights for the system's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.daemons import Preprocessor
from toros.simulation import Camera, Night, make_night

SMALL_CAMERA = Camera(shape=(96, 128), seed=5)


def small_night(folder: Path, seed: int = 1, *, broken: bool = False) -> Night:
    """Make a night that reduces in a second or two: two filters' worth of little frames."""
    return make_night(
        folder,
        seed=seed,
        camera=SMALL_CAMERA,
        filters=("V",),
        exposure_times_s=(30.0,),
        n_bias=5,
        n_dark=3,
        n_flat=3,
        n_light=2,
        broken=broken,
    )


@pytest.fixture
def make_preprocessor(tmp_path: Path) -> Iterator[Callable[..., Preprocessor]]:
    """Make preprocessors that end with the test."""
    made: list[Preprocessor] = []

    def make(**options: object) -> Preprocessor:
        made.append(Preprocessor(tmp_path / f"node-{len(made)}", **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture
def preprocessor(make_preprocessor: Callable[..., Preprocessor]) -> Preprocessor:
    """Run a preprocessor on SQLite."""
    return make_preprocessor().start()
