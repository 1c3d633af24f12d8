"""``toros inspect``: what the preprocessor would make of a folder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from toros import clock
from toros.cli.output import (
    config_option,
    exits,
    json_option,
    progress_bar,
    tell_json,
    tell_table,
)
from toros.config import Settings, load
from toros.errors import UnusableFrame
from toros.images import FrameFacts, read_facts
from toros.preprocessor.foresight import describe, foresee
from toros.preprocessor.grouping import Frame
from toros.preprocessor.sources import SourceFile, SourceRules, fetch
from toros.preprocessor.stepping import configured_steps


@click.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@config_option
@json_option
@exits
def inspect(path: Path, configuration: Path, as_json: bool) -> None:
    """Show what the preprocessor would do.

    PATH is a folder, an archive or a frame. Nothing is run, nothing is written.
    Without a configuration file at the default place the built-in rules alone are used.
    """
    context = click.get_current_context()
    given = context.get_parameter_source("configuration") is not click.core.ParameterSource.DEFAULT
    settings = load(configuration) if given or configuration.exists() else Settings()
    place = path.resolve()
    with tempfile.TemporaryDirectory(prefix="toros-inspect-") as scratch:
        rules = SourceRules.from_settings(settings.preprocessor.sources, 0, place)
        fetched = fetch(str(place), rules, Path(scratch) / "files")
        found = _read(fetched.files, settings)
        rows = [_row(file, facts, reason) for file, facts, reason in found]
        rows += [
            _row(SourceFile(name, place / name, 0), None, reason)
            for name, reason in fetched.left_out
        ]
        rows.sort(key=lambda row: row["file"])
        if as_json:
            tell_json(rows)
            return
        headings = ("file", "type", "start (UTC)", "exposure (s)", "filter", "T (C)", "reason")
        tell_table(headings, [_cells(row) for row in rows])
        frames = [
            Frame(str(file.path), file.name, file.name, hdu, facts)
            for file, facts, _ in found
            if facts is not None
            for hdu in facts.hdus
        ]
        click.echo()
        plans = foresee(frames, configured_steps(settings), settings.preprocessor)
        for line in describe(plans, frames):
            click.echo(line)


def _read(
    files: Sequence[SourceFile], settings: Settings
) -> list[tuple[SourceFile, FrameFacts | None, str | None]]:
    section = settings.preprocessor
    limit = section.sources.frame_limit_mpixel
    found: list[tuple[SourceFile, FrameFacts | None, str | None]] = []
    for file in progress_bar(iterable=files, desc="headers"):
        try:
            facts = read_facts(file.path, file.name, section.header_rules, limit)
        except UnusableFrame as error:
            found.append((file, None, error.message))
        else:
            unclear = facts.frame_type == "unknown" or None
            found.append((file, facts, unclear and "; ".join(facts.notes)))
    return found


def _cells(row: dict[str, Any]) -> list[object]:
    exposure_s, temperature_c = row["exposure_time_s"], row["temperature_c"]
    written = {
        "exposure_time_s": None if exposure_s is None else f"{exposure_s:g}",
        "temperature_c": None if temperature_c is None else f"{temperature_c:.1f}",
    }
    return list({**row, **written}.values())


def _row(file: SourceFile, facts: FrameFacts | None, reason: str | None) -> dict[str, Any]:
    start = facts.start_utc if facts else None
    return {
        "file": file.name,
        "type": facts.frame_type if facts else "unknown",
        "start_utc": None if start is None else clock.to_iso(start),
        "exposure_time_s": facts.exposure_time_s if facts else None,
        "filter": facts.filter if facts else None,
        "temperature_c": facts.temperature_c if facts else None,
        "reason": reason or None,
    }
