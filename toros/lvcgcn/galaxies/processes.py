"""Work shared by a few processes, with progress, that ends with the one that began it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from toros.errors import CatalogueRefused, TorosError, from_code

Told = Callable[[int], None]


class Orphaned(Exception):
    """The process that began the work is gone."""


def share(
    work: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], told: Told, *, apart: bool
) -> list[Any]:
    """Do tasks at the same time; return their results in order.

    Parameters
    ----------
    work : callable
        ``work(*task, told)``, a function of a module; `told` takes how much was
        done since it was last called.
    tasks : sequence of tuple
    told : callable
        Takes the progress of all.
    apart : bool
        Each in a process of its own; else one after the other, here.

    Raises
    ------
    TorosError
        Of a task; the others are stopped.
    """
    if not apart or len(tasks) == 1:
        return [work(*task, told) for task in tasks]
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe(duplex=False) for _ in tasks]
    processes = [
        context.Process(target=_child, args=(work, task, sender, os.getpid()), daemon=True)
        for task, (_, sender) in zip(tasks, pairs, strict=True)
    ]
    for process, (_, sender) in zip(processes, pairs, strict=True):
        process.start()
        sender.close()
    try:
        return _listen([receiver for receiver, _ in pairs], told)
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _listen(receivers: list[Connection], told: Told) -> list[Any]:
    results: dict[Connection, Any] = {}
    while len(results) < len(receivers):
        # A child that dies closes its end: no wait is without an end.
        for receiver in wait([r for r in receivers if r not in results]):
            assert isinstance(receiver, Connection)
            try:
                kind, value = receiver.recv()
            except EOFError:
                raise CatalogueRefused(
                    "a process of the build ended before its work was done (was it killed, "
                    "or the memory full?); build the catalogue again"
                ) from None
            if kind == "progress":
                told(value)
            elif kind == "error":
                raise from_code(*value)
            else:
                results[receiver] = value
    return [results[receiver] for receiver in receivers]


def _child(
    work: Callable[..., Any], task: tuple[Any, ...], sender: Connection, parent: int
) -> None:
    def told(amount: int) -> None:
        if os.getppid() != parent:
            raise Orphaned
        sender.send(("progress", amount))

    try:
        sender.send(("result", work(*task, told)))
    except TorosError as error:
        sender.send(("error", (error.code, error.message)))
    except (Orphaned, BrokenPipeError):
        os._exit(1)
