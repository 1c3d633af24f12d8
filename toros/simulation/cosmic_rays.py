"""Cosmic rays: straight tracks of muons through the chip.

Muons at sea level come with a flux per solid angle proportional to
cos^2(theta) of the zenith angle theta; through a horizontal surface the number
goes with cos^3(theta) sin(theta), thus cos(theta) = u^(1/4) with u uniform in
(0, 1). A minimum ionising particle frees about 80 electrons per micrometre of
silicon; the spread of that (Landau) is taken as log-normal. Charge spreads by
a third of a pixel on its way to the wells.

References
----------
.. [1] Groom, D., 2002, Experimental Astronomy 14, 45: tracks in CCDs.
.. [2] Smith, A. R., et al., 2002, Proc. SPIE 4669, 172: rates, of the order
   of 0.01 to 0.1 events per cm2 and second, surroundings included.
.. [3] Janesick, J. R., 2001, Scientific Charge-Coupled Devices, chapter 8.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_ELECTRONS_PER_UM = 80.0
_SPREAD = 0.3  # of the logarithm of the charge
_DIFFUSION_PX = 0.3
_POINTS_PER_PX = 12


def draw_tracks(
    rng: np.random.Generator, events: int, shape: tuple[int, int], pixel_um: float, chip_um: float
) -> npt.NDArray[np.float32]:
    """Draw the charge that cosmic rays leave.

    Parameters
    ----------
    rng : numpy.random.Generator
    events : int
        How many tracks begin on the chip.
    shape : (int, int)
        (ny, nx) of the image.
    pixel_um, chip_um : float
        Side of a pixel and thickness of the sensitive silicon [um].

    Returns
    -------
    ndarray, shape (ny, nx) [electron]
        Whole electrons.
    """
    ny, nx = shape
    charge = np.zeros(shape, dtype=np.float32)
    for _ in range(events):
        # Grazing tracks end at the chip's edge anyway; the bound keeps their length finite.
        cosine = max(rng.random() ** 0.25, 0.02)
        azimuth = rng.uniform(0, 2 * np.pi)
        length_px = chip_um / pixel_um * np.sqrt(1 - cosine**2) / cosine
        electrons = _ELECTRONS_PER_UM * chip_um / cosine * rng.lognormal(0, _SPREAD)
        points = int(np.ceil(_POINTS_PER_PX * (1 + length_px)))
        along = np.linspace(0, length_px, points)
        jitter = _DIFFUSION_PX * rng.standard_normal((2, points))
        y = np.floor(rng.uniform(0, ny) + along * np.sin(azimuth) + jitter[0]).astype(int)
        x = np.floor(rng.uniform(0, nx) + along * np.cos(azimuth) + jitter[1]).astype(int)
        on_chip = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
        np.add.at(charge, (y[on_chip], x[on_chip]), electrons / points)
    return np.rint(charge)
