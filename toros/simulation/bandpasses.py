"""The filters that the simulated sky knows: what comes through them.

Round numbers, good to a few per cent: what matters is that they are known.

References
----------
.. [1] Bessell, M. S., Castelli, F., Plez, B., 1998, A&A 333, 231, table A2:
   flux densities of magnitude 0, here as photons [1/s/cm2/Angstrom].
.. [2] Binney, J., Merrifield, M., 1998, Galactic Astronomy, table 2.1: widths
   of the filters [Angstrom].
.. [3] Patat, F., 2003, A&A 400, 1183: the dark sky in B, V, R, I.
"""

from __future__ import annotations

from typing import NamedTuple


class Bandpass(NamedTuple):
    """A filter as the sky goes through it.

    Attributes
    ----------
    photons_s_cm2 : float
        Photons of magnitude 0 above the atmosphere [1/s/cm2].
    sky_mag_arcsec2 : float
        The moonless sky at the zenith, as seen from the ground [mag/arcsec2].
    extinction_mag : float
        Extinction [mag per airmass].
    colour : float
        m = V + colour * (B - V), for a star of the main sequence.
    """

    photons_s_cm2: float
    sky_mag_arcsec2: float
    extinction_mag: float
    colour: float


BANDPASSES = {
    "B": Bandpass(1393 * 940, 22.6, 0.22, 1.0),
    "V": Bandpass(996 * 880, 21.6, 0.12, 0.0),
    "R": Bandpass(702 * 1380, 20.9, 0.08, -0.55),
    "I": Bandpass(452 * 1490, 19.7, 0.04, -1.1),
}


def bandpass(filter_name: str) -> Bandpass:
    """Return a filter's numbers.

    Raises
    ------
    ValueError
        The filter is not known here.
    """
    try:
        return BANDPASSES[filter_name]
    except KeyError:
        known = ", ".join(BANDPASSES)
        raise ValueError(f"filter {filter_name!r}: the simulated sky knows {known}") from None
