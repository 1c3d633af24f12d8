"""The files of an event: its notice, its sky map and its lists, in a folder for each notice.

::

    events/S190425z/20190425T083021.500000Z-Preliminary-0a1b2c3d/
        event.json                what the notice says, the region, a summary of the lists
        notice.json, notice.xml   the notice as it came
        skymap.fits               the sky map as it came, maybe compressed
        targets-NAME.json, .csv   an observatory's list
        assignments.json          all lists in the form of broker sites
        sky.png, sky.svg          the picture, some seconds later

The folder is the same whenever the same notice is handled again, and its files are
written before the database tells of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from toros import clock, store
from toros.lvcgcn.answer import Answer
from toros.lvcgcn.notices.notice import Notice
from toros.lvcgcn.targets import as_assignments, as_csv, as_json

EVENT, SKY_MAP, ASSIGNMENTS = "event.json", "skymap.fits", "assignments.json"
PICTURE_PNG, PICTURE_SVG = "sky.png", "sky.svg"
_NAME_CHARS = 80


def safe_name(text: str) -> str:
    """Return a file's name for any text: the same for the same text, another for another.

    Letters, digits, ``.``, ``_``, ``-`` and ``+`` stay. Whatever else is in it, or a name that
    is too long or begins with a dot, is replaced, and a hash of the whole is added.
    """
    kept = re.sub(r"[^A-Za-z0-9._+-]", "_", text).lstrip(".")[:_NAME_CHARS]
    if kept == text and kept:
        return kept
    return f"{kept or 'unnamed'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def facts_of(notice: Notice) -> dict[str, Any]:
    """Return what a notice says, fit for JSON; of a sky map only where it is."""

    def told(value: Any) -> Any:
        if isinstance(value, datetime):
            return clock.to_iso(value)
        if isinstance(value, Mapping):
            return {str(key): told(item) for key, item in value.items()}
        if isinstance(value, tuple):
            return [told(item) for item in value]
        return value

    facts: dict[str, Any] = {}
    for each in dataclasses.fields(notice):
        value = getattr(notice, each.name)
        if each.name in ("sky_map", "combined_sky_map"):
            value = None if value is None else value.url or "embedded"
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = dataclasses.asdict(value)
        facts[each.name] = told(value)
    return facts


def order_text(notice: Notice) -> str:
    """Write the notice's place in its event's sequence as a text: the later the greater.

    LVK's notices have whole seconds and no number: of one second, the retraction is the last.
    """
    issued, serial, identity = notice.order
    moment = f"{issued:%Y-%m-%dT%H:%M:%S.%f}"
    return f"{moment} {notice.is_retraction:d} {serial:016d} {identity}"


class EventFiles:
    """The events' folders.

    Parameters
    ----------
    folder : Path
        The root, such as ``alerts/events`` in the state folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def folder_of(self, notice: Notice) -> Path:
        """Return the folder of a notice."""
        name = f"{notice.issued:%Y%m%dT%H%M%S.%fZ}-{notice.kind}-{notice.identity[:8]}"
        return self.folder / safe_name(notice.event) / safe_name(name)

    def write(
        self, notice: Notice, raw: bytes, map_content: bytes | None, answer: Answer
    ) -> tuple[Path, dict[str, Any], dict[str, dict[str, Any]]]:
        """Write what a notice led to; all is on the disk when it returns.

        Returns
        -------
        folder : Path
        summary : dict
            As `Answer.summary`.
        lists : dict
            By observatory, as `as_json`.

        Raises
        ------
        DiskFull, StorageFailed
        """
        folder = self.folder_of(notice)
        lists = {made.observatory: as_json(made) for made in answer.lists}
        summary = answer.summary()
        contents = {
            EVENT: _json({"notice": facts_of(notice), "summary": summary}),
            ASSIGNMENTS: _json(as_assignments(notice, answer.lists)),
            f"notice.{'xml' if notice.format == 'voevent' else 'json'}": raw,
        }
        for made in answer.lists:
            name = safe_name(made.observatory)
            contents[f"targets-{name}.json"] = _json(lists[made.observatory])
            contents[f"targets-{name}.csv"] = as_csv(made).encode()
        if map_content is not None:
            contents[SKY_MAP] = map_content
        store.write_all(folder, contents)
        return folder, summary, lists


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of one of an event's JSON files."""
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, allow_nan=False).encode()  # indented, Python writes it, not C
