"""Target lists as JSON, as CSV, and in the form that broker sites know."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from toros.clock import to_iso
from toros.lvcgcn.targets.stored import csv_of
from toros.lvcgcn.targets.target_list import ComingNight, TargetList

if TYPE_CHECKING:
    from toros.lvcgcn.notices.notice import Notice

_RUNS = (
    ("O1", "2015-09-12", "2016-01-20"),
    ("O2", "2016-11-30", "2017-08-26"),
    ("O3", "2019-04-01", "2020-03-28"),
    ("O4", "2023-05-24", "2025-11-19"),
)
"""Observing runs of LIGO and the dates between which they lie."""


def as_json(target_list: TargetList) -> dict[str, Any]:
    """Return a list as plain values, fit for JSON and XML-RPC.

    Returns
    -------
    dict
        Keys are the names of the fields, their units as of the classes; times as ISO 8601 in UTC,
        None for what is not known. `limits` holds the fields of `Limits`, `site` those of
        `toros.sky.site.Site`.
    """
    site, night = target_list.site, target_list.night
    return {
        "event": target_list.event,
        "observatory": target_list.observatory,
        "site": {
            "longitude_deg": site.longitude_deg,
            "latitude_deg": site.latitude_deg,
            "height_m": site.height_m,
            "horizon": [list(point) for point in site.horizon],
        },
        "limits": _plain(target_list.limits),
        "night": _night(night),
        "made": to_iso(target_list.made),
        "targets": [_plain(target) for target in target_list.targets],
        "left_out": [_plain(left) for left in target_list.left_out],
        "reachable_probability": target_list.reachable_probability,
        "listed_probability": target_list.listed_probability,
        "reason": target_list.reason,
    }


def _night(night: ComingNight) -> dict[str, Any]:
    return {**_plain(night), "date": night.date.isoformat()}


def _plain(record: Any) -> dict[str, Any]:
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {k: to_iso(v) if isinstance(v, datetime) else v for k, v in values.items()}


def as_csv(target_list: TargetList) -> str:
    """Return a list's targets as CSV: a line of names, a line for each; unknown is empty.

    The columns are the fields of `ListedTarget`, times are ISO 8601 in UTC.
    """
    return csv_of(as_json(target_list)["targets"])


def as_assignments(notice: Notice, lists: Iterable[TargetList]) -> dict[str, Any]:
    """Return lists in the form that TOROS's broker site takes.

    Parameters
    ----------
    notice : Notice
    lists : iterable of TargetList
        None for a retraction.

    Returns
    -------
    dict
        alert : {ligo_run, graceid, SEtype, datetime}
            The observing run of the event's time (None outside the known ones), the event, the
            letters that its name begins with (S; MS for mock, TS for test), its time; for other
            missions than LVK's, run and letters are None.
        gcnnotice : {gcntype, gcnserial, datetime}
            Kind, serial number (None where there is none) and time of the notice.
        assignments : {observatory: {target: likelihood}}
            The probability of each target, the best first; not there for a retraction.

        Times are ISO 8601 in UTC, to a second.
    """
    is_lvk = notice.mission == "LVK"
    letters = re.match("[A-Z]*", notice.event)
    form: dict[str, Any] = {
        "alert": {
            "ligo_run": _run(notice.event_time) if is_lvk else None,
            "graceid": notice.event,
            "SEtype": letters[0] if is_lvk and letters else None,
            "datetime": _seconds(notice.event_time),
        },
        "gcnnotice": {
            "gcntype": notice.kind,
            "gcnserial": notice.serial or None,
            "datetime": _seconds(notice.issued),
        },
    }
    if not notice.is_retraction:
        form["assignments"] = {
            each.observatory: {target.name: target.probability for target in each.targets}
            for each in lists
        }
    return form


def _run(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    day = _utc(moment).date().isoformat()
    return next((name for name, first, last in _RUNS if first <= day < last), None)


def _seconds(moment: datetime | None) -> str | None:
    return None if moment is None else _utc(moment).replace(tzinfo=None).isoformat("T", "seconds")


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
