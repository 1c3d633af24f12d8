"""One limit on one quantity of one source: fast to bad, slow to good.

Pure: times and values in, a state out. A value holds until the next one comes.
"""

from __future__ import annotations

from typing import NamedTuple

from toros.config.enclosure import WeatherLimit


class LimitState(NamedTuple):
    """How a limit stands. Times are those of the daemon's monotonic clock [s].

    Attributes
    ----------
    bad : bool
        It counts as bad: a value was beyond it for the bad delay, and none has been within
        for the good delay since.
    settled : bool
        It is good, and that was waited for: since the first value, too, the good delay has
        passed. A daemon that was just started has not seen what it waits for.
    since_s : float
        Since when it is bad, or not bad.
    beyond : bool
        The last value is beyond the limit.
    run_s : float
        Since when all values are on this side of it.
    """

    bad: bool
    settled: bool
    since_s: float
    beyond: bool
    run_s: float


def beyond(limit: WeatherLimit, value: float) -> bool:
    """Tell whether a value is beyond a limit; one on it is not."""
    return (limit.above is not None and value > limit.above) or (
        limit.below is not None and value < limit.below
    )


def told(
    state: LimitState | None, limit: WeatherLimit, now_s: float, value: float, *, unbroken: bool
) -> LimitState:
    """Take a new value.

    Parameters
    ----------
    state : LimitState or None
        The state after the value before; None if there was none.
    limit : WeatherLimit
    now_s : float
        When the value came [s], not before the one before.
    value : float
        In the quantity's unit.
    unbroken : bool
        The value before was fresh until now. Where it was not, it may have been bad in the
        meantime, so that waiting for good begins anew.
    """
    side = beyond(limit, value)
    if state is None:
        return advanced(LimitState(False, False, now_s, side, now_s), limit, now_s)
    if unbroken or state.beyond:
        state = advanced(state, limit, now_s)
    if side != state.beyond or (not side and not unbroken):
        state = state._replace(beyond=side, run_s=now_s)
    return advanced(state, limit, now_s)


def advanced(state: LimitState, limit: WeatherLimit, now_s: float) -> LimitState:
    """Return the state at `now_s` [s] if no other value came until then."""
    if state.beyond:
        turned = state.run_s + limit.bad_delay_s
        if now_s < turned:
            return state
        if state.bad:
            return state
        return state._replace(bad=True, settled=False, since_s=turned)
    turned = state.run_s + limit.good_delay_s
    if now_s < turned or state.settled:
        return state
    since_s = turned if state.bad else state.since_s
    return state._replace(bad=False, settled=True, since_s=since_s)
