"""Exposures of the database as the steps see them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from toros.clock import from_iso
from toros.database.batches import ExposureRow
from toros.images import FrameFacts
from toros.preprocessor.grouping import Frame
from toros.preprocessor.repository import Repository

_TUPLES = ("shape", "hdus", "notes")


def frames(rows: Iterable[ExposureRow], repository: Repository) -> list[Frame]:
    """Make the frames that steps work on, one for each image plane of each usable file."""
    return [
        Frame(
            path=str(repository.absolute(row.path)),
            name=row.name,
            sha256=row.sha256,
            hdu=hdu,
            facts=facts,
        )
        for row in rows
        if row.facts is not None and row.quarantine_reason is None
        for facts in [_facts(dict(row.facts))]
        for hdu in facts.hdus
    ]


def _facts(plain: dict[str, Any]) -> FrameFacts:
    known = {field.name for field in fields(FrameFacts)}
    values = {key: value for key, value in plain.items() if key in known}
    values |= {key: tuple(values[key]) for key in _TUPLES if key in values}
    if values.get("start_utc") is not None:
        values["start_utc"] = from_iso(values["start_utc"])
    return FrameFacts(**values)
