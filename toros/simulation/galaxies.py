"""A catalogue of galaxies that are not there, as text in the form of GLADE+.

For measurements of the alert robot where the real catalogue (6 GB) is not at hand: the
same columns, about the same shares of unknown values, and distances, magnitudes and
masses that go together as they should. It is no model of the universe:

- 83 % are photometric galaxies of WISE x SuperCOSMOS: z of a gamma distribution (shape
  4, mean 0.22), B calculated, mostly with W1 and a stellar mass;
- 5 % are of 2MASS: z with shape 3 and mean 0.075, Ks measured, HyperLEDA and 2MASS names;
- 9 % are of HyperLEDA alone: B known, one in three without a distance;
- 3 % are quasars;
- 40 % of all lie within 2 Mpc of one of 20 000 centres, the others anywhere, and few
  near the plane of the Galaxy.

Distances are c z / H0 (1 + z / 2), H0 = 70 km/s/Mpc. B is exponential with a faint limit
that depends on the survey; the mass follows the B luminosity with a scatter of 0.3 dex.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from toros.simulation.randomness import Stream, generator

Floats = NDArray[np.float64]
Text = NDArray[np.uint8]
"""Shape (n, width): characters, 0 where there is none."""

BLOCK = 50_000
"""Galaxies in a block; each block has its own stream of random numbers."""

CENTRES = 20_000
IN_CLUSTERS = 0.4
KINDS = ("wise", "2mass", "hyperleda", "quasar")
SHARES = (0.83, 0.05, 0.09, 0.03)
REDSHIFT = {"wise": (4, 0.055), "2mass": (3, 0.025), "hyperleda": (2, 0.05), "quasar": (4, 0.4)}
"""Shape and scale of the gamma distribution of z."""
FAINTEST_B = {"wise": 21.0, "2mass": 17.5, "hyperleda": 18.5, "quasar": 21.5}
POLE = np.array([-0.8676661, -0.1980764, 0.4559838])
"""The Galaxy's north pole, ICRS."""


def blocks(rows: int) -> list[int]:
    """Return the number of galaxies in each block of a catalogue."""
    whole, rest = divmod(rows, BLOCK)
    return [BLOCK] * whole + ([rest] if rest else [])


def glade_plus_block(seed: int, number: int, rows: int) -> bytes:
    """Make a block of a catalogue as text: a line of 40 columns for each galaxy.

    Parameters
    ----------
    seed : int
        Of the catalogue.
    number : int
        Of the block, from 0; blocks can be made in any order.
    rows : int
        Galaxies in it, as `blocks` tells.

    Returns
    -------
    bytes
        The same for the same arguments.
    """
    random = generator(seed, Stream.GALAXIES, 1, number)
    kind = random.choice(len(KINDS), rows, p=SHARES)
    redshift = np.empty(rows)
    faintest = np.empty(rows)
    for n, name in enumerate(KINDS):
        of_kind = kind == n
        redshift[of_kind] = random.gamma(*REDSHIFT[name], of_kind.sum())
        faintest[of_kind] = FAINTEST_B[name]
    redshift = np.maximum(redshift, 1e-4)
    direction = _directions(random, rows)
    _gather_in_clusters(seed, random, direction, redshift)
    distance = 299792.458 * redshift * (1 + redshift / 2) / 70
    b = np.maximum(faintest - random.exponential(1.0, rows), 6.0)
    return _text(random, number * BLOCK, kind, direction, redshift, distance, b)


def _directions(random: np.random.Generator, rows: int) -> Floats:
    """Draw directions, few near the Galaxy's plane; unit vectors, shape (rows, 3)."""
    drawn = random.normal(size=(2 * rows + 100, 3))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    seen = random.random(len(drawn)) < 1 - np.exp(-np.abs(drawn @ POLE) / 0.15)
    return drawn[seen][:rows] if seen.sum() >= rows else drawn[:rows]


def _gather_in_clusters(
    seed: int, random: np.random.Generator, direction: Floats, redshift: Floats
) -> None:
    """Move some galaxies to the nearest, in distance, of a few centres; in place."""
    shared = generator(seed, Stream.GALAXIES, 0)
    centres = _directions(shared, CENTRES)
    depths = np.sort(shared.gamma(4, 0.055, CENTRES))
    member = np.flatnonzero(random.random(len(redshift)) < IN_CLUSTERS)
    centre = np.clip(
        np.searchsorted(depths, redshift[member]) + random.integers(-20, 21, len(member)),
        0,
        CENTRES - 1,
    )
    spread = 1.0 / (4283 * np.maximum(redshift[member], 0.002))  # 1 Mpc, as an angle [rad]
    moved = centres[centre] + random.normal(size=(len(member), 3)) * spread[:, None]
    direction[member] = moved / np.linalg.norm(moved, axis=1, keepdims=True)


def _text(
    random: np.random.Generator,
    first: int,
    kind: NDArray[np.int64],
    direction: Floats,
    redshift: Floats,
    distance: Floats,
    b: Floats,
) -> bytes:
    rows = len(kind)
    ra = np.degrees(np.arctan2(direction[:, 1], direction[:, 0])) % 360
    dec = np.degrees(np.arcsin(np.clip(direction[:, 2], -1, 1)))
    wise, near, leda, quasar = (kind == n for n in range(len(KINDS)))
    absolute = b - 5 * np.log10(distance) - 25
    known = ~(leda & (random.random(rows) < 1 / 3))
    with_w1 = (wise & (random.random(rows) < 0.98)) | near
    mass = 10 ** (0.3 - 0.4 * (absolute + 20) + random.normal(0, 0.3, rows))
    number = np.arange(first + 1, first + rows + 1)
    w1 = b - random.normal(3.5, 0.4, rows)
    k = w1 + random.normal(0.4, 0.1, rows)

    def where(condition: NDArray[np.bool_], values: Floats) -> Floats:
        return np.where(condition, values, np.nan)

    has_b = random.random(rows) < 0.97
    null, small = np.full(rows, np.nan), np.full(rows, 0.05)
    error = np.where(wise, 0.033 * (1 + redshift) * 4283, 0.0015 * 4283)
    columns = [
        _number(number, 0),
        _number(where(near | leda, (number % 5_000_000).astype(float)), 0),
        _number(null, 0),
        _number(where(near | leda, number.astype(float)), 0),
        _designation(near, ra, dec, 2, 1, b"", b""),
        _designation(wise, ra, dec, 2, 1, b"J", b"."),
        _designation(quasar, ra, dec, 2, 1, b"", b"."),
        np.where(quasar, ord("Q"), ord("G")).astype(np.uint8)[:, None],
        _number(ra, 9), _number(dec, 9),
        _number(where(has_b, b), 3), _number(where(has_b, small), 3),
        _number(where(has_b, wise.astype(float)), 0), _number(where(has_b & known, absolute), 6),
        _number(where(near, k + 0.9), 3), _number(where(near, small), 3),
        _number(where(near, k + 0.3), 3), _number(where(near, small), 3),
        _number(where(near, k), 3), _number(where(near, small), 3),
        _number(where(with_w1, w1), 3), _number(where(with_w1, small), 3),
        _number(where(with_w1, w1 + 0.1), 3), _number(where(with_w1, small), 3),
        _number(where(with_w1, np.zeros(rows)), 0),
        _number(where(wise, b - 0.2), 3), _number(null, 3),
        _number(where(known, redshift), 8), _number(where(known, redshift * 1.0005), 8),
        _number(np.zeros(rows), 0), _number(null, 0), _number(where(known, error / 4283), 6),
        _number(where(known, distance), 9), _number(where(known, error), 9),
        _number(np.where(known, np.where(wise, 1, 3), 0), 0),
        _number(where(with_w1 & known, mass), 9), _number(where(with_w1 & known, mass * 0.2), 9),
        _number(where(with_w1 & known, np.zeros(rows)), 0),
        _number(where(with_w1 & known, np.log10(mass) - 3), 6),
        _number(where(with_w1 & known, np.full(rows, 0.2)), 3),
    ]  # fmt: skip
    return _lines(columns)


def _lines(columns: Sequence[Text]) -> bytes:
    """Set columns beside one another, with a space between and a line feed at the end."""
    rows = len(columns[0])
    gap = np.full((rows, 1), ord(" "), dtype=np.uint8)
    end = np.full((rows, 1), ord("\n"), dtype=np.uint8)
    parts = [part for column in columns for part in (column, gap)]
    whole = np.concatenate([*parts[:-1], end], axis=1)
    text: bytes = whole[whole != 0].tobytes()
    return text


def _number(values: NDArray[np.int64] | Floats, decimals: int) -> Text:
    """Write numbers with so many decimals; ``null`` for NaN."""
    known = np.isfinite(values)
    rest = np.rint(np.abs(np.where(known, values, 0)) * 10.0**decimals).astype(np.int64)
    negative = known & (values < 0) & (rest > 0)
    digits = len(str(int(rest.max(initial=0)) // 10**decimals))
    text = np.zeros((len(rest), max(4, 1 + digits + (1 + decimals if decimals else 0))), np.uint8)
    place = text.shape[1]
    for _ in range(decimals):
        place -= 1
        rest, digit = np.divmod(rest, 10)
        text[:, place] = digit + ord("0")
    if decimals:
        place -= 1
        text[:, place] = ord(".")
    for n in range(digits):
        place -= 1
        here = (rest > 0) | (n == 0)
        rest, digit = np.divmod(rest, 10)
        text[:, place] = np.where(here, digit + ord("0"), 0)
    text[negative, place - 1] = ord("-")
    text[~known] = 0
    text[~known, :4] = np.frombuffer(b"null", dtype=np.uint8)
    return text


def _designation(
    named: NDArray[np.bool_],
    ra: Floats,
    dec: Floats,
    ra_decimals: int,
    dec_decimals: int,
    prefix: bytes,
    point: bytes,
) -> Text:
    """Write names of places, as hhmmss.ss+ddmmss.s; ``null`` where there is no name."""
    rows = len(ra)

    def constant(text: bytes) -> Text:
        return np.tile(np.frombuffer(text, dtype=np.uint8), (rows, 1))

    def digits(value: NDArray[np.int64], count: int) -> Text:
        powers = 10 ** np.arange(count - 1, -1, -1)
        return ((value[:, None] // powers) % 10 + ord("0")).astype(np.uint8)

    def sexagesimal(value: Floats, decimals: int) -> list[Text]:
        ticks = np.floor(value * 3600 * 10**decimals).astype(np.int64)
        seconds, fraction = np.divmod(ticks, 10**decimals)
        parts = [seconds // 3600, seconds // 60 % 60, seconds % 60]
        return [*(digits(p, 2) for p in parts), constant(point), digits(fraction, decimals)]

    sign = np.where(dec < 0, ord("-"), ord("+")).astype(np.uint8)[:, None]
    parts = [constant(prefix), *sexagesimal(ra / 15, ra_decimals), sign]
    text = np.concatenate([*parts, *sexagesimal(np.abs(dec), dec_decimals)], axis=1)
    text[~named] = 0
    text[~named, :4] = np.frombuffer(b"null", dtype=np.uint8)
    return text
