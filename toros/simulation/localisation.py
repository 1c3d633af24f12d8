"""Where a made-up source seems to be: tiles of the sphere, refined where it may be.

References
----------
.. [1] Singer, L. P., Price, L. R., 2016, Phys. Rev. D 93, 024013, section VI (BAYESTAR's
   refinement).
.. [2] Fairhurst, S., 2009, New J. Phys. 11, 123006 (rings of a delay).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import healpix
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Shape = Literal["arc", "ellipse"]

BASE_ORDER = 4
ROUNDS = 7
_LENGTH = {"arc": 12.0, "ellipse": 2.5}
_LEVEL = 0.9
_SCALES = (1e-4, 1e3)
_DEG2_PER_SR = (180 / np.pi) ** 2


@dataclass(frozen=True)
class Geometry:
    """Where the source seems to be, and how the detectors see the sky.

    Attributes
    ----------
    baseline, along, across : ndarray, shape (3,)
        Unit vectors: between the detectors; towards the source at right angles
        to it; and the third.
    delay : float
        Cosine between the baseline and the source.
    arms : ndarray, shape (2, 3)
        The directions of the antenna pattern's arms.
    lobe_rad, lobe_weight : float
        Where the ring's second lobe is, and how much it weighs.
    length : float
        Of the arc, in units of its width.
    offset : tuple of float
        Of the most probable place from the true one: across, along the ring, in
        units of the standard deviation there.
    """

    baseline: Floats
    along: Floats
    across: Floats
    delay: float
    arms: Floats
    lobe_rad: float
    lobe_weight: float
    length: float
    offset: tuple[float, float]


@dataclass(frozen=True)
class Tiles:
    """Nested HEALPix pixels that cover the sky once, each of its own order.

    Attributes
    ----------
    order, index : ndarray of int64, shape (n,)
    density : ndarray, shape (n,) [1/sr]
        The probability per solid angle; relative until the tiles are all there.
    """

    order: Integers
    index: Integers
    density: Floats

    @property
    def area_sr(self) -> Floats:
        """Of each tile, shape (n,) [sr]."""
        return np.asarray(np.pi / 3 * 4.0**-self.order, dtype=np.float64)


def vector(lon_rad: Any, lat_rad: Any) -> Floats:
    """Return the unit vectors of places, shape (..., 3)."""
    return np.stack(
        [np.cos(lat_rad) * np.cos(lon_rad), np.cos(lat_rad) * np.sin(lon_rad), np.sin(lat_rad)],
        axis=-1,
    )


def _direction(random: np.random.Generator) -> Floats:
    drawn = random.normal(size=3)
    return np.asarray(drawn / np.linalg.norm(drawn))


def draw_geometry(place: Floats, shape: Shape, random: np.random.Generator) -> Geometry:
    """Draw how the detectors see a place.

    Parameters
    ----------
    place : ndarray, shape (3,)
        A unit vector, ICRS.
    shape : "arc" or "ellipse"
        Twelve times as long as wide and with a second lobe, or 2.5 times and without.
    random : numpy.random.Generator
    """
    while True:
        baseline = _direction(random)
        if abs(baseline @ place) < 0.7:
            break
    along = place - (baseline @ place) * baseline
    along /= np.linalg.norm(along)
    while True:
        first = _direction(random)
        second = np.cross(first, _direction(random))
        arms = np.stack([first, second / np.linalg.norm(second)])
        if antenna(place, arms) > 0.5:  # what is detected is seen well
            break
    drawn_offset = np.clip(random.normal(size=2), -1.3, 1.3)
    return Geometry(
        baseline=baseline,
        along=along,
        across=np.cross(baseline, along),
        delay=float(baseline @ place),
        arms=arms,
        lobe_rad=random.uniform(2.0, 4.28),
        lobe_weight=random.uniform(0.05, 0.4) if shape == "arc" else 0.0,
        length=_LENGTH[shape],
        offset=(drawn_offset[0], drawn_offset[1]),
    )


def antenna(directions: Floats, arms: Floats) -> Any:
    """Return a detector's sensitivity, F+**2 + Fx**2, at unit vectors, shape (...).

    That of an interferometer with arms at right angles, of both polarisations [2]_.
    """
    first, second = directions @ arms[0], directions @ arms[1]
    up = directions @ np.cross(arms[0], arms[1])
    plus_squared = 0.25 * (1 + up**2) ** 2
    across = np.maximum(1 - up**2, 1e-12)
    double = ((first**2 - second**2) / across) ** 2  # cos(2 phi) squared
    return plus_squared * double + up**2 * (1 - double)


def _density(geometry: Geometry, scale: float, directions: Floats, side_rad: Floats) -> Floats:
    """Return the relative probability per solid angle, averaged over tiles of a size.

    The Gaussians are widened by the tile's own variance, so that no tile is
    overlooked because its centre is off a narrow ring.
    """
    width = 0.05 * scale
    sine = np.sqrt(1 - geometry.delay**2)
    blur = side_rad / np.sqrt(12)
    sigma = np.hypot(width, blur * sine)
    delay = directions @ geometry.baseline - geometry.delay - geometry.offset[0] * width
    ring = np.exp(-0.5 * (delay / sigma) ** 2) * width / sigma

    length = geometry.length * width
    spread = np.hypot(length, blur / sine)
    angle = np.arctan2(directions @ geometry.across, directions @ geometry.along)
    angle -= geometry.offset[1] * min(length, 1.0)
    lobes = [(0.0, 1.0), (geometry.lobe_rad, geometry.lobe_weight)]
    arc = sum(
        weight * np.exp(-0.5 * ((np.mod(angle - at + np.pi, 2 * np.pi) - np.pi) / spread) ** 2)
        for at, weight in lobes
    )
    # The number of sources out to the horizon goes with the amplitude's cube.
    seen = np.maximum(antenna(directions, geometry.arms), 1e-3) ** (1.5 / (1 + width) ** 2)
    return np.asarray(ring * arc * length / spread * seen)


def _build(geometry: Geometry, scale: float, split: int) -> Tiles:
    """Refine tiles where the probability is."""
    order = np.full(12 << 2 * BASE_ORDER, BASE_ORDER, dtype=np.int64)
    tiles = _evaluate(geometry, scale, order, np.arange(len(order), dtype=np.int64))
    for _ in range(ROUNDS):
        best = np.argsort(tiles.density * tiles.area_sr, kind="stable")
        kept, parents = best[:-split], best[-split:]
        children = _evaluate(
            geometry,
            scale,
            np.repeat(tiles.order[parents] + 1, 4),
            np.add.outer(4 * tiles.index[parents], np.arange(4)).ravel(),
        )
        tiles = Tiles(
            np.concatenate([tiles.order[kept], children.order]),
            np.concatenate([tiles.index[kept], children.index]),
            np.concatenate([tiles.density[kept], children.density]),
        )
    total = np.sum(tiles.density * tiles.area_sr)
    return replace(tiles, density=tiles.density / total)


def _evaluate(geometry: Geometry, scale: float, order: Integers, index: Integers) -> Tiles:
    side = np.sqrt(np.pi / 3) * 2.0**-order
    return Tiles(order, index, _density(geometry, scale, centres(order, index), side))


def centres(order: Integers, index: Integers) -> Floats:
    """Return unit vectors, shape (n, 3)."""
    lon, lat = np.empty(len(index)), np.empty(len(index))
    for each in np.unique(order).tolist():
        here = order == each
        lon[here], lat[here] = healpix.pix2ang(1 << each, index[here], nest=True, lonlat=True)
    return vector(np.radians(lon), np.radians(lat))


def _area_deg2(tiles: Tiles) -> float:
    """Return the area of the 90 % region, its last tile counted in part [deg2]."""
    best = np.argsort(-tiles.density, kind="stable")
    area = tiles.area_sr[best]
    level = np.cumsum(area * tiles.density[best])
    return float(np.interp(_LEVEL, level, np.cumsum(area)) * _DEG2_PER_SR)


def localise(geometry: Geometry, place: Floats, area_deg2: float, split: int) -> Tiles:
    """Find the tiles whose 90 % region has an area and contains a place.

    Parameters
    ----------
    geometry : Geometry
    place : ndarray, shape (3,)
        The true place, a unit vector.
    area_deg2 : float [deg2]
    split : int
        How many tiles each round splits into four [1]_.

    Raises
    ------
    ValueError
        There are none.
    """
    for _ in range(8):
        tiles = _build(geometry, _scale(geometry, area_deg2, split), split)
        if _contains(tiles, place):
            return tiles
        geometry = replace(geometry, offset=(geometry.offset[0] / 2, geometry.offset[1] / 2))
    raise ValueError(f"no sky map of {area_deg2} deg2 around this place; try another seed")


def _scale(geometry: Geometry, area_deg2: float, split: int) -> float:
    low, high = np.log(_SCALES)
    for _ in range(40):
        middle = float(np.exp((low + high) / 2))
        ratio = _area_deg2(_build(geometry, middle, split)) / area_deg2
        if abs(ratio - 1) < 0.005:
            break
        if ratio < 1:
            low = np.log(middle)
        else:
            high = np.log(middle)
    return float(middle)


def _contains(tiles: Tiles, place: Floats) -> bool:
    lon, lat = np.arctan2(place[1], place[0]), np.arcsin(np.clip(place[2], -1, 1))
    finest = BASE_ORDER + ROUNDS
    pixel = healpix.ang2pix(1 << finest, np.degrees(lon), np.degrees(lat), nest=True, lonlat=True)
    here = np.flatnonzero(tiles.index == pixel >> 2 * (finest - tiles.order))
    above = tiles.density > tiles.density[here[0]]
    # A little inside the region, so that rounding does not put it out.
    return bool(np.sum(tiles.density[above] * tiles.area_sr[above]) < _LEVEL - 0.02)
