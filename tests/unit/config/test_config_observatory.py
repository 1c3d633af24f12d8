"""Settings of dome, telescope, devices and rehearsals."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from toros.config import Settings
from toros.config.enclosure import QUANTITIES
from toros.devices import protocols
from toros.errors import ConfigurationError


def test_the_weathers_quantities_are_those_of_the_devices():
    assert set(QUANTITIES) == set(protocols.QUANTITIES)


def test_every_place_where_exposures_go_follows_from_the_state_folder(load_text):
    settings = load_text("State Folder: /srv/toros")
    assert str(settings.telescope.exposures_folder) == "/srv/toros/incoming"
    assert str(settings.rehearsal.folder) == "/srv/toros/simulation"


def test_an_unquoted_and_a_quoted_moment_are_the_same(load_text):
    for text in ("2026-06-10T22:00:00", '"2026-06-10T22:00:00"'):
        settings = load_text(f"Rehearsal: {{Anchor: {text}, Start: {text}, Rate: 10}}")
        assert settings.rehearsal.start == datetime(2026, 6, 10, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Dome: {Device: {Driver: alpaca}}", "Address"),
        ("Dome: {Device: {Driver: alpaca, Address: somewhere}}", "host and its port"),
        (
            "Dome: {Weather: {Sources: [{Name: a, Kind: safety_monitor, Address: nowhere}]}}",
            "host and its port",
        ),
        ("Dome: {Lease (s): 5}", "10 to 30"),
        ("Dome: {Enclosure: tent}", "dome, clamshell, roll-off"),
        ("Dome: {Weather: {Sources: [{Name: a, Kind: file}]}}", "Path"),
        (
            "Dome: {Weather: {Sources: [{Name: a, Kind: file, Path: /a, Fields: {hum: x}}]}}",
            "'hum'",
        ),
        (
            "Dome: {Weather: {Sources: [{Name: a, Kind: simulated}, {Name: a, Kind: simulated}]}}",
            "'a' is there twice",
        ),
        ("Dome: {Weather: {Limits: [{Quantity: humidity}]}}", "Above or Below"),
        ("Dome: {Weather: {Limits: [{Quantity: fog, Above: 1}]}}", "humidity"),
        ("Telescope: {Stage: 3}", "Mount"),
        ("Telescope: {Stage: 4}", "1 to 3"),
        (
            "Telescope: {Calibration: {Flat Shortest (s): 50, Flat Longest (s): 20}}",
            "Flat Shortest (s) below",
        ),
        ('Rehearsal: {Start: "2026-06-10T22:00:00"}', "Anchor and Start"),
        ("Rehearsal: {Anchor: tomorrow, Start: today}", "date and time"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(load_text, text, told):
    with pytest.raises(ConfigurationError) as caught:
        load_text(text)
    assert told in caught.value.message
    assert ".yaml:1:" in caught.value.message


def test_the_defaults_move_nothing():
    settings = Settings()
    telescope = settings.telescope
    devices = (settings.dome.device, telescope.mount, telescope.camera)
    assert {device.driver for device in devices} == {"none"}
    assert telescope.stage == 1
    assert settings.dome.weather.sources == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "Telescope: {Stage: 2, Mount: {Driver: simulated}, Camera: {Driver: simulated}, "
            "Exposures Folder: /srv/elsewhere}",
            "Sources / Folders",
        ),
        (
            "Dome: {Enclosure: roll-off, Device: {Driver: alpaca, Address: 127.0.0.1:11111}}",
            "parked first",
        ),
    ],
)
def test_what_would_end_a_night_badly_is_warned_of(load_text, text, told):
    (warning,) = load_text(text).warnings
    assert told in warning
