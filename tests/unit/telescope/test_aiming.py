"""Corrections of the pointing: nearer, and never worse than before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.telescope.night_parts import Observatory, observatory
from toros.devices.protocols import Pointing
from toros.errors import NotSolved
from toros.telescope.aiming import Aiming


@dataclass
class Found:
    ra_deg: float
    dec_deg: float


def aim(at: Observatory, solver: Callable[..., Any]) -> tuple[Pointing, list[Pointing]]:
    """Point somewhere with a correction; return the place and what the mount was told."""
    parts = at.parts
    at.wait_for_state("open", "observing")
    parts.observer.correct = Aiming(
        parts.settings, parts.hardware, parts.camera, parts.observer, solver
    )
    row, order = at.order(1, number_of_exposures=1)
    at.wait(lambda: order.ended, "the order", 30.0)
    assert order.error is None
    told = [
        Pointing(event.values["ra_deg"], event.values["dec_deg"])
        for event in at.world.truth()
        if event.event == "slew_to"
    ]
    return Pointing(row.ra, row.dec), told


def test_an_offset_is_taken_off(tmp_path: Path):
    def solver(*_: Any, **__: Any) -> Found:
        told = [e for e in at.world.truth() if e.event == "slew_to"][-1].values
        return Found(told["ra_deg"], told["dec_deg"] + 0.1)

    with observatory(tmp_path) as at:
        place, told = aim(at, solver)
    assert told[-1].dec_deg == pytest.approx(place.dec_deg - 0.1, abs=1e-3)
    assert len(told) == 2


def test_a_target_whose_frame_cannot_be_solved_is_observed_all_the_same(tmp_path: Path):
    def solver(*_: Any, **__: Any) -> Found:
        raise NotSolved("clouds")

    with observatory(tmp_path) as at:
        place, told = aim(at, solver)
    assert told == [place]


def test_a_correction_that_makes_it_worse_is_taken_back(tmp_path: Path):
    answers = iter([0.1, 0.3, 0.3])

    def solver(*_: Any, **__: Any) -> Found:
        row = at.parts.targets.rows()[0]
        return Found(row.ra, row.dec + next(answers))

    with observatory(tmp_path) as at:
        place, told = aim(at, solver)
    assert told[0] == told[-1] == place
    assert len(told) == 3
