"""To the background; the command that starts a daemon ends when the daemon's start has."""

from __future__ import annotations

import json
import os
import selectors
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import daemon as python_daemon

from toros.errors import TorosError
from toros.frontdesk.single import Lock

START_LIMIT_S = 300.0
"""After how long a command no longer waits; systemd's units wait as long [s]."""
_MESSAGE_BYTES = 65536


@dataclass(frozen=True)
class Outcome:
    """How a start went.

    Parameters
    ----------
    code : int
        The exit code of the command that waited for it.
    text : str
        What is to be told; empty if there is nothing to tell.
    """

    code: int
    text: str = ""


class Word:
    """The daemon's end of the pipe through which it says, once, how its start went."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Return the descriptor that must stay open while the process detaches."""
        return self._descriptor

    def say(self, outcome: Outcome) -> None:
        """Tell who waits; a second call does nothing."""
        if self._descriptor < 0:
            return
        text = outcome.text[: _MESSAGE_BYTES // 8]  # one JSON character takes six bytes at most
        try:
            os.write(self._descriptor, json.dumps([outcome.code, text]).encode() + b"\n")
        except BrokenPipeError:  # whoever started it does not wait any more
            pass
        finally:
            os.close(self._descriptor)
            self._descriptor = -1


def start(
    lock: Lock,
    run: Callable[[Word], None],
    code_of: Callable[[Exception], int],
    limit_s: float = START_LIMIT_S,
) -> Outcome | None:
    """Run something in the background, and wait until it says how its start went.

    Parameters
    ----------
    lock : Lock
        Is held by the process in the background, and names it.
    run : callable
        Is called there; says by `Word.say` when it is ready. What it raises before that is told
        to the one who waits.
    code_of : callable
        Returns the exit code for what `run` raises.
    limit_s : float
        After so long the wait is given up [s], real.

    Returns
    -------
    Outcome or None
        In the process that called it, how the start went; None in the background, at the end.
    """
    heard, said = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # else both processes write what it holds
    if os.fork():
        os.close(said)
        return _wait(heard, lock, limit_s)
    os.close(heard)
    word = Word(said)
    context = python_daemon.DaemonContext(
        pidfile=lock,
        files_preserve=[lock, word],
        umask=0o027,
        working_directory="/",
        # Also where the command's parent is process 1, as in a container.
        detach_process=True,
    )
    try:
        with context:
            run(word)
    except Exception as error:
        text = error.message if isinstance(error, TorosError) else f"a defect: {error!r}"
        word.say(Outcome(code_of(error), text))
        raise
    return None


def _wait(descriptor: int, lock: Lock, limit_s: float) -> Outcome:
    """Read what the process in the background says, until it has ended or the time is over."""
    deadline = time.monotonic() + limit_s
    content = b""
    with os.fdopen(descriptor, "rb", buffering=0) as pipe, selectors.DefaultSelector() as ready:
        ready.register(pipe, selectors.EVENT_READ)
        while not content.endswith(b"\n"):
            if not ready.select(max(0.0, deadline - time.monotonic())):
                return Outcome(
                    1,
                    f"it does not answer after {limit_s:g} s and goes on trying; its log may say "
                    f"why, and its process number is in {lock.path}",
                )
            part = pipe.read(_MESSAGE_BYTES)
            if not part:
                return Outcome(1, "it ended before it answered; its log may say why")
            content += part
    code, text = json.loads(content)
    return Outcome(code, text)
