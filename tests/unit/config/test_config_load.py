"""A configuration is loaded as it stands, or refused with every mistake and its line."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from toros.config import (
    FrozenDict,
    HeaderRule,
    ServiceAddress,
    Settings,
    StepChoice,
    check,
    describe,
    load,
)
from toros.errors import ConfigurationError

HASH = "$argon2id$v=19$m=65536,t=3,p=4$" + "A" * 22 + "$" + "A" * 43


def test_the_documents_example_is_taken_as_it_stands(load_text):
    settings = load_text(
        """
Preprocessor Service Address:
  HTTP: http://127.168.0.1:8080
  IP: 127.168.0.1
  Port: 8080
Logging:
  File: /etc/toros/logs/toros.log
  Log Level: DEBUG
"""
    )
    assert settings.preprocessor_service.http == "http://127.168.0.1:8080"
    assert settings.preprocessor_service.loopback
    assert settings.logging.level == "DEBUG"
    assert settings.log_file("preprocessor") == Path("/etc/toros/logs/toros-preprocessor.log")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "Logging:\n", "Logging: {}\n"])
def test_nothing_given_means_the_defaults(load_text, text):
    assert load_text(text) == Settings()


def test_where_the_settings_come_from(load_text, file):
    settings = load_text("Logging:\n  Days Kept: 3\n")
    assert settings.source == file
    assert settings.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert settings.warnings == ()
    assert settings.where("Logging", "Days Kept") == f"{file}:2: Logging / Days Kept"
    assert settings.where("Logging", "File") == f"{file}:1: Logging / File"
    assert settings.where("Database", "URL") == f"{file}: Database / URL"


def test_defaults_follow_from_what_was_given(load_text):
    settings = load_text(
        """
State Folder: /srv/toros
Dome Service Address: {Port: 9000}
Telescope Service Address: {IP: '::1'}
Email Configuration: {Security: tls}
"""
    )
    assert settings.database_url() == "sqlite:////srv/toros/toros.db"
    assert settings.preprocessor.sources.folders == (Path("/srv/toros/incoming"),)
    assert settings.service("dome").http == "http://127.0.0.1:9000"
    assert settings.service("telescope").http == "http://[::1]:8081"
    assert settings.email.port == 465
    assert Settings().email.port == 587


def test_default_address_is_https_with_a_certificate(load_text, tmp_path):
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("")
    settings = load_text(
        f"Front Desk: {{TLS Certificate: {tmp_path}/cert.pem, TLS Key: {tmp_path}/key.pem}}"
    )
    assert settings.lvcgcn_service.http == "https://127.0.0.1:8083"


def test_every_problem_is_listed_once_in_the_order_of_its_line(problems):
    text = """\
Logging:
  Log Level: LOUD
  Days Kept: 0
Database: sqlite
Front Desk:
  Users:
    - Name: a
      Password Hash: short
    - Name: a:b
      Requests: some
  Connections: '64'
  Body Limit (MB): true
Preprocessor:
  Processes: 1.5
  Sources: {Folders: /data, Hosts: ['http://x']}
Nonsense: 1
"""
    lines = problems(text)
    assert [line.partition(":")[0] for line in lines] == [
        "2",
        "3",
        "4",
        "7",
        "8",
        "9",
        "9",
        "10",
        "11",
        "12",
        "14",
        "15",
        "15",
        "16",
    ]
    assert lines[0] == (
        "2: Logging / Log Level: got 'LOUD'; expected one of DEBUG, INFO, WARNING, ERROR"
    )
    assert lines[1] == "3: Logging / Days Kept: got 0; expected a whole number, 1 to 36500"
    assert lines[3] == (
        "7: Front Desk / Users / 1 / Requests: missing; expected all, or a list of requests "
        "such as [status, calibrate_file_batch]"
    )
    assert lines[8] == (
        "11: Front Desk / Connections: got '64'; expected a whole number, 1 to 4096, "
        "without quotes: 64"
    )
    assert (
        lines[9] == "12: Front Desk / Body Limit (MB): got true; expected a number, 0.001 to 1024"
    )


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Loging: {}", "1: Loging: unknown key; did you mean 'Logging'?"),
        (
            "Logging: {log level: INFO}",
            "1: Logging / log level: unknown key; did you mean 'Log Lev",
        ),
        ("Logging: {level: INFO}", "unknown key; did you mean 'Log Level'?"),
        ("Logging: {XYZ: 1}", "unknown key; expected one of File, Log Level, Days Kept"),
        ("Preprocessor: {Sources: {Folder: []}}", "did you mean 'Folders'?"),
        ("Preprocessor: {Steps: [{step: stack_bias}]}", "did you mean 'Step'?"),
        ("Preprocessor: {Steps: [{Combine: median}]}", "Steps / 1 / Step: missing"),
        ("<<: {}", "1: …: unknown key; expected one of Observatory"),
    ],
)
def test_unknown_keys_are_refused_with_what_may_be_meant(problems, text, hint):
    assert any(hint in line for line in problems(text)), problems(text)


@pytest.mark.parametrize("section", sorted({entry.section.split(" / ")[0] for entry in describe()}))
def test_a_python_name_is_no_yaml_name(problems, section):
    names = {field.alias: name for name, field in Settings.model_fields.items()}
    if section:
        assert problems(f"{names[section]}: null\n")


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("Days Kept", "1e400", "got inf"),
        ("Days Kept", "9" * 30, "got 1e+30"),
        ("Days Kept", "9" * 5000, "got inf"),
        ("Days Kept", ".nan", "got nan"),
        ("Days Kept", "12:30", "got '12:30'"),
        ("Days Kept", "2019-03-05", "got '2019-03-05'"),
        ("Days Kept", "[1]", "got a list"),
        ("File", "logs/toros.log", "got 'logs/toros.log'"),
        ("File", "~/toros.log", "got '~/toros.log'"),
        ("File", "/var/../etc/passwd", "got '/var/../etc/passwd'"),
        ("File", '"/var/a\\0b"', "got '/var/a\\x00b'"),
        ("File", "12", "got 12"),
        ("Log Level", "yes", "got 'yes'"),
        ("Log Level", '"a\\nb"', "got 'a\\nb'"),
        ("Log Level", "x" * 300, "got '" + "x" * 197 + "…'"),
    ],
)
def test_wrong_values_are_shown_on_one_line(problems, key, value, found):
    (line,) = problems(f"Logging:\n  {key}: {value}\n")
    assert line.startswith(f"2: Logging / {key}: {found}; expected ")


def test_numbers_are_read_as_the_yaml_core_schema_has_them(load_text):
    settings = load_text("Preprocessor: {Orders at a Time: 010, Sources: {Ratio Limit: 2e+2}}")
    assert settings.preprocessor.orders_at_a_time == 10
    assert settings.preprocessor.sources.ratio_limit == 200


def test_a_mistake_in_another_daemons_section_is_a_warning_and_has_its_defaults(load_text, file):
    text = "Dome Service Address: {IP: here, Port: 9000}\nLogging: {Days Kept: 7}\n"
    settings = load_text(text, "preprocessor")
    assert settings.dome_service == Settings().dome_service
    assert settings.logging.days_kept == 7
    assert settings.warnings == (
        f"{file}:1: Dome Service Address / IP: got 'here'; expected an IP address, such as "
        "127.0.0.1; for now the section has its defaults",
    )
    for service in (None, "dome", "telescope"):  # the telescope sends orders to the dome
        with pytest.raises(ConfigurationError):
            load_text(text, service)


@pytest.mark.parametrize("service", [None, "preprocessor", "telescope", "dome", "lvcgcn"])
def test_unknown_sections_are_refused_by_everyone(problems, service):
    assert "unknown key" in problems("Prepocessor: {}\n", service)[0]


@pytest.mark.parametrize("text", ["just text", "- 1\n- 2\n", "12"])
def test_a_file_without_sections_is_refused(problems, text):
    (line,) = problems(text)
    assert "expected sections (Name: settings)" in line


def test_an_unknown_service_is_the_callers_mistake(load_text):
    with pytest.raises(ValueError, match="no service 'docs'"):
        load_text("", "docs")


def test_settings_cannot_be_changed(load_text):
    settings = load_text(
        "Preprocessor:\n"
        "  Steps: [{Step: stack_dark, Combine: {method: median, sigma: [3, 3]}}]\n"
        "  Header Rules: [{Header: {instrume: 'ST*'}, Set: {filter: null, exposure_time_s: 3}}]\n"
    )
    with pytest.raises(ValidationError):
        settings.logging.level = "DEBUG"
    step = settings.preprocessor.steps[0]
    assert step.settings == {"Combine": {"method": "median", "sigma": (3, 3)}}
    with pytest.raises(TypeError, match="cannot be changed"):
        step.settings["Combine"]["method"] = "mean"
    rule = settings.preprocessor.header_rules[0]
    assert rule.header == {"INSTRUME": "ST*"}
    assert rule.set == {"filter": None, "exposure_time_s": 3.0}
    assert rule.keywords == {}
    for change in (
        lambda d: d.update(a=1),
        lambda d: d.pop("filter"),
        lambda d: d.__delitem__("filter"),
        lambda d: d.__ior__({"a": 1}),
        lambda d: d.setdefault("a", 1),
        lambda d: d.clear(),
        lambda d: d.popitem(),
    ):
        with pytest.raises(TypeError):
            change(rule.set)


def test_settings_travel_to_other_processes_whole(load_text):
    settings = load_text(
        "Database: {URL: 'postgresql://toros:pw@db/toros'}\n"
        "Preprocessor: {Header Rules: [{Set: {type: dark}}]}\n"
    )
    copy = pickle.loads(pickle.dumps(settings))
    assert copy == settings
    assert hash(copy) == hash(settings)
    assert (copy.source, copy.sha256) == (settings.source, settings.sha256)
    assert copy.database_url() == settings.database_url()


def test_sections_can_be_made_by_their_python_names():
    rule = HeaderRule(file_name="flat*", set={"type": "flat"}, keywords={"filter": "FILTNAM"})
    assert rule.set == {"type": "flat"}
    assert ServiceAddress(port=9000).http == "http://127.0.0.1:9000"
    assert StepChoice(step="stack_bias", settings={"a": [1]}).settings == FrozenDict({"a": (1,)})


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("{File Name: 'a*'}", "expected a rule with at least one value under Set or Keywords"),
        ("{Set: {type: Light Frame}}", "got 'Light Frame'; expected one of bias, dark, flat"),
        ("{Set: {exposure_time_s: -1}}", "got -1; expected a number of seconds"),
        ("{Set: {start_utc: x}}", "unknown key"),
        ("{Keywords: {filter: 'A=B'}}", "got 'A=B'; expected a FITS keyword"),
        ("{Keywords: {filter: FILTER}, Header: {CCD-TEMP: -20}}", "needs quotes"),
        ("{Keywords: {filter: FILTER}, Header: INSTRUME}", "expected a mapping of FITS keywords"),
    ],
)
def test_header_rules_are_checked(problems, rule, found):
    (line,) = problems(f"Preprocessor:\n  Header Rules:\n    - {rule}\n")
    assert line.startswith("3: Preprocessor / Header Rules / 1")
    assert found in line


class StackSettings(BaseModel):
    """What a step's own settings look like."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    combine: Literal["median", "mean"] = "median"
    clip: float = Field(3.0, ge=1)


def test_a_steps_own_settings_are_checked_in_the_same_words(load_text, file):
    settings = load_text(
        "Preprocessor:\n  Steps:\n    - Step: stack_dark\n      clip: 5\n      combin: mean\n"
    )
    own = settings.preprocessor.steps[0].settings
    with pytest.raises(ConfigurationError) as caught:
        check(StackSettings, own, settings, "Preprocessor", "Steps", 0)
    assert caught.value.message == (
        f"{file}:5: Preprocessor / Steps / 1 / combin: unknown key; did you mean 'combine'?"
    )
    for wrong, words in (
        ({"clip": 0.5}, "clip: got 0.5; expected at least 1.0"),
        ({"clip": "5"}, "clip: got '5'; expected a number"),
        ({"combine": "sum"}, "combine: got 'sum'; expected one of 'median' or 'mean'"),
    ):
        with pytest.raises(ConfigurationError, match=f":[34]: Preprocessor / Steps / 1 / {words}"):
            check(StackSettings, wrong, settings, "Preprocessor", "Steps", 0)
    good = check(StackSettings, {"clip": 5}, settings, "Preprocessor", "Steps", 0)
    assert good.clip == 5


def test_the_shipped_defaults_are_safe():
    settings = Settings()
    assert all(settings.service(name).loopback for name in ("preprocessor", "dome"))
    assert not settings.preprocessor.sources.private_addresses
    assert settings.email.server is None


def test_load_takes_secrets_from_the_process_by_default(file, monkeypatch):
    file.write_text("Database: {URL: 'postgresql://toros@db/toros'}\n")
    monkeypatch.setenv("TOROS_DATABASE_PASSWORD", "from the environment")
    password = load(file).database.password
    assert password is not None
    assert password.get_secret_value() == "from the environment"
