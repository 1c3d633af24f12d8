"""Frames of real places on the sky, drawn from the Tycho-2 catalogue with a known truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from tests.conftest import missing_part
from toros.errors import ConfigurationError
from toros.images.solving import check_solver
from toros.images.star_index import PACKAGE, index_files, read_stars, tycho_catalogue
from toros.simulation.sky import draw_stars

ZERO_POINT_MAG = 21.0  # of 1 ADU
RMS_ADU = 12.0


def need_solver() -> None:
    """Skip a test where plates cannot be solved."""
    try:
        check_solver()
    except ConfigurationError as error:
        missing_part(str(error), f"apt-get install {PACKAGE}; pip install astrometry")


@dataclass(frozen=True)
class SkyFrame:
    """An image and where it is: centre [deg], scale [arcsec], and its exact coordinates."""

    image: np.ndarray
    wcs: WCS
    ra: float
    dec: float
    scale: float
    stars: int


def true_wcs(
    ra: float, dec: float, scale: float, shape: tuple[int, int], *, turn: float = 0.0,
    mirrored: bool = False, bend: float = 0.0,
) -> WCS:  # fmt: skip
    """Make a TAN projection; `bend` is a quadratic distortion at the edge [pixel]."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"] if bend else ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    angle = np.radians(turn)
    east = 1.0 if mirrored else -1.0
    wcs.wcs.cd = (scale / 3600) * np.array(
        [[east * np.cos(angle), np.sin(angle)], [-east * np.sin(angle), np.cos(angle)]]
    )
    if bend:
        from astropy.wcs import Sip

        a, b = np.zeros((3, 3)), np.zeros((3, 3))
        a[2, 0] = bend / (shape[1] / 2) ** 2
        b[1, 1] = bend / (shape[0] / 2) ** 2
        wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    return wcs


def sky_frame(
    ra: float,
    dec: float,
    *,
    scale: float = 4.0,
    shape: tuple[int, int] = (600, 800),
    turn: float = 0.0,
    mirrored: bool = False,
    bend: float = 0.0,
    fwhm_px: float = 2.5,
    faint_per_deg2: float = 300.0,
    hot_fraction: float = 0.0,
    gradient_adu: float = 0.0,
    dim_mag: float = 0.0,
    seed: int = 1,
) -> SkyFrame:
    """Draw the sky at a place: catalogue stars, fainter ones beyond it, noise, hot pixels."""
    rng = np.random.default_rng(seed)
    ny, nx = shape
    wcs = true_wcs(ra, dec, scale, shape, turn=turn, mirrored=mirrored, bend=bend)
    catalogue = tycho_catalogue(index_files())
    assert catalogue is not None
    stars = read_stars(catalogue, ra, dec, 0.6 * np.hypot(nx, ny) * scale / 3600)
    x, y = wcs.all_world2pix(stars.ra, stars.dec, 0, quiet=True)
    inside = (abs(x - nx / 2) < nx) & (abs(y - ny / 2) < ny)
    faint = int(faint_per_deg2 * nx * ny * (scale / 3600) ** 2)
    # Counts grow as 10^(0.3 m) beyond the catalogue.
    mags = 12.5 + np.log10(rng.uniform(1, 10 ** (0.3 * 3.0), faint)) / 0.3
    mag = np.concatenate((stars.mag[inside], mags)) + dim_mag
    shown = (x > 0) & (x < nx - 1) & (y > 0) & (y < ny - 1)
    x = np.concatenate((x[inside], rng.uniform(0, nx, faint)))
    y = np.concatenate((y[inside], rng.uniform(0, ny, faint)))
    image = np.zeros(shape, dtype=np.float32)
    flux = 10 ** (-0.4 * (mag - ZERO_POINT_MAG))
    draw_stars(image, x, y, flux, fwhm_px=fwhm_px, beta=4.765)
    image += (1000 + gradient_adu * np.indices(shape)[1] / nx).astype(np.float32)
    image += rng.normal(0, RMS_ADU, shape).astype(np.float32)
    hot = rng.random(shape) < hot_fraction
    image[hot] += rng.exponential(3000, int(hot.sum())).astype(np.float32)
    return SkyFrame(np.clip(image, 0, 65535), wcs, ra, dec, scale, int(shown.sum()))
