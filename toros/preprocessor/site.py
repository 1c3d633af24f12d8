"""What a site says of its cameras, and what is known of a camera's noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from toros.preprocessor.association import Master
from toros.preprocessor.grouping import CAMERA_FIELDS, Frame, camera_of
from toros.preprocessor.steps.base import BIAS_STACK, DARK_STACK, FLAT_STACK, CameraNoise


class Site(Protocol):
    """What the configuration says of the cameras; its section `Preprocessor` fits.

    Attributes
    ----------
    temperature_tolerance_c : float
        Largest difference of temperatures within a stack, and to what it corrects [deg C].
    gain_e_adu, read_noise_e, saturation_adu : float or None
        [electron/ADU], [electron], [ADU]; None for what is measured or in the header.
    """

    @property
    def temperature_tolerance_c(self) -> float: ...  # noqa: D102
    @property
    def gain_e_adu(self) -> float | None: ...  # noqa: D102
    @property
    def read_noise_e(self) -> float | None: ...  # noqa: D102
    @property
    def saturation_adu(self) -> float | None: ...  # noqa: D102


@dataclass(frozen=True)
class DefaultSite:
    """The site of a configuration that says nothing."""

    temperature_tolerance_c: float = 1.0
    gain_e_adu: float | None = None
    read_noise_e: float | None = None
    saturation_adu: float | None = None


def camera_noise(
    site: Site, frame: Frame, chosen: Sequence[Master], masters: Iterable[Master]
) -> CameraNoise:
    """Find the gain and the read noise: configured, else measured, else the header's.

    Parameters
    ----------
    site : Site
    frame : Frame
        A frame of the camera.
    chosen : sequence of Master
        What the frame is corrected by; these are asked first, bias before dark.
    masters : iterable of Master
        All others; the camera's flats and biases are asked in the order of their names.
    """
    camera = dict(zip(CAMERA_FIELDS, camera_of(frame), strict=True))
    others = sorted(
        (
            master
            for master in masters
            if master.kind in (BIAS_STACK, FLAT_STACK)
            and all(master.key.get(name) == value for name, value in camera.items())
        ),
        key=lambda master: (master.kind, master.name),
    )
    asked = [*sorted(chosen, key=lambda master: (master.kind, master.name)), *others]
    gain, gain_source = _first(asked, FLAT_STACK, "gain_e_adu")
    if site.gain_e_adu is not None:
        gain, gain_source = site.gain_e_adu, "configured"
    elif gain is None and frame.facts.gain_e_adu is not None:
        gain, gain_source = frame.facts.gain_e_adu, "header"
    noise, noise_source = _first(asked, BIAS_STACK, "read_noise_adu")
    if noise is None:
        noise, noise_source = _first(asked, DARK_STACK, "read_noise_adu")
    if site.read_noise_e is not None and gain is not None:
        noise, noise_source = site.read_noise_e / gain, "configured"
    return CameraNoise(gain, noise, gain_source, noise_source)


def _first(masters: Iterable[Master], kind: str, name: str) -> tuple[float | None, str]:
    for master in masters:
        value = master.scalars.get(name)
        if master.kind == kind and value is not None:
            return float(value), master.name
    return None, "unknown"
