"""The observatories that targets are made for."""

from __future__ import annotations

from dataclasses import dataclass

from toros.config import Settings, Visibility
from toros.lvcgcn.targets import Limits
from toros.sky.site import Site


@dataclass(frozen=True)
class Observatory:
    """An observatory that targets are listed for.

    Parameters
    ----------
    name : str
        The outbox knows its telescope by it, too.
    address : str or None
        Of its telescope's front desk; may hold a user and a password. None for a telescope that
        is sent nothing.
    site : Site
    limits : Limits
    """

    name: str
    address: str | None
    site: Site
    limits: Limits


def observatories_of(settings: Settings) -> tuple[Observatory, ...]:
    """Return the observatories of a configuration: its own first, if its place is given."""
    own, telescope = settings.observatory, settings.telescope
    found: list[Observatory] = []
    if own.longitude_deg is not None and own.latitude_deg is not None:
        horizon = tuple(
            (point.azimuth_deg, point.altitude_deg) for point in telescope.limits.horizon
        )
        planning = telescope.planning
        found.append(
            Observatory(
                own.name or telescope.name,
                settings.service("telescope").http if settings.lvcgcn.relay.own_telescope else None,
                Site(own.longitude_deg, own.latitude_deg, own.height_m or 0.0, horizon),
                Limits(
                    # What is below the telescope's own limits would be refused there.
                    max(planning.altitude_deg, telescope.limits.altitude_deg),
                    planning.airmass,
                    planning.sun_altitude_deg,
                    planning.moon_distance_deg,
                    telescope.field_width_deg,
                    telescope.field_height_deg,
                ),
            )
        )
    for other in settings.other_observatories:
        found.append(
            Observatory(
                other.name,
                other.telescope_http,
                Site(other.longitude_deg, other.latitude_deg, other.height_m),
                _limits(other.visibility),
            )
        )
    return tuple(found)


def _limits(visibility: Visibility) -> Limits:
    return Limits(
        visibility.altitude_deg,
        visibility.airmass,
        visibility.sun_altitude_deg,
        visibility.moon_distance_deg,
        visibility.field_width_deg,
        visibility.field_height_deg,
    )
