"""What the sites of the real frames know better than their headers, as a configuration has it."""

from __future__ import annotations

from typing import Any

SITE_RULES: list[dict[str, Any]] = [
    # The cameras of these folders write no type; all that is kept of them are lights.
    {"File Name": "panoptes/*", "Set": {"type": "light"}},
    {
        "Header": {"TELESCOP": "Cecilia", "CREATOR": "MicroObservatory*"},
        "Set": {"type": "light"},
    },
    # CCDSoft heads flats and lamps "Light Frame"; their names tell.
    {"File Name": "flat-*", "Header": {"SWCREATE": "CCDSoft*"}, "Set": {"type": "flat"}},
    {"File Name": "L?-flat-*", "Header": {"SWCREATE": "CCDSoft*"}, "Set": {"type": "flat"}},
    {"File Name": "L?-arc-*", "Header": {"SWCREATE": "CCDSoft*"}, "Set": {"type": None}},
]
