"""Stars of drawn images: found where they are, as bright and as wide as they are."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy.spatial import cKDTree

from toros.images.sources import find_sources, mend_hot_pixels
from toros.simulation.sky import draw_stars

SHAPE = (300, 400)


def field(
    *, count: int = 40, fwhm: float = 3.0, rms: float = 5.0, seed: int = 1, flux: float = 5000.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw stars on a grid, off its points at random; return image, x and y."""
    rng = np.random.default_rng(seed)
    columns = math.ceil(math.sqrt(count * SHAPE[1] / SHAPE[0]))
    rows = math.ceil(count / columns)
    y, x = (np.stack(np.meshgrid(*(np.arange(n) for n in (rows, columns)), indexing="ij"))).reshape(
        2, -1
    )[:, :count]
    x = (x + 0.5) * SHAPE[1] / columns + rng.uniform(-5, 5, count)
    y = (y + 0.5) * SHAPE[0] / rows + rng.uniform(-5, 5, count)
    image = np.zeros(SHAPE, dtype=np.float32)
    draw_stars(image, x, y, np.full(count, flux), fwhm_px=fwhm, beta=4.765)
    image += rng.normal(200, rms, SHAPE).astype(np.float32)
    return image, x, y


def nearest(sources, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return cKDTree(np.column_stack((sources.x, sources.y))).query(np.column_stack((x, y)))


@pytest.mark.parametrize("fwhm", [1.6, 3.0, 6.0])
def test_stars_are_found_where_they_are(fwhm: float) -> None:
    image, x, y = field(fwhm=fwhm, flux=3000 * fwhm**2)
    sources = find_sources(image)
    assert len(sources) == len(x)
    distance, which = nearest(sources, x, y)
    assert distance.max() < 0.15
    # Counted from 0: half a pixel would show in the mean.
    assert abs((sources.x[which] - x).mean()) < 0.02
    assert abs((sources.y[which] - y).mean()) < 0.02
    assert sources.clean.all()
    assert sources.background == pytest.approx(200, abs=1)
    assert sources.rms == pytest.approx(5, rel=0.08)
    assert (np.diff(sources.flux) <= 0).all()


@pytest.mark.parametrize("fwhm", [2.0, 3.0, 5.0, 8.0])
def test_widths_are_those_that_were_drawn(fwhm: float) -> None:
    sources = find_sources(field(fwhm=fwhm, flux=20000 * fwhm**2)[0])
    # A pixel adds its own width, 1/12 px^2 of variance; the core is not quite a Gaussian.
    drawn = math.sqrt(fwhm**2 + 8 * math.log(2) / 12)
    assert np.median(sources.fwhm) == pytest.approx(drawn, rel=0.06)
    # Half of a Moffat profile's light: alpha sqrt(2^(1/(beta-1)) - 1).
    half = fwhm * math.sqrt((2 ** (1 / 3.765) - 1) / (2 ** (1 / 4.765) - 1))
    assert np.median(sources.half_flux_diameter) == pytest.approx(half, rel=0.1)
    assert np.median(sources.ellipticity) < 0.03


def test_flux_is_that_within_the_aperture() -> None:
    sources = find_sources(field(fwhm=3.0, flux=50000)[0])
    assert np.median(sources.flux) == pytest.approx(50000, rel=0.1)
    assert sources.flux.std() / 50000 < 0.01


def test_hot_pixels_are_no_stars() -> None:
    image, x, y = field(fwhm=1.6, flux=8000)
    rng = np.random.default_rng(2)
    hot = rng.random(SHAPE) < 0.003
    image[hot] += rng.exponential(2000, hot.sum())
    sources = find_sources(image)
    assert len(find_sources(image, mend_hot_pixels=False)) > 100
    assert len(sources) <= len(x) + 12  # two hot ones that touch are left
    distance, _ = nearest(sources, x, y)
    assert (distance < 0.5).mean() > 0.95


def test_mending_leaves_stars_alone() -> None:
    image, _, _ = field(fwhm=1.6, flux=8000, rms=1)
    broken = image.copy()
    broken[50, 70] += 4000
    mended = mend_hot_pixels(broken)
    assert mended[50, 70] == pytest.approx(200, abs=5)
    changed = abs(mended - broken) > 0.01
    assert changed.sum() <= 3


def test_a_gradient_is_no_noise() -> None:
    image, x, y = field()
    sources = find_sources(image + np.linspace(0, 1500, SHAPE[1], dtype=np.float32))
    assert len(sources) == len(x)
    assert sources.rms == pytest.approx(5, rel=0.15)
    assert nearest(sources, x, y)[0].max() < 0.3


def test_every_pixel_type_gives_the_same() -> None:
    image = np.rint(field()[0])
    places = [find_sources(image.astype(kind)).x for kind in (">f4", "u2", ">u2", "i4", "f8")]
    for other in places[1:]:
        assert np.array_equal(places[0], other)


def test_what_is_not_finite_is_left_out() -> None:
    image, x, _ = field()
    image[100:104, :] = np.nan
    image[200, 300] = np.inf
    sources = find_sources(image)
    assert len(x) - 8 <= len(sources) <= len(x)
    assert np.isfinite(sources.flux).all()


def test_a_strip_that_is_no_sky_is_no_star() -> None:
    image, x, _ = field()
    image[:40] = 0
    assert len(find_sources(image)) <= len(x)


def test_saturated_and_cut_stars_are_not_clean() -> None:
    image, x, _ = field(flux=50000)
    draw_stars(image, [0.0], [150.0], [50000.0], fwhm_px=3.0)
    image = np.minimum(image, 200 + 0.9 * (image.max() - 200))
    sources = find_sources(image, saturation_adu=float(image.max()))
    edge = int(np.argmin(np.hypot(sources.x, sources.y - 150)))
    assert sources.x[edge] < 2
    assert not sources.clean[edge]
    assert 0 < sources.clean.sum() < len(x)


@pytest.mark.parametrize("deblend", [True, False])
def test_blends(deblend: bool) -> None:
    image = np.zeros(SHAPE, dtype=np.float32)
    draw_stars(image, [100, 105.5], [100, 100], [40000, 30000], fwhm_px=3.0)
    image += np.random.default_rng(1).normal(0, 5, SHAPE).astype(np.float32)
    sources = find_sources(image, deblend=deblend)
    assert len(sources) == (2 if deblend else 1)
    assert not sources.clean.any() or not deblend


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((100, 100)),
        np.full((100, 100), np.nan),
        np.full((64, 64), 65535, dtype=np.uint16),
        np.ones((1, 1)),
        np.random.default_rng(1).normal(100, 10, (300, 300)),
        np.random.default_rng(1).normal(100, 10, (3, 200)),
    ],
    ids=["zero", "nan", "saturated", "one pixel", "noise", "stripe"],
)
def test_there_are_images_without_stars(image: np.ndarray) -> None:
    sources = find_sources(image)
    assert len(sources) == 0
    assert sources.limit > 0


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 5)])
def test_what_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        find_sources(np.zeros(shape))


def test_only_the_brightest_are_kept() -> None:
    sources = find_sources(field()[0], most=7)
    assert len(sources) == 7
    assert sources.limit >= sources.flux.min()


def test_an_image_that_is_all_stars_takes_bounded_time() -> None:
    image = np.random.default_rng(1).exponential(1.0, (2000, 2000)) ** 6
    start = time.process_time()
    sources = find_sources(image)
    assert time.process_time() - start < 10
    assert len(sources) <= 2000


def test_the_limit_is_where_all_are_found() -> None:
    rng = np.random.default_rng(4)
    image, x, y = field(count=35, flux=1.0)
    limit = find_sources(field(flux=50000)[0]).limit
    assert 100 < limit < 1000
    draw_stars(image, x, y, np.full(len(x), limit), fwhm_px=3.0)
    found = find_sources(image + rng.normal(0, 0.1, SHAPE))
    assert (nearest(found, x, y)[0] < 1).mean() > 0.95
