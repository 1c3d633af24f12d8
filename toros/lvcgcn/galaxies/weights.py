"""Masses and luminosities of galaxies as weights, and estimates where they are unknown.

The brighter or heavier a galaxy, the likelier it is the host [1]_. Where a weight is
unknown it is estimated, rather than the galaxy left out or favoured:

- from another of the three quantities, by the catalogue's median ratio of the two
  (mass from Ks, mass from B, Ks from B, and the other way round);
- where none is known: the galaxy is taken to be at the catalogue's faint limit, at
  its distance. The limit is the 5th percentile of weight / distance**2;
- where the distance is unknown too: the 5th percentile of the weight.

Luminosities are in units of the Sun's in the same band, without K corrections or
extinction beyond what the catalogue has taken off: L = 10**(-0.4 (m - 5 lg(d/10 pc)
- Msun)), with Msun = 3.27 (Ks) and 5.44 (B), Vega [2]_.

References
----------
.. [1] Ducoin, J.-G., et al., 2020, MNRAS 492, 4768 (MANGROVE), sections 2 and 3.
.. [2] Willmer, C. N. A., 2018, ApJS 236, 47, table 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from toros.lvcgcn.galaxies.columns import WEIGHTS, Records

Floats = NDArray[np.float64]

SUN_K, SUN_B = 3.27, 5.44
FAINT = 0.05
LOWEST, HIGHEST, STEPS = -20.0, 30.0, 5000
"""Decades that the histograms span, in steps of 0.01."""


def quantities(records: Records) -> dict[str, Floats]:
    """Return mass and luminosities of galaxies; NaN where unknown.

    Parameters
    ----------
    records : ndarray, shape (n,)

    Returns
    -------
    dict of ndarray, shape (n,)
        ``stellar_mass`` [solMass], ``luminosity_k``, ``luminosity_b`` [solLum].
    """
    distance = records["distance"]
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        modulus = 5 * np.log10(distance) + 25
        mass = records["stellar_mass"].astype(np.float64)
        told = {
            "stellar_mass": np.where(mass > 0, mass, np.nan),
            "luminosity_k": 10 ** (-0.4 * (records["k_magnitude"] - modulus - SUN_K)),
            "luminosity_b": 10 ** (-0.4 * (records["b_magnitude"] - modulus - SUN_B)),
        }
    return {name: np.where(np.isfinite(value), value, np.nan) for name, value in told.items()}


@dataclass
class Statistics:
    """What the estimates need to know of a catalogue, gathered batch by batch.

    Histograms of decimal logarithms, so that batches and processes can be added up
    in any order with the same result.
    """

    with_distance: int = 0
    known: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WEIGHTS, 0))
    histograms: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def add(self, records: Records) -> None:
        """Take in a batch of galaxies."""
        told = quantities(records)
        distance = records["distance"]
        has_distance = np.isfinite(distance)
        self.with_distance += int(has_distance.sum())
        with np.errstate(invalid="ignore"):
            square = distance * distance
        for name, value in told.items():
            self.known[name] += int((np.isfinite(value) & has_distance).sum())
            self._count(name, value)
            self._count(f"{name} per square", value / square)
        for name, other in permutations(WEIGHTS, 2):
            self._count(f"{name} per {other}", told[name] / told[other])

    def merge(self, other: Statistics) -> None:
        """Add what another process has gathered."""
        self.with_distance += other.with_distance
        for name, count in other.known.items():
            self.known[name] += count
        for name, counts in other.histograms.items():
            self.histograms[name] = self.histograms.get(name, 0) + counts

    def _count(self, name: str, value: Floats) -> None:
        logarithm = np.log10(value[np.isfinite(value) & (value > 0)])
        step = ((logarithm - LOWEST) * (STEPS / (HIGHEST - LOWEST))).astype(np.int64)
        counts = np.bincount(np.clip(step, 0, STEPS - 1), minlength=STEPS)
        self.histograms[name] = self.histograms.get(name, 0) + counts

    def quantile(self, name: str, share: float) -> float:
        """Return the value below which `share` of a quantity lies; NaN where none is known."""
        counts = self.histograms.get(name)
        if counts is None or not counts.sum():
            return float("nan")
        step = int(np.searchsorted(np.cumsum(counts), share * counts.sum()))
        return float(10 ** (LOWEST + (step + 0.5) * (HIGHEST - LOWEST) / STEPS))

    def share_known(self, name: str) -> float:
        """Return the share of galaxies with a distance that have this quantity."""
        return self.known[name] / max(self.with_distance, 1)

    def available(self) -> list[str]:
        """Name the weights of which at least one galaxy has its own."""
        return [name for name in WEIGHTS if self.known[name]]


@dataclass(frozen=True)
class Estimates:
    """What is put for a weight that is unknown.

    Attributes
    ----------
    available : tuple of str
        The weights that the catalogue has.
    ratio : dict of (str, str) to float
        Median of the one quantity over the other; NaN where there is none.
    limit : dict of str to float
        Of weight / distance**2 at the faint limit [1/Mpc2].
    least : dict of str to float
        Of the weight at its faint end.
    """

    available: tuple[str, ...]
    ratio: dict[tuple[str, str], float]
    limit: dict[str, float]
    least: dict[str, float]

    @classmethod
    def of(cls, statistics: Statistics) -> Estimates:
        """Take them from the statistics of the whole catalogue."""
        return cls(
            tuple(statistics.available()),
            {(a, b): statistics.quantile(f"{a} per {b}", 0.5) for a, b in permutations(WEIGHTS, 2)},
            {name: statistics.quantile(f"{name} per square", FAINT) for name in WEIGHTS},
            {name: statistics.quantile(name, FAINT) for name in WEIGHTS},
        )

    def weight(self, records: Records, name: str) -> NDArray[np.float32]:
        """Return a weight for every galaxy, its own where it is known.

        Parameters
        ----------
        records : ndarray, shape (n,)
        name : str
            One of those that are available.

        Returns
        -------
        ndarray of float32, shape (n,) [solMass or solLum]
            Positive and finite.
        """
        told = quantities(records)
        weight = told[name]
        for other in WEIGHTS:
            if other != name:
                weight = np.where(np.isnan(weight), told[other] * self.ratio[name, other], weight)
        faint = self.limit[name] * records["distance"] ** 2
        weight = np.where(np.isnan(weight), faint, weight)
        weight = np.where(np.isnan(weight), self.least[name], weight)
        limits = np.finfo(np.float32)
        return np.clip(weight, limits.tiny, limits.max).astype(np.float32)
