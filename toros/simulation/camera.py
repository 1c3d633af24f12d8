"""A CCD camera with known physics.

What a pixel shows [ADU], from what falls on it::

    N   = Poisson((F S + D(T)) t) + C              electrons, at most the full well
    ADU = round(B + (N + sigma_R G(0, 1)) / g)     within 0 ... 2^bits - 1

with S the light in electrons per second that a pixel of response 1 would free,
F the flat field (pixel response non-uniformity, vignetting, dust), D the dark
current, C the charge of cosmic rays, B the bias pattern, sigma_R the read
noise and g the gain (electrons per ADU). The dark current doubles every few
degrees, D(T) = D(T0) 2^((T - T0) / T2), for hot pixels too.

For a pixel of mean signal N this gives the photon transfer curve, in ADU::

    variance = N / g^2 + (sigma_R / g)^2 + 1/12

where 1/12 is the rounding's. F, D and B are functions of the camera alone;
noise is a function of the camera's seed, the kind of frame and its number: the
same number twice gives the same frame, so each frame of a set takes its own.

References
----------
.. [1] Janesick, J. R., 2007, Photon Transfer, SPIE Press: the noise model.
.. [2] Janesick, J. R., 2001, Scientific Charge-Coupled Devices, SPIE Press,
   section 7.1: dark current against temperature.
.. [3] Widrow, B., Kollar, I., 2008, Quantization Noise, Cambridge University
   Press: the variance 1/12 of rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from toros.simulation import patterns
from toros.simulation.cosmic_rays import draw_tracks
from toros.simulation.patterns import Image, Mask
from toros.simulation.randomness import Stream, generator

Counts = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Camera:
    """A CCD camera: its numbers, its fixed patterns, and the frames it takes.

    Attributes
    ----------
    shape : (int, int)
        (ny, nx) [pixel].
    gain_e_adu : float
        Gain [electron/ADU].
    read_noise_e : float
        Read noise, 1 sigma [electron].
    bias_adu, bias_structure_adu : float
        Bias level, and the rms of its fixed column offsets [ADU].
    dark_current_e_s : float
        Mean dark current of an ordinary pixel at the reference temperature [electron/s].
    dark_reference_c, dark_doubling_c : float
        That temperature, and the step over which the current doubles [deg C].
    dark_nonuniformity : float
        Relative spread of the dark current, 1 sigma.
    hot_fraction, hot_current_e_s, hot_spread : float
        Share of hot pixels; median of their excess current at the reference
        temperature [electron/s]; spread of its natural logarithm, 1 sigma.
    dead_fraction, dead_columns : float, int
        Share of single dead pixels; number of (partly) blocked columns.
    full_well_e : float
        Charge at which a pixel is full [electron].
    adc_bits : int
        Bits of the converter, at most 16; it saturates at 2^bits - 1 ADU.
    prnu : float
        Pixel response non-uniformity, relative, 1 sigma.
    vignetting : float
        Share of the light lost at the corners.
    dust : int
        Grains of dust; one half on the window, the other on each filter.
    pixel_um, chip_um : float
        Side of a pixel, thickness of the sensitive silicon [um].
    cosmic_rays_cm2_s : float
        Rate of cosmic rays [1/cm2/s]; 0 for none.
    seed : int
        What the fixed patterns and the noise are drawn from.

    Raises
    ------
    ValueError
        A number makes no camera.
    """

    shape: tuple[int, int] = (512, 512)
    gain_e_adu: float = 1.4
    read_noise_e: float = 6.0
    bias_adu: float = 1000.0
    bias_structure_adu: float = 2.0
    dark_current_e_s: float = 0.1
    dark_reference_c: float = -10.0
    dark_doubling_c: float = 6.3
    dark_nonuniformity: float = 0.1
    hot_fraction: float = 0.002
    hot_current_e_s: float = 5.0
    hot_spread: float = 1.2
    dead_fraction: float = 2e-4
    dead_columns: int = 1
    full_well_e: float = 110_000.0
    adc_bits: int = 16
    prnu: float = 0.01
    vignetting: float = 0.15
    dust: int = 12
    pixel_um: float = 13.5
    chip_um: float = 20.0
    cosmic_rays_cm2_s: float = 0.03
    seed: int = 1

    def __post_init__(self) -> None:
        positive = ("gain_e_adu", "dark_doubling_c", "hot_current_e_s", "full_well_e", "pixel_um")
        for name in positive:
            _require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        not_negative = (
            "read_noise_e", "bias_structure_adu", "dark_current_e_s", "dark_nonuniformity",
            "hot_spread", "dead_columns", "prnu", "dust", "chip_um", "cosmic_rays_cm2_s", "seed",
        )  # fmt: skip
        for name in not_negative:
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for name in ("hot_fraction", "dead_fraction", "vignetting"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "in 0 ... 1")
        _require(min(self.shape) >= 1, "shape", self.shape, "(ny, nx), each 1 or more")
        _require(1 <= self.adc_bits <= 16, "adc_bits", self.adc_bits, "1 ... 16")

    @property
    def saturation_adu(self) -> int:
        """The highest number that the converter gives [ADU]."""
        return int(2**self.adc_bits - 1)

    @property
    def area_cm2(self) -> float:
        """The chip's area [cm2]."""
        return self.shape[0] * self.shape[1] * (self.pixel_um * 1e-4) ** 2

    def bias_pattern(self) -> Image:
        """Return the mean of a bias frame, shape (ny, nx) [ADU]."""
        return patterns.bias_pattern(self)

    def dark_rate(self, temperature_c: float | None = None) -> Image:
        """Return the dark current, shape (ny, nx) [electron/s].

        Parameters
        ----------
        temperature_c : float, optional
            The chip's temperature [deg C]; the reference temperature by default.
        """
        rate, _ = patterns.dark_pattern(self)
        if temperature_c is None or temperature_c == self.dark_reference_c:
            return rate
        steps = (temperature_c - self.dark_reference_c) / self.dark_doubling_c
        return rate * np.float32(2.0**steps)

    def flat_field(self, filter_name: str = "") -> Image:
        """Return the response to even light, median 1, 0 for dead pixels, shape (ny, nx)."""
        return patterns.flat_field(self, filter_name)

    def hot_pixels(self) -> Mask:
        """Return where the pixels are hot, shape (ny, nx)."""
        return patterns.dark_pattern(self)[1]

    def dead_pixels(self) -> Mask:
        """Return where the pixels are blind, shape (ny, nx)."""
        return patterns.dead_pixels(self)

    def bad_pixels(self) -> Mask:
        """Return where the pixels are hot or dead, shape (ny, nx)."""
        return self.hot_pixels() | self.dead_pixels()

    def noise_e(self, signal_e: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the noise that a pixel must have, 1 sigma [electron].

        Parameters
        ----------
        signal_e : array_like [electron]
            Mean charge, of light and of dark current together.
        """
        signal = np.asarray(signal_e, dtype=np.float64)
        return np.asarray(np.sqrt(signal + self.read_noise_e**2 + self.gain_e_adu**2 / 12))

    def cosmic_rays(self, kind: str, exposure_s: float, number: int) -> Image:
        """Return the charge of cosmic rays in a frame, shape (ny, nx) [electron].

        Parameters
        ----------
        kind : str
            "dark", "flat" or "light".
        exposure_s : float
            Exposure time [s].
        number : int
            The frame's number.
        """
        rng = generator(self.seed, Stream.COSMIC_RAYS, Stream[kind.upper()], number)
        events = int(rng.poisson(self.cosmic_rays_cm2_s * self.area_cm2 * exposure_s))
        return draw_tracks(rng, events, self.shape, self.pixel_um, self.chip_um)

    def bias(self, number: int = 0) -> Counts:
        """Take a bias frame, shape (ny, nx) [ADU].

        Parameters
        ----------
        number : int
            The frame's number, for its noise.
        """
        return self._read_out(None, generator(self.seed, Stream.BIAS, number))

    def dark(
        self, exposure_s: float, temperature_c: float | None = None, *, number: int = 0
    ) -> Counts:
        """Take a dark, shape (ny, nx) [ADU].

        Parameters
        ----------
        exposure_s : float
            Exposure time [s].
        temperature_c : float, optional
            The chip's temperature [deg C]; the reference temperature by default.
        number : int
            The frame's number, for its noise.
        """
        return self._expose("dark", None, exposure_s, temperature_c, number)

    def flat(
        self,
        level_adu: float,
        filter_name: str = "",
        exposure_s: float = 4.0,
        temperature_c: float | None = None,
        *,
        number: int = 0,
    ) -> Counts:
        """Take a flat, shape (ny, nx) [ADU].

        Parameters
        ----------
        level_adu : float
            Mean signal of a pixel of response 1, above bias and dark current [ADU].
        filter_name : str
            The filter, for its dust.
        exposure_s : float
            Exposure time [s].
        temperature_c : float, optional
            The chip's temperature [deg C]; the reference temperature by default.
        number : int
            The frame's number, for its noise.
        """
        _require(level_adu >= 0, "level_adu", level_adu, "0 or more")
        _require(exposure_s > 0, "exposure_s", exposure_s, "above 0 for a flat")
        light = self.flat_field(filter_name) * np.float32(level_adu * self.gain_e_adu / exposure_s)
        return self._expose("flat", light, exposure_s, temperature_c, number)

    def light(
        self,
        scene_e_s: npt.ArrayLike,
        exposure_s: float,
        filter_name: str = "",
        temperature_c: float | None = None,
        *,
        number: int = 0,
    ) -> Counts:
        """Take a light, shape (ny, nx) [ADU].

        Parameters
        ----------
        scene_e_s : array_like, shape (ny, nx) or a number [electron/s]
            What each pixel would free if its response were 1.
        exposure_s : float
            Exposure time [s].
        filter_name : str
            The filter, for its dust.
        temperature_c : float, optional
            The chip's temperature [deg C]; the reference temperature by default.
        number : int
            The frame's number, for its noise.
        """
        scene = np.asarray(scene_e_s, dtype=np.float32)
        _require(scene.shape in ((), self.shape), "scene_e_s.shape", scene.shape, str(self.shape))
        _require(bool(np.min(scene) >= 0), "scene_e_s", np.min(scene), "0 or more everywhere")
        light = self.flat_field(filter_name) * scene
        return self._expose("light", light, exposure_s, temperature_c, number)

    def _expose(
        self,
        kind: str,
        light_e_s: Image | None,
        exposure_s: float,
        temperature_c: float | None,
        number: int,
    ) -> Counts:
        _require(exposure_s >= 0, "exposure_s", exposure_s, "0 or more")
        rng = generator(self.seed, Stream[kind.upper()], number)
        rate = self.dark_rate(temperature_c)
        if light_e_s is not None:
            rate = rate + light_e_s
        electrons = rng.poisson(rate * np.float32(exposure_s)).astype(np.float32)
        electrons += self.cosmic_rays(kind, exposure_s, number)
        return self._read_out(electrons, rng)

    def _read_out(self, electrons: Image | None, rng: np.random.Generator) -> Counts:
        """Turn charge into numbers; `electrons` is overwritten."""
        signal = rng.standard_normal(self.shape, dtype=np.float32)
        signal *= np.float32(self.read_noise_e)
        if electrons is not None:
            signal += np.minimum(electrons, np.float32(self.full_well_e), out=electrons)
        signal /= np.float32(self.gain_e_adu)
        signal += self.bias_pattern()
        np.rint(signal, out=signal)
        return np.clip(signal, 0, self.saturation_adu, out=signal).astype(np.uint16)


def _require(holds: bool, name: str, value: object, right: str) -> None:
    if not holds:
        raise ValueError(f"{name}={value!r}: it must be {right}")
