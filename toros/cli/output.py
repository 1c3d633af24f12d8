"""How the commands speak: results to stdout, messages to stderr, exit codes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    """Write a dictionary as readable lines to stdout.

    A list of dictionaries becomes a table where all have the same keys and nothing within them,
    else a block of lines for each.
    """
    for line in _lines(value):
        click.echo(f"{' ' * indent}{line}".rstrip())


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    for key, item in value.items():
        within = list(_within(item))
        if within:
            yield f"{key}:"
            yield from (f"  {line}" for line in within)
        else:
            yield f"{key}: {_word(item)}"


def _within(item: Any) -> Iterator[str]:
    """Write what stands below its key; nothing for what stands beside it."""
    if isinstance(item, Mapping):
        yield from _lines(item)
    elif isinstance(item, str) and "\n" in item:
        yield from item.splitlines()
    elif isinstance(item, list) and _is_table(item):
        yield from _table(list(item[0]), [[entry[key] for key in item[0]] for entry in item])
    elif isinstance(item, list):
        for entry in item:
            block = list(_within(entry)) or [_word(entry)]
            yield from (f"{'  ' if n else '- '}{line}" for n, line in enumerate(block))


def _is_table(entries: list[Any]) -> bool:
    """Whether all entries are dictionaries with the same keys and nothing within them."""
    return (
        bool(entries)
        and all(isinstance(entry, Mapping) and entry for entry in entries)
        and all(set(entry) == set(entries[0]) for entry in entries)
        and not any(_has_parts(item) for entry in entries for item in entry.values())
    )


def _has_parts(item: Any) -> bool:
    """Whether something is no cell of a table: a list of plain values is one."""
    if isinstance(item, list):
        return any(isinstance(each, list | Mapping) for each in item)
    return isinstance(item, Mapping) and bool(item)


def _word(item: Any) -> str:
    """Write a plain value as a person says it."""
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, float):
        return f"{item:.8g}"
    if isinstance(item, list):
        item = ", ".join(map(_word, item))
    return "-" if item in (None, "", {}) else str(item)


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
    for line in _table(headings, rows):
        click.echo(line)


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    cells = [list(map(str, headings)), *[[" ".join(_word(c).split()) for c in r] for r in rows]]
    widths = [max(len(row[n]) for row in cells) for n in range(len(headings))]
    for number, row in enumerate(cells):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield line.rstrip()
        if number == 0:
            yield "  ".join("-" * width for width in widths)


def tell_texts(texts: Mapping[str, str]) -> None:
    """Write texts to stdout as they are, for a file; several each below a line with its name."""
    for name, text in texts.items():
        if len(texts) > 1:
            click.echo(f"# {name}")
        click.echo(text, nl=not text.endswith("\n"))
