"""Products: the same bytes for the same content, readable by everybody."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from toros.errors import DamagedFile, StorageFailed
from toros.images import open_frame, product_writer, read_facts, read_product, write_product
from toros.images.products import Card, _headers

CARDS: list[Card] = [
    ("BUNIT", "adu", "unit of the data"),
    ("EXPTIME", 60.0, "[s] exposure time"),
    ("NCOMBINE", 5, ""),
    ("PARTIAL", False, "a master is missing"),
    ("GAIN", float("nan"), "[electron/ADU] not measured"),
    ("FILTER", None, "no filter"),
    ("IN0001", "night/" + "very-long-name-" * 12 + ".fits", "input"),
    ("IN0002", "Nächte/Čas\n1.fits", "with an ümlaut"),
    ("inputs sha256 0001", "0" * 64, "of IN0001"),
    ("HISTORY", "bias subtracted with master " + "x" * 100, ""),
]


@pytest.fixture
def arrays() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(1)
    data = rng.normal(100, 5, (37, 23)).astype(np.float32)
    data[3, 4] = np.nan
    mask = np.zeros((37, 23), np.uint8)
    mask[3, 4] = 5
    return data, np.sqrt(np.abs(data)).astype(np.float32), mask


def test_what_is_written_is_read(tmp_path: Path, arrays: Any) -> None:
    path = tmp_path / "new" / "a.fits"
    sha256 = write_product(path, *arrays, CARDS)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [p.name for p in path.parent.iterdir()] == ["a.fits"]
    *read, header = read_product(path)
    for got, put in zip(read, arrays, strict=True):
        assert got.dtype == put.dtype
        np.testing.assert_array_equal(got, put)
    assert header["IN0001"] == CARDS[6][1]
    assert header["IN0002"] == "N\\xe4chte/\\u010cas\\x0a1.fits"
    assert header.comments["IN0002"] == "with an \\xfcmlaut"
    assert header["INPUTS SHA256 0001"] == "0" * 64
    assert header["GAIN"] is None
    assert header["PARTIAL"] is False
    assert "DATE" not in header


def test_astropy_and_ccddata_read_it(tmp_path: Path, arrays: Any) -> None:
    path = tmp_path / "a.fits"
    write_product(path, *arrays, CARDS)
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "UNCERT", "MASK"]
        assert path.stat().st_size % 2880 == 0
        np.testing.assert_array_equal(hdus["MASK"].data, arrays[2])
    ccd = CCDData.read(path, hdu_uncertainty="UNCERT", hdu_mask="MASK")
    np.testing.assert_array_equal(ccd.data, arrays[0])
    np.testing.assert_array_equal(ccd.uncertainty.array, arrays[1])
    np.testing.assert_array_equal(ccd.mask, arrays[2] != 0)
    assert ccd.unit == u.adu
    assert isinstance(ccd.uncertainty, StdDevUncertainty)


def test_the_bytes_are_the_same_however_the_bands_come(tmp_path: Path, arrays: Any) -> None:
    first = write_product(tmp_path / "a.fits", *arrays, CARDS)
    with product_writer(tmp_path / "b.fits", (37, 23), CARDS) as writer:
        for y0, y1 in ((30, 37), (0, 7), (7, 30)):
            writer.rows(y0, *(array[y0:y1] for array in arrays))
    assert writer.sha256 == first
    assert (tmp_path / "b.fits").read_bytes() == (tmp_path / "a.fits").read_bytes()


def test_a_product_is_read_in_bands_and_as_a_frame(tmp_path: Path, arrays: Any) -> None:
    path = tmp_path / "a.fits"
    write_product(path, *arrays, CARDS)
    assert read_facts(path, "a.fits", [], 1.0).hdus == (0,)
    for hdu, array in enumerate(arrays):
        with open_frame(path, hdu, tmp_path) as frame:
            np.testing.assert_array_equal(frame.rows(5, 9), array[5:9].astype(np.float32))


def test_nothing_appears_when_the_work_fails(tmp_path: Path, arrays: Any) -> None:
    with (
        pytest.raises(ValueError, match="a band of shape"),
        product_writer(tmp_path / "a.fits", (37, 23), CARDS) as w,
    ):
        w.rows(0, *(array[:5, :7] for array in arrays))
    with (
        pytest.raises(ValueError, match="32 rows were not written"),
        product_writer(tmp_path / "a.fits", (37, 23), CARDS) as w,
    ):
        w.rows(0, *(array[:5] for array in arrays))
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_right_is_refused(tmp_path: Path, arrays: Any) -> None:
    with pytest.raises(ValueError, match="BZERO"):
        write_product(tmp_path / "a.fits", *arrays, [("BZERO", 1, "")])
    with pytest.raises(ValueError, match="shape"):
        write_product(tmp_path / "a.fits", arrays[0], arrays[1][:5], arrays[2], [])
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed):
        write_product(tmp_path / "file" / "a.fits", *arrays, [])


def test_a_damaged_product_is_said_so(tmp_path: Path, arrays: Any) -> None:
    path = tmp_path / "a.fits"
    write_product(path, *arrays, CARDS)
    content = path.read_bytes()
    for broken in (b"", content[:9000], content[: len(content) // 2]):
        path.write_bytes(broken)
        with pytest.raises(DamagedFile, match=r"a\.fits"):
            read_product(path)
    fits.writeto(path, arrays[0], overwrite=True)
    with pytest.raises(DamagedFile, match="has 1 images"):
        read_product(path)


@settings(max_examples=150, deadline=None)
@given(
    value=st.one_of(st.text(max_size=300), st.integers(-(2**63), 2**63 - 1), st.floats()),
    comment=st.text(max_size=120),
    keyword=st.sampled_from(["OBJECT", "a long keyword 1", "HISTORY"]),
)
def test_any_value_makes_a_valid_header(value: Any, comment: str, keyword: str) -> None:
    primary, _, _ = _headers((2, 2), [(keyword, value, comment)])
    assert len(primary) % 2880 == 0
    with fits.HDUList.fromstring(primary + bytes(2880)) as hdus:
        hdus.verify("exception")
        found = hdus[0].header[keyword]
    if isinstance(value, (int, float)) and keyword != "HISTORY" and np.isfinite(value):
        # A card has 20 characters for a number.
        assert found == pytest.approx(value, rel=1e-12, abs=0)
    if isinstance(value, int) and keyword != "HISTORY":
        assert found == value
