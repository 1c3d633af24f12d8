"""The file that is installed names every setting and nothing else, and changes nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from toros.config import SERVICES, Settings, describe, load

EXAMPLE = Path(__file__).parents[3] / "etc" / "toros.conf.yaml"


def places(data, above=()):
    """List the places of all keys; the items of a list are one place together."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield " / ".join((*above, key))
            yield from places(value, (*above, key))
    elif isinstance(data, list):
        for item in data:
            yield from places(item, above)


def with_examples(text: str) -> str:
    """Take the # away from the examples, as the file says."""
    return re.sub(r"(?m)^#(?=  )", "", text)


@pytest.mark.parametrize("service", [None, *SERVICES])
def test_it_loads_to_the_defaults(service):
    settings = load(EXAMPLE, service, environ={})
    assert settings == Settings()
    assert settings.warnings == ()


def test_it_names_every_setting_and_nothing_else():
    found = set(places(yaml.safe_load(with_examples(EXAMPLE.read_text()))))
    declared = {f"{entry.section} / {entry.key}".removeprefix(" / ") for entry in describe()}
    # The sections themselves, and the keys of mappings of a site's own, are no settings.
    paths = [entry.section.split(" / ") for entry in describe() if entry.section]
    sections = {" / ".join(path[:n]) for path in paths for n in range(1, len(path) + 1)}
    fields = "Dome / Weather / Sources / Fields"
    example = {
        "Preprocessor / Header Rules / Header / INSTRUME",
        *(f"{fields} / {key}" for key in ("time", "humidity", "wind_speed")),
    }
    assert found - sections - example == declared - sections
    assert example < found
    assert sections < found


def test_its_examples_load(load_text):
    settings = load_text(with_examples(EXAMPLE.read_text()))
    assert [user.name for user in settings.front_desk.users] == ["observer"]
    assert len(settings.other_observatories) == 1
    assert settings.preprocessor.header_rules[0].set["temperature_c"] is None
    assert settings.preprocessor.sources.hosts == ("archive.example.org",)


def test_every_setting_is_described_with_its_unit():
    for entry in describe():
        assert entry.description.endswith("."), entry
        assert entry.type, entry
        if re.search(r"\(.*\)$", entry.key):
            assert entry.unit
    units = {entry.key: entry.unit for entry in describe()}
    assert units["Longitude (deg)"] == "deg"
    assert units["Body Limit (MB)"] == "MB"
    assert units["Gain (electron/ADU)"] == "electron/ADU"
