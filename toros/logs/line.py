"""The line of a record: bounded, and with nothing in it that acts on its reader."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from toros.clock import to_iso

_MESSAGE_CHARACTERS = 10_000
_TRACEBACK_CHARACTERS = 40_000
_NAME_CHARACTERS = 100


def escape(text: str) -> str:
    r"""Write all characters that are not printable as escapes.

    Parameters
    ----------
    text : str
        Anything: newlines, terminal sequences, text that runs backwards, lone
        surrogates become ``\n``, ``\x1b``, ``\u202e``, ``\udc80``.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


class LineFormatter(logging.Formatter):
    """Makes the line of a record; a traceback follows it, indented.

    ``2026-11-21T08:15:30.123Z INFO preprocessor [order-id] toros.module: message``

    Parameters
    ----------
    service : str
        The name of the daemon.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line and what follows it, without a newline at the end."""
        moment = to_iso(datetime.fromtimestamp(record.created, UTC))
        order = escape(str(getattr(record, "order", None) or "-")[:_NAME_CHARACTERS])
        name = escape(record.name[:_NAME_CHARACTERS])
        message = escape(_bounded(_message_of(record), _MESSAGE_CHARACTERS))
        line = f"{moment}Z {record.levelname} {self._service} [{order}] {name}: {message}"
        # Not from record.exc_text if it can be helped: another handler may have left it there.
        trace = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        for block in (trace, record.stack_info):
            if block:
                kept = _bounded(block, _TRACEBACK_CHARACTERS)
                line += "".join(f"\n    {escape(text)}" for text in kept.split("\n"))
        return line


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001  (a mistake in a log call must not cost the line)
        what = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        return f"{what} [it could not be filled in: {type(error).__name__}]"


def _bounded(text: str, limit: int) -> str:
    """Cut the middle out of a long text: both ends of a traceback are needed."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} [… {len(text) - 2 * half} characters …] {text[-half:]}"
