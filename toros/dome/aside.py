"""Logging aside: who logs only hands the record over, whatever the disk does."""

from __future__ import annotations

import logging
import logging.handlers
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from toros import logs

_WAITING = 10_000
_END_S = 5.0


class _Over(logging.handlers.QueueHandler):
    """Hands records over; what finds no room is dropped and counted."""

    dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


@contextmanager
def logging_aside() -> Iterator[None]:
    """Let a thread of its own do what the root logger's handlers do.

    A full disk costs its lines, as before; a disk that hangs costs the lines that have no
    room to wait, and stops nobody.
    """
    root = logging.getLogger()
    handlers = root.handlers[:]
    waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(_WAITING)
    over = _Over(waiting)
    over.addFilter(_stamp)
    thread = threading.Thread(
        target=_write, args=(waiting, handlers, over), name="logging", daemon=True
    )
    thread.start()
    for handler in handlers:
        root.removeHandler(handler)
    root.addHandler(over)
    try:
        yield
    finally:
        root.removeHandler(over)
        for handler in handlers:
            root.addHandler(handler)
        try:
            waiting.put_nowait(None)
            thread.join(_END_S)
        except queue.Full:
            pass


def _stamp(record: logging.LogRecord) -> bool:
    """Put the order's id on the record while it is in its own thread."""
    if not hasattr(record, "order"):
        record.order = logs.current_order()
    return True


def _write(
    waiting: queue.Queue[logging.LogRecord | None], handlers: list[logging.Handler], over: _Over
) -> None:
    while (record := waiting.get()) is not None:
        if over.dropped:
            lost, over.dropped = over.dropped, 0
            record.msg = f"{record.msg} [before this, {lost} lines of the log were lost]"
        for handler in handlers:
            if record.levelno >= handler.level:
                handler.handle(record)
