"""A camera of the tests' own, independent of `toros.simulation`, and the steps on bare arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toros.preprocessor.steps import STEPS
from toros.preprocessor.steps.base import (
    BIAS_STACK,
    DARK_STACK,
    FLAT_STACK,
    Band,
    CameraNoise,
    Plane,
    Setup,
)


@dataclass
class Chip:
    """Truth: gain [e/ADU], read noise [e], bias [ADU], dark [e/s], response."""

    shape: tuple[int, int] = (96, 96)
    gain: float = 1.5
    read_noise: float = 8.0
    hot_fraction: float = 0.01
    seed: int = 7

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        y, x = np.indices(self.shape) / np.array(self.shape)[:, None, None] - 0.5
        self.bias = 1000 + 3 * rng.standard_normal(self.shape[1])[None, :] + 5 * y
        self.dark_rate = np.full(self.shape, 0.4)
        self.hot = rng.random(self.shape) < self.hot_fraction
        self.dark_rate[self.hot] += rng.exponential(30, self.hot.sum())
        self.response = (1 - 0.4 * (x**2 + y**2)) * (1 + 0.01 * rng.standard_normal(self.shape))
        self.response /= np.median(self.response)
        self.rng = np.random.default_rng(self.seed + 1)

    def expose(self, count: int, time_s: float, light_e_s: float | np.ndarray = 0.0) -> np.ndarray:
        """Take frames, shape (count, ny, nx) [ADU], rounded as a converter does."""
        mean = (self.dark_rate + self.response * light_e_s) * time_s
        charge = self.rng.poisson(np.broadcast_to(mean, (count, *self.shape)))
        volts = charge + self.read_noise * self.rng.standard_normal((count, *self.shape))
        return np.rint(self.bias + volts / self.gain).astype(np.float32)


@dataclass
class Made:
    """What a step made of whole frames."""

    plane: Plane
    scalars: dict[str, float]
    rejected: tuple[tuple[int, str], ...]
    clipped: int


def make(
    step_name: str,
    frames: np.ndarray,
    *,
    bias: Plane | None = None,
    dark: Plane | None = None,
    flat: Plane | None = None,
    scale: float = 1.0,
    noise: CameraNoise | None = None,
    exposure_s: float = 0.0,
    saturation_adu: float = np.inf,
    **settings: float,
) -> Made:
    """Run one step on whole frames."""
    step = STEPS[step_name]
    count = len(frames)
    setup = Setup(
        settings=step.settings(**settings),
        names=tuple(f"frame {i}" for i in range(count)),
        dark_of=(None if dark is None else 0,) * count,
        dark_scale=(scale,) * count,
        noise=noise or CameraNoise(),
        exposure_s=(exposure_s,) * count,
        saturation_adu=saturation_adu,
    )
    band = Band(np.array(frames, np.float32), bias, () if dark is None else (dark,), flat)
    found = step.survey(setup, band)
    used = Band(band.frames[list(found.used)], band.bias, band.darks, band.flat)
    strip = step.reduce(setup, found, used)
    return Made(
        Plane(strip.data, strip.sigma, strip.mask),
        dict(found.scalars),
        found.rejected,
        strip.clipped,
    )


__all__ = ["BIAS_STACK", "DARK_STACK", "FLAT_STACK", "Chip", "Made", "make"]
