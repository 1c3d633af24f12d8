"""A plan as text, as CSV and as plain data."""

from __future__ import annotations

import csv
import io

from toros.clock import to_iso
from toros.telescope.scheduling.planning import Entry, Plan
from toros.telescope.scheduling.targets import Target

COLUMNS = (
    "start", "end", "id", "name", "ra_deg", "dec_deg", "filters", "priority", "class", "event",
    "slew_s", "altitude_deg", "azimuth_deg", "airmass", "moon_distance_deg", "worth",
)  # fmt: skip
"""Of `plan_csv`, and the keys of the entries of `plan_dict`."""


def plan_text(plan: Plan) -> str:
    """Write a plan as a table for people, times in UTC; a target's number is its id."""
    every = [entry.target for entry in plan.entries] + [left.target for left in plan.left_out]
    wide = max([len("number"), *(len(str(target.id)) for target in every)])

    def called(target: Target) -> str:
        return f"{target.id!s:>{wide}}  {target.label:<25.25}"

    lines = [
        f"Plan from {plan.start:%Y-%m-%d %H:%M} to {plan.end:%Y-%m-%d %H:%M} UTC: "
        f"{len(plan.entries)} targets, {len(plan.left_out)} left out, worth {plan.worth:.1f}",
        "",
        f"start     end       {'number':>{wide}}  {'target':<25}  priority  alt  az   airmass  moon"
        "  filters",
    ]
    lines += [
        f"{e.start:%H:%M:%S}  {e.end:%H:%M:%S}  {called(e.target)}  {e.target.priority:8.2f}"
        f"  {e.altitude_deg:3.0f}  {e.azimuth_deg:3.0f}  {e.airmass:7.2f}"
        f"  {e.moon_distance_deg:4.0f}  {','.join(e.target.filters)}".rstrip()
        for e in plan.entries
    ]
    if plan.left_out:
        lines += ["", "Left out:"]
        lines += [
            f"{called(left.target)}  {left.target.priority:5.2f}  {left.reason}"
            for left in plan.left_out
        ]
    return "\n".join(lines) + "\n"


def plan_csv(plan: Plan) -> str:
    """Write a plan's entries as CSV (RFC 4180) with a header line, times in UTC."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for entry in plan.entries:
        row = _entry_dict(entry)
        row["filters"] = " ".join(entry.target.filters)
        writer.writerow(row)
    return text.getvalue()


def plan_dict(plan: Plan) -> dict[str, object]:
    """Return a plan as plain data for JSON and for the wire."""
    return {
        "start": to_iso(plan.start),
        "end": to_iso(plan.end),
        "worth": round(plan.worth, 3),
        "entries": [_entry_dict(entry) for entry in plan.entries],
        "left_out": [
            {
                "id": left.target.id,
                "name": left.target.label,
                "priority": left.target.priority,
                "reason": left.reason,
            }
            for left in plan.left_out
        ],
    }


def _entry_dict(entry: Entry) -> dict[str, object]:
    target = entry.target
    values = (
        to_iso(entry.start), to_iso(entry.end), target.id, target.label, target.ra_deg,
        target.dec_deg, list(target.filters), target.priority, target.observing_class,
        target.event or "", round(entry.slew_s, 2), round(entry.altitude_deg, 3),
        round(entry.azimuth_deg, 3), round(entry.airmass, 4), round(entry.moon_distance_deg, 2),
        round(entry.worth, 4),
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))
