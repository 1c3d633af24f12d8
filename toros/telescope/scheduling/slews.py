"""How long it takes from target to target, as arrays."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from toros.sky.site import Array
from toros.telescope.scheduling.opportunities import STEP_S, Opportunities
from toros.telescope.scheduling.targets import SlewModel

Indices = npt.NDArray[np.intp]


class Slews:
    """The slews between targets of a plan.

    Parameters
    ----------
    model : SlewModel
    sky : Opportunities
    rows : ndarray of int, shape (m,)
        Which of the opportunities' targets the indices 0 to m - 1 stand for; the index m stands
        for where the telescope points at the start.
    pointing : (ra_deg, dec_deg) or None
        Where that is, ICRS [deg]; None: the first slew takes no time.
    """

    def __init__(
        self,
        model: SlewModel,
        sky: Opportunities,
        rows: Indices,
        pointing: tuple[float, float] | None = None,
    ) -> None:
        self.model = model
        self.static = model.path == "great_circle"
        self._sky = sky.sky
        self._samples = sky.times.size
        self._known = pointing is not None
        self._origin = len(rows)
        first = sky.sky.place(*pointing) if pointing else np.zeros((1, 3))
        self._places = np.concatenate([sky.places[rows], first])

    @functools.cached_property
    def _matrix(self) -> Array:
        chord = np.clip(self._places @ self._places.T, -1.0, 1.0)
        seconds = np.degrees(np.arccos(chord)) / self.model.rate_deg_s + self.model.settle_s
        if not self._known:
            seconds[self._origin, :] = seconds[:, self._origin] = 0.0
        return np.asarray(seconds)

    @functools.cached_property
    def _horizontal(self) -> tuple[Array, Array]:
        sky = self._sky
        return sky.azimuth(self._places).ravel(), sky.altitude(self._places).ravel()

    def seconds(self, before: Indices | int, after: Indices | int, at_s: Array | float) -> Array:
        """Return how long slews take.

        Parameters
        ----------
        before, after : array_like of int
            From which index to which; with `at_s` they are broadcast.
        at_s : array_like
            When the slews begin [s]; of no matter for the great circle.

        Returns
        -------
        ndarray [s]
        """
        if self.static:
            return np.asarray(self._matrix[before, after])
        before, after = np.asarray(before), np.asarray(after)
        step = np.rint(np.asarray(at_s) / STEP_S).astype(int)
        step = np.minimum(np.maximum(step, 0), self._samples - 1)
        azimuth, altitude = self._horizontal
        here, there = before * self._samples + step, after * self._samples + step
        turn = np.abs((azimuth[there] - azimuth[here] + 180.0) % 360.0 - 180.0)
        angle = np.maximum(turn, np.abs(altitude[there] - altitude[here]))
        seconds = angle / self.model.rate_deg_s + self.model.settle_s
        if not self._known:
            seconds = np.where((before == self._origin) | (after == self._origin), 0.0, seconds)
        return np.asarray(seconds)
