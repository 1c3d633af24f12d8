"""Pixels in bands, against astropy's reading of the whole image."""

from __future__ import annotations

import gzip
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from tests.unit.images.make import image_file
from toros.errors import DiskFull, StorageFailed, UnusableFrame
from toros.images import open_frame, read_facts


def by_bands(path: Path, hdu: int, scratch: Path, height: int) -> NDArray[np.float32]:
    with open_frame(path, hdu, scratch) as frame:
        ny = frame.shape[0]
        return np.concatenate([frame.rows(y0, min(y0 + height, ny)) for y0 in range(0, ny, height)])


def by_astropy(path: Path, hdu: int) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path, memmap=False) as hdus:
            return np.asarray(hdus[hdu].data).astype(np.float32)


def test_every_real_frame_is_bit_equal_to_astropy(shared_data: Path, tmp_path: Path) -> None:
    folders = ("dialects", "panoptes", "eso085")
    paths = [p for folder in folders for p in sorted((shared_data / "frames" / folder).iterdir())]
    paths += [sorted((shared_data / "frames" / f).iterdir())[0] for f in ("hatp32", "st402")]
    images = 0
    for path in paths:
        for hdu in read_facts(path, path.name, [], 400.0).hdus:
            bands = by_bands(path, hdu, tmp_path, 97)
            assert bands.dtype == np.float32
            assert bands.dtype.isnative
            assert bands.tobytes() == by_astropy(path, hdu).tobytes(), path
            images += 1
    assert images >= 28
    assert not list(tmp_path.iterdir())


RNG = np.random.default_rng(3)
STORED = {
    8: RNG.integers(0, 255, (13, 11), dtype=np.uint8),
    16: RNG.integers(-32768, 32767, (13, 11), dtype=np.int16),
    32: RNG.integers(-(2**31), 2**31 - 1, (13, 11), dtype=np.int32),
    64: RNG.integers(-(2**63), 2**63 - 1, (13, 11), dtype=np.int64),
    -32: RNG.normal(0, 1e4, (13, 11)).astype(np.float32),
    -64: RNG.normal(0, 1e4, (13, 11)),
}


@pytest.mark.parametrize("bitpix", STORED)
@pytest.mark.parametrize(
    ("bscale", "bzero"), [(1, 0), (1, "half"), (0.37, 1234.567), (1, 32768), (2, 0), (1, -128)]
)
def test_every_scaling_is_bit_equal_to_astropy(
    tmp_path: Path, bitpix: int, bscale: float, bzero: float | str
) -> None:
    offset = 2 ** (abs(bitpix) - 1) if bzero == "half" else bzero
    data = STORED[bitpix].astype(STORED[bitpix].dtype.newbyteorder(">")).tobytes()
    path = image_file(
        tmp_path / "a.fits", 13, 11, bitpix, data, ("BSCALE", bscale), ("BZERO", offset)
    )
    assert by_bands(path, 0, tmp_path, 4).tobytes() == by_astropy(path, 0).tobytes()


def test_unsigned_integers_of_16_bits_are_exact_and_of_32_rounded_once(tmp_path: Path) -> None:
    values: NDArray[Any] = np.array([[0, 1], [65534, 65535]], dtype=np.uint16)
    fits.writeto(tmp_path / "16.fits", values)
    assert by_bands(tmp_path / "16.fits", 0, tmp_path, 1).tolist() == values.tolist()
    wide = np.array([[0, 2**24 + 1], [2**31 + 129, 2**32 - 1]], dtype=np.uint32)
    fits.writeto(tmp_path / "32.fits", wide)
    read = by_bands(tmp_path / "32.fits", 0, tmp_path, 1)
    assert read.tobytes() == wide.astype(np.float32).tobytes()
    assert np.max(np.abs(read.astype(float) - wide) / np.maximum(wide, 1)) <= 2.0**-24


@pytest.mark.parametrize("blank", [-7, 0])
@pytest.mark.parametrize("bzero", [0, 32768, 0.5])
def test_blank_is_nan_also_where_integers_are_unsigned(
    tmp_path: Path, blank: int, bzero: float
) -> None:
    stored = np.array([[1, blank], [3, 4]], dtype=">i2")
    path = image_file(
        tmp_path / "a.fits", 2, 2, 16, stored.tobytes(), ("BZERO", bzero), ("BLANK", blank)
    )
    expected = stored.astype(np.float32) + np.float32(bzero)
    expected[0, 1] = np.nan
    np.testing.assert_array_equal(by_bands(path, 0, tmp_path, 1), expected)


@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_1", "GZIP_2", "NOCOMPRESS"])
@pytest.mark.parametrize("tile", [(1, 64), (16, 16), (52, 64)])
def test_tiles_of_every_kind(tmp_path: Path, kind: str, tile: tuple[int, int]) -> None:
    values = RNG.integers(0, 4000, (52, 64)).astype(np.uint16)
    path = tmp_path / "a.fits.fz"
    image = fits.CompImageHDU(values, compression_type=kind, tile_shape=tile)
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    np.testing.assert_array_equal(by_bands(path, 1, tmp_path, 7), values.astype(np.float32))
    (tmp_path / "b.fits.fz.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert read_facts(tmp_path / "b.fits.fz.gz", "b", [], 1.0).hdus == (1,)
    np.testing.assert_array_equal(by_bands(tmp_path / "b.fits.fz.gz", 1, tmp_path, 52), values)


def test_quantised_floats_are_bit_equal_to_astropy(tmp_path: Path) -> None:
    values = RNG.normal(1000, 10, (50, 64)).astype(np.float32)
    values[3, 4] = np.nan
    path = tmp_path / "a.fits.fz"
    image = fits.CompImageHDU(values, quantize_method=1, quantize_level=16)
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    read = by_bands(path, 1, tmp_path, 9)
    assert read.tobytes() == by_astropy(path, 1).tobytes()
    assert np.isnan(read[3, 4])


def test_a_third_axis_of_length_one_is_no_cube(tmp_path: Path) -> None:
    values = RNG.integers(0, 99, (1, 6, 5)).astype(np.int16)
    fits.writeto(tmp_path / "a.fits", values)
    fits.CompImageHDU(values).writeto(tmp_path / "a.fits.fz")
    for name, hdu in (("a.fits", 0), ("a.fits.fz", 1)):
        assert read_facts(tmp_path / name, name, [], 1.0).shape == (6, 5)
        np.testing.assert_array_equal(by_bands(tmp_path / name, hdu, tmp_path, 4), values[0])


def test_rows_outside_are_refused(tmp_path: Path) -> None:
    fits.writeto(tmp_path / "a.fits", np.zeros((4, 4), np.float32))
    with open_frame(tmp_path / "a.fits", 0, tmp_path) as frame:
        for y0, y1 in ((-1, 2), (0, 5), (2, 2)):
            with pytest.raises(ValueError, match="not within 0 to 4"):
                frame.rows(y0, y1)
    with (
        pytest.raises(UnusableFrame, match="no HDU 1"),
        open_frame(tmp_path / "a.fits", 1, tmp_path),
    ):
        pass


def test_a_file_cut_short_while_open_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.writeto(path, np.zeros((400, 400), np.float32))
    with open_frame(path, 0, tmp_path) as frame:
        os.truncate(path, 5760)
        with pytest.raises(UnusableFrame, match="cut short while it was read"):
            frame.rows(0, 400)


@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_1", "GZIP_2"])
def test_damaged_tiles_are_said_so(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.fits.fz"
    values = RNG.integers(0, 4000, (64, 64)).astype(np.uint16)
    fits.CompImageHDU(values, compression_type=kind).writeto(path)
    content = bytearray(path.read_bytes())
    content[-4320:] = b"\x01" * 4320
    path.write_bytes(content)
    assert read_facts(path, "a", [], 1.0).shape == (64, 64)
    with pytest.raises(UnusableFrame, match="damaged"), open_frame(path, 1, tmp_path):
        pass


@pytest.mark.parametrize("kind", ["HCOMPRESS_1", "PLIO_1"])
def test_a_compression_that_is_not_safe_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.fits.fz"
    values = RNG.integers(0, 4000, (64, 64)).astype(np.int16)
    fits.CompImageHDU(values, compression_type=kind, tile_shape=(16, 64)).writeto(path)
    with pytest.raises(UnusableFrame, match=f"compressed by {kind}, .* funpack"):
        read_facts(path, "a", [], 1.0)


def test_a_tile_that_is_a_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.fz"
    image = fits.CompImageHDU(
        np.zeros((4000, 4000), np.int16), compression_type="GZIP_1", tile_shape=(4000, 4000)
    )
    image.writeto(path)
    content = path.read_bytes()
    for axis in (b"ZNAXIS1 ", b"ZNAXIS2 ", b"ZTILE1  ", b"ZTILE2  "):
        content = content.replace(
            axis + b"=                 4000", axis + b"=                    4"
        )
    path.write_bytes(content)
    assert read_facts(path, "a", [], 1.0).shape == (4, 4)
    with pytest.raises(UnusableFrame, match="inflates to more"), open_frame(path, 1, tmp_path):
        pass


def test_a_scratch_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(b"x"))
    with pytest.raises((StorageFailed, DiskFull)), open_frame(path, 0, tmp_path / "none"):
        pass
