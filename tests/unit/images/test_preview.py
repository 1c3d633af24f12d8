"""Previews."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from toros.images import open_frame, preview, write_product


def grey(data: Any) -> NDArray[np.uint8]:
    content = preview(data)
    assert content == preview(data)
    with Image.open(BytesIO(content)) as image:
        assert image.format == "PNG"
        assert image.mode == "L"
        return np.asarray(image)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((10, 20), (10, 20)), ((1024, 1),) * 2, ((1025, 300), (513, 150)), ((99, 2049), (33, 683))],
)  # fmt: skip
def test_size(shape: tuple[int, int], size: tuple[int, int]) -> None:
    assert grey(np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)).shape == size


def test_the_first_row_is_the_lowest() -> None:
    ramp = np.repeat(np.arange(100.0)[:, None], 50, axis=1)
    picture = grey(ramp)
    assert picture[0].min() > picture[-1].max()


@pytest.mark.parametrize("value", [0.0, 7.5, -1e30, 3e38])
def test_a_constant_image_is_grey(value: float) -> None:
    assert (grey(np.full((40, 40), value, np.float32)) == 128).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_black(value: float) -> None:
    assert not grey(np.full((40, 40), value, np.float32)).any()
    data = np.random.default_rng(0).normal(100, 5, (40, 40)).astype(np.float32)
    whole = grey(data)
    data[5, 5] = value
    assert grey(data)[-6, 5] == 0
    assert np.abs(grey(data).astype(int) - whole)[:30].max() <= 2


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (3, 3)])
def test_tiny_images(shape: tuple[int, int]) -> None:
    assert grey(np.arange(np.prod(shape), dtype=np.float32).reshape(shape)).shape == shape


def test_a_reader_gives_the_same_picture(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(100, 5, (1500, 900)).astype(np.float32)
    write_product(tmp_path / "a.fits", data, data, data > 110, [])
    with open_frame(tmp_path / "a.fits", 0, tmp_path) as frame:
        assert preview(frame) == preview(data)
