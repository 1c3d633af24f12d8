"""Connections to PostgreSQL that do not wait for ever.

A server that hangs, or a network that swallows packets, gives no error: the
server's own timeouts need a server that runs, and TCP's know only of data
that the other kernel has not taken. So the client looks at its clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")

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
    """A connection that is given up when the server does not answer in time.

    Attributes
    ----------
    answer_timeout_s : float
        By when the server must have answered [s].
    """

    answer_timeout_s = 5.0

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Wait for an answer, at most `answer_timeout_s`.

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
        deadline = time.monotonic() + self.answer_timeout_s
        try:
            wanted = next(gen)
            while True:
                # psycopg resumes its generators with 0 several times a second while nothing comes
                ready = yield wanted
                if not ready and time.monotonic() > deadline:
                    self.close()
                    raise psycopg.OperationalError(
                        f"the server has not answered for {self.answer_timeout_s:g} s"
                    )
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: T = end.value
            return answer


def connector(answer_timeout_s: float) -> Callable[..., DeadlineConnection]:
    """Return a handler of SQLAlchemy's "do_connect" event that makes such connections."""

    def connect(
        _dialect: Any, _record: Any, arguments: list[Any], keywords: dict[str, Any]
    ) -> DeadlineConnection:
        connection = DeadlineConnection.connect(*arguments, **keywords)
        connection.answer_timeout_s = answer_timeout_s
        return connection

    return connect
