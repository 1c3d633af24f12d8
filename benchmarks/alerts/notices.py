"""Notices with sky maps that are drawn by a seed, as LIGO/Virgo/KAGRA send them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

import numpy as np

from toros.simulation.sky_maps import make_sky_map

KINDS = {
    "up to 1,500 deg2": (20.0, 1500.0, 40.0, 400.0),
    "10,000 deg2": (8000.0, 12000.0, 100.0, 250.0),
    "any multi-order map": (5.0, 33000.0, 30.0, 3000.0),
}
"""Of each kind of map: least and greatest area [deg2], least and greatest distance [Mpc]."""


@dataclass(frozen=True)
class Drawn:
    """A notice, and what its map was drawn by."""

    raw: bytes
    sky_map: bytes
    area_deg2: float
    distance_mpc: float


def draw(kind: str, count: int, seed: int) -> list[Drawn]:
    """Draw notices; areas and distances are uniform in the logarithm."""
    random = np.random.default_rng([seed, list(KINDS).index(kind)])
    least_area, greatest_area, nearest, farthest = KINDS[kind]
    drawn = []
    for number in range(count):
        area = float(np.exp(random.uniform(np.log(least_area), np.log(greatest_area))))
        distance = float(np.exp(random.uniform(np.log(nearest), np.log(farthest))))
        event = f"MS26{number:04d}a"
        sky_map = make_sky_map(
            float(random.uniform(0, 360)),
            float(np.degrees(np.arcsin(random.uniform(-1, 1)))),
            distance,
            area,
            seed=int(random.integers(2**31)),
            event=event,
        )
        drawn.append(Drawn(_notice(event, number, sky_map), sky_map, area, distance))
    return drawn


def _notice(event: str, number: int, sky_map: bytes) -> bytes:
    body = {
        "alert_type": "PRELIMINARY",
        "time_created": f"2026-03-01T02:{number // 60 % 60:02d}:{number % 60:02d}Z",
        "superevent_id": event,
        "urls": {"gracedb": f"https://example.org/superevents/{event}/view/"},
        "event": {
            "significant": True, "time": "2026-03-01T01:59:30.000Z", "far": 1e-12,
            "instruments": ["H1", "L1"], "group": "CBC", "pipeline": "gstlal", "search": "AllSky",
            "properties": {"HasNS": 0.9, "HasRemnant": 0.8, "HasMassGap": 0.0},
            "classification": {"BNS": 0.9, "NSBH": 0.05, "BBH": 0.04, "Terrestrial": 0.01},
            "duration": None, "central_frequency": None,
            "skymap": base64.b64encode(sky_map).decode(),
        },
        "external_coinc": None,
    }  # fmt: skip
    return json.dumps(body).encode()
