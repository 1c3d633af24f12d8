"""JSON notices of GCN's unified schema, of every mission.

A mission is an entry of `SCHEMAS`; the fields are the same for all. A schema that is
not listed, or JSON of no schema, is read as far as it follows the same names.

References
----------
https://gcn.nasa.gov/docs/notices/schema and the repository nasa-gcn/gcn-schema
(Alert, DateTime, Event, Localization, Reporter and Statistics of its core).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toros.lvcgcn.notices.fields import Fields, as_name, is_link, quietly
from toros.lvcgcn.notices.identity import identity
from toros.lvcgcn.notices.json_text import canonical
from toros.lvcgcn.notices.notice import UNDATED, Notice, Position, SkyMapSource
from toros.lvcgcn.notices.places import GBM_SYSTEMATIC_DEG, position_of, sky_map_at

_CONTAINMENT = 0.9  # the schema's default
_TEST_TENSES = {"test", "mock", "injection", "commanded"}
_TEST_TYPES = {"test", "injected", "commanded", "commended"}
_SERIALS = {"update": 1, "subsequent": 1, "retraction": 2}
_KIND_FIELDS = ("notice_subtype", "subtype", "notice_type", "pipeline", "type")
_ID_FIELDS = ("id", "event_name", "ref_ID")


@dataclass(frozen=True)
class Schema:
    """A schema of GCN's, known by the start of its path below gcn/notices/.

    Parameters
    ----------
    path : str
        Of the schema, in small letters.
    mission : str
    trigger : str
        What stands before the trigger in the event's name.
    name_fields : tuple of str
        Fields that may identify the event, best first.
    joined : bool
        Whether the identifiers of a list make one (IceCube's run and event).
    systematic_deg : float [deg]
        Systematic error where the notice has not included it.
    """

    path: str
    mission: str
    trigger: str
    name_fields: tuple[str, ...] = _ID_FIELDS
    joined: bool = False
    systematic_deg: float = 0.0


SCHEMAS = (
    Schema("astrosat/", "AstroSat", "AstroSat-CZTI"),
    Schema("blackcat/", "BlackCAT", "BlackCAT"),
    Schema("burstcube/", "BurstCube", "BurstCube"),
    Schema("chime/", "CHIME", "CHIME-FRB"),
    Schema("dsa110/", "DSA-110", "DSA110-FRB"),
    Schema("einstein_probe/", "Einstein Probe", "EinsteinProbe-WXT"),
    Schema("ep/", "Einstein Probe", "EinsteinProbe-WXT"),
    Schema("fermi/gbm/", "Fermi", "Fermi-GBM", systematic_deg=GBM_SYSTEMATIC_DEG),
    Schema("fermi/lat/", "Fermi", "Fermi-LAT"),
    Schema("gecam/", "GECAM", "GECAM"),
    Schema("glowbug/", "Glowbug", "Glowbug"),
    Schema("icecube/lvk", "IceCube", "IceCube-LVK", ("ref_ID", "id")),
    Schema("icecube/", "IceCube", "IceCube", joined=True),
    Schema("km3net/", "KM3NeT", "KM3NeT", ("event_name", "id")),
    Schema("svom/", "SVOM", "SVOM"),
    Schema("swift/bat/guano", "Swift", "Swift-GUANO"),
    # XRT and UVOT look at what BAT has triggered on: one event.
    Schema("swift/", "Swift", "Swift-BAT"),
)
"""The schemas that are known; the first whose path fits is taken."""


def read_unified(values: Mapping[str, Any]) -> Notice:
    """Read a JSON notice of GCN's unified schema, or any other as far as it goes.

    Raises
    ------
    NoticeRefused
        For a known schema whose fields cannot be read.
    """
    fields = Fields(values)
    path = _schema_path(fields)
    schema = next((known for known in SCHEMAS if path.startswith(known.path)), None)
    if schema is None:
        return _read_unknown(fields, path)
    content = identity("json", canonical(values))
    event_time = fields.time("trigger_time") or fields.time("observation_start")
    issued = fields.time("alert_datetime") or fields.time("datetime_of_notice") or event_time
    alert_type = fields.text("alert_type").lower()
    sky_map, links = _sky_map(fields)
    return Notice(
        event=as_name("identifier (id)", schema.trigger, _trigger(fields, schema)),
        mission=schema.mission,
        kind=_kind(fields, path),
        identity=content,
        issued=issued or UNDATED,
        format="json",
        # Without a number of its own its place in the sequence orders what has one time.
        serial=fields.serial("record_number") or _SERIALS.get(alert_type, 0),
        is_retraction=alert_type == "retraction",
        is_test=_is_test(fields, path),
        event_time=event_time,
        pipeline=fields.text("pipeline"),
        instruments=fields.texts("instrument"),
        far_hz=fields.number("far", 0, 1e12),
        classification=fields.fractions("classification"),
        properties=_properties(fields),
        duration_s=fields.number("T90", 0, 1e9) or fields.number("t90", 0, 1e9),
        position=_position(fields, schema.systematic_deg),
        sky_map=sky_map,
        links=links,
    )


def _read_unknown(fields: Fields, path: str) -> Notice:
    """Keep a notice of an unknown kind, with all that can be read; nothing refuses it."""
    content = identity("json", canonical(fields.values))
    mission = quietly(lambda: fields.text("mission")) or path.partition("/")[0] or "unknown"
    event_time = quietly(lambda: fields.time("trigger_time"))
    identifiers = quietly(lambda: fields.texts("id")) or (content[:12],)
    return Notice(
        event=quietly(lambda: as_name("id", mission, identifiers[0])) or f"unknown-{content[:12]}",
        mission=mission,
        kind=quietly(lambda: _kind(fields, path)) or "unknown",
        identity=content,
        issued=quietly(lambda: fields.time("alert_datetime")) or event_time or UNDATED,
        format="json",
        serial=quietly(lambda: fields.serial("record_number")) or 0,
        is_retraction=quietly(lambda: fields.text("alert_type")) == "retraction",
        is_test=bool(quietly(lambda: _is_test(fields, path))),
        is_known=False,
        event_time=event_time,
        instruments=quietly(lambda: fields.texts("instrument")) or (),
        position=quietly(lambda: _position(fields, 0.0)),
        sky_map=(quietly(lambda: _sky_map(fields)) or (None, {}))[0],
        links=_links(fields),
    )


def _schema_path(fields: Fields) -> str:
    """Return the schema's path below gcn/notices/, in small letters; empty if it has none."""
    schema = fields.values.get("$schema")
    given = re.search(r"/gcn/notices/([a-z0-9_./-]{1,200})$", str(schema)[:500].lower())
    return "" if given is None else given[1].removesuffix(".json").removesuffix(".schema")


def _kind(fields: Fields, path: str) -> str:
    """Name the kind: what the mission calls it, else the instrument and the schema."""
    for name in _KIND_FIELDS:
        if fields.text(name):
            return fields.text(name)
    instrument = "+".join(fields.texts("instrument"))
    stem = path.rpartition("/")[2]
    return " ".join(filter(None, (instrument, stem))) or "unknown"


def _trigger(fields: Fields, schema: Schema) -> str:
    for name in schema.name_fields:
        identifiers = fields.texts(name)
        if identifiers:
            return "_".join(identifiers) if schema.joined else identifiers[0]
    return ""


def _is_test(fields: Fields, path: str) -> bool:
    return (
        fields.text("alert_tense").lower() in _TEST_TENSES
        or fields.text("alert_type").lower() in _TEST_TYPES
        or "test" in re.split(r"[/.]", path)
    )


def _properties(fields: Fields) -> dict[str, float]:
    likely = fields.number("p_astro", 0, 1)
    return fields.fractions("properties") | ({} if likely is None else {"p_astro": likely})


def _position(fields: Fields, systematic_deg: float) -> Position | None:
    """Take the position; of an ellipse or a box, the longest half-axis is the radius."""
    direction = fields.inner("most_probable_direction") or fields
    ra, dec = direction.number("ra"), direction.number("dec")
    if ra is None or dec is None:
        return None
    radii = direction.numbers("ra_dec_error")[:2]  # the third is the position angle
    if not radii:  # before schema 4.0
        radii = direction.numbers("ra_uncertainty") + direction.numbers("dec_uncertainty")
    containment = direction.number("containment_probability", 0, 1)
    return position_of(
        ra,
        dec,
        max(map(abs, radii), default=0.0),
        _CONTAINMENT if containment is None else containment,
        0.0 if direction.flag("systematic_included") else systematic_deg,
    )


def _sky_map(fields: Fields) -> tuple[SkyMapSource | None, dict[str, str]]:
    """Return the sky map, the embedded one first, and the links."""
    content = fields.content("healpix_file")
    if content is not None:
        return SkyMapSource(content=content), _links(fields)
    address = fields.values.get("healpix_url")
    source = None if address is None else sky_map_at("healpix_url", address)
    return source, _links(fields)


def _links(fields: Fields) -> dict[str, str]:
    return {
        name: value
        for name, value in fields.values.items()
        if re.fullmatch(r"[a-z_]{1,60}_(url|page)", name) and is_link(value)
    }
