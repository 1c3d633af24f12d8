"""Random streams that never meet: one for each purpose and frame of a seed."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a stream of random numbers is for; the numbers must never change."""

    BIAS_PATTERN = 1
    DARK_PATTERN = 2
    FLAT_PATTERN = 3
    DEAD_PIXELS = 4
    STARS = 5
    NIGHT = 6
    COSMIC_RAYS = 10
    BIAS = 11
    DARK = 12
    FLAT = 13
    LIGHT = 14
    SKY_MAP = 21
    GALAXIES = 22


def generator(seed: int, *purpose: int) -> np.random.Generator:
    """Return the generator that belongs to a seed and a purpose.

    Parameters
    ----------
    seed : int, >= 0
    *purpose : int, >= 0
        A `Stream` first, then whatever tells one use of it from the next (a
        frame's number, a filter).

    Notes
    -----
    The purpose goes into the spawn key, since a list as entropy is padded with
    zeros: seeds ``[1]`` and ``[1, 0]`` would give the same numbers. PCG64 is
    named, because numpy may change what ``default_rng`` returns.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=purpose)
    return np.random.Generator(np.random.PCG64(sequence))
