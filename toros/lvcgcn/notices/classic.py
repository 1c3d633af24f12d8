"""VOEvents of GCN's classic notices and of SVOM.

A kind is an entry of `PACKETS`, by who sends it and its packet type. What is no
entry is read as far as any VOEvent can be.

References
----------
GCN/TAN Socket Packet Definition Document (the flags "definitely not a GRB" and
"retraction").
"""

from __future__ import annotations

import re
from datetime import datetime

from toros.lvcgcn.notices.fields import (
    as_flag,
    as_name,
    as_number,
    as_serial,
    as_time,
    is_link,
    quietly,
)
from toros.lvcgcn.notices.identity import identity
from toros.lvcgcn.notices.notice import UNDATED, Notice, Position, SkyMapSource
from toros.lvcgcn.notices.packets import GCN, PACKETS, SVOM, Packet
from toros.lvcgcn.notices.places import position_of_voevent, sky_map_at
from toros.lvcgcn.notices.xml_text import Coordinates, Param, VOEvent

SECONDS_PER_YEAR = 31_557_600.0

_SHORT_NUMBER = re.compile(r"[0-9]{1,6}")
_TRIGGERS = ("TrigID", "Burst_Id", "AMON_ID", "Trigger_Number", "Event_ID", "trig_id")
_SKY_MAPS = ("skymap_fits", "HealPix_URL", "Healpix_URL", "LocationMap_URL")
_RADII = (
    ("src_error_90", 0.9),
    ("src_error90", 0.9),
    ("Src_Error90", 0.9),
    ("src_error_50", 0.5),
)
"""Error radii beside the position's own, and their containment; the first is taken."""
_NO_SOURCE = ("pointing", "undefined", "none", "spacecraft")
_TEST_FLAGS = ("Test_Submission", "Test", "InternalTest", "Test_Notice")
_RETRACTION_FLAGS = ("Retraction", "Def_NOT_a_GRB")
_GBM_CLASSES = {
    1: "Unreliable location", 2: "Local particles", 3: "Below horizon", 4: "GRB",
    5: "Generic SGR", 6: "Generic transient", 7: "Distant particles", 8: "Solar flare",
    9: "Cyg X-1", 10: "SGR 1806-20", 11: "GRO J0422-32", 19: "TGF",
}  # fmt: skip


_BY_NUMBER = {(packet.sender, packet.number): packet for packet in PACKETS}


def read_classic(voevent: VOEvent) -> Notice:
    """Read a VOEvent of a known kind, or any other as far as it goes.

    Raises
    ------
    NoticeRefused
        For a known kind whose fields cannot be read.
    """
    packet = _packet(voevent)
    # A spacecraft's pointing is no event; its position is of no source.
    if packet is None or voevent.role == "utility":
        return _read_unknown(voevent)
    return Notice(
        event=as_name("trigger", packet.trigger, _trigger(voevent)),
        mission=packet.mission,
        kind=packet.kind,
        identity=identity(voevent.ivorn),
        issued=as_time("Who/Date", voevent.date),
        format="voevent",
        ivorn=voevent.ivorn,
        serial=as_serial("Pkt_Ser_Num", voevent.value("Pkt_Ser_Num") or "0"),
        is_retraction=packet.is_retraction or _is_withdrawn(voevent),
        is_test=packet.is_test or _is_test(voevent),
        event_time=_event_time(voevent),
        instruments=tuple(filter(None, [voevent.value("Instrument")])),
        far_hz=_far(voevent),
        classification=_classification(voevent),
        properties=_properties(voevent),
        position=_position(voevent, packet) if packet.has_position else None,
        sky_map=_sky_map(voevent),
        links=_links(voevent),
    )


def _read_unknown(voevent: VOEvent) -> Notice:
    """Keep a VOEvent of an unknown kind, with all that can be read; nothing refuses it."""
    authority, _, local = voevent.ivorn.removeprefix("ivo://").partition("#")
    mission = quietly(lambda: as_name("ivorn", authority.rpartition("/")[2])) or "unknown"
    own = identity(voevent.ivorn)
    number = quietly(lambda: voevent.value("Packet_Type"))
    event_time = _event_time(voevent)
    is_source = voevent.role != "utility"
    return Notice(
        event=quietly(lambda: as_name("ivorn", mission, _trigger(voevent)))
        or quietly(lambda: as_name("ivorn", mission, local))
        or f"{mission}-{own[:12]}",
        mission=mission,
        kind=f"packet {number}" if number else "unknown",
        identity=own,
        issued=quietly(lambda: as_time("Who/Date", voevent.date)) or event_time or UNDATED,
        format="voevent",
        ivorn=voevent.ivorn,
        serial=quietly(lambda: as_serial("Pkt_Ser_Num", voevent.value("Pkt_Ser_Num"))) or 0,
        is_retraction=bool(quietly(lambda: _is_withdrawn(voevent))),
        is_test=voevent.role == "test" or bool(quietly(lambda: _is_test(voevent))),
        is_known=False,
        event_time=event_time,
        position=quietly(lambda: _position(voevent, None)) if is_source else None,
        sky_map=quietly(lambda: _sky_map(voevent)),
        links=quietly(lambda: _links(voevent)) or {},
    )


def _packet(voevent: VOEvent) -> Packet | None:
    number = voevent.params.get("Packet_Type", Param("")).value
    sender = next((s for s in (GCN, SVOM) if voevent.ivorn.startswith(s)), "")
    return _BY_NUMBER.get((sender, int(number))) if _SHORT_NUMBER.fullmatch(number) else None


def _trigger(voevent: VOEvent) -> str:
    """Return what all notices of the event have in common."""
    run, event = voevent.value("run_id"), voevent.value("event_id")
    if run.isdecimal() and event.isdecimal():
        return f"{int(run)}_{int(event)}"
    return next(filter(None, map(voevent.value, _TRIGGERS)), "")


def _event_time(voevent: VOEvent) -> datetime | None:
    """Return when the event was; GCN has sent dates that do not exist: then None."""
    # Other scales than UTC (TDB, TT) are a minute off: none is better.
    system = voevent.coordinates.system if voevent.coordinates else "UTC"
    return quietly(lambda: as_time("ISOTime", voevent.time)) if "UTC" in system else None


def _is_set(voevent: VOEvent, flag: str) -> bool:
    value = voevent.value(flag)
    return bool(value) and as_flag(flag, value)


def _is_withdrawn(voevent: VOEvent) -> bool:
    return any(how == "retraction" for how, _ in voevent.citations) or any(
        _is_set(voevent, flag) for flag in _RETRACTION_FLAGS
    )


def _is_test(voevent: VOEvent) -> bool:
    return voevent.role == "test" or any(_is_set(voevent, flag) for flag in _TEST_FLAGS)


def _position(voevent: VOEvent, packet: Packet | None) -> Position | None:
    if voevent.value("Coords_String").lower().startswith(_NO_SOURCE):
        return None
    coordinates, containment = voevent.coordinates, packet.containment if packet else None
    for name, stated in _RADII:
        radius = voevent.params.get(name)
        if coordinates is not None and radius is not None and as_number(name, radius.value) > 0:
            containment = stated
            coordinates = Coordinates(
                coordinates.system,
                coordinates.unit,
                coordinates.first,
                coordinates.second,
                radius.value,
            )
            break
    return position_of_voevent(coordinates, containment, packet.systematic_deg if packet else 0.0)


def _far(voevent: VOEvent) -> float | None:
    param = voevent.params.get("FAR")
    if param is None or not param.value:
        return None
    rate = as_number("FAR", param.value, 0, 1e12)
    return rate / SECONDS_PER_YEAR if param.unit.startswith("yr") else rate


def _classification(voevent: VOEvent) -> dict[str, float]:
    """Take what Fermi GBM's flight software makes of it; its percentages as fractions."""
    found: dict[str, float] = {}
    for rank in ("Most_Likely", "Sec_Most_Likely"):
        index, percent = voevent.value(f"{rank}_Index"), voevent.value(f"{rank}_Prob")
        name = _GBM_CLASSES.get(int(index)) if _SHORT_NUMBER.fullmatch(index) else None
        if name and percent:
            found[name] = as_number(f"{rank}_Prob", percent, 0, 100) / 100
    return found


def _properties(voevent: VOEvent) -> dict[str, float]:
    likely = voevent.value("signalness")
    return {"signalness": as_number("signalness", likely, 0, 1)} if likely else {}


def _sky_map(voevent: VOEvent) -> SkyMapSource | None:
    for name in _SKY_MAPS:
        address = voevent.value(name)
        if address:
            return sky_map_at(name, address)
    return None


def _links(voevent: VOEvent) -> dict[str, str]:
    return {
        name: param.value
        for name, param in voevent.params.items()
        if name.endswith(("_URL", "_url", "Page")) and is_link(param.value)
    }
