"""What a step is, what it is given, and what it gives back: arrays and numbers, no files.

A step has two pure functions. ``survey`` looks at a sample of rows of all frames
and finds the few numbers that hold for the whole (noise, levels, thresholds).
``reduce`` then makes the product of any band of rows, with these numbers. Because
nothing else passes from band to band, a product is the same to the bit
whatever the height of the bands. Reading, writing, memory, provenance and
errors are the runner's (`toros.preprocessor.jobs`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from toros.config.kinds import Section
from toros.preprocessor.steps.noise import Array, Mask

MASK_BITS = {
    1: ("NODATA", "no finite value, or all frames rejected"),
    2: ("HOT", "dark current far above the usual"),
    4: ("LOWRESP", "dead or vignetted: little response in the flat"),
    8: ("SATURATED", "saturated in the frame itself"),
}
"""Bits of a product's mask, their names and meanings."""

NODATA, HOT, LOW_RESPONSE, SATURATED = MASK_BITS

BIAS_STACK, DARK_STACK, FLAT_STACK = "bias_stack", "dark_stack", "flat_stack"
CALIBRATED_LIGHT = "calibrated_light"


@dataclass(frozen=True)
class Plane:
    """A band of a master.

    Attributes
    ----------
    data, sigma : ndarray of float32, shape (rows, nx)
        Value and its uncertainty, 1 sigma [ADU; of a flat: relative].
    mask : ndarray of uint8, shape (rows, nx)
        Bits of `MASK_BITS`.
    """

    data: Array
    sigma: Array
    mask: Mask


@dataclass(frozen=True)
class Band:
    """The same rows of all inputs.

    Attributes
    ----------
    frames : ndarray of float32, shape (n, rows, nx)
        Raw frames [ADU]; NaN where there is no value.
    bias : Plane or None
        Bias stack.
    darks : tuple of Plane
        Dark stacks, the bias still in them.
    flat : Plane or None
        Flat stack, about 1.
    """

    frames: Array
    bias: Plane | None = None
    darks: tuple[Plane, ...] = ()
    flat: Plane | None = None


@dataclass(frozen=True)
class CameraNoise:
    """What is known of the camera beforehand, and whence.

    Attributes
    ----------
    gain_e_adu : float or None
        Gain [electron/ADU].
    read_noise_adu : float or None
        Read noise, 1 sigma [ADU], without the noise of rounding.
    gain_source, read_noise_source : str
        "configured", "header" or a master's name; "unknown".
    """

    gain_e_adu: float | None = None
    read_noise_adu: float | None = None
    gain_source: str = "unknown"
    read_noise_source: str = "unknown"


@dataclass(frozen=True)
class Setup:
    """The numbers that one product is made with.

    Attributes
    ----------
    settings : Section
        The step's own settings.
    names : tuple of str, length n
        The frames, for messages.
    dark_of : tuple of (int or None), length n
        Which of the band's darks each frame is corrected by.
    dark_scale : tuple of float, length n
        Exposure time of each frame in units of its dark's; exactly 1 where
        both are the same within a part in a thousand.
    noise : CameraNoise
        Noise of the camera.
    exposure_s : tuple of (float or None), length n
        Exposure time of each frame [s].
    saturation_adu : float
        Level from which on a pixel is saturated [ADU]; infinite if unknown.
    """

    settings: Section
    names: tuple[str, ...]
    dark_of: tuple[int | None, ...] = ()
    dark_scale: tuple[float, ...] = ()
    exposure_s: tuple[float | None, ...] = ()
    noise: CameraNoise = field(default_factory=CameraNoise)
    saturation_adu: float = float("inf")


@dataclass(frozen=True)
class Survey:
    """What a survey found.

    Attributes
    ----------
    numbers : object
        The step's own, for its ``reduce``.
    scalars : mapping of str to float
        Figures for the report and the product's header; NaN where unknown.
    used : tuple of int
        Indices of the frames that are used; only these are handed to ``reduce``.
    rejected : tuple of (int, str)
        Indices of the others, and why.
    notes : tuple of str
        What a person should know of this product.
    """

    numbers: Any
    scalars: Mapping[str, float]
    used: tuple[int, ...]
    rejected: tuple[tuple[int, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Strip:
    """A band of the product.

    Attributes
    ----------
    data, sigma : ndarray of float32, shape (rows, nx)
        Value and its uncertainty, 1 sigma; NaN where unknown.
    mask : ndarray of uint8, shape (rows, nx)
        Bits of `MASK_BITS`.
    clipped : int
        How many single values were left out as outliers.
    """

    data: Array
    sigma: Array
    mask: Mask
    clipped: int = 0


@dataclass(frozen=True)
class Step:
    """A step of the reduction.

    Attributes
    ----------
    name : str
        As the configuration calls it.
    summary : str
        What it does, in one line.
    consumes : str
        Type of the frames that it works on.
    makes : str
        Kind (combination_type) of its products.
    unit : str
        Unit of the product as FITS writes it; empty for none.
    combines : bool
        One product for each group of frames; otherwise one for each frame.
    group_by : tuple of str
        What frames of one group share besides the camera and the temperature.
    needs : tuple of str
        Kinds of masters that it applies; a product without one is partial.
    welcomes : tuple of str
        Kinds of masters that it learns something from; it does without.
    settings : type of Section
        The step's own settings.
    survey : callable
        ``survey(setup, sample) -> Survey``.
    reduce : callable
        ``reduce(setup, survey, band) -> Strip``.
    """

    name: str
    summary: str
    consumes: str
    makes: str
    unit: str
    combines: bool
    group_by: tuple[str, ...]
    needs: tuple[str, ...]
    welcomes: tuple[str, ...]
    settings: type[Section]
    survey: Callable[[Setup, Band], Survey]
    reduce: Callable[[Setup, Survey, Band], Strip]
