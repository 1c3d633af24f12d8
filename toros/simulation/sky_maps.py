"""Sky maps of made-up mergers, as LIGO, Virgo and KAGRA publish theirs.

The position is what arrival times and amplitudes tell: a Gaussian across the
ring of one delay between two detectors, one or two lobes along it, and the
antenna pattern of the detector over all, which counts less the worse the
localisation is. The tiles are refined where the probability is, as BAYESTAR
does it: 3072 tiles of order 4, then seven rounds that split the most probable
768 into four each, down to order 11: 19,200 tiles. The distance of each tile is
the more, the better the antenna pattern is there.

References
----------
.. [1] Singer, L. P., Price, L. R., 2016, Phys. Rev. D 93, 024013 (BAYESTAR).
.. [2] Singer, L. P., et al., 2016, ApJL 829, L15, and its supplement, ApJS 226,
   10, section 2 (the distance ansatz, its moments).
"""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from astropy.io import fits
from astropy.time import Time
from scipy.special import ndtr

from toros.simulation.localisation import (
    BASE_ORDER,
    ROUNDS,
    Floats,
    Geometry,
    Integers,
    Shape,
    Tiles,
    antenna,
    centres,
    draw_geometry,
    localise,
    vector,
)
from toros.simulation.randomness import Stream, generator

_AREA_DEG2 = (1.0, 33_000.0)
_MOMENTS = np.linspace(-4.0, 60.0, 6401)
"""mu / sigma of the ansatz, from the widest distribution to the narrowest."""


class _Distances(NamedTuple):
    mu_mpc: Floats
    sigma_mpc: Floats
    norm_mpc2: Floats
    mean_mpc: float  # of the whole map
    deviation_mpc: float

    def of(self, tile: Integers) -> _Distances:
        return self._replace(
            mu_mpc=self.mu_mpc[tile],
            sigma_mpc=self.sigma_mpc[tile],
            norm_mpc2=self.norm_mpc2[tile],
        )


def make_sky_map(
    ra_deg: float,
    dec_deg: float,
    distance_mpc: float | None,
    area_deg2: float,
    *,
    seed: int = 0,
    shape: Shape = "arc",
    distance_relative_error: float = 0.25,
    tiles: int = 19_200,
    event: str = "MS000101a",
    detected: datetime = datetime(2000, 1, 1, tzinfo=UTC),
    flat_nside: int | None = None,
) -> bytes:
    """Make the sky map of an event at a known place.

    Parameters
    ----------
    ra_deg, dec_deg : float, ICRS [deg]
        The true place; it is within the 90 % region.
    distance_mpc : float or None [Mpc]
        The true distance, within a standard deviation of the map's there; None
        for a map without distance, as of a burst.
    area_deg2 : float, 1 to 33,000 [deg2]
        Of the 90 % region; met within 1 %.
    seed : int
        The same for the same map.
    shape : "arc" or "ellipse"
        The region of two detectors, twelve times as long as wide and with a
        second lobe, or of three.
    distance_relative_error : float, 0.02 to 0.5
        Of the distance at one place.
    tiles : int, >= 3072
        About how many.
    event, detected : str, datetime
        For the header (OBJECT, DATE-OBS).
    flat_nside : int or None
        Make a flat nested map of this resolution, gzipped, instead.

    Returns
    -------
    bytes
        FITS.

    Raises
    ------
    ValueError
        An argument is outside its range.
    """
    _check("area_deg2", area_deg2, *_AREA_DEG2)
    _check("distance_relative_error", distance_relative_error, 0.02, 0.5)
    _check("dec_deg", dec_deg, -90, 90)
    random = generator(seed, Stream.SKY_MAP)
    place = vector(np.radians(ra_deg), np.radians(dec_deg))
    geometry = draw_geometry(place, shape, random)
    split = max(1, round((tiles - (12 << 2 * BASE_ORDER)) / (3 * ROUNDS)))
    found = localise(geometry, place, area_deg2, split)
    distance = None
    if distance_mpc is not None:
        error = distance_relative_error
        mean_mpc = distance_mpc / (1 + error * random.uniform(-0.9, 0.9))
        distance = _distances(found, geometry, place, mean_mpc, error)
    header = _header(found, distance, event, detected)
    if flat_nside is None:
        return _multi_order(found, distance, header)
    return _flat(found, distance, header, flat_nside)


def _check(name: str, value: float, lowest: float, highest: float) -> None:
    if not lowest <= value <= highest:
        raise ValueError(f"{name} is {value}; it must be {lowest:g} to {highest:g}")


def _distances(
    tiles: Tiles, geometry: Geometry, place: Floats, mean_mpc: float, error: float
) -> _Distances:
    """Give every tile the ansatz whose mean goes with the detectors' reach [2]_."""
    seen = antenna(centres(tiles.order, tiles.index), geometry.arms)
    reach = np.sqrt(np.maximum(seen, 1e-3) / antenna(place, geometry.arms))
    means = mean_mpc * np.clip(reach, 0.3, 2.0) ** 0.7
    errors = np.clip(error * np.clip(reach, 0.3, 2.0) ** -0.2, 0.02, 0.5)

    zeroth = ndtr(_MOMENTS)
    first = _MOMENTS * zeroth + np.exp(-0.5 * _MOMENTS**2) / np.sqrt(2 * np.pi)
    second = _MOMENTS * first + zeroth
    third = _MOMENTS * second + 2 * first
    fourth = _MOMENTS * third + 3 * second
    mean = third / second  # in units of sigma
    spread = np.sqrt(fourth / second - mean**2) / mean
    z = np.interp(-errors, -spread, _MOMENTS)
    sigma = means / np.interp(z, _MOMENTS, mean)
    norm = 1 / (sigma**2 * np.interp(z, _MOMENTS, second))

    probability = tiles.density * tiles.area_sr
    whole = float(np.sum(probability * means))
    square = float(np.sum(probability * means**2 * (1 + errors**2)))
    return _Distances(z * sigma, sigma, norm, whole, float(np.sqrt(square - whole**2)))


def _header(
    tiles: Tiles,
    distance: _Distances | None,
    event: str,
    detected: datetime,
) -> fits.Header:
    time = Time(detected)
    cards: list[tuple[str, Any, str]] = [
        ("PIXTYPE", "HEALPIX", "HEALPIX pixelisation"),
        ("COORDSYS", "C", "Ecliptic, Galactic or Celestial (equatorial)"),
        ("MOCORDER", int(tiles.order.max()), "MOC resolution (best order)"),
        ("OBJECT", event, "Unique identifier for this event"),
        ("INSTRUME", "H1,L1,V1", "Instruments that triggered this event"),
        ("DATE-OBS", time.isot, "UTC date of the observation"),
        ("MJD-OBS", float(time.mjd), "modified Julian date of the observation"),
        ("CREATOR", "TOROS", "Program that created this file"),
        ("ORIGIN", "simulation", "Organization responsible for this FITS file"),
    ]
    if distance is not None:
        cards += [
            ("DISTMEAN", distance.mean_mpc, "Posterior mean distance (Mpc)"),
            ("DISTSTD", distance.deviation_mpc, "Posterior standard deviation of distance (Mpc)"),
        ]
    cards += [
        ("LOGBCI", 8.0, "Log Bayes factor: coherent vs. incoherent"),
        ("LOGBSN", 60.0, "Log Bayes factor: signal vs. noise"),
    ]
    return fits.Header(cards)


def _columns(distance: _Distances | None) -> list[fits.Column]:
    if distance is None:
        return []
    names = (("DISTMU", "Mpc"), ("DISTSIGMA", "Mpc"), ("DISTNORM", "Mpc-2"))
    return [
        fits.Column(name, "D", unit, array=array)
        for (name, unit), array in zip(names, distance, strict=False)
    ]


def _multi_order(
    tiles: Tiles,
    distance: _Distances | None,
    header: fits.Header,
) -> bytes:
    unique = tiles.index + (np.int64(4) << 2 * tiles.order)
    place = np.argsort(unique)
    columns = [
        fits.Column("UNIQ", "K", array=unique),
        fits.Column("PROBDENSITY", "D", "sr-1", array=tiles.density),
        *_columns(distance),
    ]
    header["ORDERING"] = ("NUNIQ", "Pixel ordering scheme: RING, NESTED, or NUNIQ")
    header["INDXSCHM"] = ("EXPLICIT", "Indexing: IMPLICIT or EXPLICIT")
    table = fits.BinTableHDU.from_columns(columns, header)
    table.data = table.data[place]
    return _bytes(table)


def _flat(
    tiles: Tiles,
    distance: _Distances | None,
    header: fits.Header,
    nside: int,
) -> bytes:
    """Paint the tiles on pixels; a pixel that is larger than its tiles gets their sum."""
    order = nside.bit_length() - 1
    if nside != 1 << order or order < BASE_ORDER:
        raise ValueError(f"flat_nside is {nside}; it must be a power of 2 from 16 on")
    probability = np.zeros(12 * nside**2)
    pixels, owners = [], []
    for tile_order in np.unique(tiles.order):
        which = np.flatnonzero(tiles.order == tile_order)
        depth = max(0, order - int(tile_order))
        inside = tiles.index[which] >> 2 * max(0, int(tile_order) - order)
        pixels.append(np.add.outer(inside << 2 * depth, np.arange(1 << 2 * depth)).ravel())
        owners.append(np.repeat(which, 1 << 2 * depth))
        part = tiles.density[which] * tiles.area_sr[which] / (1 << 2 * depth)
        np.add.at(probability, pixels[-1], np.repeat(part, 1 << 2 * depth))
    owner = np.empty(len(probability), dtype=np.int64)
    owner[np.concatenate(pixels)] = np.concatenate(owners)
    of_pixel = None if distance is None else distance.of(owner)
    columns = [fits.Column("PROB", "D", "pix-1", array=probability), *_columns(of_pixel)]
    header["ORDERING"] = ("NESTED", "Pixel ordering scheme: RING, NESTED, or NUNIQ")
    header["NSIDE"] = (nside, "Resolution parameter of HEALPIX")
    header["INDXSCHM"] = ("IMPLICIT", "Indexing: IMPLICIT or EXPLICIT")
    return gzip.compress(_bytes(fits.BinTableHDU.from_columns(columns, header)), 6, mtime=0)


def _bytes(table: fits.BinTableHDU) -> bytes:
    content = BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(content)
    return content.getvalue()
