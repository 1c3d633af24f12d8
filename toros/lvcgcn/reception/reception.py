"""All receivers of a robot: they archive and wake, and do nothing else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from toros.clock import Clock
from toros.config.alerts import Lvcgcn
from toros.lvcgcn.reception.archive import Archive
from toros.lvcgcn.reception.folder import FolderReceiver
from toros.lvcgcn.reception.kafka import KafkaReceiver
from toros.lvcgcn.reception.vtp import VtpReceiver

log = logging.getLogger(__name__)


class Receiver(Protocol):
    """What all receivers have."""

    def start(self) -> None:
        """Begin to receive."""

    def stop(self, timeout_s: float = ...) -> None:
        """Receive no more."""

    def state(self) -> dict[str, Any]:
        """Return what the status shows."""


class Reception:
    """Runs the receivers that the settings name.

    Parameters
    ----------
    settings : Lvcgcn
    archive : Archive
        Takes all that comes.
    clock : Clock
    wake : callable
        Called after each notice that was archived, in a receiver's thread: it must return at
        once. Who processes notices looks into `Archive.waiting` then.
    """

    def __init__(
        self, settings: Lvcgcn, archive: Archive, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self.archive = archive
        self._wake = wake
        self.receivers: list[Receiver] = []
        if settings.kafka.is_used:
            self.receivers.append(KafkaReceiver(settings.kafka, self._keep, clock))
        self.receivers += [VtpReceiver(each, self._keep, clock) for each in settings.vtp]
        self.receivers += [FolderReceiver(each, self._keep, clock) for each in settings.folders]

    def start(self) -> None:
        """Begin to receive.

        Raises
        ------
        StorageFailed
            What interrupted writes left in the archive cannot be removed.
        """
        self.archive.clear()
        if not self.receivers:
            log.warning("no source of alerts is configured: see Lvcgcn in the settings")
        for receiver in self.receivers:
            receiver.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop all receivers at the same time; what is archived stays for the next start."""
        threads = [
            threading.Thread(target=receiver.stop, args=(timeout_s,), daemon=True)
            for receiver in self.receivers
        ]
        deadline = time.monotonic() + timeout_s + 1.0
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def state(self) -> list[dict[str, Any]]:
        """Return the state of each receiver, fit to travel."""
        return [receiver.state() for receiver in self.receivers]

    def _keep(self, raw: bytes, source: str) -> None:
        kept = self.archive.keep(raw, source)
        log.info("received %d bytes from %s: %s", len(raw), source, kept.path.name)
        self._wake()
