"""``toros plan`` and ``toros explain``: what the telescope is going to do, and why."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from toros.cli.output import config_option, exits, json_option, tell_json
from toros.client import FrontDesk
from toros.config import load

_user = click.option(
    "--user", help="User name, where the telescope wants one; password in TOROS_PASSWORD."
)


def _desk(configuration: Path, user: str | None) -> FrontDesk:
    settings = load(configuration)
    return FrontDesk(settings.telescope_service.http, user, os.environ.get("TOROS_PASSWORD"))


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "csv")),
    default="text",
    show_default=True,
    help="A table for people, or comma-separated values.",
)
@_user
@config_option
@json_option
@exits
def plan(form: str, user: str | None, configuration: Path, as_json: bool) -> None:
    """Show the plan of the coming or running night; times are UTC."""
    desk = _desk(configuration, user)
    if as_json:
        tell_json(desk.submit("get_plan", format="data"))
    else:
        click.echo(desk.submit("get_plan", format=form)["text"], nl=False)


@click.command()
@click.argument("target")
@_user
@config_option
@json_option
@exits
def explain(target: str, user: str | None, configuration: Path, as_json: bool) -> None:
    """Explain TARGET's priority, and when it can be observed tonight or why not.

    TARGET is its number, which `toros plan` and the order's result give, or its name:
    the newest target of that name.
    """
    is_number = target.isascii() and target.isdigit()
    which: dict[str, Any] = {"target": int(target)} if is_number else {"name": target}
    told = _desk(configuration, user).submit("explain", **which)
    if as_json:
        tell_json(told)
        return
    click.echo(
        f"target {told['target']} {told['name']}: {told['state']} {told['message']}".rstrip()
    )
    for line in told["lines"]:
        click.echo(f"  {line}")
