"""Reads one source again and again, in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from toros.dome.weather.observation import SAFE, Instant, Observation, Source
from toros.dome.weather.record import SourceRecord
from toros.errors import DeviceTimeout, DeviceUnreachable, TorosError

log = logging.getLogger(__name__)

_ATTEMPTS = 3
_PAUSE_S = 0.15
_REST_S = 0.1


class Reader:
    """The thread that reads one source.

    A hung source holds up its own thread only, and its data age.

    Parameters
    ----------
    source : Source
    record : SourceRecord
        Where its readings are noted.
    lock : threading.Lock
        Held for the moment of noting them.
    instant : callable
        Returns the present instant.
    """

    def __init__(
        self,
        source: Source,
        record: SourceRecord,
        lock: threading.Lock,
        instant: Callable[[], Instant],
    ) -> None:
        self.source = source
        self.record = record
        self._lock = lock
        self._instant = instant
        self._stop = threading.Event()
        self._trouble = ""
        self._problems: set[str] = set()
        self._lost = False
        # A daemon thread: a source that hangs must not hold up the end of the process.
        self._thread = threading.Thread(
            target=self._run, name=f"weather: {source.name}", daemon=True
        )

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more; does not wait for a reading under way."""
        self._stop.set()

    def alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end after `stop`, at most `timeout_s` [s]."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        period_s = self.source.period_s
        while not self._stop.is_set():
            began_s = time.monotonic()
            self._read_once()
            took_s = time.monotonic() - began_s
            # From beginning to beginning, so that a slow station is not read more rarely.
            self._stop.wait(max(min(period_s, _REST_S), period_s - took_s))

    def _read_once(self) -> None:
        began_s = self._instant().real_s
        try:
            observation = self._ask()
        except (DeviceUnreachable, DeviceTimeout) as error:
            with self._lock:
                self.record.fail(error.message)
            self._tell_trouble(f"does not answer: {error.message}")
        except TorosError as error:
            self._lose(error.message)
            self._tell_trouble(f"is unknown: {error.message}")
        except Exception as error:  # noqa: BLE001 - logged; a driver's defect must not end the loop
            text = f"{type(error).__name__}: {error}"
            self._lose(text)
            self._tell_trouble(f"is unknown: {text}", defect=error)
        else:
            with self._lock:
                if not self._stop.is_set():
                    self.record.tell(self._instant(), began_s, observation)
            self._problems, self._lost = set(observation.problems), False
            self._tell_trouble("; ".join(f"{k}: {v}" for k, v in observation.problems.items()))

    def _ask(self) -> Observation:
        """Read; what looks unknown is read again before that is believed.

        A file in the middle of being written and a hiccup of a serial line are no reason
        to close. A bad word is believed at once.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            last = attempt == _ATTEMPTS or self._stop.is_set()
            try:
                observation = self.source.read()
            except (DeviceUnreachable, DeviceTimeout):
                raise
            except TorosError:
                if last or self._lost:
                    raise
            else:
                word = observation.values.get(SAFE)
                bad = word is not None and not word.value
                if last or bad or set(observation.problems) <= self._problems:
                    return observation
            self._stop.wait(_PAUSE_S)
        raise AssertionError("the last attempt returns or raises")

    def _lose(self, why: str) -> None:
        with self._lock:
            self.record.lose(why)
        self._problems, self._lost = set(), True

    def _tell_trouble(self, trouble: str, defect: Exception | None = None) -> None:
        """Log what changes, once; ages and counts in the text are no change."""
        if trouble and not self._trouble:
            log.warning("weather: %s %s", self.source.name, trouble, exc_info=defect)
        elif self._trouble and not trouble:
            log.info("weather: %s is well again", self.source.name)
        self._trouble = trouble
