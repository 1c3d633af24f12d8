"""Connections to PostgreSQL that do not wait for ever.

A server that hangs, or a network that swallows packets, gives no error: the
server's own timeouts need a server that runs, and TCP's know only of data
that the other kernel has not taken. So the client looks at its clock.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")

ANSWER_TIMEOUT_S = 5.0
"""By when the server must have answered a statement [s]; ours take milliseconds."""

_unhurried: ContextVar[bool] = ContextVar("unhurried", default=False)


@contextmanager
def unhurried() -> Iterator[None]:
    """Let this thread's statements take as long as they take: migrations and their lock."""
    token = _unhurried.set(True)
    try:
        yield
    finally:
        _unhurried.reset(token)


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection that is given up when the server does not answer in time."""

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Wait for an answer, at most `ANSWER_TIMEOUT_S`.

        Raises
        ------
        psycopg.OperationalError
            There was none; the connection is closed, and whether the statement
            (a COMMIT, say) was carried out is not known.
        """
        if _unhurried.get():
            return super().wait(gen, *args, **kwargs)
        return super().wait(self._in_time(gen), *args, **kwargs)

    def _in_time(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """Pass a generator of psycopg on, until it has waited for too long."""
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        try:
            wanted = next(gen)
            while True:
                # psycopg resumes its generators with 0 several times a second while nothing comes
                ready = yield wanted
                if not ready and time.monotonic() > deadline:
                    self.close()
                    raise psycopg.OperationalError(
                        f"the server has not answered for {ANSWER_TIMEOUT_S:g} s"
                    )
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: T = end.value
            return answer


def connect_with_deadline(
    _dialect: Any, _record: Any, arguments: list[Any], keywords: dict[str, Any]
) -> DeadlineConnection:
    """Connect, as SQLAlchemy's "do_connect" event."""
    return DeadlineConnection.connect(*arguments, **keywords)
