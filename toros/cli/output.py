"""How the commands speak: results to stdout, messages to stderr, exit codes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
from tqdm import tqdm

from toros.errors import ServiceUnreachable, TorosError, WaitTimeout

DONE, REFUSED, USAGE, UNREACHABLE = 0, 1, 2, 3

P = ParamSpec("P")
T = TypeVar("T")

config_option = click.option(
    "--config",
    "configuration",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("/etc/toros/toros.conf.yaml"),
    envvar="TOROS_CONFIG",
    show_default=True,
    help="The configuration file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")


def exits(function: Callable[P, T]) -> Callable[P, T]:
    """Turn errors of ours into a line on stderr and the exit code that fits."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (ServiceUnreachable, WaitTimeout) as error:
            complain(f"{error.message}")
            sys.exit(UNREACHABLE)
        except TorosError as error:
            complain(f"{type(error).__name__} ({error.code}): {error.message}")
            sys.exit(REFUSED)

    return run


def complain(message: str) -> None:
    """Write a message for a person to stderr."""
    click.echo(message, err=True)


def tell_json(value: Any) -> None:
    """Write a value as JSON to stdout."""
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def tell_mapping(value: Mapping[str, Any], indent: int = 0) -> None:
    """Write a dictionary as readable lines to stdout."""
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            click.echo(f"{' ' * indent}{key}:")
            tell_mapping(item, indent + 2)
        elif isinstance(item, list) and item:
            click.echo(f"{' ' * indent}{key}:")
            for entry in item:
                _tell_entry(entry, indent + 2)
        else:
            click.echo(f"{' ' * indent}{key}: {'-' if item in (None, '', [], {}) else item}")


def _tell_entry(entry: Any, indent: int) -> None:
    """Write an entry of a list; of a dictionary its first value, then the others."""
    if not isinstance(entry, Mapping) or any(isinstance(i, list | Mapping) for i in entry.values()):
        click.echo(f"{' ' * indent}- {entry}")
        return
    first, *rest = [str(item) for item in entry.values() if item not in (None, "")] or ["-"]
    click.echo(f"{' ' * indent}- {': '.join([first, ', '.join(rest)] if rest else [first])}")


def progress_bar(**options: Any) -> tqdm[Any]:
    """Return a progress bar on a terminal; it goes away when it ends.

    A serial console tells no size of its screen, and tqdm would show nothing there.
    """
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        columns = 0
    width = None if columns else 79
    return tqdm(disable=None, leave=False, nrows=20, ncols=width, **options)


def tell_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table to stdout, its columns as wide as they need to be."""
    cells = [list(map(str, headings)), *[["-" if c is None else str(c) for c in r] for r in rows]]
    widths = [max(len(row[n]) for row in cells) for n in range(len(headings))]
    for number, row in enumerate(cells):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())
        if number == 0:
            click.echo("  ".join("-" * width for width in widths))
