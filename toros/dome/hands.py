"""Threads for calls that may hang, so that who decides never waits for a device."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from toros.clock import boot_time
from toros.errors import TorosError

log = logging.getLogger(__name__)

T = TypeVar("T")


class Call:
    """A call that was begun.

    Attributes
    ----------
    what : str
        What it does.
    began_s, ended_s : float or None
        Time since the boot [s].
    error : Exception or None
        Why it failed.
    done : threading.Event
        Set at its end.
    """

    def __init__(self, what: str, now_s: float) -> None:
        self.what = what
        self.began_s = now_s
        self.ended_s: float | None = None
        self.error: Exception | None = None
        self.done = threading.Event()

    @property
    def pending(self) -> bool:
        """Whether it has not ended yet."""
        return not self.done.is_set()

    @property
    def succeeded(self) -> bool:
        """Whether it has ended without an error."""
        return self.done.is_set() and self.error is None

    def end(self, error: Exception | None, now_s: float) -> None:
        """Note its end."""
        self.error = error
        self.ended_s = now_s
        self.done.set()


class Hand:
    """A thread that makes one call at a time.

    It is started with the daemon, so that no thread has to be made when it matters.

    Parameters
    ----------
    name : str
        The thread's.
    now : callable
        Returns the time since the boot [s].
    """

    def __init__(self, name: str, now: Callable[[], float] = boot_time) -> None:
        self.last: Call | None = None
        self.name = name
        self._now = now
        self._work: queue.SimpleQueue[tuple[Call, Callable[[], None]]] = queue.SimpleQueue()

    def start(self) -> None:
        """Begin to wait for calls."""
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    @property
    def free(self) -> bool:
        """Whether it has nothing to do."""
        return self.last is None or not self.last.pending

    def begin(self, what: str, call: Callable[[], None]) -> Call:
        """Make a call, after those that it has begun; returns at once."""
        begun = self.last = Call(what, self._now())
        self._work.put((begun, call))
        return begun

    def _run(self) -> None:
        while True:
            self.carry_out(*self._work.get())

    def carry_out(self, begun: Call, call: Callable[[], None]) -> None:
        """Make a call that was begun, in the caller's thread."""
        error: Exception | None = None
        try:
            call()
        except TorosError as failed:
            error = failed
        except Exception as defect:  # the thread must survive; who has begun it is told
            log.exception("a defect in: %s", begun.what)
            error = defect
        begun.end(error, self._now())


class Reading(NamedTuple, Generic[T]):
    """A value, and when it was asked for and told, as time since the boot [s]."""

    value: T
    began_s: float
    ended_s: float


class Poller(Generic[T]):
    """Asks again and again in a thread of its own; who wants to know never waits.

    Parameters
    ----------
    name : str
        The thread's.
    read : callable
        Asks; it may hang and may raise.
    period_s : float
        Real time between an answer and the next question [s].
    now : callable
        Returns the time since the boot [s].
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], T],
        period_s: float,
        now: Callable[[], float] = boot_time,
    ) -> None:
        self.reading: Reading[T] | None = None
        self.trouble: str | None = "it was not asked yet"
        self._name = name
        self._read = read
        self._period_s = period_s
        self._now = now
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._told = ""

    def start(self) -> None:
        """Begin to ask."""
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """Ask no more; a question that hangs is left to itself."""
        self._stop.set()
        self._hurry.set()

    def hurry(self) -> None:
        """Ask again at once."""
        self._hurry.set()

    def fresh(self, now_s: float, limit_s: float) -> T | None:
        """Return what was told, if the question is at most `limit_s` old; None otherwise."""
        reading = self.reading
        if reading is None or now_s - reading.began_s > limit_s:
            return None
        return reading.value

    def _run(self) -> None:
        while not self._stop.is_set():
            self.ask()
            self._hurry.wait(self._period_s)
            self._hurry.clear()

    def ask(self) -> None:
        """Ask once, in the caller's thread."""
        began_s = self._now()
        try:
            value = self._read()
        except Exception as error:  # noqa: BLE001  (it has to go on asking; told below)
            self._complain(error)
            return
        self.reading = Reading(value, began_s, self._now())
        if self._told:
            log.info("%s: it answers again", self._name)
        self.trouble, self._told = None, ""

    def _complain(self, error: Exception) -> None:
        expected = isinstance(error, TorosError)
        self.trouble = str(error) if expected else f"{type(error).__name__}: {error}"
        if self.trouble != self._told:
            log.warning("%s: %s", self._name, self.trouble, exc_info=None if expected else error)
        self._told = self.trouble


class Crew:
    """Makes the threads of a control loop, and tells its time.

    The loop's decisions are so apart from threads: a test hands over a crew that works in
    steps, at its own time.

    Parameters
    ----------
    now : callable
        Returns the real time since the boot [s].
    """

    def __init__(self, now: Callable[[], float] = boot_time) -> None:
        self.now = now

    def hand(self, name: str) -> Hand:
        """Return a hand that waits for calls already."""
        made = Hand(name, self.now)
        made.start()
        return made

    def poller(self, name: str, read: Callable[[], T], period_s: float) -> Poller[T]:
        """Return a poller that has not begun."""
        return Poller(name, read, period_s, self.now)

    def wait(self, happens: threading.Event, timeout_s: float) -> bool:
        """Wait for what another thread does; False if it does not come in time [real s]."""
        return happens.wait(timeout_s)
