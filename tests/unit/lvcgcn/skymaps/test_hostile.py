"""Broken and hostile sky maps are refused with what is wrong, at a bounded cost."""

from __future__ import annotations

import functools
import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.lvcgcn.skymaps.maps import (
    FLAT,
    MULTI_ORDER,
    ORDER,
    PIXELS,
    fits_file,
    spot,
    uniform_tiles,
)
from toros.errors import SkyMapRefused
from toros.lvcgcn.skymaps.credible import credible_volume, distance
from toros.lvcgcn.skymaps.limits import MapLimits
from toros.lvcgcn.skymaps.reading import read_sky_map
from toros.simulation.sky_maps import make_sky_map

Maker = Callable[[], bytes]
NSIDE = 8


def tiles(place: int = 5, cards: dict[str, Any] | None = None, **changed: Any) -> Maker:
    """Return a maker of an otherwise good multi-order map: one value of a column changed."""

    def make() -> bytes:
        columns = uniform_tiles()
        for name, value in changed.items():
            if name not in columns:
                columns[name] = np.ones(PIXELS)
            if callable(value):
                columns[name] = value(columns[name])
            else:
                columns[name][place] = value
        if "DISTNORM" in columns or "DISTSIGMA" in columns:
            for name in ("DISTMU", "DISTSIGMA", "DISTNORM"):
                columns.setdefault(name, np.ones(PIXELS))
        return fits_file(columns, MULTI_ORDER | (cards or {}))

    return make


def pixels(cards: dict[str, Any], values: Any = None, **columns: Any) -> Maker:
    def make() -> bytes:
        named = {"PROB": spot(NSIDE) if values is None else values} | columns
        return fits_file(named, FLAT | {"NSIDE": NSIDE} | cards)

    return make


def edited(make: Maker, old: bytes, new: bytes) -> Maker:
    """Return a maker whose header lies."""

    def lie() -> bytes:
        content = make()
        assert content.count(old) == 1
        return content.replace(old, new.ljust(len(old)))

    return lie


def cut(make: Maker, count: int, packed: bool = False) -> Maker:
    return lambda: gzip.compress(make())[:count] if packed else make()[:count]


def card(name: str, value: int) -> bytes:
    return f"{name:8}= {value:20}".encode()


ROW = 16
TABLE = {
    "nothing": (lambda: b"", "truncated"),
    "text": (lambda: b"<html>Not found</html>" * 200, "no FITS file; it begins with b'<html>"),
    "a gzip of text": (lambda: gzip.compress(b"hello" * 1000), "no FITS file"),
    "damaged gzip": (lambda: b"\x1f\x8b" + bytes(500), "compressed data is damaged"),
    "NaN": (tiles(PROBDENSITY=np.nan), "PROBDENSITY is nan"),
    "infinite": (tiles(PROBDENSITY=np.inf), "PROBDENSITY is inf"),
    "negative": (tiles(PROBDENSITY=-1e-9), "PROBDENSITY is -1e-09"),
    "all NaN": (tiles(PROBDENSITY=lambda d: d * np.nan), f"nan in {PIXELS} of"),
    "zeros": (tiles(PROBDENSITY=lambda d: d * 0), "every probability is 0"),
    "sum off": (tiles(PROBDENSITY=lambda d: d * 1.02), r"sum is 1.02, not 1$"),
    "sum overflows": (tiles(PROBDENSITY=lambda d: d + 1e308), "sum is inf"),
    "twice the same tile": (tiles(UNIQ=(4 << 2 * ORDER) + 4), "1 tiles overlap"),
    "a tile within another": (tiles(UNIQ=4 * ((4 << 2 * ORDER) + 9)), "tiles overlap others"),
    "the whole sky on top": (tiles(UNIQ=4), "overlap"),
    "UNIQ 0": (tiles(UNIQ=0), "row 5: UNIQ 0"),
    "UNIQ negative": (tiles(UNIQ=-7), "row 5: UNIQ -7"),
    "order 30": (tiles(UNIQ=4 << 60), r"UNIQ 4611686018427387904.*orders 0 to 29"),
    "UNIQ not whole": (tiles(UNIQ=lambda u: u.astype(np.float64)), "UNIQ is not of whole"),
    "tiles missing": (
        lambda: fits_file({k: v[:400] for k, v in uniform_tiles().items()}, MULTI_ORDER),
        "missing over 47.92% of the sky",
    ),
    "one tile missing": (
        lambda: fits_file({k: v[1:] for k, v in uniform_tiles().items()}, MULTI_ORDER),
        "sum is 0.998698, not 1; tiles are missing over 0.13%",
    ),
    "negative norm": (tiles(DISTNORM=-1.0), "DISTNORM is -1"),
    "no width": (tiles(DISTSIGMA=0.0), "DISTSIGMA is 0"),
    "truncated": (cut(tiles(), 5760 + 100), "truncated"),
    "truncated header": (cut(tiles(), 4000), "truncated|no table"),
    "truncated gzip": (cut(tiles(), 600, packed=True), "truncated"),
    "more rows than there are": (
        edited(tiles(), card("NAXIS2", PIXELS), card("NAXIS2", 100_000)),
        "truncated",
    ),
    "rows without end": (
        edited(tiles(), card("NAXIS2", PIXELS), card("NAXIS2", 2**47)),
        "140737488355328 rows",
    ),
    "rows of another width": (
        edited(tiles(), card("NAXIS1", ROW), card("NAXIS1", 8)),
        "NAXIS1 says 8 bytes a row, but the columns are 16 wide",
    ),
    "negative rows": (
        edited(tiles(), card("NAXIS2", PIXELS), card("NAXIS2", -4)),
        "NAXIS2 is -4",
    ),
    "wide column": (
        edited(tiles(), b"TFORM2  = 'D       '", b"TFORM2  = '999999D '"),
        "NAXIS1 says",
    ),
    "no such format": (
        edited(tiles(), b"TFORM2  = 'D       '", b"TFORM2  = 'Z       '"),
        "TFORM2 is 'Z'",
    ),
    "text for probability": (
        edited(tiles(), b"TFORM2  = 'D       '", b"TFORM2  = '8A      '"),
        "differ|is of the type 'A'",
    ),
    "a zero of 60 digits": (
        edited(tiles(), b"COORDSYS= 'C       '".ljust(80), b"TZERO2  = %d" % 10**59),
        "TZERO2 1000",
    ),
    "no table": (lambda: tiles()()[:2880], "no table"),
    "no such column": (
        lambda: fits_file({"FLUX": np.ones(768)}, FLAT),
        "no table with a column PROBDENSITY",
    ),
    "only UNIQ": (lambda: fits_file({"UNIQ": np.arange(4, 16)}, MULTI_ORDER), "no column PROB"),
    "other ordering with UNIQ": (tiles(cards={"ORDERING": "RING"}), "ORDERING 'RING' with"),
    "galactic": (tiles(cards={"COORDSYS": "G"}), "COORDSYS 'G'; only equatorial"),
    "galactic and flat": (pixels({"COORDSYS": "G"}), "COORDSYS 'G'"),
    "ecliptic": (tiles(cards={"COORDSYS": "E"}), "COORDSYS 'E'"),
    "unknown ordering": (pixels({"ORDERING": "SPIRAL"}), "ORDERING 'SPIRAL' without"),
    "unknown scheme": (pixels({"INDXSCHM": "SPARSE"}), "INDXSCHM 'SPARSE'"),
    "NSIDE of another size": (pixels({"NSIDE": 16}), "768 pixels, where NSIDE 16 has 3072"),
    "NSIDE 7": (pixels({"NSIDE": 7}), "NSIDE 7; it must be a power of 2"),
    "NSIDE text": (pixels({"NSIDE": "many"}), "NSIDE 'many'"),
    "NSIDE huge": (pixels({"NSIDE": 2**29}), "has 3458764513820540928"),
    "flat NaN": (pixels({}, np.full(768, np.nan)), "PROB is nan in 64 of"),
    "flat zeros": (pixels({}, np.zeros(768)), "every probability is 0"),
    "flat negative": (pixels({}, np.full(768, -1 / 768)), "PROB is -0.00130208"),
    "no list of pixels": (pixels({"INDXSCHM": "EXPLICIT"}), "no column PIXEL"),
    "listed beyond the sky": (
        pixels({"INDXSCHM": "EXPLICIT"}, PIXEL=np.arange(768) + 1),
        "PIXEL 768, where NSIDE 8 has 0 to 767",
    ),
    "listed twice": (
        pixels({"INDXSCHM": "EXPLICIT"}, PIXEL=np.zeros(768, dtype=int)),
        "767 tiles overlap",
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_refused_with_what_is_wrong(case: str) -> None:
    make, said = TABLE[case]
    content = make()
    with pytest.raises(SkyMapRefused, match=said):
        read_sky_map(content)


@functools.cache
def bomb(rows: int) -> bytes:
    """Return a small file of a table of very many rows of zeros, made without holding it."""
    header = fits_file({"PROB": np.zeros(12)}, FLAT | {"NSIDE": 1024})[: 2 * 2880]
    header = header.replace(card("NAXIS2", 12), card("NAXIS2", rows))
    packer = zlib.compressobj(9, wbits=31)
    pieces = [packer.compress(header)]
    pieces += [packer.compress(bytes(1 << 20)) for _ in range((rows * 8 >> 20) + 1)]
    return b"".join([*pieces, packer.flush()])


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (MapLimits(), "every probability is 0"),
        (MapLimits(inflated_bytes=1 << 26), "where at most 67108864 bytes"),
        (MapLimits(pixels=10**6), "12582912 pixels, where at most 1000000"),
        (MapLimits(seconds=0.05), "not read after 0.05 s"),
    ],
)
def test_map_that_inflates_to_100_mb(limits: MapLimits, said: str) -> None:
    content = bomb(12 * 1024**2)
    assert len(content) < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(SkyMapRefused, match=said):
            read_sky_map(content, limits)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50e6


def test_what_inflates_without_end_behind_the_table_is_not_inflated() -> None:
    good = tiles()()
    packer = zlib.compressobj(9, wbits=31)
    pieces = [packer.compress(good)]
    pieces += [packer.compress(bytes(1 << 20)) for _ in range(60)]
    content = b"".join([*pieces, packer.flush()])
    tracemalloc.start()
    try:
        assert len(read_sky_map(content)) == PIXELS
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5e6


def test_many_headers_and_columns_end_soon() -> None:
    first = b"SIMPLE  =                    T".ljust(80) + b"NAXIS   = 0".ljust(80)
    lines = ["XTENSION= 'BINTABLE'", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 8", "NAXIS2  = 8"]
    lines += [f"TTYPE{n:<3}= 'A{n}'" for n in range(1, 1000)]
    for count, said in ((99, "none of the first 6 parts"), (999, "TFIELDS is 999")):
        cards = [*lines[: count + 5], f"TFIELDS = {count}"]
        cards += [f"TFORM{n:<3}= '1D'" for n in range(1, 100)]
        table = "".join(line.ljust(80) for line in [*cards, "END"]).encode()
        table = table.ljust(-(-len(table) // 2880) * 2880) + bytes(2880)
        with pytest.raises(SkyMapRefused, match=said):
            read_sky_map((first + b"END").ljust(2880) + table * 100)


@pytest.mark.parametrize("size", [1e6, 1e20, 1e308])
@pytest.mark.parametrize("column", ["DISTMU", "DISTSIGMA", "DISTNORM"])
def test_distances_beyond_all_bounds_end_as_none_or_a_number(column: str, size: float) -> None:
    changed = {"DISTNORM": 1.0, column: lambda values: values * size}
    sky_map = read_sky_map(tiles(**changed)())
    volume = credible_volume(sky_map, 0.9)
    assert volume is None or np.isfinite(volume)
    told = distance(sky_map)
    assert told is None or np.isfinite(told).all()


def test_header_without_end() -> None:
    content = b"SIMPLE  =                    T".ljust(80) + b"COMMENT x".ljust(80) * 700_000
    tracemalloc.start()
    try:
        with pytest.raises(SkyMapRefused, match="a header without END in 92160 bytes"):
            read_sky_map(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5e6


def test_map_in_ring_order_beyond_the_memory() -> None:
    probability = spot(64, nested=False)
    content = fits_file({"PROB": probability}, FLAT | {"NSIDE": 64, "ORDERING": "RING"})
    with pytest.raises(SkyMapRefused, match="49152 pixels, .* take 393216 bytes"):
        read_sky_map(content, MapLimits(memory_bytes=300_000))


def test_wide_rows_in_ring_order_are_read_in_pieces() -> None:
    """A column of zeros beside the probability: 100 MB that gzip makes nothing of."""
    rows, width = 12 * 64**2, 250
    row = np.array([1 / rows], dtype=">f8").tobytes() + bytes(8 * width)
    named = {"PROB": np.ones(12), "NOTHING": np.zeros(12)}
    header = fits_file(named, FLAT | {"NSIDE": 64, "ORDERING": "RING"})[: 2 * 2880]
    for old, new in (
        (card("NAXIS1", 16), card("NAXIS1", len(row))),
        (card("NAXIS2", 12), card("NAXIS2", rows)),
        (b"TFORM2  = 'D       '", f"TFORM2  = '{width}D    '".encode()),
    ):
        assert header.count(old) == 1
        header = header.replace(old, new)
    packer = zlib.compressobj(1, wbits=31)
    pieces = [packer.compress(header)]
    pieces += [packer.compress(row * 1024) for _ in range(rows // 1024)]
    content = b"".join([*pieces, packer.flush()])
    tracemalloc.start()
    try:
        assert len(read_sky_map(content)) == 12
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50e6


MADE = make_sky_map(30.0, 40.0, 100.0, 50.0, tiles=3072)


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 3 * 2880 - 1), st.integers(0, 255)), min_size=1, max_size=4
    ),
    packed=st.booleans(),
)
def test_a_few_wrong_bytes_are_refused_or_read(
    changes: list[tuple[int, int]], packed: bool
) -> None:
    content = bytearray(MADE)
    for at, value in changes:
        content[at] = value
    raw = gzip.compress(bytes(content), 1) if packed else bytes(content)
    try:
        sky_map = read_sky_map(raw)
    except SkyMapRefused:
        return
    assert abs(sky_map.probability.sum() - 1) <= 0.01
