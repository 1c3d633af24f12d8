"""After a start: the hardware first, then the record, then the night goes on."""

from __future__ import annotations

import logging

from toros.database.session import Database
from toros.errors import DatabaseUnavailable, DeviceTimeout, TorosError
from toros.telescope.night import Night
from toros.telescope.parts import Parts
from toros.telescope.record import finish_night, past_of, tally_of, unfinished
from toros.telescope.states import State
from toros.telescope.targets import TargetBook

log = logging.getLogger(__name__)

_SETTLE_S = 20.0


class Recovery:
    """Brings hardware, record and book together before the first step of a night.

    Parameters
    ----------
    parts : Parts
    database : Database
    book : TargetBook
    """

    def __init__(self, parts: Parts, database: Database, book: TargetBook) -> None:
        self._parts = parts
        self._database = database
        self._book = book
        self._is_safe = False

    def __call__(self, night: Night) -> None:
        """Recover; it may be called again after an error.

        Raises
        ------
        Signal
        DatabaseUnavailable, DiskFull
            The telescope is safe, but what it was at is not known yet.
        DeviceError
            A device does not answer.
        """
        parts = self._parts
        parts.control.pulse()
        if not self._is_safe:
            self._make_safe()
            self._is_safe = True
        if not parts.ready.is_set():
            raise DatabaseUnavailable("what the telescope was at is not known yet")
        # Files that a crash has left without a row get it first: they count as taken.
        try:
            parts.hardware.until("recording exposures", lambda: parts.store.settle(0.0), _SETTLE_S)
        except DeviceTimeout:
            log.warning("some exposures have no row yet; their targets may be observed again")
        interrupted, done = self._book.recover(lambda row: parts.telling.target(row, "done"))
        if interrupted or done:
            log.warning("%d targets were interrupted, %d were done already", interrupted, len(done))
        parts.targets.changed()
        self._finish_earlier_nights()
        self._take_up(night)

    def _take_up(self, night: Night) -> None:
        parts = self._parts
        date = parts.planner.night().date
        past = past_of(self._database, date.isoformat())
        parts.camera.begin_night(date, tally_of(self._database, date.isoformat()))
        if past is not None and past.was_closed and past.handed_over:
            parts.telling.frames_of(date.isoformat())
        parts.record.begin(date.isoformat(), past)
        if parts.record.state is not State.CLOSED:
            night.take_up()
        if parts.dome.wants_lease is None:
            parts.dome.wants_lease = False

    def _finish_earlier_nights(self) -> None:
        """Close and hand over what earlier nights have left; it is told twice rather than never."""
        tonight = self._parts.planner.night().date.isoformat()
        for date, state in unfinished(self._database, tonight):
            if self._parts.telling.frames_of(date):
                finish_night(self._database, date, state, self._parts.clock.now())
                log.warning("the night of %s, left %s, is closed and handed over", date, state)

    def _make_safe(self) -> None:
        """End an exposure of an earlier process; park unless the dome is open and safe.

        An exposure that is running belongs to nobody: its target is observed again.
        """
        parts = self._parts
        try:
            parts.hardware.connect()
        except TorosError as error:
            log.warning("the devices at the start: %s", error.message)
            raise
        parts.hardware.stop_exposure()
        view = parts.dome.renew(None, now=True)
        if not (view.is_open and view.safe):
            parts.hardware.park()
