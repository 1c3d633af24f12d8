"""``toros database``: the schema's version and its upgrade."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from toros.cli.output import (
    DONE,
    REFUSED,
    config_option,
    exits,
    json_option,
    tell_json,
    tell_mapping,
)
from toros.config import load
from toros.database import schema
from toros.database.session import Database


@click.group(name="database")
def database_group() -> None:
    """Look after the database."""


@database_group.command()
@config_option
@exits
def upgrade(configuration: Path) -> None:
    """Bring the database to this software's schema."""
    database = Database(load(configuration).database_url())
    revision = schema.upgrade(database)
    click.echo(f"{database.shown_url} has schema version {revision}")


@database_group.command(name="status")
@config_option
@json_option
@exits
def database_status(configuration: Path, as_json: bool) -> None:
    """Tell the schema's version and the wanted one.

    The exit code is 1 when they differ.
    """
    database = Database(load(configuration).database_url())
    found, wanted = schema.current_revision(database), schema.wanted_revision()
    told = {"database": database.shown_url, "schema": found, "wanted": wanted}
    (tell_json if as_json else tell_mapping)(told)
    sys.exit(DONE if found == wanted else REFUSED)
