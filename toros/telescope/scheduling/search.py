"""The search for a good order: insertion, then annealing. Bounded by iterations, not by time.

References
----------
Insertion by gain density and local search on routes with time windows: Vansteenwegen, P. et al.
(2009), Computers & Operations Research 36, 3281. Annealing: Kirkpatrick, S. et al. (1983),
Science 220, 671.
"""

from __future__ import annotations

import numpy as np

from toros.sky.site import Array
from toros.telescope.scheduling.opportunities import STEP_S
from toros.telescope.scheduling.sequences import Options, Timing
from toros.telescope.scheduling.slews import Indices

_HOT, _COLD = 0.02, 0.002
"""First and last temperature, in units of the mean worth of an observation."""

_SHUFFLES = 48
"""Orders of the same options that are weighed in one iteration."""

_PLACES, _OTHERS, _BEST = 24, 256, 8
"""Places and options of which one iteration estimates all substitutions, and weighs the best."""

_WIDTHS, _WIDTH_CHANCES = 4, (0.15, 0.5, 0.25, 0.1)
_SHUFFLE_CHANCE = 0.3


def insert_all(options: Options, order: Indices) -> Indices:
    """Insert options into an order, the one of the highest gain per second first.

    Urgent targets come before all others, because their protection is in the gain.
    """
    others = options.others(order)
    while others.size:
        timing = options.timing(order)
        gain, taken = options.substitutions(timing, others, 0, np.arange(order.size + 1))
        density = np.where(gain > 0.0, gain / taken, -np.inf)
        place, which = _best_insertion(options, order, others, density)
        if which is None:
            return order
        order = np.insert(order, place, which)
        others = others[options.target[others] != options.target[which]]
    return order


def _best_insertion(
    options: Options, order: Indices, others: Indices, density: Array
) -> tuple[int, int | None]:
    """Return where to put which option: the densest that holds when timed exactly."""
    for _ in range(_BEST):
        place, which = np.unravel_index(int(np.argmax(density)), density.shape)
        if density[place, which] == -np.inf:
            break
        longer = np.insert(order, place, others[which])
        if options.weigh(longer[None, :])[0][0] >= 0.0:
            return int(place), int(others[which])
        density[place, which] = -np.inf
    return 0, None


def improve(options: Options, order: Indices, iterations: int, rng: np.random.Generator) -> Indices:
    """Improve an order by annealing; return the best that was seen, never a worse one.

    An iteration weighs either some dozens of shuffled orders, or the most promising of some
    thousand substitutions, and takes the best of them if it is better, or by chance.

    Parameters
    ----------
    options : Options
    order : ndarray of int, shape (n,)
    iterations : int
    rng : numpy.random.Generator
    """
    if not order.size:
        return order
    worth = best = float(options.weigh(order[None, :])[0][0])
    best_order, timing, others = order, options.timing(order), options.others(order)
    scale = float((timing.worth - np.where(options.urgent[order], timing.worth, 0.0)).mean())
    scale = max(scale, 1.0)
    for iteration in range(iterations):
        temperature = scale * _HOT * (_COLD / _HOT) ** (iteration / iterations)
        if rng.random() < _SHUFFLE_CHANCE or not others.size:
            candidates = order[shuffles(order.size, rng)]
        else:
            substituted = _substituted(options, timing, others, rng)
            if substituted is None:
                continue
            candidates = substituted
        worths, _ = options.weigh(candidates)
        top = int(np.argmax(worths))
        if worths[top] < 0.0 or worths[top] - worth <= temperature * np.log(1.0 - rng.random()):
            continue
        order, worth = candidates[top], float(worths[top])
        timing, others = options.timing(order), options.others(order)
        if worth > best:
            best, best_order = worth, order
    return best_order


def _substituted(
    options: Options, timing: Timing, others: Indices, rng: np.random.Generator
) -> Indices | None:
    """Return the orders of the most promising substitutions of a width drawn by chance."""
    n = timing.order.size
    width = min(int(rng.choice(_WIDTHS, p=_WIDTH_CHANCES)), n)
    places = np.arange(n + 1 - width)
    if places.size > _PLACES:
        places = rng.integers(0, places.size, _PLACES)
    if others.size > _OTHERS:
        others = others[rng.integers(0, others.size, _OTHERS)]
    gain, _ = options.substitutions(timing, others, width, places)
    flat = gain.ravel()
    top = np.argpartition(-flat, min(_BEST, flat.size - 1))[:_BEST]
    top = top[flat[top] > -np.inf]
    if not top.size:
        return None
    where, which = places[top // others.size], others[top % others.size]
    order = timing.order
    return np.stack(
        [
            np.concatenate([order[:place], [option], order[place + width :]])
            for place, option in zip(where, which, strict=True)
        ]
    )


def shuffles(n: int, rng: np.random.Generator) -> Indices:
    """Return permutations of n places: swaps, short stretches reversed, blocks moved.

    Returns
    -------
    ndarray of int, shape (b, n)
    """
    one, two = rng.integers(0, n, (2, _SHUFFLES))
    low, high = np.minimum(one, two)[:, None], np.maximum(one, two)[:, None]
    places = np.arange(n)[None, :]
    kind = rng.integers(3)
    if kind == 0:
        result = np.tile(np.arange(n), (_SHUFFLES, 1))
        rows = np.arange(_SHUFFLES)
        result[rows, one], result[rows, two] = two, one
        return result
    if kind == 1:
        high = np.minimum(high, low + rng.integers(1, 12, (_SHUFFLES, 1)))
        inside = (places >= low) & (places <= high)
        return np.where(inside, low + high - places, places)
    block = rng.integers(1, 4, (_SHUFFLES, 1))
    high = np.maximum(high, np.minimum(low + block, n - 1))
    shift = np.where(rng.random((_SHUFFLES, 1)) < 0.5, block, -block)
    inside = (places >= low) & (places <= high)
    return np.where(inside, low + (places - low + shift) % (high - low + 1), places)


def settle(options: Options, order: Indices, rounds: int = 8) -> tuple[Indices, Array]:
    """Use the idle time that an order leaves: move observations to their better hours.

    Every observation in turn is moved within the room between its neighbours, or into another
    gap, to where its appeal is greatest: a better hour has to be worth the wait. Times come out
    exactly as the slews ask.

    Returns
    -------
    order : ndarray of int, shape (n,)
    start : ndarray, shape (n,) [s]
    """
    order, start = _followed(options, order, np.zeros(order.size))
    for _ in range(rounds):
        before = float(options.appeal(order, start).sum())
        for option in order[::-1].tolist() + order.tolist():
            order, start = _moved(options, order, start, option)
        if float(options.appeal(order, start).sum()) <= before + 1e-6:
            break
    return _followed(options, order, start)


def _moved(options: Options, order: Indices, start: Array, option: int) -> tuple[Indices, Array]:
    """Take an option out of a timed order and put it where its appeal is greatest."""
    place = int(np.flatnonzero(order == option)[0])
    held = float(start[place])
    rest, times = np.delete(order, place), np.delete(start, place)
    now = float(options.appeal(option, np.array(held)))
    ended = np.append(0.0, times + options.duration[rest])
    arrive = ended + options.slews.seconds(np.append(options.count, rest), option, ended)
    low = np.maximum(arrive, options.first[option])
    duration = float(options.duration[option])
    leave = options.slews.seconds(option, rest, np.maximum(times - STEP_S, 0.0))
    high = np.minimum(np.append(times - leave - duration, np.inf), options.last[option])
    best, where, when = now, place, held
    row = options.appeals(option)
    for gap in np.flatnonzero(low <= high):
        moment = _best_moment(row, float(low[gap]), float(high[gap]), held)
        appeal = float(options.appeal(option, np.array(moment)))
        if appeal > best + 1e-9:
            best, where, when = appeal, int(gap), moment
    return np.insert(rest, where, option), np.insert(times, where, when)


def _best_moment(row: Array, low: float, high: float, held: float) -> float:
    """Return when between two times the appeal is greatest; where it is held, among equals."""
    first, last = int(np.ceil(low / STEP_S)), int(np.floor(high / STEP_S))
    choices = [low, high]
    if last >= first:
        choices.append(STEP_S * (first + int(np.argmax(row[first : last + 1]))))
    if low <= held <= high:
        choices.insert(0, held)
    steps = [min(round(choice / STEP_S), row.size - 1) for choice in choices]
    return choices[int(np.argmax(row[steps]))]


def _followed(options: Options, order: Indices, wanted: Array) -> tuple[Indices, Array]:
    """Time an order exactly, none before it is wanted; leave out what comes too late."""
    kept, times, before, ended = [], [], options.count, 0.0
    for option, wish in zip(order.tolist(), wanted.tolist(), strict=True):
        slew = float(options.slews.seconds(before, option, ended))
        start = max(ended + slew, wish, float(options.first[option]))
        if start <= options.last[option] + 1e-9:
            kept.append(option)
            times.append(start)
            before, ended = option, start + float(options.duration[option])
    return np.array(kept, dtype=np.intp), np.array(times, float)
