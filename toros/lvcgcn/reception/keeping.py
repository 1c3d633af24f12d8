"""Archiving beside the connection: a slow disk delays no heartbeat and no poll.

The thread that listens hands each notice over and goes on; this one archives it, in the order
of receipt, tries until that has worked, and only then lets the sender be told.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from toros.errors import TorosError
from toros.lvcgcn.reception.vital_signs import VitalSigns

log = logging.getLogger(__name__)

Keep = Callable[[bytes, str], None]
"""Archives bytes of a source; they are safe when it returns, and it raises if they are not."""

TROUBLE = "archive"
_LIMIT_BYTES = 32_000_000
_LIMIT_COUNT = 2_000


@dataclass(frozen=True)
class _Item:
    raw: bytes
    source: str
    then: Callable[[], None]


class Keeper:
    """A thread that archives what a receiver hands it.

    Parameters
    ----------
    signs : VitalSigns
        The receiver's.
    keep : callable
    first_delay_s, last_delay_s : float
        The pause before an archive that failed is tried again, and the longest there is [s].
    limit_bytes, limit_count : int
        Beyond them there is no room, and a receiver should listen no further.
    """

    def __init__(
        self,
        signs: VitalSigns,
        keep: Keep,
        *,
        first_delay_s: float = 1.0,
        last_delay_s: float = 15.0,
        limit_bytes: int = _LIMIT_BYTES,
        limit_count: int = _LIMIT_COUNT,
    ) -> None:
        self._signs = signs
        self._keep = keep
        self._delays_s = (first_delay_s, last_delay_s)
        self._limits = (limit_bytes, limit_count)
        self._items: deque[_Item] = deque()
        self._bytes = 0
        self._change = threading.Condition()
        self._give_up_at: float | None = None
        self._thread = threading.Thread(
            target=self._work, name=f"archive {signs.name}", daemon=True
        )

    def start(self) -> None:
        """Begin to archive."""
        self._thread.start()

    def put(self, raw: bytes, source: str, then: Callable[[], None]) -> None:
        """Hand over a notice; `then` is called, in the keeper's thread, once it is safe."""
        with self._change:
            self._items.append(_Item(raw, source, then))
            self._bytes += len(raw)
            self._change.notify_all()

    @property
    def has_room(self) -> bool:
        """Whether more may be handed over now."""
        return self._bytes < self._limits[0] and len(self._items) < self._limits[1]

    @property
    def waiting(self) -> int:
        """How many notices are not archived yet."""
        return len(self._items)

    def stop(self, timeout_s: float) -> int:
        """Archive what is there, as long as there is time; return how many are not."""
        with self._change:
            self._give_up_at = time.monotonic() + timeout_s
            self._change.notify_all()
        self._thread.join(timeout_s + 0.1)
        return len(self._items)

    def _work(self) -> None:
        delay_s = 0.0
        while (item := self._next(delay_s)) is not None:
            if self._archived(item):
                delay_s = 0.0
                with self._change:
                    self._items.popleft()
                    self._bytes -= len(item.raw)
            else:
                delay_s = min(max(2 * delay_s, self._delays_s[0]), self._delays_s[1])

    def _next(self, delay_s: float) -> _Item | None:
        """Wait for the pause and then for a notice; None when it is time to end."""
        until = time.monotonic() + delay_s
        with self._change:
            while True:
                now = time.monotonic()
                if self._give_up_at is not None and (not self._items or now >= self._give_up_at):
                    return None
                if self._items and now >= until:
                    return self._items[0]
                ends = [until] if self._items else []
                ends += [] if self._give_up_at is None else [self._give_up_at]
                self._change.wait(max(0.0, min(ends) - now) if ends else 1.0)

    def _archived(self, item: _Item) -> bool:
        try:
            self._keep(item.raw, item.source)
        except TorosError as error:
            self._fail(item, error.message)
            return False
        except Exception as error:  # a notice must not be lost through a defect
            if TROUBLE not in self._signs.troubles:
                log.warning("%s: a defect in the archive", self._signs.name, exc_info=True)
            self._fail(item, f"{type(error).__name__}: {error}")
            return False
        if TROUBLE in self._signs.troubles:
            log.info("%s: archiving works again", self._signs.name)
            self._signs.over(TROUBLE)
        try:
            item.then()
        except Exception:  # the notice is safe; its sender will send it again
            log.exception("%s: the sender could not be told", self._signs.name)
        return True

    def _fail(self, item: _Item, reason: str) -> None:
        self._signs.worry(
            TROUBLE,
            f"a notice of {len(item.raw)} bytes cannot be archived: {reason}; it is tried again, "
            "and its sender is not told that it has come until that works",
            logging.ERROR,
        )
