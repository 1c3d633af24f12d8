"""Stars of the index files, against the sky and against all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.images.sky_frames import need_solver
from toros.errors import ConfigurationError
from toros.images.star_index import index_files, read_stars, tycho_catalogue


@pytest.fixture(scope="module")
def catalogue() -> Path:
    need_solver()
    found = tycho_catalogue(index_files())
    assert found is not None
    return found


def test_a_known_star(catalogue: Path) -> None:
    # HD 209458 by Gaia: ICRS, epoch 2016; it moves by 0.03 arcsec a year. VT is near 7.7.
    stars = read_stars(catalogue, 330.79502, 18.88424, 20 / 3600)
    assert len(stars.ra) == 1
    assert stars.ra[0] == pytest.approx(330.79502, abs=1e-3)
    assert stars.dec[0] == pytest.approx(18.88424, abs=1e-3)
    assert stars.mag[0] == pytest.approx(7.7, abs=0.1)


@pytest.mark.parametrize(
    ("ra", "dec", "radius"), [(0.1, 0.0, 1.0), (200.0, 89.8, 1.5), (83.0, -90.0, 0.8), (10, 5, 30)]
)
def test_a_circle_is_all_there_is_in_it(
    catalogue: Path, ra: float, dec: float, radius: float
) -> None:
    every = read_stars(catalogue, 0, 0, 180)
    assert len(every.ra) == 1871011
    ra1, dec1 = np.radians((every.ra, every.dec))
    ra0, dec0 = np.radians((ra, dec))
    haversine = (
        np.sin((dec1 - dec0) / 2) ** 2 + np.cos(dec0) * np.cos(dec1) * np.sin((ra1 - ra0) / 2) ** 2
    )
    inside = 2 * np.arcsin(np.sqrt(np.clip(haversine, 0, 1))) < np.radians(radius)
    some = read_stars(catalogue, ra, dec, radius)
    assert np.array_equal(np.sort(some.ra), np.sort(every.ra[inside]))
    assert (some.ra >= 0).all()
    assert (some.ra < 360).all()


def test_a_folder_without_index_files_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="apt-get install astrometry-data-tycho2"):
        index_files(tmp_path)
    with pytest.raises(ConfigurationError, match="no index files"):
        index_files(tmp_path / "none")


@pytest.mark.parametrize("size", [0, 3000, 100_000, 120_000_000])
def test_a_cut_off_index_is_refused(catalogue: Path, tmp_path: Path, size: int) -> None:
    path = tmp_path / "index-tycho2-07.littleendian.fits"
    with catalogue.open("rb") as whole, path.open("wb") as part:
        part.write(whole.read(size))
    with pytest.raises(ConfigurationError, match="no readable star index"):
        read_stars(path, 10, 10, 1)
