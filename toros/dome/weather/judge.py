"""The judge of the weather: readers fill its memory, verdicts come from it at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from toros.clock import Clock, boot_time
from toros.config.enclosure import Weather
from toros.dome.weather.observation import Instant, Source
from toros.dome.weather.reader import Reader
from toros.dome.weather.record import SourceRecord
from toros.dome.weather.verdict import Verdict, assess, report, unmeasured

log = logging.getLogger(__name__)

_DEAD = "the thread that reads it has ended"


class Judge:
    """Tells at any time, at once, whether the weather is safe.

    ::

        with Judge(settings.dome.weather, settings.dome.safe_before_opening_s,
                   sources, clock) as judge:
            while ...:
                judge.sample()
                verdict = judge.verdict()

    Parameters
    ----------
    settings : Weather
        Its limits.
    safe_before_opening_s : float
        How long it must have been safe before an opening, by `clock` [s].
    sources : sequence of Source
        All that tell of the weather; all must be known, fresh and good.
    clock : Clock
        Delays count in its monotonic time.
    real : callable
        Returns the real time [s], in which readings age.
    """

    def __init__(
        self,
        settings: Weather,
        safe_before_opening_s: float,
        sources: Sequence[Source],
        clock: Clock,
        real: Callable[[], float] = boot_time,
    ) -> None:
        self._limits = settings.limits
        self._safe_before_opening_s = safe_before_opening_s
        self._clock = clock
        self._real = real
        self._lock = threading.Lock()
        self._records = [
            SourceRecord(source.name, source.age_limit_s, settings.limits) for source in sources
        ]
        self._sources = list(sources)
        self._readers: list[Reader] = []
        self._supervising = threading.Lock()
        self._stopped = False
        self._unsafe_from_s = clock.monotonic()
        self._warned = False

    def __enter__(self) -> Self:
        self.sample()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def sample(self) -> None:
        """See to it that every source is being read; returns at once.

        The first call starts the readers. A reader whose thread has ended is started anew,
        and what its source told is forgotten. To be called now and then, such as in each
        round of the control loop; from any thread. After `stop` it does nothing.
        """
        with self._supervising:
            if self._stopped:
                return
            if not self._readers:
                self._readers = [
                    self._reader(source, record)
                    for source, record in zip(self._sources, self._records, strict=True)
                ]
            for number, reader in enumerate(self._readers):
                if not reader.alive():
                    log.error("weather: %s: %s; it is started anew", reader.source.name, _DEAD)
                    with self._lock:
                        reader.record.lose(_DEAD)
                    self._readers[number] = self._reader(reader.source, reader.record)
        self._warn_once()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Read no more; a source that hangs is left to itself after `timeout_s` [s]."""
        with self._supervising:
            self._stopped = True
            readers, self._readers = self._readers, []
        for reader in readers:
            reader.stop()
        until = self._real() + timeout_s
        for reader in readers:
            reader.join(max(0.0, until - self._real()))
        with self._lock:
            for record in self._records:
                record.lose("it is not read any more")

    def verdict(self) -> Verdict:
        """Say whether the weather is safe now, from memory: no source is asked."""
        with self._lock:
            for reader in self._readers:
                if not reader.alive():
                    reader.record.lose(_DEAD)
            # Taken under the lock: no reading in the memory is younger than this instant.
            at = self._instant()
            found = [finding for record in self._records for finding in record.findings(at)]
            reports = tuple(report(record, at) for record in self._records)
            idle = unmeasured(self._records, self._limits)
            conclusion = assess(found, at.clock_s, self._safe_before_opening_s)
            if conclusion.safe:
                self._unsafe_from_s = at.clock_s
            for_s = conclusion.safe_for_s if conclusion.safe else at.clock_s - self._unsafe_from_s
        return Verdict(
            safe=conclusion.safe,
            may_open=conclusion.may_open,
            reasons=conclusion.reasons,
            # From a duration, so that it stays true when the clock of the machine is set.
            since=self._clock.now() - timedelta(seconds=for_s),
            safe_for_s=conclusion.safe_for_s,
            known=conclusion.known,
            notes=(*conclusion.notes, *idle),
            sources=reports,
        )

    def _instant(self) -> Instant:
        return Instant(self._real(), self._clock.monotonic())

    def _reader(self, source: Source, record: SourceRecord) -> Reader:
        reader = Reader(source, record, self._lock, self._instant)
        reader.start()
        return reader

    def _warn_once(self) -> None:
        """Tell of limits without effect, as soon as every source has told something."""
        if self._warned or not self._records:
            return
        with self._lock:
            if not all(record.told_anything() for record in self._records):
                return
            idle = unmeasured(self._records, self._limits)
        self._warned = True
        for text in idle:
            log.warning("weather: %s", text)
