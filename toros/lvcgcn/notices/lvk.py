"""Notices of LIGO, Virgo and KAGRA: JSON since 2022, VOEvents until 2026.

References
----------
LIGO/Virgo/KAGRA Public Alerts User Guide, "Alert Contents".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from toros.errors import NoticeRefused
from toros.lvcgcn.notices.fields import (
    Fields,
    as_address,
    as_flag,
    as_name,
    as_number,
    as_serial,
    as_text,
    as_time,
    is_link,
    refuse,
)
from toros.lvcgcn.notices.identity import identity
from toros.lvcgcn.notices.notice import Notice, SkyMapSource
from toros.lvcgcn.notices.xml_text import Param, VOEvent

MISSION = "LVK"
KINDS = ("EarlyWarning", "Preliminary", "Initial", "Update", "Retraction")

_BY_LETTERS = {kind.upper(): kind for kind in KINDS}
_MOCK = re.compile(r"(M|T)S?\d")
_SKY_MAP_PARAMS = ("skymap_fits", "SKYMAP_URL_FITS_BASIC")


def is_lvk_json(values: Mapping[str, Any]) -> bool:
    """Tell whether a JSON notice is one of LVK."""
    return "superevent_id" in values


def is_lvk_voevent(voevent: VOEvent) -> bool:
    """Tell whether a VOEvent is one of LVK."""
    return "GraceID" in voevent.params and "AlertType" in voevent.params


def read_lvk_json(values: Mapping[str, Any]) -> Notice:
    """Read a JSON notice of LVK.

    Raises
    ------
    NoticeRefused
    """
    notice = Fields(values)
    event = _event_name("superevent_id", notice.text("superevent_id", required=True))
    given = notice.text("alert_type", required=True)
    kind = _kind(given)
    issued = notice.time("time_created", required=True)
    assert issued is not None  # it is required
    facts = notice.inner("event") or Fields({}, "event")
    external = notice.inner("external_coinc") or Fields({}, "external_coinc")
    sky_map, combined = facts.content("skymap"), external.content("combined_skymap")
    search = facts.text("search")
    return Notice(
        event=event,
        mission=MISSION,
        kind=kind or given,
        identity=identity(
            MISSION, event, kind or given, issued.isoformat(), sky_map or b"", combined or b""
        ),
        issued=issued,
        format="json",
        is_retraction=kind == "Retraction",
        is_test=_is_mock(event, search),
        is_known=kind is not None,
        event_time=facts.time("time"),
        significant=facts.flag("significant"),
        group=facts.text("group"),
        pipeline=facts.text("pipeline"),
        search=search,
        instruments=facts.texts("instruments"),
        far_hz=facts.number("far", 0, 1e12),
        classification=facts.fractions("classification"),
        properties=facts.fractions("properties"),
        duration_s=facts.number("duration", 0, 1e9),
        central_frequency_hz=facts.number("central_frequency", 0, 1e9),
        external=_external_facts(external),
        sky_map=None if sky_map is None else SkyMapSource(content=sky_map),
        combined_sky_map=None if combined is None else SkyMapSource(content=combined),
        links=_links(notice.inner("urls")),
    )


def read_lvk_voevent(voevent: VOEvent) -> Notice:
    """Read a VOEvent of LVK.

    Raises
    ------
    NoticeRefused
    """
    event = _event_name("GraceID", voevent.value("GraceID"))
    kind = _kind(voevent.value("AlertType"))
    # Until 2019 a retraction was an update with this flag.
    withdrawn = _optional(voevent, "Retraction", as_flag) or False
    search = voevent.value("Search")
    page = voevent.value("EventPage")
    external = voevent.groups.get("External Coincidence", {})
    return Notice(
        event=event,
        mission=MISSION,
        kind=kind or voevent.value("AlertType"),
        identity=identity(voevent.ivorn),
        issued=as_time("Who/Date", voevent.date),
        format="voevent",
        ivorn=voevent.ivorn,
        serial=_optional(voevent, "Pkt_Ser_Num", as_serial) or 0,
        is_retraction=kind == "Retraction" or withdrawn,
        is_test=voevent.role == "test"
        or _is_mock(event, search)
        or bool(_optional(voevent, "HardwareInj", as_flag)),
        is_known=kind is not None,
        event_time=as_time("ISOTime", voevent.time) if voevent.time else None,
        significant=_optional(voevent, "Significant", as_flag),
        group=voevent.value("Group"),
        pipeline=voevent.value("Pipeline"),
        search=search,
        instruments=tuple(filter(None, voevent.value("Instruments").split(","))),
        far_hz=_optional(voevent, "FAR", as_rate),
        classification=_fractions(voevent, "Classification"),
        properties=_fractions(voevent, "Properties"),
        duration_s=_optional(voevent, "Duration", as_size),
        central_frequency_hz=_optional(voevent, "CentralFreq", as_size),
        external=_external_params(external),
        sky_map=_linked_map(voevent.params, *_SKY_MAP_PARAMS),
        combined_sky_map=_linked_map(external, "joint_skymap_fits", "combined_skymap_fits"),
        links={"gracedb": page} if is_link(page) else {},
    )


def as_rate(field: str, value: str) -> float:
    """Take a rate, in Hz."""
    return as_number(field, value, 0, 1e12)


def as_size(field: str, value: str) -> float:
    """Take a duration in seconds or a frequency in Hz."""
    return as_number(field, value, 0, 1e9)


def _optional(voevent: VOEvent, name: str, read: Any) -> Any:
    """Read a parameter; None if it is not there."""
    param = voevent.params.get(name)
    return None if param is None or not param.value else read(name, param.value)


def _event_name(field: str, given: str) -> str:
    if as_name(field, given) != given:
        refuse(field, given, "a superevent's name, as S190814bv")
    return given


def _kind(given: str) -> str | None:
    return _BY_LETTERS.get(re.sub(r"[ _-]", "", given).upper())


def _is_mock(event: str, search: str) -> bool:
    return bool(_MOCK.match(event)) or search == "MDC"


def _links(urls: Fields | None) -> dict[str, str]:
    given = {} if urls is None else urls.values
    return {name: value for name, value in given.items() if is_link(value)}


def _external_facts(external: Fields) -> Mapping[str, Any] | None:
    """Take the coincidence as it is stated: all of its plain values."""
    facts: dict[str, Any] = {}
    for name, value in external.values.items():
        if name == "combined_skymap" or not isinstance(value, str | int | float | bool):
            continue
        key = as_text("external_coinc", name)
        facts[key] = external.text(name) if isinstance(value, str) else value
    return facts or None


def _external_params(external: Mapping[str, Param]) -> Mapping[str, Any] | None:
    """Take the coincidence by the names that JSON has for it."""
    facts: dict[str, Any] = {}
    for name, param in external.items():
        key = name.lower().removeprefix("external_")
        if not key.endswith("skymap_fits"):
            facts[key] = _plain(name, param.value)
    return facts or None


def _plain(name: str, value: str) -> float | int | str:
    try:
        number = as_number(name, value)
    except NoticeRefused:
        return as_text(name, value)
    return int(number) if value.isdigit() else number


def _fractions(voevent: VOEvent, group: str) -> dict[str, float]:
    return {
        name: as_number(f"{group}/{name}", param.value, 0, 1)
        for name, param in voevent.groups.get(group, {}).items()
    }


def _linked_map(params: Mapping[str, Param], *names: str) -> SkyMapSource | None:
    for name in names:
        if name in params and params[name].value:
            return SkyMapSource(url=as_address(name, params[name].value))
    return None
