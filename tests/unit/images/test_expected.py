"""Every real frame against what a careful reader makes of it (EXPECTED.csv)."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.site_rules import SITE_RULES
from toros.config import HeaderRule
from toros.images import read_facts

RULES = [HeaderRule.model_validate(rule) for rule in SITE_RULES]


@pytest.fixture(scope="module")
def expected(shared_data: Path) -> list[dict[str, str]]:
    with (shared_data / "frames" / "EXPECTED.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def mistakes(
    row: dict[str, str], folder: Path, rules: list[HeaderRule], type_column: str
) -> list[str]:
    facts = read_facts(folder / row["file"], row["file"], rules, 400.0)
    found = []
    if facts.frame_type != row[type_column]:
        found.append(f"type {facts.frame_type}, not {row[type_column]}")
    if row["start_utc"]:
        start = datetime.fromisoformat(row["start_utc"]).replace(tzinfo=UTC)
        # Two of its keywords differ by 2.3 s.
        tolerance_s = 3.0 if row["file"].endswith("gmos.fits") else 0.002
        if facts.start_utc is None or abs((facts.start_utc - start).total_seconds()) > tolerance_s:
            found.append(f"start {facts.start_utc}, not {start}")
    for column in ("exposure_time_s", "temperature_c"):
        if row[column]:
            value = getattr(facts, column)
            # One unit of the last decimal written.
            decimals = len(row[column].partition(".")[2])
            tolerance = 10.0 ** -min(decimals, 2) if column == "temperature_c" else 1e-3
            if value is None or abs(value - float(row[column])) > tolerance:
                found.append(f"{column} {value}, not {row[column]}")
    if row["filter"] and facts.filter != row["filter"]:
        found.append(f"filter {facts.filter}, not {row['filter']}")
    return [f"{row['file']}: {mistake}" for mistake in found]


@pytest.mark.parametrize(("rules", "type_column"), [([], "type"), (RULES, "type_with_site_rules")])
def test_every_frame_is_read_as_a_careful_reader_would(
    expected: list[dict[str, str]], shared_data: Path, rules: list[HeaderRule], type_column: str
) -> None:
    found = [mistakes(row, shared_data / "frames", rules, type_column) for row in expected]
    assert not [line for lines in found for line in lines]
    assert len(found) == len(expected) > 100


def test_nothing_is_said_where_the_frame_does_not_say(
    expected: list[dict[str, str]], shared_data: Path
) -> None:
    facts = read_facts(
        shared_data / "frames/dialects/simimage.fit", "dialects/simimage.fit", [], 400.0
    )
    assert (facts.start_utc, facts.exposure_time_s, facts.filter, facts.temperature_c) == (
        None,
    ) * 4
    assert facts.notes == ("no type: the header states none",)


def test_a_colour_pattern_is_no_filter(shared_data: Path) -> None:
    facts = read_facts(shared_data / "frames/panoptes/tiny.fits", "tiny.fits", [], 400.0)
    assert (facts.filter, facts.bayer) == (None, "RGGB")


def test_only_the_science_extension_holds_the_cameras_pixels(shared_data: Path) -> None:
    facts = read_facts(shared_data / "frames/dialects/gmos.fits", "gmos.fits", [], 400.0)
    assert facts.hdus == (1,)
    assert facts.shape == (150, 200)
