"""The pulse of the one thread that moves the telescope, and what may end its work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toros.devices.protocols import Horizontal
from toros.telescope.dome_link import DomeView, Roof

_CHECK_S = 1.0


class Signal(Exception):
    """What ends the work under way though nothing failed; the text says why."""


class Leaving(Signal):
    """The daemon goes down."""


class Aborted(Signal):
    """A person has stopped the telescope."""


class Shut(Signal):
    """The dome is not, or no longer, open."""


class Preempted(Signal):
    """A target that may not wait has come, or the work is not wanted any more."""


class Control:
    """The control loop's pulse: it renews the lease by getting on, and ends work in time.

    Parameters
    ----------
    dome : Roof
    """

    def __init__(self, dome: Roof) -> None:
        self.dome = dome
        self.stopping = threading.Event()
        self.abort = threading.Event()
        self.pointing: Callable[[], Horizontal | None] = lambda: None
        """Where the telescope points, or goes to; the dome follows."""
        self._under_sky = False
        self._checks: list[Callable[[], None]] = []
        self._last_check = -1e9
        self._beat = time.monotonic()

    def silent_s(self) -> float:
        """Return for how long there has been no pulse [s], real."""
        return time.monotonic() - self._beat

    def beat(self) -> DomeView:
        """Show progress and renew the lease; only a person's word ends the work.

        For what is worth finishing though the dome closes: a frame that is being read out.

        Raises
        ------
        Aborted
        """
        self._beat = time.monotonic()
        view = self.dome.renew(self.pointing()) if self.dome.is_due() else self.dome.view
        if self.abort.is_set():
            self.abort.clear()
            raise Aborted("stopped on request")
        return view

    def pulse(self) -> None:
        """Show progress, renew the lease, and end the work if it must end.

        Raises
        ------
        Signal
            Leaving, Aborted, Shut, or what a check raises.
        TorosError
            What a check raises.
        """
        if self.stopping.is_set():
            raise Leaving("the daemon goes down")
        view = self.beat()
        if self._under_sky and not (view.is_open and view.safe):
            raise Shut("; ".join(view.reasons) or f"the shutter is {view.shutter}")
        if self._checks and time.monotonic() - self._last_check > _CHECK_S:
            self.check()

    def check(self) -> None:
        """Ask at once whether the work may go on.

        Raises
        ------
        Signal, TorosError
        """
        self._last_check = time.monotonic()
        for check in list(self._checks):
            check()

    @contextmanager
    def under_sky(self) -> Iterator[None]:
        """Work that needs the dome open; `Shut` ends it.

        Raises
        ------
        Shut
        """
        before, self._under_sky = self._under_sky, True
        try:
            self.pulse()
            yield
        finally:
            self._under_sky = before

    @contextmanager
    def checking(self, check: Callable[[], None]) -> Iterator[None]:
        """Call `check` about once a real second while the block lasts; it may raise."""
        self._checks.append(check)
        try:
            yield
        finally:
            self._checks.remove(check)
