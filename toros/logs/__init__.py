"""The log of a process: configured once, an order's id on every line.

``2026-11-21T08:15:30.123Z INFO preprocessor [order-id] toros.module: message``

From `configure` on, everything that uses the `logging` library, Python's
warnings, and a thread that an exception ends go to the daemon's file and, in
the foreground, to stderr; errors are mailed as well. A process that detaches
calls it afterwards (and before, if it wants to tell the terminal what is wrong
with the configuration: then `LogHandle.close` first).

The processes of a pool write to the same file; `LogHandle.worker_initializer`
sets that up. They send no mail: a job hands its error back as an exception,
and the daemon logs it.
"""

from __future__ import annotations

import contextvars
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from toros.errors import ConfigurationError, StorageFailed
from toros.logs.daily import DailyFile
from toros.logs.line import LineFormatter, escape
from toros.notify.mail import MailHandler, MailSettings, mail_settings

if TYPE_CHECKING:
    from toros.config import Settings

__all__ = [
    "LogHandle",
    "LogSettings",
    "configure",
    "configure_worker",
    "current_order",
    "escape",
    "order",
    "start",
]

_log = logging.getLogger(__name__)
_order: contextvars.ContextVar[str | None] = contextvars.ContextVar("order", default=None)


@dataclass(frozen=True)
class LogSettings:
    """Where the lines of one daemon go.

    Parameters
    ----------
    file : Path or None
        The daemon's own file; None for none.
    level : {"DEBUG", "INFO", "WARNING", "ERROR"}
        The least important lines that are written. Other people's libraries
        are never heard below INFO, astropy not below WARNING.
    days_kept : int
        How many days' files are kept besides today's.
    stderr : bool
        Whether the lines go to stderr, too.
    mail : MailSettings, optional
        Who gets the errors.
    """

    file: Path | None
    level: str = "INFO"
    days_kept: int = 30
    stderr: bool = True
    mail: MailSettings | None = None


@contextmanager
def order(identity: str) -> Iterator[None]:
    """Put an order's id on every line that is logged in the block.

    It holds for this thread alone; a thread or process that the block starts
    sets it anew.
    """
    token = _order.set(identity)
    try:
        yield
    finally:
        _order.reset(token)


def current_order() -> str | None:
    """Return the id of the order that this thread works on, or None."""
    return _order.get()


class LogHandle:
    """The running log of this process.

    Parameters
    ----------
    service : str
        The name of the daemon.
    settings : LogSettings
        Where its lines go.
    undo : ExitStack
        What ends it.
    """

    def __init__(self, service: str, settings: LogSettings, undo: ExitStack) -> None:
        self._service = service
        self._settings = settings
        self._undo = undo

    @property
    def worker_initializer(
        self,
    ) -> tuple[Callable[[str, LogSettings], None], tuple[str, LogSettings]]:
        """`initializer` and `initargs` for a pool of processes that log to the same file."""
        return configure_worker, (self._service, replace(self._settings, mail=None))

    def close(self) -> None:
        """Mail what is waiting (for ten seconds at most) and put logging back as it was."""
        self._undo.close()


def configure(
    service: str, settings: Settings, foreground: bool, *, needs_file: bool = True
) -> LogHandle:
    """Begin logging as the configuration says.

    Parameters
    ----------
    service : str
        The name of the daemon: "preprocessor", "telescope", "dome" or "lvcgcn".
    settings : Settings
        The configuration.
    foreground : bool
        Whether there is a stderr that somebody reads.
    needs_file : bool
        Without it, a log file that cannot be written leaves stderr and the mail.

    Raises
    ------
    ConfigurationError
        The log file cannot be written.
    """
    chosen = LogSettings(
        file=settings.log_file(service),
        level=settings.logging.level,
        days_kept=settings.logging.days_kept,
        stderr=foreground,
        mail=mail_settings(settings),
    )
    try:
        return start(service, chosen)
    except ConfigurationError as error:
        if needs_file:
            raise
        handle = start(service, replace(chosen, file=None, stderr=True))
        _log.error("there is no log file: %s", error.message)
        return handle


def start(service: str, settings: LogSettings) -> LogHandle:
    """Begin logging with settings that need no configuration file.

    Raises
    ------
    ConfigurationError
        The log file cannot be written.
    """
    return _start(service, settings, rotates=True)


def configure_worker(service: str, settings: LogSettings) -> None:
    """Begin logging in a process of a pool; see `LogHandle.worker_initializer`.

    Raises
    ------
    ConfigurationError
        The log file cannot be written.
    """
    root = logging.getLogger()
    for inherited in root.handlers[:]:
        root.removeHandler(inherited)
    _start(service, settings, rotates=False)


def _start(service: str, settings: LogSettings, *, rotates: bool) -> LogHandle:
    try:
        # The mail handler comes last and so ends first: it may have something to log.
        handlers: list[logging.Handler] = []
        if settings.file is not None:
            handlers.append(DailyFile(settings.file, settings.days_kept, rotates=rotates))
    except StorageFailed as error:
        raise ConfigurationError(
            f"Logging / File: {error}; give a file in a folder that this user may write to"
        ) from error
    if settings.stderr:
        handlers.append(_Stderr(sys.stderr))
    if settings.mail is not None:
        handlers.append(MailHandler(settings.mail, service))
    undo = ExitStack()
    root = logging.getLogger()
    for handler in handlers:
        handler.setFormatter(LineFormatter(service))
        handler.addFilter(_stamp_order)
        root.addHandler(handler)
        undo.callback(_remove, handler)
    level = logging.getLevelNamesMapping()[settings.level]
    _set_level(root, max(level, logging.INFO), undo)
    _set_level(logging.getLogger("toros"), level, undo)
    _quieten_astropy(undo)
    # At each look at the schema it says twice which database and which transactions it assumes.
    _set_level(logging.getLogger("alembic.runtime.migration"), logging.WARNING, undo)
    _install_hooks(undo)
    return LogHandle(service, settings, undo)


class _Stderr(logging.StreamHandler[TextIO]):
    """A terminal or journal that may have gone away."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Say nothing: there is nobody left to say it to, and the file has the line."""


def _stamp_order(record: logging.LogRecord) -> bool:
    if not hasattr(record, "order"):
        record.order = current_order()
    return True


def _remove(handler: logging.Handler) -> None:
    """End a handler; while it closes the others still hear what it logs."""
    logging.getLogger().removeHandler(handler)
    handler.close()


def _set_level(logger: logging.Logger, level: int, undo: ExitStack) -> None:
    undo.callback(logger.setLevel, logger.level)
    logger.setLevel(level)


def _quieten_astropy(undo: ExitStack) -> None:
    """Take away astropy's own handler for the terminal, and its chatter."""
    import astropy  # its logger exists only from here on

    logger = logging.getLogger(astropy.__name__)
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        undo.callback(logger.addHandler, handler)
    _set_level(logger, logging.WARNING, undo)


def _install_hooks(undo: ExitStack) -> None:
    """Log warnings, and what ends a thread or the process."""

    def show_warning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        del file, line
        text = "%s:%d: %s: %s"
        logging.getLogger("py.warnings").warning(text, filename, lineno, category.__name__, message)

    def end_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is SystemExit:
            return
        value = args.exc_value or args.exc_type()
        name = args.thread.name if args.thread else "unknown"
        _log.critical(
            "the thread %s ended by a defect",
            name,
            exc_info=(args.exc_type, value, args.exc_traceback),
        )

    def end_process(
        kind: type[BaseException], value: BaseException, trace: TracebackType | None
    ) -> None:
        if issubclass(kind, Exception):
            _log.critical("the process ends by a defect", exc_info=(kind, value, trace))
        else:
            sys.__excepthook__(kind, value, trace)

    undo.callback(setattr, warnings, "showwarning", warnings.showwarning)
    undo.callback(setattr, threading, "excepthook", threading.excepthook)
    undo.callback(setattr, sys, "excepthook", sys.excepthook)
    warnings.showwarning = show_warning
    threading.excepthook = end_thread
    sys.excepthook = end_process
