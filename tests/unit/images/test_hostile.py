"""Files that are broken or lie: a reason for a person, at bounded memory and time."""

from __future__ import annotations

import gzip
import os
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.images.make import BLOCK, card, header, image_file, image_header
from toros.errors import UnusableFrame
from toros.images import open_frame, read_facts

PETA = 10**15


def reason(path: Path, limit_mpixel: float = 400.0) -> str:
    """Why a file is refused, within 20 MB."""
    tracemalloc.start()
    try:
        with pytest.raises(UnusableFrame) as caught:
            read_facts(path, path.name, [], limit_mpixel)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    return caught.value.message


PRIMARY = header(("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0))
TABLE = header(
    ("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", 8), ("NAXIS2", 2),
    ("PCOUNT", 0), ("GCOUNT", 1), ("TFIELDS", 0),
) + bytes(BLOCK)  # fmt: skip
LIES = {
    "empty": (b"", "is empty"),
    "text": (b"hello, world\n", "no FITS file"),
    "jpeg": (b"\xff\xd8\xff\xe0" + bytes(5000), "no FITS file"),
    "petabyte": (image_header(PETA // 10, 10), "Frame Limit"),
    "cut short": (image_header(100, 100) + bytes(BLOCK), "more than the file holds"),
    "table of a petabyte": (
        PRIMARY
        + header(("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", PETA),
                 ("NAXIS2", PETA)),
        "claims 1e+12 EB of data",
    ),
    "heap without axes": (
        PRIMARY + header(("XTENSION", "IMAGE"), ("BITPIX", 8), ("NAXIS", 0), ("PCOUNT", PETA)),
        "no image",
    ),
    "axis beyond any float": (
        header(("SIMPLE", True), ("BITPIX", 16), ("NAXIS", 9),
               *(card(f"NAXIS{i}", int("9" * 65)) for i in range(1, 10))),
        "Frame Limit",
    ),
    "negative axis": (image_header(-5, 10), "NAXIS2 = -5"),
    "axis that is text": (image_header("many", 10), "'many'"),  # type: ignore[arg-type]
    "axis that cannot be read": (
        image_header(2, 2).replace(b"NAXIS2  =                    2",
                                   b"NAXIS2  =                  2 2"), "NAXIS2",
    ),
    "no axis": (header(("SIMPLE", True), ("BITPIX", 16), ("NAXIS", 2), ("NAXIS1", 4)), "NAXIS2"),
    "too many axes": (header(("SIMPLE", True), ("BITPIX", 16), ("NAXIS", 10**6)), "at most 999"),
    "bitpix": (image_header(2, 2, 17), "BITPIX = 17"),
    "not standard": (header(("SIMPLE", False), ("BITPIX", 8), ("NAXIS", 0)), "SIMPLE is not T"),
    "no end": (image_header(2, 2).replace(b"END", b"   ") * 3, "ends inside the header"),
    "endless header": (b"SIMPLE  =".ljust(BLOCK) * 1100, "no END"),
    "no data": (PRIMARY, "HDU 0 has no data"),
    "table": (PRIMARY + TABLE, "HDU 1 is a table"),
    "cube": (
        header(("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 3), ("NAXIS1", 4), ("NAXIS2", 5),
               ("NAXIS3", 3)) + bytes(BLOCK),
        "HDU 0 has 3 axes (4 x 5 x 3)",
    ),
    "spectrum": (image_header(1, 100) + bytes(BLOCK), "2 axes (100 x 1)"),
    "scale": (image_header(2, 2, 16, ("BSCALE", 0)) + bytes(BLOCK), "BSCALE = 0"),
    "zero": (image_header(2, 2, 16, ("BZERO", "NaN")) + bytes(BLOCK), "BZERO = 'NaN'"),
    "blank": (image_header(2, 2, 16, ("BLANK", 1.5)) + bytes(BLOCK), "BLANK = 1.5"),
    "absurd tiles": (
        PRIMARY
        + header(("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", 8),
                 ("NAXIS2", 2), ("PCOUNT", 0), ("GCOUNT", 1), ("TFIELDS", 1), ("ZIMAGE", True),
                 ("ZCMPTYPE", "RICE_1"),
                 ("ZBITPIX", 16), ("ZNAXIS", 2), ("ZNAXIS1", PETA), ("ZNAXIS2", PETA))
        + bytes(BLOCK),
        "Frame Limit",
    ),
    "tiles that do not add up": (
        PRIMARY
        + header(("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", 8),
                 ("NAXIS2", 2), ("PCOUNT", 0), ("GCOUNT", 1), ("TFIELDS", 1), ("ZIMAGE", True),
                 ("ZCMPTYPE", "RICE_1"),
                 ("ZBITPIX", 16), ("ZNAXIS", 2), ("ZNAXIS1", 9000), ("ZNAXIS2", 9000))
        + bytes(BLOCK),
        "9000 compressed tiles are needed, 2 stand there",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("packed", [False, True])
def test_a_lie_is_refused_with_its_reason(tmp_path: Path, lie: str, packed: bool) -> None:
    content, expected = LIES[lie]
    path = tmp_path / "a.fits"
    path.write_bytes(gzip.compress(content) if packed else content)
    assert expected in reason(path)


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.fits.gz"
    packer = zlib.compressobj(9, wbits=31)
    with path.open("wb") as file:
        file.write(packer.compress(image_header(1000, 1000)))
        for _ in range(60):  # 60 MB; the limit is 1 Mpixel, so 8 MB
            file.write(packer.compress(bytes(1_000_000)))
        file.write(packer.flush())
    assert read_facts(path, "a", [], 400.0).shape == (1000, 1000)  # the rest is no HDU
    image = header(
        ("XTENSION", "IMAGE"), ("BITPIX", 16), ("NAXIS", 2), ("NAXIS1", 1000), ("NAXIS2", 1000)
    )
    images = PRIMARY + 8 * (image + bytes(2_000_000 + -2_000_000 % BLOCK))
    path.write_bytes(gzip.compress(images, 1))
    assert "more than" in reason(path, 1.0)
    with pytest.raises(UnusableFrame, match="inflates"), open_frame(path, 1, tmp_path, 1.0):
        pass


def test_a_damaged_or_cut_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.gz"
    whole = gzip.compress(image_header(200, 200) + os.urandom(80_000) + bytes(640))
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged or cut short" in reason(path)
    path.write_bytes(whole[:4000] + b"\0" * 100 + whole[4100:])
    assert "damaged or cut short" in reason(path)
    path.write_bytes(b"\x1f\x8b")
    assert "damaged or cut short" in reason(path)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in reason(tmp_path / "pipe")
    assert "no regular file" in reason(tmp_path)
    assert "No such file" in reason(tmp_path / "none")


def test_a_last_block_that_is_not_filled_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(image_header(10, 10) + bytes(200))
    assert read_facts(path, "a", [], 1.0).shape == (10, 10)


def test_images_of_another_shape_are_left_out_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    images = [fits.ImageHDU(np.zeros(shape, np.int16)) for shape in ((8, 9), (3, 3), (8, 9))]
    images.append(fits.ImageHDU(np.zeros((8, 9), np.int16), name="DQ"))
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(path)
    facts = read_facts(path, "a", [], 1.0)
    assert (facts.shape, facts.hdus) == ((8, 9), (1, 3))
    assert [note[:14] for note in facts.notes[:2]] == ["left out: HDU ", "left out: HDU "]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_bytes_give_facts_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    path = image_file(
        folder / "a.fits", 6, 5, 16, bytes(60), ("BZERO", 32768), ("DATE-OBS", "2020-01-01"),
        ("EXPTIME", 1.5),
    )  # fmt: skip
    if data.draw(st.booleans()):
        fits.CompImageHDU(np.zeros((6, 5), np.int16)).writeto(path, overwrite=True)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(UnusableFrame):
        facts = read_facts(path, "a.fits", [], 1.0)
        with open_frame(path, facts.hdus[0], folder) as frame:
            assert frame.rows(0, frame.shape[0]).shape == facts.shape
    path.unlink()
