"""Small galaxy catalogues for tests, and their ranking by the formula, slowly."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy_healpix import lonlat_to_healpix

from toros.lvcgcn.galaxies.batches import Batch, fill
from toros.lvcgcn.galaxies.building import build_from
from toros.lvcgcn.galaxies.catalogue import Catalogue
from toros.lvcgcn.galaxies.columns import record_type
from toros.lvcgcn.galaxies.tables import NAME_BYTES
from toros.lvcgcn.skymaps.sky_map import SkyMap

MADE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def batch(values: dict) -> Batch:
    """Make a batch of columns; names are made up where there are none."""
    rows = len(values["ra"])
    names = values.get("name", [f"G{n}" for n in range(rows)])
    whole = {**values, "name": np.array([n.encode() for n in names], dtype=f"S{NAME_BYTES}")}
    made = Batch(np.empty(0, dtype=record_type(NAME_BYTES)), lines=rows)
    fill(made, np.arange(1, rows + 1), whole, NAME_BYTES)
    return made


def make_catalogue(folder: Path, values: dict) -> Catalogue:
    """Make a catalogue of columns."""
    return build_from([batch(values)], folder, {"name": "test", "form": "test", "bytes": 0}, MADE)


def random_galaxies(rng: np.random.Generator, rows: int, farthest: float = 400.0) -> dict:
    """Draw galaxies all over the sky, some values of theirs unknown."""
    unknown = rng.random((4, rows)) < 0.1
    values = {
        "ra": rng.uniform(0, 360, rows),
        "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, rows))),
        "distance": rng.uniform(1, farthest, rows),
        "b_magnitude": rng.uniform(10, 20, rows),
        "k_magnitude": rng.uniform(8, 17, rows),
        "stellar_mass": 10 ** rng.uniform(8, 12, rows),
    }
    for mask, name in zip(unknown, list(values)[2:], strict=True):
        values[name] = np.where(mask, np.nan, values[name])
    return values


def exact(
    sky_map: SkyMap, values: dict, weight: np.ndarray | None, level: float
) -> tuple[list[str], np.ndarray]:
    """Rank galaxies by the formula in float64; return names and scores above 0, best first.

    Galaxies farther than five sigma from all of the region's distances are left out.
    """
    density = sky_map.probability / (4 * np.pi / 12 / 4.0**sky_map.order)
    chosen = np.zeros(len(sky_map), dtype=bool)
    total, sofar = sky_map.probability.sum(), 0.0
    for tile in np.argsort(-density, kind="stable"):
        if sofar < level * total and sky_map.probability[tile] > 0:
            chosen[tile] = True
        sofar += sky_map.probability[tile]
    score = np.full(len(values["ra"]), np.nan)
    for order in np.unique(sky_map.order):
        pixel = lonlat_to_healpix(
            values["ra"] * u.deg, values["dec"] * u.deg, 1 << int(order), order="nested"
        )
        places = {i: t for t, i in enumerate(sky_map.index) if sky_map.order[t] == order}
        for galaxy, p in enumerate(pixel):
            tile = places.get(p)
            if tile is None or not chosen[tile]:
                continue
            score[galaxy] = density[tile]
            if sky_map.distance_norm is not None:
                mu, sigma = sky_map.distance_mu[tile], sky_map.distance_sigma[tile]
                t = (values["distance"][galaxy] - mu) / sigma
                normal = np.exp(-0.5 * t * t) / np.sqrt(2 * np.pi) / sigma
                score[galaxy] *= sky_map.distance_norm[tile] * normal
    if sky_map.distance_norm is not None:
        told = chosen & (sky_map.distance_norm > 0)
        reach = 5 * sky_map.distance_sigma[told]
        score[~(values["distance"] >= (sky_map.distance_mu[told] - reach).min(initial=np.inf))] = 0
        score[~(values["distance"] <= (sky_map.distance_mu[told] + reach).max(initial=0))] = 0
    if weight is not None:
        score = score * weight
    names = values.get("name", [f"G{n}" for n in range(len(score))])
    best = [g for g in np.argsort(-np.nan_to_num(score), kind="stable") if score[g] > 0]
    return [names[g] for g in best], score[best]
