"""An event with its targets as a VOEvent of our own, for sending on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from toros import clock
from toros.lvcgcn.notices import Author, Candidate, write_voevent

_CANDIDATES = 200


def voevent_of(
    facts: Mapping[str, Any],
    lists: Mapping[str, Mapping[str, Any]],
    revision: int,
    author: str,
    now: datetime,
) -> str:
    """Write an event and the targets of all its lists as a VOEvent.

    Parameters
    ----------
    facts : mapping
        What the notice says, as `toros.lvcgcn.files.facts_of`.
    lists : mapping
        Each observatory's list, as `toros.lvcgcn.targets.as_json`; a target that several have
        counts once.
    revision : int
        Of the lists; it is the VOEvent's serial number.
    author : str
        Whose VOEvent it is, without ``ivo://``.
    now : datetime, UTC

    Returns
    -------
    str
        XML, valid by the schema of VOEvent 2.0.

    Raises
    ------
    AlertError
        voevent-parse is not there to write it with.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for made in lists.values():
        for target in made["targets"]:
            found.setdefault(target["name"], target)
    best = sorted(found.values(), key=lambda target: -target["probability"])[:_CANDIDATES]
    event_time = facts["event_time"]
    written = write_voevent(
        facts["event"],
        [
            Candidate(
                target["name"],
                target["ra_deg"],
                target["dec_deg"],
                probability=target["probability"],
            )
            for target in best
        ],
        Author(author),
        issued=now,
        event_time=None if event_time is None else clock.from_iso(event_time),
        serial=revision,
        cites=[facts["ivorn"]] if facts.get("ivorn") else (),
        how="retraction" if facts["is_retraction"] else "followup",
        is_test=facts["is_test"],
        description=f"Targets for the follow-up of {facts['event']}, by their probability.",
    )
    return written.decode()
