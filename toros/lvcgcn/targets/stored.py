"""Target lists that were written as JSON, read again."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import date, datetime
from typing import Any

from toros.clock import from_iso
from toros.lvcgcn.targets.target_list import (
    ComingNight,
    LeftOut,
    Limits,
    ListedTarget,
    TargetList,
)
from toros.sky.site import Site

_TIMES = ("best_time", "observable_from", "observable_until")


def list_from_json(content: Mapping[str, Any]) -> TargetList:
    """Return the list that `as_json` has written.

    Parameters
    ----------
    content : mapping
        As `as_json` returns it, also after a journey as JSON.
    """
    site, night = content["site"], content["night"]
    return TargetList(
        event=content["event"],
        observatory=content["observatory"],
        site=Site(
            site["longitude_deg"],
            site["latitude_deg"],
            site["height_m"],
            tuple((azimuth, altitude) for azimuth, altitude in site["horizon"]),
        ),
        limits=Limits(**content["limits"]),
        night=ComingNight(
            date.fromisoformat(night["date"]),
            _moment(night["dark_from"]),
            _moment(night["dark_until"]),
            night["reason"],
        ),
        made=from_iso(content["made"]),
        targets=tuple(
            ListedTarget(**{**target, **{key: from_iso(target[key]) for key in _TIMES}})
            for target in content["targets"]
        ),
        left_out=tuple(LeftOut(**left) for left in content["left_out"]),
        reachable_probability=content["reachable_probability"],
        reason=content.get("reason", ""),  # lists of earlier versions have none
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else from_iso(text)


def csv_of(targets: Iterable[Mapping[str, Any]]) -> str:
    """Return what `toros.lvcgcn.targets.as_csv` does, of the `targets` of a list's JSON."""
    out = io.StringIO()
    names = [field.name for field in fields(ListedTarget)]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for target in targets:
        writer.writerow("" if target[name] is None else target[name] for name in names)
    return out.getvalue()
