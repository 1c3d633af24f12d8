"""``toros config``: check and show the configuration, make password hashes."""

from __future__ import annotations

from pathlib import Path

import argon2
import click
from click.core import ParameterSource

from toros.cli.output import complain, config_option, exits, json_option, tell_json
from toros.config import SERVICES, load
from toros.config import show as showing


@click.group(name="config")
def config_group() -> None:
    """Check and show the configuration."""


@config_group.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@config_option
@click.option("--service", type=click.Choice(SERVICES), help="Check as this daemon would.")
@click.pass_context
@exits
def check(
    context: click.Context, file: Path | None, configuration: Path, service: str | None
) -> None:
    """Check the configuration FILE, or the one that --config names.

    Every section, every value and the steps' settings are checked; all mistakes that
    are found are named with their lines.
    """
    from toros.frontdesk.process import check_users
    from toros.preprocessor.stepping import configured_steps

    by_option = context.get_parameter_source("configuration") is ParameterSource.COMMANDLINE
    if file is not None and by_option:
        raise click.UsageError("give FILE or --config, not both")
    file = file or configuration
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
