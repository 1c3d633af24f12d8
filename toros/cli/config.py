"""``toros config``: check and show the configuration, make password hashes."""

from __future__ import annotations

from pathlib import Path

import argon2
import click

from toros.cli.output import complain, config_option, exits, json_option, tell_json
from toros.config import SERVICES, load
from toros.config import show as showing


@click.group(name="config")
def config_group() -> None:
    """Check and show the configuration."""


@config_group.command()
@click.argument(
    "file",
    type=click.Path(path_type=Path),
    default=Path("/etc/toros/toros.conf.yaml"),
    envvar="TOROS_CONFIG",
)
@click.option("--service", type=click.Choice(SERVICES), help="Check as this daemon would.")
@exits
def check(file: Path, service: str | None) -> None:
    """Check the configuration FILE.

    Every section, every value and the steps' settings are checked; all mistakes that
    are found are named with their lines.
    """
    from toros.frontdesk.process import check_users
    from toros.preprocessor.stepping import configured_steps

    settings = load(file, service)
    check_users(settings)
    if service in (None, "preprocessor"):
        configured_steps(settings)
    for warning in settings.warnings:
        complain(f"warning: {warning}")
    click.echo(f"{file} is right")


@config_group.command()
@config_option
@json_option
@exits
def show(configuration: Path, as_json: bool) -> None:
    """Show the settings in force.

    Defaults are marked, secrets hidden.
    """
    settings = load(configuration)
    if as_json:
        tell_json(showing.to_dict(settings))
    else:
        click.echo(showing.to_text(showing.rows(settings)), nl=False)


@config_group.command(name="hash-password")
@click.password_option(help="Asked for when not given.")
def hash_password(password: str) -> None:
    """Make the hash that a user's Password Hash setting wants."""
    click.echo(argon2.PasswordHasher().hash(password))
