"""Plan against deed: a night in one picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from toros.clock import from_iso
from toros.database.models import Exposure
from toros.database.observing import Night, TakenExposure, Target
from toros.database.session import Database
from toros.telescope.record import transitions

_STATE_COLOURS = {
    "closed": "#d9d9d9",
    "preparing": "#c6dbef",
    "open": "#e5f5e0",
    "observing": "#a1d99b",
    "calibrating": "#fdd0a2",
    "suspended": "#bcbddc",
    "closing": "#c7c7c7",
    "error": "#fb6a4a",
}
_PLANNED = ("#9ecae1", "#3182bd")
_ALERT_COLOUR = "#cb181d"
_OPEN_COLOUR = "#238b45"
_LEAST_DRAWN_S = 20.0
_TYPE_COLOURS = {"light": "#08519c", "flat": "#e6550d", "dark": "#252525", "bias": "#969696"}


@dataclass(frozen=True)
class Shot:
    """One exposure: when [UTC], how long [s], what of; `target` is the target's number."""

    start: datetime
    exposure_time_s: float
    exposure_type: str
    target: int | None
    name: str
    event: str | None


@dataclass(frozen=True)
class Deed:
    """What a night has come to.

    Attributes
    ----------
    date : str
        The night, by its local evening's date.
    plan : mapping or None
        As `toros.telescope.scheduling.plan_dict` gives it.
    shots : sequence of Shot
        By their start.
    changes : sequence of (moment, before, after, reason)
        The night's states.
    """

    date: str
    plan: Mapping[str, Any] | None
    shots: Sequence[Shot]
    changes: Sequence[tuple[datetime, str, str, str]]


def deed_of(database: Database, date: str) -> Deed:
    """Read a night from the database."""
    with database.reading() as session:
        night = session.get(Night, date)
        rows = session.execute(
            select(Exposure, TakenExposure.target_id, Target.name, Target.event)
            .join(TakenExposure, TakenExposure.exposure_id == Exposure.id)
            .outerjoin(Target, Target.id == TakenExposure.target_id)
            .where(TakenExposure.night == date)
            .order_by(Exposure.start)
        ).all()
        shots = [
            Shot(row[0].start, row[0].exposure_time or 0.0, row[0].exposure_type, *row[1:])
            for row in rows
            if row[0].start is not None
        ]
        plan = night.plan if night is not None else None
    return Deed(date, plan, shots, transitions(database, date))


def draw(
    deed: Deed,
    plan: Mapping[str, Any] | None = None,
    opened: Sequence[tuple[datetime, datetime]] = (),
) -> bytes:
    """Draw plan against deed as PNG: a line for each target, the night's states behind.

    Parameters
    ----------
    deed : Deed
    plan : mapping, optional
        The plan to hold it against; by default the deed's, which is the last one made.
    opened : sequence of (begin, end)
        When the dome was open, drawn above the targets; by default not drawn.
    """
    from matplotlib.dates import DateFormatter
    from matplotlib.figure import Figure

    planned = list((plan or deed.plan or {}).get("entries", ()))
    labels = _labels(planned, deed.shots)
    figure = Figure(figsize=(12, 3.0 + 0.22 * len(labels)), layout="constrained")
    axes: Any = figure.subplots()
    shown = _draw_states(axes, deed)
    for begin, end in opened:
        axes.barh(-1, end - begin, left=begin, height=0.5, color=_OPEN_COLOUR)
    for entry in planned:
        begin, end = from_iso(entry["start"]), from_iso(entry["end"])
        axes.barh(labels[str(entry["id"])], end - begin, left=begin, height=0.8, color=_PLANNED[0],
                  edgecolor=_PLANNED[1], linewidth=0.5)  # fmt: skip
    for shot in deed.shots:
        length = timedelta(seconds=max(shot.exposure_time_s, _LEAST_DRAWN_S))
        axes.barh(labels[_key(shot)], length, left=shot.start, height=0.4, color=_colour(shot))
    names = {str(e["id"]): str(e["name"]) for e in planned}
    names |= {str(s.target): s.name for s in deed.shots if s.target is not None}
    axes.set_yticks(
        [*([-1] if opened else []), *labels.values()],
        [*(["dome open"] if opened else []), *(names.get(key, f"({key})") for key in labels)],
    )
    axes.tick_params(axis="y", labelsize=7)
    axes.set_ylim(len(labels) - 0.3, -1.7 if opened else -0.7)
    axes.margins(x=0.01)
    formatter = DateFormatter("%H:%M")  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    axes.set_xlabel("UTC")
    axes.set_title(f"Night of {deed.date}: plan against deed")
    _legend(figure, shown, deed)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return out.getvalue()


def _key(shot: Shot) -> str:
    return str(shot.target) if shot.target is not None else shot.exposure_type


def _colour(shot: Shot) -> str:
    return _ALERT_COLOUR if shot.event else _TYPE_COLOURS.get(shot.exposure_type, "#636363")


def _labels(planned: Sequence[Mapping[str, Any]], shots: Sequence[Shot]) -> dict[str, int]:
    """Return the line of each target, by its first start; calibration frames come last."""
    firsts: dict[str, datetime] = {}
    for entry in planned:
        firsts.setdefault(str(entry["id"]), from_iso(entry["start"]))
    for shot in shots:
        if shot.target is not None:
            firsts.setdefault(str(shot.target), shot.start)
    keys = sorted(firsts, key=lambda key: firsts[key])
    keys += sorted({shot.exposure_type for shot in shots if shot.target is None})
    return {key: line for line, key in enumerate(keys)}


def _draw_states(axes: Any, deed: Deed) -> set[str]:
    """Colour the night by its states; return those that came up."""
    moments = [change[0] for change in deed.changes]
    for n, (moment, _, after, _) in enumerate(deed.changes):
        end = moments[n + 1] if n + 1 < len(moments) else moment
        axes.axvspan(moment, end, color=_STATE_COLOURS.get(after, "#ffffff"), alpha=0.6, lw=0)
    return {change[2] for change in deed.changes[:-1]}


def _legend(figure: Any, states: set[str], deed: Deed) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=_PLANNED[0], edgecolor=_PLANNED[1], label="planned")]
    colours = {"alert's light" if s.event else s.exposure_type: _colour(s) for s in deed.shots}
    patches += [Patch(color=colour, label=kind) for kind, colour in sorted(colours.items())]
    patches += [
        Patch(color=colour, alpha=0.6, label=state)
        for state, colour in _STATE_COLOURS.items()
        if state in states
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=7, fontsize=8, frameon=False)
