"""Six observatories of both hemispheres and all longitudes, and the time of the measurement."""

from __future__ import annotations

from datetime import UTC, datetime

from toros.lvcgcn.observatories import Observatory
from toros.lvcgcn.targets import Limits
from toros.sky.site import Site

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
TARGETS = 50
PLACES = {
    "Macon": (-67.33, -24.62, 4650.0),
    "Bosque Alegre": (-64.55, -31.60, 1250.0),
    "La Palma": (-17.88, 28.76, 2390.0),
    "Sutherland": (20.81, -32.38, 1798.0),
    "Siding Spring": (149.06, -31.27, 1165.0),
    "Mauna Kea": (-155.47, 19.82, 4200.0),
}
"""Longitude, latitude [deg], height [m]."""


def observatories() -> tuple[Observatory, ...]:
    """Return them, with the usual limits and a field of view of half a degree."""
    limits = Limits(field_width_deg=0.5, field_height_deg=0.5)
    return tuple(
        Observatory(name, "http://127.0.0.1:1", Site(*place), limits)
        for name, place in PLACES.items()
    )
