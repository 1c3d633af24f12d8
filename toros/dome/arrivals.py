"""When orders to move were received, by a clock that nobody sets."""

from __future__ import annotations

import threading
from collections import OrderedDict

from toros.workorders import WorkOrder
from toros.workorders.parsing import canonical

_REMEMBERED = 500


class Arrivals:
    """Remembers in memory alone: what an earlier process has received is not known here."""

    def __init__(self) -> None:
        self._received_s: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, order: WorkOrder, now_s: float) -> None:
        """Note that an order was received at `now_s`, as time since the boot [s].

        Of orders without an id that are alike the last one counts for all: the same motion
        was asked for then.
        """
        with self._lock:
            self._received_s[_key(order)] = now_s
            self._received_s.move_to_end(_key(order))
            while len(self._received_s) > _REMEMBERED:
                self._received_s.popitem(last=False)

    def age_s(self, order: WorkOrder, now_s: float) -> float | None:
        """Return how long ago an order was received [s]; None if it was not, or was begun."""
        with self._lock:
            received_s = self._received_s.pop(_key(order), None)
        return None if received_s is None else now_s - received_s


def _key(order: WorkOrder) -> tuple[str, str]:
    return order.id or "", canonical(order)
