"""The scan: a rough score of every galaxy of a region, and which could be the best.

Scores are taken in single precision, in pieces that fit the processor's cache, by two
threads (numpy lets go of the interpreter while it computes). They serve to find the
candidates, which are then scored again in double precision; `Scan.margin` bounds how
wrong a rough score can be.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.lvcgcn.galaxies.catalogue import Catalogue
from toros.lvcgcn.scoring import Integers, Region

PIECE = 1 << 17
"""Galaxies in a piece."""
WORTH_TWO = 8_000_000
"""From how many galaxies on a second thread gains more than it costs."""
MOST = 0.6
"""Share of a piece from which on all of it is scored."""
THREADS = min(2, os.cpu_count() or 1)

LEAST = {"f4": 1e-30, "f8": 1e-300}
"""Scores below it are too near the end of the numbers to be told apart."""
FARTHEST_SIGMA = 16.0
"""Farther out a score is below `LEAST` of the highest one in single precision."""


@dataclass(frozen=True)
class Cuts:
    """What galaxies must satisfy besides being in the region; as in `ranking.Selection`."""

    nearest: float
    farthest: float
    apparent_magnitude_max: float | None = None
    absolute_magnitude_max: float | None = None


NO_CUTS = Cuts(-np.inf, np.inf)


@dataclass(frozen=True, eq=False)
class Scan:
    """What a scan has found.

    Attributes
    ----------
    numbers : ndarray of int64, shape (k,)
        Of the candidates, in the region.
    scores : ndarray, shape (k,)
        Rough, and in units of the region's greatest amplitude.
    threshold : float
        Every galaxy with a rough score above it is among the candidates.
    trimmed : bool
        Whether galaxies with a score that can be told from 0 were dropped.
    margin : float
        The relative error that a rough score may have.
    considered : int
        Galaxies that satisfy the cuts.
    total : float
        The sum of their scores, in the units of `exact_scores`.
    """

    numbers: Integers
    scores: NDArray[Any]
    threshold: float
    trimmed: bool
    margin: float
    considered: int
    total: float


def scan(
    region: Region,
    catalogue: Catalogue,
    weight: str,
    cuts: Cuts,
    keep: int,
    precision: str = "f4",
    threads: int | None = None,
) -> Scan:
    """Score every galaxy of a region roughly.

    Parameters
    ----------
    region : Region
    catalogue : Catalogue
    weight : str
        A weight that the catalogue has, or ``none``.
    cuts : Cuts
    keep : int
        At least so many candidates are kept, where there are so many.
    precision : str
        ``f4``, or ``f8`` where single precision does not do.
    threads : int, optional
        By default two for a large region.
    """
    scale = float(region.amplitude.max(initial=0.0)) or 1.0
    pieces = range(0, len(region), PIECE)
    scanners = [
        _Scanner(region, catalogue, weight, cuts, keep, precision, scale)
        for _ in range(threads or (THREADS if len(region) >= WORTH_TWO else 1))
    ]
    shares = [pieces[n :: len(scanners)] for n in range(len(scanners))]
    if len(scanners) == 1:
        scanners[0].run(pieces)
    else:
        with ThreadPoolExecutor(len(scanners)) as pool:
            list(pool.map(lambda pair: pair[0].run(pair[1]), zip(scanners, shares, strict=True)))
    return Scan(
        np.concatenate([s.kept_numbers() for s in scanners]),
        np.concatenate([s.kept_scores() for s in scanners]),
        max(s.threshold for s in scanners),
        any(s.threshold > LEAST[precision] for s in scanners),
        _margin(region, precision),
        sum(s.considered for s in scanners),
        sum(s.total for s in scanners) * scale,
    )


def _margin(region: Region, precision: str) -> float:
    """Bound the relative error of a rough score.

    Of t = (d - mu) / sigma it is that of d and mu, rounded, over sigma; and the score's
    is |t| times that. A few operations more round once each.
    """
    rounding = float(np.finfo(precision).eps)
    if region.mu is None or region.sigma is None or not len(region.mu):
        return 8 * rounding
    ratio = float((np.abs(region.mu) / region.sigma).max())
    return rounding * (16 + FARTHEST_SIGMA * (2 * ratio + 3 * FARTHEST_SIGMA))


@dataclass
class _Scanner:
    """The work of one thread, with its own buffers."""

    region: Region
    catalogue: Catalogue
    weight: str
    cuts: Cuts
    keep: int
    precision: str
    scale: float
    considered: int = 0
    total: float = 0.0
    numbers: list[Integers] = field(default_factory=list)
    scores: list[NDArray[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.threshold = LEAST[self.precision]
        self._kept = 0
        self._enough = 2 * self.keep
        columns = self.catalogue.columns
        self._distance = columns["distance_f4" if self.precision == "f4" else "distance"]
        self._weights = None if self.weight == "none" else columns[f"weight_{self.weight}"]
        self._amplitude = (self.region.amplitude / self.scale).astype(self.precision)
        if self.region.mu is not None and self.region.sigma is not None:
            self._mu = self.region.mu.astype(self.precision)
            self._factor = (np.sqrt(0.5) / self.region.sigma).astype(self.precision)
        self._room = np.empty(PIECE, dtype=self.precision)

    def run(self, pieces: range) -> None:
        """Score the pieces that begin at these numbers."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            for begin in pieces:
                self._score(begin, min(begin + PIECE, len(self.region)))

    def _score(self, begin: int, end: int) -> None:
        """Score the galaxies of these numbers, those that satisfy the cuts."""
        edges = self.region.edges
        first = int(np.searchsorted(edges, begin, side="right")) - 1
        last = int(np.searchsorted(edges, end, side="left"))
        low = np.maximum(edges[first:last], begin)
        count = np.minimum(edges[first + 1 : last + 1], end) - low
        rows: Integers = self.region.first_row[first:last] + low
        slices = _slices(rows - edges[first:last], count)
        distance = None
        if self.region.mu is not None or self.cuts != NO_CUTS:
            distance = _gather(self._distance, slices, self._room[: end - begin])
        passed = None if distance is None else self._passed(slices, distance)
        number = end - begin if passed is None else int(np.count_nonzero(passed))
        self.considered += number
        if not number:
            return
        # Where most satisfy the cuts it is quicker to score all than to pick these.
        picked = None
        if passed is not None and number < MOST * (end - begin):
            picked = np.flatnonzero(passed)

        def each(values: NDArray[Any]) -> NDArray[Any]:
            """Give each galaxy its tile's value."""
            spread = np.repeat(values[first:last], count)
            return spread if picked is None else spread[picked]

        scores = each(self._amplitude)
        if self.region.mu is not None and distance is not None:
            distance = distance if picked is None else distance[picked]
            exponent = distance - each(self._mu)
            exponent *= each(self._factor)
            np.multiply(exponent, exponent, out=exponent)
            np.negative(exponent, out=exponent)
            scores *= np.exp(exponent, out=exponent)
        if self._weights is not None:
            weights = _gather(self._weights, slices, self._room[: end - begin])
            scores *= weights if picked is None else weights[picked]
        if passed is not None and picked is None:
            scores[~passed] = 0
        self._take(begin, picked, scores)

    def _passed(self, slices: list[slice], distance: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Tell which galaxies satisfy the cuts; None if all do."""
        cuts = self.cuts
        passed = np.ones(len(distance), dtype=bool)
        if self.region.mu is not None or cuts.farthest != np.inf:
            passed = (distance >= cuts.nearest) & (distance <= cuts.farthest)
        if cuts.apparent_magnitude_max is not None or cuts.absolute_magnitude_max is not None:
            magnitude = np.concatenate([self.catalogue.columns["b_magnitude"][s] for s in slices])
            if cuts.apparent_magnitude_max is not None:
                passed &= magnitude <= cuts.apparent_magnitude_max
            if cuts.absolute_magnitude_max is not None:
                absolute = magnitude - 5 * np.log10(distance) - 25
                passed &= absolute <= cuts.absolute_magnitude_max
        return None if passed.all() else passed

    def _take(self, begin: int, picked: Integers | None, scores: NDArray[Any]) -> None:
        """Add up the scores, and keep those that could be of the best."""
        self.total += float(scores.sum())
        best = np.flatnonzero(scores > self.threshold)
        if not len(best):
            return
        self.scores.append(scores[best])
        self.numbers.append(begin + (best if picked is None else picked[best]))
        self._kept += len(best)
        if self._kept > self._enough:
            self._trim()

    def _trim(self) -> None:
        scores, numbers = self.kept_scores(), self.kept_numbers()
        self.threshold = float(np.partition(scores, -self.keep)[-self.keep])
        best = scores >= self.threshold
        # Galaxies that come later must be above the threshold, or equal: one step less.
        self.threshold = float(
            np.nextafter(scores.dtype.type(self.threshold), scores.dtype.type(0))
        )
        self.scores, self.numbers = [scores[best]], [numbers[best]]
        self._kept = int(best.sum())
        self._enough = 2 * max(self.keep, self._kept)  # many may be equal

    def kept_scores(self) -> NDArray[Any]:
        """Return the candidates' rough scores."""
        return np.concatenate([np.empty(0, dtype=self.precision), *self.scores])

    def kept_numbers(self) -> Integers:
        """Return the candidates' numbers in the region."""
        return np.concatenate([np.empty(0, dtype=np.int64), *self.numbers])


def _slices(rows: Integers, count: Integers) -> list[slice]:
    """Join stretches of rows that follow one another."""
    ends = rows + count
    apart = np.flatnonzero(rows[1:] != ends[:-1])
    begins = rows[np.concatenate(([0], apart + 1))].tolist()
    stops = ends[np.append(apart, len(rows) - 1)].tolist()
    return [slice(begin, stop) for begin, stop in zip(begins, stops, strict=True)]


def _gather(column: NDArray[Any], slices: list[slice], room: NDArray[Any]) -> NDArray[Any]:
    """Copy stretches of a column into one."""
    if len(slices) == 1 and column.dtype == room.dtype:
        return column[slices[0]]
    return np.concatenate([column[s] for s in slices], out=room, casting="same_kind")
