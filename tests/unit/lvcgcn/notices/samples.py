"""Notices made by hand from the published formats, for missions without a real one here."""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import quoteattr

SCHEMA = "https://gcn.nasa.gov/schema/v6.1.0/gcn/notices/{}.schema.json"


def unified(path: str, **fields: Any) -> bytes:
    """Write a notice of GCN's unified schema."""
    return json.dumps({"$schema": SCHEMA.format(path), **fields}).encode()


def lvk(**fields: Any) -> bytes:
    """Write a JSON notice of LVK."""
    values = {
        "alert_type": "PRELIMINARY",
        "time_created": "2024-05-01T10:00:30Z",
        "superevent_id": "S240501an",
        "urls": {"gracedb": "https://gracedb.ligo.org/superevents/S240501an/view/"},
        "event": {"time": "2024-05-01T10:00:00.5Z", "far": 1e-9, "significant": True},
        "external_coinc": None,
    }
    return json.dumps(values | fields).encode()


def param(name: str, value: object, **more: str) -> str:
    """Write a parameter of a VOEvent."""
    rest = "".join(f" {key}={quoteattr(text)}" for key, text in more.items())
    return f"<Param name={quoteattr(name)} value={quoteattr(str(value))}{rest}/>"


def group(name: str, *params: str) -> str:
    """Write a group of parameters."""
    return f"<Group name={quoteattr(name)}>{''.join(params)}</Group>"


def voevent(
    ivorn: str,
    *what: str,
    place: tuple[object, object, object] | None = (120.5, -30.25, 0.05),
    role: str = "observation",
    time: str = "2024-05-01T10:00:00.50",
    date: str = "2024-05-01T10:00:30",
    system: str = "UTC-FK5-GEO",
    unit: str = "deg",
    more: str = "",
) -> bytes:
    """Write a VOEvent 2.0 of GCN's making."""
    position = ""
    if place is not None:
        ra, dec, error = place
        position = (
            f'<Position2D unit="{unit}"><Name1>RA</Name1><Name2>Dec</Name2>'
            f"<Value2><C1>{ra}</C1><C2>{dec}</C2></Value2>"
            f"<Error2Radius>{error}</Error2Radius></Position2D>"
        )
    return (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<voe:VOEvent xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0" version="2.0" '
        f"role={quoteattr(role)} ivorn={quoteattr(ivorn)}>"
        f"<Who><AuthorIVORN>ivo://nasa.gsfc.tan/gcn</AuthorIVORN><Date>{date}</Date></Who>"
        f"<What>{''.join(what)}</What>"
        '<WhereWhen><ObsDataLocation><ObservatoryLocation id="GEOLUN"/><ObservationLocation>'
        f'<AstroCoordSystem id="{system}"/><AstroCoords coord_system_id="{system}">'
        f'<Time unit="s"><TimeInstant><ISOTime>{time}</ISOTime></TimeInstant></Time>'
        f"{position}</AstroCoords></ObservationLocation></ObsDataLocation></WhereWhen>"
        f"{more}</voe:VOEvent>"
    ).encode()


def classic(stream: str, number: int, *what: str, trigger: object = 1234567, **rest: Any) -> bytes:
    """Write a VOEvent of one of GCN's classic notices."""
    return voevent(
        f"ivo://nasa.gsfc.gcn/{stream}#{number}_{trigger}-001",
        param("Packet_Type", number),
        param("Pkt_Ser_Num", 3),
        param("TrigID", trigger, ucd="meta.id"),
        *what,
        **rest,
    )


def svom(number: int, kind: str, burst: str = "sb24120801", **rest: Any) -> bytes:
    """Write a VOEvent of SVOM."""
    return voevent(
        f"ivo://org.svom/fsc#{burst}_{kind}",
        param("Packet_Type", number),
        param("Pkt_Ser_Num", 1),
        param("Instrument", "ECLAIRs"),
        group("Svom_Identifiers", param("Notice_Level", "N1e"), param("Burst_Id", burst)),
        system="UTC-ICRS-GEO",
        **rest,
    )
