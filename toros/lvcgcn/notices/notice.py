"""What a notice says, whichever mission sent it and in whichever format."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
"""When a notice was issued that does not say; it comes before all others."""


@dataclass(frozen=True)
class Position:
    """A place on the sky and how sure it is.

    Parameters
    ----------
    ra_deg : float, ICRS [deg], 0 <= ra_deg < 360
    dec_deg : float, ICRS [deg], -90 <= dec_deg <= 90
    error_deg : float [deg]
        Radius of the error circle; 0 where the notice states none.
    containment : float, 0 to 1, optional
        Probability that the source is within the circle; None where neither the
        notice nor its mission's documents say.
    systematic_deg : float [deg]
        What the mission's documents say is to be added in quadrature, 1 sigma; 0 if
        nothing, or if the notice has included it.
    """

    ra_deg: float
    dec_deg: float
    error_deg: float = 0.0
    containment: float | None = None
    systematic_deg: float = 0.0

    @property
    def radius_deg(self) -> float:
        """Radius of the error circle with the systematic error [deg]."""
        return math.hypot(self.error_deg, self.systematic_deg)


@dataclass(frozen=True)
class SkyMapSource:
    """Where a sky map is: within the notice or behind an address; exactly one of the two.

    Parameters
    ----------
    content : bytes, optional
        The FITS file as it came, maybe still compressed.
    url : str, optional
        The address that the notice gives.
    """

    content: bytes | None = field(default=None, repr=False)
    url: str | None = None

    def __post_init__(self) -> None:
        if (self.content is None) == (self.url is None):
            raise ValueError("a sky map's source is either its content or its address")


@dataclass(frozen=True)
class Notice:
    """One notice of one event.

    Parameters
    ----------
    event : str
        The event's name, the same in all of its notices: the superevent's for LVK,
        else MISSION-INSTRUMENT-TRIGGER or MISSION-TRIGGER.
    mission : str
        "LVK", "Swift", "Fermi", …; "unknown" where the notice does not tell.
    kind : str
        "EarlyWarning", "Preliminary", "Initial", "Update" or "Retraction" for LVK,
        else the mission's own name of the kind, e.g. "BAT_GRB_Pos".
    identity : str
        32 hexadecimal digits: the same for the same notice, however it came.
    issued : datetime, aware, UTC
        When the notice was made.
    format : str
        "json" or "voevent".
    serial : int
        The packet's serial number; 0 where there is none.
    ivorn : str
        The VOEvent's own name, to cite it by; empty for JSON.
    is_retraction : bool
        Whether it withdraws the event.
    is_test : bool
        Whether it is mock, an injection or a test.
    is_known : bool
        False for a kind that is read only as far as any notice can be.
    event_time : datetime, aware, UTC, optional
    significant : bool, optional
        None where the mission does not tell (all but LVK since O4).
    group, pipeline, search : str
        LVK's working group ("CBC", "Burst"), pipeline and search; empty if not given.
    instruments : tuple of str
    far_hz : float, optional [Hz]
        False alarm rate.
    classification, properties : mapping of str to float, 0 to 1
        LVK's probabilities of the source's kinds and properties.
    duration_s : float, optional [s]
    central_frequency_hz : float, optional [Hz]
    external : mapping, optional
        The external coincidence as the notice states it, without its sky map.
    position : Position, optional
    sky_map, combined_sky_map : SkyMapSource, optional
        The event's sky map, and the one combined with the external coincidence.
    links : mapping of str to str
        Addresses for people to look at.
    """

    event: str
    mission: str
    kind: str
    identity: str
    issued: datetime
    format: Literal["json", "voevent"]
    serial: int = 0
    ivorn: str = ""
    is_retraction: bool = False
    is_test: bool = False
    is_known: bool = True
    event_time: datetime | None = None
    significant: bool | None = None
    group: str = ""
    pipeline: str = ""
    search: str = ""
    instruments: tuple[str, ...] = ()
    far_hz: float | None = None
    classification: Mapping[str, float] = field(default_factory=dict)
    properties: Mapping[str, float] = field(default_factory=dict)
    duration_s: float | None = None
    central_frequency_hz: float | None = None
    external: Mapping[str, Any] | None = None
    position: Position | None = None
    sky_map: SkyMapSource | None = None
    combined_sky_map: SkyMapSource | None = None
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def order(self) -> tuple[datetime, int, str]:
        """The place among the event's notices: later ones are greater; no two are equal."""
        return (self.issued, self.serial, self.identity)
