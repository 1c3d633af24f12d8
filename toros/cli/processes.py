"""Daemons that a command starts for itself, and ends by their process ids."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toros.client import FrontDesk
from toros.errors import InternalError, ServiceUnreachable

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 60.0


def program(name: str) -> str:
    """Return the path of one of our programs: beside this Python, else by the PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if os.access(beside, os.X_OK) else name


def free_port() -> int:
    """Return a port on the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(service: str, configuration: Path, url: str, errors: Path) -> Iterator[FrontDesk]:
    """Run a daemon, from when it answers until the block ends.

    Parameters
    ----------
    service : str
    configuration : Path
    url : str
        Its front desk's.
    errors : Path
        Where its stderr goes.

    Raises
    ------
    InternalError
        It did not start.
    """
    command = [program(f"toros-{service}"), "--config", str(configuration)]
    with errors.open("ab") as stderr:
        process = subprocess.Popen(command, stderr=stderr, stdin=subprocess.DEVNULL)
        try:
            yield _ready(service, FrontDesk(url), process, errors)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(
    service: str, desk: FrontDesk, process: subprocess.Popen[bytes], errors: Path
) -> FrontDesk:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            desk.status()
        except ServiceUnreachable:
            if process.poll() is not None or time.monotonic() > deadline:
                said = errors.read_text("utf-8", "replace")[-2000:]
                raise InternalError(f"the {service} did not start: {said.strip()}") from None
            time.sleep(0.1)
        else:
            return desk
