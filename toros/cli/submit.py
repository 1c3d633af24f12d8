"""``toros-submit``: send a work order from the command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click
import yaml

import toros
from toros import config
from toros.cli.output import (
    DONE,
    REFUSED,
    complain,
    config_option,
    exits,
    json_option,
    progress_bar,
    tell_json,
    tell_mapping,
    tell_table,
    tell_texts,
)
from toros.client import FrontDesk
from toros.errors import InvalidField, TorosError
from toros.workorders import REQUESTS, SERVICES
from toros.workorders.requests import COMMON


def complete_request(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """List the requests of the service named so far, for the shell's completion."""
    known = _requests(context.params.get("service"))
    return [name for name in known if name.startswith(incomplete)]


def _requests(service: str | None) -> list[str]:
    return [cls.request for cls in (*COMMON, *REQUESTS.get(service or "", ()))]


def complete_field(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """List the fields of the request named so far, for the shell's completion."""
    requests = (*COMMON, *REQUESTS.get(context.params.get("service") or "", ()))
    for cls in requests:
        if cls.request == context.params.get("request"):
            return [f"{f}=" for f in cls.model_fields if f.startswith(incomplete)]
    return []


@click.command()
@click.argument("service", type=click.Choice(SERVICES))
@click.argument("request", required=False, shell_complete=complete_request)
@click.argument("fields", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=complete_field)
@click.option(
    "--file",
    "order_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Read the order from a YAML or JSON file; KEY=VALUE override it.",
)
@click.option("--wait", is_flag=True, help="Wait until the order has ended, show its progress.")
@click.option("--timeout", "timeout_s", type=float, help="Wait at the most so many seconds.")
@click.option("--url", help="The daemon's address, instead of the configuration's.")
@click.option("--user", help="User name, where the daemon wants one; password in TOROS_PASSWORD.")
@config_option
@json_option
@click.version_option(toros.__version__)
@exits
def main(
    service: str,
    request: str | None,
    fields: tuple[str, ...],
    order_file: Path | None,
    wait: bool,
    timeout_s: float | None,
    url: str | None,
    user: str | None,
    configuration: Path,
    as_json: bool,
) -> None:
    """Send the work order REQUEST to the daemon SERVICE.

    A VALUE is read as JSON where it is JSON (12, 1.5, true, null), else as text.
    The exit code is 0 when the order was accepted (with --wait: is done), 1 when
    it was refused or failed, 2 for wrong usage, 3 when the daemon does not answer.
    """
    order = _order(service, request, fields, order_file)
    address = url or config.load(configuration).service(service).http
    desk = FrontDesk(address, user, os.environ.get("TOROS_PASSWORD"))
    answer = desk.submit(**order)
    for warning in answer.get("warnings") or []:
        complain(f"warning: {warning}")
    if wait and answer.get("status") == "queued" and "id" in answer:
        if not as_json:
            complain(f"order {answer['id']} is queued")
        answer = _wait(desk, answer["id"], timeout_s, as_json)
    if as_json:
        tell_json(answer)
    elif isinstance(answer.get("orders"), list):
        _tell_orders(answer)
    elif isinstance(answer.get("events"), list):
        _tell_events(answer)
    elif texts := _texts(answer):
        tell_texts(texts)
    else:
        tell_mapping(answer)
    sys.exit(DONE)


def _tell_events(answer: dict[str, Any]) -> None:
    """Write a page of alerts' events as a table, of each what a person asks first."""
    keys = ("event", "mission", "state", "is_test", "answered", "revision", "updated")
    tell_table(keys, [[event[key] for key in keys] for event in answer["events"]])
    click.echo(f"page {answer['page']}; {answer['total']} events")


def _texts(answer: dict[str, Any]) -> dict[str, str]:
    """Return the texts of an answer that was asked for as text: a person wants them in a file."""
    if set(answer) == {"format", "text"}:
        return {"": answer["text"]}
    found = answer.get("lists") if "form" in answer else None
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        return {}
    return found


def _tell_orders(answer: dict[str, Any]) -> None:
    """Write a page of orders as a table, of each what a person asks first."""
    keys = ("id", "request", "for", "status", "received", "finished", "message")
    orders = [
        {**order, "for": ", ".join(f"{k}={v}" for k, v in order["fields"].items())}
        for order in answer["orders"]
    ]
    tell_table(keys, [[order.get(key) or None for key in keys] for order in orders])
    click.echo(f"page {answer['page']} of {answer['pages']}; {answer['total']} orders")


def _order(
    service: str, request: str | None, fields: tuple[str, ...], order_file: Path | None
) -> dict[str, Any]:
    order: dict[str, Any] = {}
    if order_file is not None:
        try:
            order = yaml.load(order_file.read_text("utf-8"), Loader=_TextTimes)  # noqa: S506 - a SafeLoader
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InvalidField(f"{order_file}: {error}") from error
        if not isinstance(order, dict) or not all(isinstance(key, str) for key in order):
            raise InvalidField(f"{order_file}: an order's file holds one dictionary of its keys")
    if request is not None and "=" in request:
        fields, request = (request, *fields), None
    if request is not None:
        order["request"] = request
    for field in fields:
        key, equals, text = field.partition("=")
        if not equals or not key:
            raise click.UsageError(f"{field!r}: write KEY=VALUE, such as url=/a/folder")
        try:
            order[key] = json.loads(text)
        except ValueError:
            order[key] = text
    if not order.get("request"):
        known = ", ".join(_requests(service))
        raise click.UsageError(f"name a request ({known}), or give a --file that does")
    return order


class _TextTimes(yaml.SafeLoader):
    """Reads YAML with dates as plain text, as they travel."""


_TextTimes.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _wait(desk: FrontDesk, order_id: str, timeout_s: float | None, as_json: bool) -> dict[str, Any]:
    bar_format = "{percentage:3.0f}% |{bar}| {elapsed} {desc}"
    with progress_bar(total=1.0, bar_format=bar_format) as bar:

        def show(told: dict[str, Any]) -> None:
            bar.set_description_str(
                str(told["progress_text"]) or str(told["status"]), refresh=False
            )
            bar.n = float(told["progress"])
            bar.refresh()

        try:
            return desk.wait(order_id, timeout_s, show)
        except TorosError as error:
            if error.status is None:
                raise
            bar.close()
            if as_json:
                tell_json(error.status)
            else:
                tell_mapping(error.status)
                complain(f"{type(error).__name__} ({error.code}): {error.message}")
            sys.exit(REFUSED)


if __name__ == "__main__":
    main()
