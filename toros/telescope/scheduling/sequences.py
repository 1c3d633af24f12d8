"""Orders of observation, their times and their worth, many at once.

A plan is found as an order of *options*: an option is a target in one of the windows in which
it may be begun. Each option is begun as early as the one before allows, so that an order alone
fixes all the times::

    start_k = C_k + max over j <= k of (first_j - C_j),    C_k = sum of durations and slews before k

and hundreds of orders are timed and weighed together as arrays.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from toros.sky.site import Array
from toros.telescope.scheduling.opportunities import STEP_S, Opportunities
from toros.telescope.scheduling.slews import Indices, Slews
from toros.telescope.scheduling.targets import URGENT, SlewModel

PROTECTION = 1e6
"""Added to the worth of each urgent target: no sum of others comes near, so none is given up."""

_NEVER = 1e12
_SLOPE_STEPS = 4


class Timing(NamedTuple):
    """An order with its times; n options, and arrays of n + 1 where the end counts."""

    order: Indices
    start: Array
    """When each is begun [s], shape (n,)."""
    latest: Array
    """When each could be begun at the latest, the later ones following [s], shape (n + 1,)."""
    worth: Array
    """Shape (n,), protection included."""
    slope: Array
    """Change of the worth of this one and all later ones when all are delayed [1/s], (n + 1,)."""


class Options:
    """All options of a plan.

    Parameters
    ----------
    sky : Opportunities
    model : SlewModel
    pointing : (ra_deg, dec_deg) or None
        Where the telescope points at the start, ICRS [deg].
    patience : timedelta or None
        In so long a time what waits loses all but 1/e of its appeal; None: it loses nothing.

    Attributes
    ----------
    target : ndarray of int, shape (m,)
        The index of each option's target.
    first, last : ndarray, shape (m,) [s]
        Between which times it may be begun.
    """

    def __init__(
        self,
        sky: Opportunities,
        model: SlewModel,
        pointing: tuple[float, float] | None = None,
        patience: timedelta | None = None,
    ) -> None:
        rows = [(i, *span) for i in range(len(sky.targets)) for span in sky.windows(i)]
        self.count = len(rows)
        self.target: Indices = np.array([row[0] for row in rows], dtype=np.intp)
        self.first = np.array([row[1] for row in rows], float)
        self.last = np.array([row[2] for row in rows], float)
        self.duration = sky.durations[self.target]
        self.slews = Slews(model, sky, self.target, pointing)
        self.urgent = np.array([t.priority >= URGENT for t in sky.targets], bool)[self.target]
        worth = sky.value[self.target] + PROTECTION * self.urgent[:, None]
        self._worth = worth.ravel()
        rate = 1.0 / patience.total_seconds() if patience is not None else 0.0
        self._appeal = (sky.value[self.target] * np.exp(-rate * sky.times)).ravel()
        self._samples = sky.times.size

    def worth(self, options: npt.ArrayLike, start_s: Array) -> Array:
        """Return what options are worth when begun at some times, protection included."""
        return np.asarray(self._worth.take(self._cell(options, start_s)))

    def appeal(self, options: npt.ArrayLike, start_s: Array) -> Array:
        """Return what options are worth when begun at some times, less what the wait costs."""
        return np.asarray(self._appeal.take(self._cell(options, start_s)))

    def appeals(self, option: int) -> Array:
        """Return an option's appeal by its start, at each sample."""
        return self._appeal[option * self._samples : (option + 1) * self._samples]

    def _cell(self, options: npt.ArrayLike, start_s: Array) -> Indices:
        step = np.rint(start_s / STEP_S).astype(np.intp)
        step = np.minimum(np.maximum(step, 0), self._samples - 1)
        return np.asarray(np.asarray(options) * self._samples + step)

    def weigh(self, orders: Indices) -> tuple[Array, Array]:
        """Time and weigh many orders of the same length.

        Parameters
        ----------
        orders : ndarray of int, shape (b, n)

        Returns
        -------
        worth : ndarray, shape (b,)
            Protection included; -1 for an order that cannot be kept.
        start : ndarray, shape (b, n) [s]
        """
        _, start = self._timed(orders)
        worth = self.worth(orders, start).sum(axis=1)
        worth[(start > self.last[orders]).any(axis=1)] = -1.0
        return worth, start

    def _timed(self, orders: Indices) -> tuple[Array, Array]:
        """Return the sums C and the starts of orders, each of shape (b, n)."""
        before = np.empty_like(orders)
        before[:, 0] = self.count
        before[:, 1:] = orders[:, :-1]
        busy = np.zeros(orders.shape)
        busy[:, 1:] = self.duration[orders[:, :-1]]
        first = self.first[orders]
        # Where slews depend on the time of day, times are first guessed without them.
        start = first
        for turn in range(1 if self.slews.static else 3):
            ended = np.zeros(orders.shape)
            if turn:
                ended[:, 1:] = start[:, :-1] + busy[:, 1:]
            slews = self.slews.seconds(before, orders, ended) if turn or self.slews.static else 0.0
            total = np.cumsum(busy + slews, axis=1)
            start = total + np.maximum(np.maximum.accumulate(first - total, axis=1), 0.0)
        return total, start

    def timing(self, order: Indices) -> Timing:
        """Return an order with its times and what a delay would cost."""
        if not order.size:
            return Timing(order, np.empty(0), np.full(1, _NEVER), np.empty(0), np.zeros(1))
        totals, starts = self._timed(order[None, :])
        total, start = totals[0], starts[0]
        room = np.minimum.accumulate((self.last[order] - total)[::-1])[::-1]
        ahead = self.worth(order, start + _SLOPE_STEPS * STEP_S)
        behind = self.worth(order, start - _SLOPE_STEPS * STEP_S)
        slope = (ahead - behind) / (2.0 * _SLOPE_STEPS * STEP_S)
        return Timing(
            order,
            start,
            np.append(total + room, _NEVER),
            self.worth(order, start),
            np.append(np.cumsum(slope[::-1])[::-1], 0.0),
        )

    def substitutions(
        self, timing: Timing, others: Indices, width: int, places: Indices
    ) -> tuple[Array, Array]:
        """Estimate what it brings to put one other option in the place of `width` of an order.

        Parameters
        ----------
        timing : Timing
        others : ndarray of int, shape (u,)
            Options whose targets are not in the order.
        width : int
            How many are taken out; 0 inserts.
        places : ndarray of int, shape (p,)
            The first that is taken out, or the one to insert before.

        Returns
        -------
        gain : ndarray, shape (p, u)
            Change of worth, to first order in the delay of what follows; -inf where impossible.
        taken_s : ndarray, shape (p, u) [s]
            From the end of the observation before to the end of the new one.
        """
        order, n = timing.order, timing.order.size
        before = np.append(self.count, order)[places]
        ended = np.append(0.0, timing.start + self.duration[order])[places]
        after = places + width
        follower = np.append(order, self.count)[after]
        arrival = ended[:, None] + self.slews.seconds(
            before[:, None], others[None, :], ended[:, None]
        )
        start = np.maximum(arrival, self.first[others])
        end = start + self.duration[others]
        is_last = (after == n)[:, None]
        leave = self.slews.seconds(follower[:, None], others[None, :], end)
        free = end + np.where(is_last, 0.0, leave)
        possible = (start <= self.last[others]) & (free <= timing.latest[after][:, None])
        begun = np.append(timing.start, 0.0)[after]
        earliest = np.append(self.first[order], 0.0)[after]
        delay = np.maximum(free, earliest[:, None]) - begun[:, None]
        sums = np.append(0.0, np.cumsum(timing.worth))
        gain = self.worth(others[None, :], start) - (sums[after] - sums[places])[:, None]
        gain += np.where(is_last, 0.0, delay * timing.slope[after][:, None])
        gain[~possible] = -np.inf
        return gain, end - ended[:, None]

    def others(self, order: Indices) -> Indices:
        """Return the options whose targets an order does not have."""
        used = np.zeros(int(self.target.max(initial=-1)) + 1, bool)
        used[self.target[order]] = True
        return np.flatnonzero(~used[self.target])
