"""What a daemon tells systemd: ready, stopping, its status, and that it is alive.

Messages are single datagrams to the socket that systemd names in
``NOTIFY_SOCKET``; without that variable nothing is sent, so the functions can
always be called.

References
----------
sd_notify(3) and sd_watchdog_enabled(3) of systemd.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)

_SEND_TIMEOUT_S = 1.0
_STATUS_CHARACTERS = 200


def notify_ready() -> bool:
    """Tell systemd that the daemon serves; return whether it was told."""
    return _notify("READY=1")


def notify_stopping() -> bool:
    """Tell systemd that the daemon is going down; return whether it was told."""
    return _notify("STOPPING=1")


def notify_status(text: str) -> bool:
    """Show a line in ``systemctl status``; return whether systemd was told.

    Parameters
    ----------
    text : str
        Newlines in it become spaces, so it cannot say anything but a status;
        beyond 200 characters it is cut.
    """
    line = " ".join(text.split())[:_STATUS_CHARACTERS]
    return _notify(f"STATUS={line}")


def _notify(message: str) -> bool:
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name.startswith(("/", "@")):  # systemd has no other kinds for services of one machine
        return False
    address = f"\0{name[1:]}" if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_SEND_TIMEOUT_S)
            sender.sendto(message.encode("utf-8", "backslashreplace"), address)
    except OSError as error:
        _log.warning("systemd could not be told %s by %s: %s", message, name, error)
        return False
    return True


class Watchdog:
    """Feeds systemd's watchdog while the daemon gets on with its work.

    Its thread asks `alive` three times in each of systemd's intervals, and
    feeds if the answer is yes; a daemon that hangs is so found and restarted.
    Without ``WATCHDOG_USEC`` from systemd nothing is done.

    Parameters
    ----------
    alive : callable
        Returns at once whether the work gets on: there is none, or its progress
        has advanced of late. An exception means no.
    """

    def __init__(self, alive: Callable[[], bool]) -> None:
        self._alive = alive
        self._interval_s = _watchdog_interval_s()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._told = False

    def start(self) -> None:
        """Begin feeding; after detaching or forking, which a thread does not survive."""
        if self._interval_s is not None and self._thread is None:
            run = threading.Thread(target=self._run, args=(self._interval_s,), name="watchdog")
            run.daemon = True
            run.start()
            self._thread = run

    def stop(self) -> None:
        """End feeding; after the work has stopped, so that a slow stop is not taken for a hang."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(2 * _SEND_TIMEOUT_S)

    def _run(self, interval_s: float) -> None:
        # The operating system's clock: systemd's watchdog knows no simulated time.
        while not self._ending.is_set():
            if self._is_alive(interval_s):
                _notify("WATCHDOG=1")
            self._ending.wait(interval_s / 3)

    def _is_alive(self, interval_s: float) -> bool:
        try:
            alive = self._alive()
        except Exception:  # noqa: BLE001  (it has to go on asking)
            if not self._told:
                _log.exception("the watchdog is not fed: its question whether work goes on fails")
            self._told = True
            return False
        if not alive and not self._told:
            _log.warning(
                "no progress; systemd restarts this daemon unless there is some within %g s",
                interval_s,
            )
        self._told = not alive
        return alive


def _watchdog_interval_s() -> float | None:
    """Return systemd's watchdog interval [s] if it is meant for this process."""
    text = os.environ.get("WATCHDOG_USEC", "")
    process = os.environ.get("WATCHDOG_PID")
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        return None
    if process is not None and process != str(os.getpid()):
        return None
    return int(text) / 1e6
