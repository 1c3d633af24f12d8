"""Which galaxies are likeliest the host: a sky map and a catalogue in, a ranking out."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.lvcgcn.galaxies.catalogue import Catalogue
from toros.lvcgcn.scan import Cuts, Scan, scan
from toros.lvcgcn.scoring import Floats, Integers, Region, exact_scores, find_region
from toros.lvcgcn.skymaps.sky_map import SkyMap

KEEP = 20_000
"""Candidates of the first scan; who asks for more than they hold has it done again."""
MORE = 8
"""By how much more a scan keeps that is done again."""
COARSEST_MARGIN = 0.1
"""Where rough scores can be more wrong than this, double precision is used at once."""
FIRST = 512
"""At least so many galaxies are told at once, so that asking again is cheap."""


@dataclass(frozen=True)
class Selection:
    """Which galaxies are ranked, and by what weight.

    Attributes
    ----------
    credible_level : float, 0 < credible_level <= 1
        Galaxies within this region of the sky map.
    distance_max_mpc : float, optional
        None farther [Mpc].
    apparent_magnitude_max : float, optional
        None fainter in B; those without a B magnitude are left out [mag].
    absolute_magnitude_max : float, optional
        None fainter in B in absolute terms; those without are left out [mag].
    weight : str
        ``auto``, ``stellar_mass``, ``luminosity_k``, ``luminosity_b`` or ``none``.
    """

    credible_level: float = 0.9
    distance_max_mpc: float | None = None
    apparent_magnitude_max: float | None = None
    absolute_magnitude_max: float | None = None
    weight: str = "auto"


@dataclass(frozen=True, eq=False)
class Ranked:
    """The best galaxies, the best first; NaN where a value is unknown.

    Attributes
    ----------
    rank : ndarray of int64, shape (k,)
        1, 2, 3, ...
    row : ndarray of int64, shape (k,)
        In the catalogue.
    name : list of str, length k
        Each once.
    ra_deg, dec_deg : ndarray of float64, shape (k,), ICRS [deg]
    distance_mpc, distance_error_mpc : ndarray of float64, shape (k,) [Mpc]
    b_magnitude, k_magnitude : ndarray of float64, shape (k,) [mag]
        Apparent.
    b_absolute, k_absolute : ndarray of float64, shape (k,) [mag]
    stellar_mass : ndarray of float64, shape (k,) [solMass]
    score : ndarray of float64, shape (k,)
        dP/dV times the weight, by the formula in double precision.
    probability : ndarray of float64, shape (k,)
        The score's share of all galaxies that were considered.
    """

    rank: Integers
    row: Integers
    name: list[str]
    ra_deg: Floats
    dec_deg: Floats
    distance_mpc: Floats
    distance_error_mpc: Floats
    b_magnitude: Floats
    k_magnitude: Floats
    b_absolute: Floats
    k_absolute: Floats
    stellar_mass: Floats
    score: Floats
    probability: Floats

    def __len__(self) -> int:
        return len(self.row)

    def first(self, count: int) -> Ranked:
        """Return the first `count` of them."""
        return Ranked(**{f.name: getattr(self, f.name)[:count] for f in fields(self)})


@dataclass
class _Progress:
    """How far a ranking is worked out."""

    scan: Scan
    keep: int
    precision: str
    told: Ranked | None = None
    all_told: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Galaxies by their score, worked out as far as is asked for.

    Attributes
    ----------
    considered : int
        Galaxies in the credible region and its distance range that satisfy the selection.
    total : float
        The sum of their scores.
    weight : str
        By what they are weighted.
    why : str
        Why by that.
    """

    considered: int
    total: float
    weight: str
    why: str
    _region: Region
    _catalogue: Catalogue
    _cuts: Cuts
    _progress: _Progress

    def best(self, count: int) -> Ranked:
        """Return the first `count` galaxies, or all with a score above 0 if they are fewer.

        Parameters
        ----------
        count : int, >= 0
        """
        progress = self._progress
        with progress.lock:
            if progress.told is None or (len(progress.told) < count and not progress.all_told):
                progress.told = self._tell(max(count, FIRST))
            return progress.told.first(count)

    def _tell(self, count: int) -> Ranked:
        wanted = count
        while True:
            rows, scores, complete = self._order(wanted)
            names = self._catalogue.names(rows)
            once = _once(names)
            if len(once) >= count or complete:
                break
            wanted += count
        self._progress.all_told = complete and len(once) <= count
        once = once[:count]
        return self._describe(rows[once], [names[n] for n in once], scores[once])

    def _order(self, count: int) -> tuple[Integers, Floats, bool]:
        """Return rows and exact scores of the first `count`; whether these are all."""
        numbers, complete = self._candidates(count)
        rows, scores = exact_scores(self._region, self._catalogue, numbers, self.weight)
        order = np.lexsort((rows, -scores))
        order = order[scores[order] > 0]
        return rows[order[:count]], scores[order[:count]], complete and len(order) <= count

    def _candidates(self, count: int) -> tuple[Integers, bool]:
        """Return numbers in the region among which are the first `count`; whether these are all."""
        progress = self._progress
        while True:
            found = progress.scan
            if len(found.scores) > count:
                kth = float(np.partition(found.scores, -count)[-count])
                least = kth * (1 - 2 * found.margin)
                if least > found.threshold:
                    return found.numbers[found.scores >= least], False
            if not found.trimmed and (
                len(found.scores) == self.considered or progress.precision == "f8"
            ):
                return found.numbers, True
            self._scan_again(count)

    def _scan_again(self, count: int) -> None:
        """Keep more candidates; where all were kept already, be more precise."""
        progress = self._progress
        if progress.scan.trimmed:
            progress.keep = max(progress.keep, count) * MORE
        else:
            progress.precision = "f8"
        progress.scan = scan(
            self._region, self._catalogue, self.weight, self._cuts, progress.keep,
            progress.precision,
        )  # fmt: skip

    def _describe(self, rows: Integers, names: list[str], scores: Floats) -> Ranked:
        def column(name: str) -> Floats:
            values: NDArray[Any] = self._catalogue.columns[name][rows]
            return values.astype(np.float64)

        ra, dec = self._catalogue.positions(rows)
        distance, b, k = column("distance"), column("b_magnitude"), column("k_magnitude")
        modulus = 5 * np.log10(distance) + 25
        return Ranked(
            rank=np.arange(1, len(rows) + 1),
            row=rows,
            name=names,
            ra_deg=ra,
            dec_deg=dec,
            distance_mpc=distance,
            distance_error_mpc=column("distance_error"),
            b_magnitude=b,
            k_magnitude=k,
            b_absolute=b - modulus,
            k_absolute=k - modulus,
            stellar_mass=column("stellar_mass"),
            score=scores,
            probability=scores / self.total,
        )


def rank(sky_map: SkyMap, catalogue: Catalogue, selection: Selection | None = None) -> Ranking:
    """Rank the galaxies of a catalogue by a sky map.

    Parameters
    ----------
    sky_map : SkyMap
    catalogue : Catalogue
    selection : Selection, optional

    Raises
    ------
    CatalogueRefused
        The catalogue has not the weight that is wanted.
    """
    selection = selection or Selection()
    weight, why = catalogue.choose_weight(selection.weight)
    region = find_region(sky_map, catalogue, selection.credible_level)
    farthest = region.farthest
    if selection.distance_max_mpc is not None:
        farthest = min(farthest, selection.distance_max_mpc)
    cuts = Cuts(
        region.nearest,
        farthest,
        selection.apparent_magnitude_max,
        selection.absolute_magnitude_max,
    )
    found = scan(region, catalogue, weight, cuts, KEEP)
    precision = "f4"
    if found.margin > COARSEST_MARGIN:
        precision = "f8"
        found = scan(region, catalogue, weight, cuts, KEEP, precision)
    progress = _Progress(found, KEEP, precision)
    return Ranking(found.considered, found.total, weight, why, region, catalogue, cuts, progress)


def _once(names: list[str]) -> list[int]:
    """Return the places of names that were not there before."""
    first: dict[str, int] = {}
    for place, name in enumerate(names):
        first.setdefault(name, place)
    return list(first.values())
