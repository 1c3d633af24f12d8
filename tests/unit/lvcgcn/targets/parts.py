"""Sky maps, galaxies and sites that the tests of target lists share."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from toros.lvcgcn.galaxies.building import build
from toros.lvcgcn.galaxies.catalogue import Catalogue
from toros.lvcgcn.ranking import Ranking, Selection, rank
from toros.lvcgcn.skymaps.sky_map import SkyMap
from toros.sky.site import Site

MACON = Site(-67.33, -24.63, 4637.0)
HAWAII = Site(204.5, 19.8, 4200.0)
CALAR = Site(-2.5, 37.2, 2168.0)
SIDING = Site(149.07, -31.27, 1165.0)
TROMSO = Site(18.96, 69.65, 100.0)
SOUTH_POLE = Site(0.0, -90.0, 2800.0)
SITES = (MACON, HAWAII, CALAR, SIDING, TROMSO, SOUTH_POLE)

MARCH = datetime(2026, 3, 21, 15, tzinfo=UTC)


def whole_sky(order: int = 3, distance: bool = True) -> SkyMap:
    """Return a map that favours no place; 40 +- 10 Mpc."""
    count = 12 << (2 * order)
    columns = (np.full(count, 40.0), np.full(count, 10.0), np.full(count, 1.0 / 1700.0))
    return SkyMap.from_tiles(
        np.full(count, order),
        np.arange(count),
        np.full(count, 1.0 / count),
        columns if distance else None,
    )


def spread(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return places all over the sky [deg]."""
    random = np.random.default_rng(seed)
    return random.uniform(0, 360, count), np.degrees(np.arcsin(random.uniform(-1, 1, count)))


def catalogue_of(folder: Path, ra, dec, distance=None, magnitude=None) -> Catalogue:
    """Build a catalogue of galaxies G0, G1, ...; the distances differ, and so do the scores."""
    random = np.random.default_rng(2)
    distance = random.uniform(25, 55, len(ra)) if distance is None else distance
    lines = ["name,ra,dec,distance,distance_error,bmag"]
    for n, row in enumerate(zip(ra, dec, distance, strict=True)):
        bright = 14.0 if magnitude is None else magnitude[n]
        lines.append(f"G{n},{row[0]:.7f},{row[1]:.7f},{row[2]:.4f},{row[2] / 10:.4f},{bright}")
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "galaxies.csv"
    source.write_text("\n".join(lines) + "\n")
    return build(source, folder / "catalogue", made=MARCH).catalogue


def ranking_of(folder: Path, sky_map: SkyMap, ra, dec, **columns) -> Ranking:
    """Rank galaxies at some places by a sky map, by position and distance only."""
    catalogue = catalogue_of(folder, ra, dec, **columns)
    return rank(sky_map, catalogue, Selection(credible_level=1.0, weight="none"))
