"""Stars of known place and brightness, and the light of the sky behind them.

Light at the detector [electron/s], for magnitude m in a filter, at airmass X::

    flux = P A e 10^(-0.4 (m + k X))

with P the photons per second and cm2 of magnitude 0 above the atmosphere, A the
telescope's collecting area, e the efficiency of everything from mirror to
detector and k the extinction. The sky's brightness is that at the ground, so it
takes no extinction. Stars are Moffat profiles, integrated over each pixel;
places follow the TAN projection.

References
----------
.. [1] Moffat, A. F. J., 1969, A&A 3, 455; Trujillo, I., et al., 2001, MNRAS
   328, 977: beta = 4.765 is what turbulence makes.
.. [2] Calabretta, M. R., Greisen, E. W., 2002, A&A 395, 1077, section 5.1.3: TAN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from toros.simulation.bandpasses import bandpass
from toros.simulation.patterns import Image
from toros.simulation.randomness import Stream, generator

Array = npt.NDArray[np.float64]

_STAMP_FWHM = 5.0  # how far a star is drawn; 3e-5 of its light lies beyond for beta = 4.765


@dataclass(frozen=True)
class Star:
    """A star: place in ICRS [deg], V magnitude, colour B - V [mag]."""

    ra_deg: float
    dec_deg: float
    v_mag: float
    b_v: float

    def magnitude(self, filter_name: str) -> float:
        """Return the magnitude in a filter [mag]."""
        return self.v_mag + bandpass(filter_name).colour * self.b_v


@dataclass(frozen=True)
class Optics:
    """A telescope as far as the detector knows it.

    Attributes
    ----------
    area_cm2 : float
        Collecting area [cm2].
    efficiency : float
        Electrons freed per photon that reaches the primary mirror.
    pixel_scale_arcsec : float
        Scale [arcsec/pixel].
    fwhm_arcsec, beta : float
        Full width at half maximum [arcsec] and exponent of the Moffat profile.
    rotation_deg : float
        Position angle of the frame's y axis, from north over east [deg].
    """

    area_cm2: float = 2500.0
    efficiency: float = 0.4
    pixel_scale_arcsec: float = 0.9
    fwhm_arcsec: float = 2.2
    beta: float = 4.765
    rotation_deg: float = 0.0

    def flux_e_s(self, magnitude: npt.ArrayLike, filter_name: str, airmass: float = 0.0) -> Array:
        """Return the light of stars at the detector [electron/s].

        Parameters
        ----------
        magnitude : array_like [mag]
            Magnitudes in this filter.
        filter_name : str
        airmass : float
            0 is above the atmosphere.
        """
        band = bandpass(filter_name)
        dimmed = np.asarray(magnitude, dtype=np.float64) + band.extinction_mag * airmass
        return np.asarray(band.photons_s_cm2 * self.area_cm2 * self.efficiency * _ratio(dimmed))

    def sky_e_s(self, filter_name: str) -> float:
        """Return the light of the dark sky in one pixel [electron/s]."""
        brightness = bandpass(filter_name).sky_mag_arcsec2
        return float(self.flux_e_s(brightness, filter_name)) * self.pixel_scale_arcsec**2

    def wcs(self, ra_deg: float, dec_deg: float, shape: tuple[int, int]) -> WCS:
        """Return the TAN projection of a frame whose centre is at a place.

        Parameters
        ----------
        ra_deg, dec_deg : float, ICRS [deg]
            The place at the centre of the frame.
        shape : (int, int)
            (ny, nx) [pixel].

        Returns
        -------
        astropy.wcs.WCS
            East is to the left of north, as on the sky.
        """
        scale = self.pixel_scale_arcsec / 3600
        turn = math.radians(self.rotation_deg)
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.cunit = ["deg", "deg"]
        wcs.wcs.radesys = "ICRS"
        wcs.wcs.crval = [ra_deg, dec_deg]
        wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
        wcs.wcs.cd = scale * np.array(
            [[-math.cos(turn), math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        )
        wcs.wcs.set()
        return wcs


@dataclass(frozen=True)
class StarField:
    """A piece of sky: its name, its centre in ICRS [deg], its stars."""

    name: str
    ra_deg: float
    dec_deg: float
    stars: tuple[Star, ...]

    @property
    def file_name(self) -> str:
        """The name as it stands in file names."""
        return self.name.lower().replace(" ", "")

    @classmethod
    def random(
        cls,
        ra_deg: float,
        dec_deg: float,
        radius_deg: float,
        *,
        name: str = "field",
        per_arcmin2: float = 2.0,
        magnitudes: tuple[float, float] = (11.0, 19.5),
        seed: int = 1,
    ) -> StarField:
        """Draw a field whose star counts grow as N(<V) ~ 10^(0.3 V).

        Parameters
        ----------
        ra_deg, dec_deg : float, ICRS [deg]
            The centre.
        radius_deg : float
            Half the side of the square, in the tangent plane, that holds stars [deg].
        name : str
            The name of the field.
        per_arcmin2 : float
            Stars per square arc minute.
        magnitudes : (float, float)
            The brightest and the faintest V [mag].
        seed : int
            What the stars are drawn from.
        """
        rng = generator(seed, Stream.STARS)
        count = round(per_arcmin2 * (2 * radius_deg * 60) ** 2)
        plane = Optics(pixel_scale_arcsec=3600).wcs(ra_deg, dec_deg, (1, 1))  # pixels of 1 deg
        offsets = rng.uniform(-radius_deg, radius_deg, (count, 2))
        places = plane.all_pix2world(offsets, 0)
        brightest, faintest = (10 ** (0.3 * mag) for mag in magnitudes)
        v_mag = np.log10(rng.uniform(brightest, faintest, count)) / 0.3
        b_v = rng.normal(0.75, 0.3, count)
        columns = (places[:, 0], places[:, 1], v_mag, b_v)
        stars = (Star(*row) for row in zip(*(c.tolist() for c in columns), strict=True))
        return cls(name, ra_deg, dec_deg, tuple(stars))

    def pixels(self, wcs: WCS) -> tuple[Array, Array]:
        """Return where the stars are on a frame: x and y, counted from 0 [pixel]."""
        places = np.array([(star.ra_deg, star.dec_deg) for star in self.stars]).reshape(-1, 2)
        x, y = wcs.all_world2pix(places, 0).T
        return x, y


def draw_scene(
    field: StarField,
    optics: Optics,
    shape: tuple[int, int],
    filter_name: str,
    *,
    pointing_deg: tuple[float, float] | None = None,
    airmass: float = 1.0,
    gradient: float = 0.0,
) -> Image:
    """Draw the light that falls on a frame.

    Parameters
    ----------
    field : StarField
    optics : Optics
    shape : (int, int)
        (ny, nx) [pixel].
    filter_name : str
        One of `toros.simulation.bandpasses.BANDPASSES`.
    pointing_deg : (float, float), optional
        RA and Dec of the frame's centre, ICRS [deg]; the field's centre by default.
    airmass : float
    gradient : float
        How much brighter, relative to its mean, the sky is at the right edge
        than at the left one; 2 at most.

    Returns
    -------
    ndarray, shape (ny, nx) [electron/s]
        Stars and sky, for pixels of response 1.
    """
    ra_deg, dec_deg = pointing_deg or (field.ra_deg, field.dec_deg)
    slope = 1 + gradient * np.linspace(-0.5, 0.5, shape[1], dtype=np.float32)
    scene = np.empty(shape, dtype=np.float32)
    scene[:] = np.float32(optics.sky_e_s(filter_name)) * slope
    if field.stars:
        x, y = field.pixels(optics.wcs(ra_deg, dec_deg, shape))
        magnitudes = [star.magnitude(filter_name) for star in field.stars]
        flux = optics.flux_e_s(magnitudes, filter_name, airmass)
        fwhm_px = optics.fwhm_arcsec / optics.pixel_scale_arcsec
        draw_stars(scene, x, y, flux, fwhm_px=fwhm_px, beta=optics.beta)
    return scene


def draw_stars(
    image: Image,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    flux: npt.ArrayLike,
    *,
    fwhm_px: float,
    beta: float = 4.765,
) -> None:
    """Add Moffat profiles to an image, integrated over each pixel.

    The integral is Gauss-Legendre quadrature, at 3 x 3 points or more in a
    pixel: for a width of 2 pixels its error is below 1e-3 of the flux at the peak.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        What the stars are added to, in place.
    x, y : array_like [pixel]
        Where; (0, 0) is the centre of the first pixel. Stars off the frame
        shed their wings on it.
    flux : array_like
        Total light of each, in the image's unit.
    fwhm_px : float
        Full width at half maximum [pixel].
    beta : float
        The Moffat exponent, above 1.
    """
    ny, nx = image.shape
    nodes, weights = np.polynomial.legendre.leggauss(max(3, math.ceil(6 / fwhm_px)))
    nodes, weights = nodes / 2, weights / 2
    alpha2 = fwhm_px**2 / (4 * (2 ** (1 / beta) - 1))
    peak = (beta - 1) / (math.pi * alpha2)
    half = math.ceil(_STAMP_FWHM * fwhm_px)
    stars = zip(np.ravel(x).tolist(), np.ravel(y).tolist(), np.ravel(flux).tolist(), strict=True)
    for cx, cy, light in stars:
        x0, x1 = max(0, round(cx) - half), min(nx, round(cx) + half + 1)
        y0, y1 = max(0, round(cy) - half), min(ny, round(cy) + half + 1)
        if x0 >= x1 or y0 >= y1:
            continue
        dx2 = ((np.arange(x0, x1)[:, None] + nodes - cx) ** 2).ravel()
        dy2 = ((np.arange(y0, y1)[:, None] + nodes - cy) ** 2).ravel()
        profile = peak * (1 + (dy2[:, None] + dx2[None, :]) / alpha2) ** -beta
        samples = profile.reshape(y1 - y0, nodes.size, x1 - x0, nodes.size)
        image[y0:y1, x0:x1] += light * np.einsum("iajb,a,b->ij", samples, weights, weights)


def _ratio(magnitude: Array) -> Array:
    """Return what a magnitude is to magnitude 0."""
    return np.asarray(10 ** (-0.4 * magnitude))
