"""Notices of gravitational-wave events that never were, as LIGO/Virgo/KAGRA send them.

References
----------
IGWN Public Alerts User Guide, "Notice contents" (the JSON of the topic igwn.gwalert).
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any, Literal

Kind = Literal["EARLYWARNING", "PRELIMINARY", "INITIAL", "UPDATE", "RETRACTION"]


def make_notice(
    event: str,
    kind: Kind,
    issued: datetime,
    detected: datetime,
    sky_map: bytes | None,
    *,
    significant: bool = True,
    group: Literal["CBC", "Burst"] = "CBC",
) -> bytes:
    """Make a notice.

    Parameters
    ----------
    event : str
        The superevent's name; M and two letters begin that of a mock event.
    kind : str
    issued, detected : datetime, UTC
    sky_map : bytes or None
        FITS; None for a retraction.
    significant : bool
    group : {"CBC", "Burst"}
        A merger of neutron stars, or a burst of unknown kind.

    Returns
    -------
    bytes
        JSON.
    """
    is_merger = group == "CBC"
    content: dict[str, Any] = {
        "alert_type": kind,
        "time_created": f"{issued:%Y-%m-%dT%H:%M:%SZ}",
        "superevent_id": event,
        "urls": {"gracedb": f"https://example.org/superevents/{event}/view/"},
        "event": None,
        "external_coinc": None,
    }
    if kind != "RETRACTION":
        content["event"] = {
            "time": f"{detected:%Y-%m-%dT%H:%M:%S}.{detected.microsecond // 1000:03d}Z",
            "far": 9.1e-14 if significant else 1e-5,
            "significant": significant,
            "instruments": ["H1", "L1", "V1"],
            "group": group,
            "pipeline": "gstlal" if is_merger else "cwb",
            "search": "AllSky",
            "properties": {"HasNS": 1.0, "HasRemnant": 1.0, "HasMassGap": 0.0} if is_merger else {},
            "classification": {"BNS": 0.98, "NSBH": 0.01, "BBH": 0.0, "Terrestrial": 0.01}
            if is_merger
            else {},
            "duration": None if is_merger else 0.02,
            "central_frequency": None if is_merger else 180.0,
            "skymap": None if sky_map is None else base64.b64encode(sky_map).decode("ascii"),
        }
    return json.dumps(content).encode()
