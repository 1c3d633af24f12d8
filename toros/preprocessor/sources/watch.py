"""Being interruptible while something slow goes on."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from toros.errors import Stopping

T = TypeVar("T")

#: How long [s] anything may block before it looks whether it should stop.
SLICE_S = 0.25


def never() -> bool:
    """Return False: do not stop."""
    return False


def silent(fraction: float, text: str) -> None:
    """Tell nobody."""
    del fraction, text


@dataclass(frozen=True)
class Watch:
    """Whether to stop, and whom to tell how far it is.

    Parameters
    ----------
    should_stop : callable
        Returns True once the work is to be given up; asked at least once a second.
    progress : callable
        Takes the fraction done (0 to 1) and a line for a person.
    """

    should_stop: Callable[[], bool] = never
    progress: Callable[[float, str], None] = silent

    def check(self) -> None:
        """Give up if so told.

        Raises
        ------
        Stopping
        """
        if self.should_stop():
            raise Stopping("stopped while bringing the files; the order can be taken up again")

    def pause(self, duration_s: float) -> None:
        """Wait `duration_s` seconds.

        Raises
        ------
        Stopping
        """
        end = time.monotonic() + duration_s
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, SLICE_S))
        self.check()

    def call(self, function: Callable[[], T], timeout_s: float) -> T:
        """Call what cannot be interrupted, in a thread that is left behind on giving up.

        Raises
        ------
        Stopping
        TimeoutError
            There is no result after `timeout_s` seconds.
        OSError
            What `function` raised.
        """
        results: queue.SimpleQueue[tuple[T | None, OSError | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                results.put((function(), None))
            except OSError as error:
                results.put((None, error))

        threading.Thread(target=run, daemon=True, name="toros-resolve").start()
        end = time.monotonic() + timeout_s
        while True:
            self.check()
            try:
                result, error = results.get(timeout=SLICE_S)
            except queue.Empty:
                if time.monotonic() > end:
                    raise TimeoutError(f"no result within {timeout_s:g} s") from None
                continue
            if error is not None:
                raise error
            return result  # type: ignore[return-value]  # no error, hence a result
