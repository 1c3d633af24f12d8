"""``toros status``: how all configured daemons are."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from toros.cli.output import (
    DONE,
    UNREACHABLE,
    complain,
    config_option,
    exits,
    json_option,
    tell_json,
    tell_mapping,
    tell_table,
)
from toros.client import FrontDesk
from toros.config import SERVICES, Settings, load
from toros.errors import AuthenticationFailed, PermissionDenied, TorosError

_NOT_RUNNING = "not running"
_AS_WHOM = "name one with --user, the password in TOROS_PASSWORD"


@click.command()
@click.argument("service", type=click.Choice(SERVICES), required=False)
@click.option("--user", help="User name, where the daemons want one; password in TOROS_PASSWORD.")
@config_option
@json_option
@exits
def status(service: str | None, user: str | None, configuration: Path, as_json: bool) -> None:
    """Show how the configured daemons are, or all that SERVICE tells of itself.

    The exit code is 3 when SERVICE, or without one every daemon, does not answer.
    """
    settings = load(configuration)
    told = {name: _ask(settings, name, user) for name in ([service] if service else SERVICES)}
    if as_json:
        tell_json(told)
    elif service:
        tell_mapping(told[service])
    else:
        tell_table(
            (
                "daemon",
                "state",
                "address",
                "version",
                "up",
                "queued",
                "working on",
                "database",
            ),
            [_row(settings, name, state) for name, state in told.items()],
        )
        for name, state in told.items():
            if state.get("database", "ok") != "ok":
                complain(f"{name}: database: {state['database']}")
            if "error" in state and state["state"] != _NOT_RUNNING:
                complain(f"{name}: {state['error']}")
    sys.exit(DONE if any("error" not in state for state in told.values()) else UNREACHABLE)


def _ask(settings: Settings, service: str, user: str | None) -> dict[str, Any]:
    try:
        desk = FrontDesk(
            settings.service(service).http, user, os.environ.get("TOROS_PASSWORD"), timeout_s=5.0
        )
        return desk.status()
    except TorosError as error:
        told = {"service": service, "error": error.message, "code": error.code}
        if isinstance(error.__cause__, ConnectionRefusedError):
            return {**told, "state": _NOT_RUNNING}
        if isinstance(error, AuthenticationFailed | PermissionDenied):
            return {**told, "state": "wants a user", "error": f"{error.message}; {_AS_WHOM}"}
        return {**told, "state": "no answer"}


def _row(settings: Settings, service: str, state: dict[str, Any]) -> tuple[object, ...]:
    address = settings.service(service).http
    if "error" in state:
        return (service, state["state"], address, None, None, None, None, None)
    return (
        service,
        "stopping" if state["stopping"] else "running",
        address,
        state["version"],
        _duration(state["uptime_s"]),
        (state["queue"] or {}).get("queued"),
        ", ".join(state["working_on"]) or None,
        "ok" if state["database"] == "ok" else "in trouble",
    )


def _duration(seconds: float) -> str:
    minutes = int(seconds) // 60
    if minutes < 1:
        return f"{int(seconds)} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes // 60 % 24} h"
