"""Secrets come from where they are kept, and are shown nowhere."""

from __future__ import annotations

import json

import pytest

from toros.config import Settings
from toros.config.secrets import hide_url
from toros.config.show import rows, to_dict, to_text
from toros.errors import ConfigurationError

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    ("section", "attribute", "variable", "credential"),
    [
        ("Database", "database", "TOROS_DATABASE_PASSWORD", "database-password"),
        ("Email Configuration", "email", "TOROS_EMAIL_PASSWORD", "email-password"),
    ],
)
def test_environment_before_credential_before_file(
    load_text, tmp_path, section, attribute, variable, credential
):
    text = f"{section}: {{Password: 'in the file'}}\n"

    def password(environ):
        return getattr(load_text(text, None, environ), attribute).password.get_secret_value()

    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert password(environ) == "in the file"
    (tmp_path / credential).write_text("a credential\n")
    assert password(environ) == "a credential"
    assert password({**environ, variable: ""}) == "a credential"
    assert password({**environ, variable: "a variable"}) == "a variable"


@pytest.mark.parametrize("content", [b"a\nb", b"\xff", b"x" * 5000, b"a\0b"])
def test_a_credential_that_cannot_be_a_password_is_refused(load_text, tmp_path, content):
    (tmp_path / "email-password").write_bytes(content)
    with pytest.raises(ConfigurationError, match="email-password: not a usable credential"):
        load_text("", None, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_credential_that_is_a_folder_is_refused(load_text, tmp_path):
    (tmp_path / "email-password").mkdir()
    with pytest.raises(ConfigurationError, match="the credential cannot be read"):
        load_text("", None, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_password_reaches_the_database_url_alone(load_text):
    settings = load_text(
        "Database: {URL: 'postgresql://toros@db/toros'}",
        None,
        {"TOROS_DATABASE_PASSWORD": SECRET},
    )
    assert settings.database_url() == f"postgresql+psycopg://toros:{SECRET}@db/toros"
    assert SECRET not in repr(settings)
    assert SECRET not in str(to_dict(settings))


def test_nothing_that_is_shown_holds_a_secret(load_text):
    hashed = "$argon2id$v=19$m=65536,t=3,p=4$" + "A" * 22 + "$" + SECRET + "A" * 29
    settings = load_text(f"""
Dome Service Address: {{HTTP: 'http://me:{SECRET}@127.0.0.1:8082'}}
Other Observatories:
  - {{Name: A, Longitude (deg): 1, Latitude (deg): 1, Height (m): 1,
     Telescope Service HTTP: 'https://me:{SECRET}@a.example.org/'}}
Database: {{URL: 'postgresql://toros:{SECRET}@db/toros?sslpassword={SECRET}', Password: {SECRET}}}
Email Configuration: {{User: me, Password: {SECRET}}}
Front Desk: {{Users: [{{Name: a, Password Hash: '{hashed}', Requests: all}}]}}
""")
    shown = to_text(rows(settings))
    for text in (shown, json.dumps(to_dict(settings)), repr(settings), str(settings.warnings)):
        assert SECRET not in text
    assert 'HTTP: "http://me:***@127.0.0.1:8082"\n' in shown
    assert 'URL: "postgresql://toros:***@db/toros?sslpassword=***"\n' in shown
    assert 'Password: "***"\n' in shown


@pytest.mark.parametrize(
    ("text", "shown", "shown_in_errors"),
    [
        ("postgresql://u:p@h/db", "postgresql://u:***@h/db", "postgresql://***@h/db"),
        ("postgresql://u@h/db", *["postgresql://***@h/db"] * 2),
        ("postgresql://u:p", "postgresql://u:p", "postgresql://***"),
        ("http://h:80/a", "http://h:80/a", "http://h:80/a"),
        ("http://[::1]:80", "http://[::1]:80", "http://[::1]:80"),
        ("postgresql://u:p@q/r@h/db", "postgresql://u:***@h/db", "postgresql://***@h/db"),
        ("postgresql://u:p?q#r@h/db", "postgresql://u:***@h/db", "postgresql://***@h/db"),
        ("u:p@h/db", "u:***@h/db", "***@h/db"),
        ("http://h/?a=1&token=p&b=2", "http://h/?a=1&token=***&b=2", "http://h/?a=1&token=***&b=2"),
        ("postgresql://h/db?password=p", *["postgresql://h/db?password=***"] * 2),
        ("sqlite:////a/b.db", *["sqlite:////a/b.db"] * 2),
        ("plain", "plain", "plain"),
    ],
)
def test_urls_are_shown_without_their_passwords(text, shown, shown_in_errors):
    assert hide_url(text) == shown
    assert hide_url(text, with_user=True) == shown_in_errors


@pytest.mark.parametrize(
    "text",
    [
        f"Email Configuration: {{Pasword: {SECRET}}}",
        f"Email Configuration: {SECRET}",
        f"Email Configuration: {{Password:{SECRET}}}",
        f"Email Configuration: {{Password: [{SECRET}]}}",
        f"Email Configuration: {{Password: {{{SECRET}: 1}}}}",
        f"Email Configuration: {{Password: *{SECRET}}}",
        f"Email Configuration: {{Password: &{SECRET}}}",
        f"Email Configuration: {{Password: !{SECRET}}}",
        f"Email Configuration: {{Password: !{SECRET}!x y}}",
        f"Email Configuration: {{Password: %{SECRET}}}",
        f"Email Configuration:\n  Password: {SECRET}: {SECRET}",
        f"Email Configuration:\n  Password: '{SECRET}",
        f'Email Configuration:\n  Password: "{SECRET}\\q"',
        f"Email Configuration:\n  Password: @{SECRET}",
        f"Database: {{URL: 'postgres://u:{SECRET}@h/d'}}",
        f"Database: {{URL: 'postgresql://u:{SECRET}@h:port/d'}}",
        f"Database: {{URL: 'u:{SECRET}@h/d'}}",
        f"Database: {{URL:postgresql://u:{SECRET}@h/d}}",
        f"Dome Service Address: {{HTTP: 'htp://u:{SECRET}@h'}}",
        f"Dome Service Address: {{HTTP: 'http://u:{SECRET}@h:1'}}",
        f"Email Configuration: {{Password {SECRET}}}",
        f"Email Configuration: {{Passwo '{SECRET}'}}",
        f"Pasword: {SECRET}",
    ],
)
def test_no_mistake_brings_a_secret_into_a_message(problems, text):
    assert SECRET not in "\n".join(problems(text))


def test_a_password_in_a_file_that_all_may_read_is_a_warning(file):
    from toros.config import load

    file.write_text("Logging: {}\nEmail Configuration:\n  User: me\n  Password: x\n")
    file.chmod(0o644)
    (warning,) = load(file, environ={}).warnings
    assert warning.startswith(f"{file}:4: Email Configuration / Password: given in a file that ev")
    file.chmod(0o640)
    assert load(file, environ={}).warnings == ()


def test_rows_tell_defaults_units_and_meanings(load_text):
    settings = load_text(
        "State Folder: /srv/toros\nFront Desk: {Connections: 64, Queue Limit: 5}\n"
    )
    by_place = {row.place: row for row in rows(settings)}
    assert by_place["Front Desk", "Connections"].is_default
    assert not by_place["Front Desk", "Queue Limit"].is_default
    assert not by_place["State Folder",].is_default
    url = by_place["Database", "URL"]  # it follows from the State Folder
    assert (url.value, url.is_default) == ("sqlite:////srv/toros/toros.db", True)
    row = by_place["Preprocessor", "Sources", "Timeout (s)"]
    assert (row.value, row.unit, bool(row.description)) == (60.0, "s", True)
    assert "  Queue Limit: 5\n" in to_text(rows(settings))
    assert "  Connections: 64  # default\n" in to_text(rows(settings))
    assert to_dict(settings)["sha256"] == settings.sha256


def test_what_is_shown_can_be_loaded_again(load_text):
    shown = to_text(rows(Settings()))
    assert load_text(shown) == Settings()
