"""Whether the weather is safe: what follows from all sources together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from toros.clock import to_iso
from toros.config.enclosure import WeatherLimit
from toros.devices.protocols import QUANTITIES, Reading
from toros.dome.weather.observation import SAFE, Instant
from toros.dome.weather.record import Finding, SourceRecord

NO_SOURCE = "the weather is unknown: no source is configured (Dome / Weather / Sources)"


@dataclass(frozen=True)
class SourceReport:
    """What one source tells at the moment.

    Attributes
    ----------
    name : str
    known : bool
        It tells something fresh.
    age_s : float or None
        Age of what it told last [s]; None if that is unknown.
    safe : bool or None
        Its own word; None where it has none, or none that is fresh.
    values : mapping of str to Reading
        What is known and fresh, by quantity, in the units of `QUANTITIES`.
    """

    name: str
    known: bool
    age_s: float | None
    safe: bool | None
    values: Mapping[str, Reading]


@dataclass(frozen=True)
class Verdict:
    """Whether the dome may be open, as far as the weather goes.

    Attributes
    ----------
    safe : bool
        The weather is known, fresh and good.
    may_open : bool
        It is safe, has been so without a gap for the time before an opening, and no limit
        is passed or still waited for.
    reasons : tuple of str
        Why it is not safe or, where it is, why the dome is not to be opened yet.
    since : datetime
        Since when it is safe, or is not; UTC, by the daemon's clock.
    safe_for_s : float
        For how long it has been safe without a gap, by the daemon's clock [s]; 0 if it is not.
    known : bool
        Every source and every limited quantity is known and fresh.
    notes : tuple of str
        What a person may want to know besides: limits that are passed for less than their
        delay, and limits on what no source measures.
    sources : tuple of SourceReport
    """

    safe: bool
    may_open: bool
    reasons: tuple[str, ...]
    since: datetime
    safe_for_s: float
    known: bool
    notes: tuple[str, ...] = ()
    sources: tuple[SourceReport, ...] = ()

    def plain(self) -> dict[str, object]:
        """Return it as it travels in a daemon's status; ages and times in seconds."""
        return {
            "safe": self.safe,
            "may_open": self.may_open,
            "reasons": list(self.reasons),
            "since": to_iso(self.since),
            "safe_for_s": round(self.safe_for_s, 1),
            "known": self.known,
            "notes": list(self.notes),
            "sources": [_plain(source) for source in self.sources],
        }


class Assessment(NamedTuple):
    """What follows from the findings; `Verdict` without what only a person wants."""

    safe: bool
    may_open: bool
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    safe_for_s: float
    known: bool


def assess(findings: Iterable[Finding], clock_s: float, safe_before_opening_s: float) -> Assessment:
    """Draw the conclusion from everything that must be good.

    Parameters
    ----------
    findings : iterable of Finding
        Of all sources; none at all means that the weather is unknown.
    clock_s : float
        Now, by the daemon's monotonic clock [s].
    safe_before_opening_s : float
        For how long it must have been safe [s].
    """
    found = list(findings) or [Finding(None, False, NO_SOURCE)]
    notes = tuple(finding.note for finding in found if finding.note)
    known = all(finding.known for finding in found)
    since = [finding.since_s for finding in found if finding.since_s is not None]
    if len(since) < len(found):
        reasons = tuple(finding.reason for finding in found if finding.since_s is None)
        return Assessment(False, False, reasons, notes, 0.0, known)
    safe_for_s = max(0.0, clock_s - max(since))
    reasons = tuple(finding.reason for finding in found if finding.reason)
    if safe_for_s < safe_before_opening_s:
        reasons += (
            f"the weather has been safe for {safe_for_s:.0f} s of the "
            f"{safe_before_opening_s:g} s before an opening",
        )
    return Assessment(True, not reasons, reasons, notes, safe_for_s, known)


def unmeasured(records: Sequence[SourceRecord], limits: Iterable[WeatherLimit]) -> tuple[str, ...]:
    """Say which limits are on a quantity that no source has ever told."""
    names = dict.fromkeys(limit.quantity for limit in limits)
    return tuple(
        f"the limit on {name} has no effect: no source measures it"
        for name in names
        if not any(record.measures(name) for record in records)
    )


def report(record: SourceRecord, at: Instant) -> SourceReport:
    """Return what a source tells at `at`."""
    readings = record.readings(at)
    word = readings.pop(SAFE, None)
    age_s = record.age_s(at)
    return SourceReport(
        record.name, age_s is not None, age_s, None if word is None else bool(word.value), readings
    )


def _plain(source: SourceReport) -> dict[str, object]:
    return {
        "name": source.name,
        "known": source.known,
        "age_s": None if source.age_s is None else round(source.age_s, 1),
        "safe": source.safe,
        "values": {
            name: {
                "value": reading.value,
                "unit": QUANTITIES[name],
                "age_s": round(reading.age_s, 1),
            }
            for name, reading in source.values.items()
        },
    }
