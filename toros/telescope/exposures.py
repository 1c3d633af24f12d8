"""The store of exposures: what was read out becomes a file at once, and a row.

A frame that cannot be written now is kept in memory and written later; a file
whose row cannot be recorded now gets it later. Nothing of that stops the night,
only no new exposure is begun while frames wait (`ExposureStore.reserve`).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from toros import store
from toros.config import HeaderRule
from toros.database.exposures import TakenExposures
from toros.devices.protocols import RawFrame
from toros.errors import DatabaseUnavailable, DiskFull, StorageFailed
from toros.images.circumstances import Circumstances
from toros.images.headers import header_cards
from toros.images.products import Card
from toros.images.raw import frame_bytes, write_frame
from toros.telescope import nights
from toros.telescope.recording import Recorder

log = logging.getLogger(__name__)

_WAITING_LIMIT = 8
_RETRY_S = 2.0
_TOLD_AGAIN_S = 300.0
_CAMERA_CLOCK_TOLERANCE = timedelta(seconds=10)


@dataclass(frozen=True)
class Stored:
    """What became of a frame.

    Attributes
    ----------
    path : Path
        Its file; if it waits, the one that it is going to be.
    sequence : int
        Its number in the night.
    sha256 : str
        Of the file, in hex; empty while it waits.
    waits : bool
        Whether it could not be written yet and is kept in memory.
    """

    path: Path
    sequence: int
    sha256: str
    waits: bool


@dataclass
class _Waiting:
    """A frame that could not be written."""

    data: NDArray[Any]
    known: Circumstances


class ExposureStore:
    """Stores exposures below a folder and records them; for one process at a time.

    Parameters
    ----------
    folder : Path
        A folder for each night is made in it.
    taken : TakenExposures
    reserve_bytes : int
        What stays free on the disk: no exposure is begun that would eat into it.
    rules : sequence of HeaderRule
        The site's, so that an exposure's row says the same as the preprocessor's later.
    frame_limit_mpixel : float
        Most pixels of one image [1e6 pixel]; a larger one is stored, but of no use.
    """

    def __init__(
        self,
        folder: Path,
        taken: TakenExposures,
        *,
        reserve_bytes: int,
        rules: Sequence[HeaderRule] = (),
        frame_limit_mpixel: float = 400.0,
    ) -> None:
        self.folder = folder
        self.taken = taken
        self.reserve_bytes = reserve_bytes
        self._recorder = Recorder(folder, taken, rules, frame_limit_mpixel)
        self._last: dict[str, int] = {}
        self._waiting: deque[_Waiting] = deque()
        self._trouble = ""
        self._told_at = -math.inf
        self._changed = threading.Condition(threading.RLock())
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="exposures", daemon=True)

    def start(self) -> None:
        """Begin to record; first of all what an interruption left without a row.

        Raises
        ------
        DiskFull, StorageFailed
            The folder cannot be made.
        """
        store.make_folder(self.folder)
        self._thread.start()

    def close(self, timeout_s: float = 10.0) -> None:
        """End recording, after a last try; frames that still wait are lost, and named."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s)
        for waiting in self._waiting:
            log.error(
                "lost: exposure %s was read out and never written (%s)",
                nights.file_name(waiting.known),
                self._trouble,
            )

    def reserve(self, shape: tuple[int, ...], itemsize: int = 4) -> None:
        """Refuse to begin an exposure that could not be stored.

        Parameters
        ----------
        shape : tuple of int
            (ny, nx) of the frame [pixel].
        itemsize : int
            Bytes of a pixel at the most.

        Raises
        ------
        DiskFull
            Too little is free, or earlier frames wait to be written.
        StorageFailed
        """
        with self._changed:
            if self._waiting:
                raise DiskFull(
                    f"{len(self._waiting)} frames wait to be written, since {self._trouble}"
                )
        store.make_folder(self.folder)
        try:
            store.check_free_space(self.folder, frame_bytes(shape, itemsize), self.reserve_bytes)
        except OSError as error:
            raise store.storage_error(error, self.folder) from error

    def store(self, frame: RawFrame, known: Circumstances) -> Stored:
        """Write a frame that was read out, and have it recorded.

        It gets the next number of its night. Start and exposure time are the camera's where
        it tells them; a start far from the one in `known` is the camera's clock, not the truth.
        If the disk is full or fails, the frame is kept in memory and written as soon as
        possible: that is no error here, `Stored.waits` tells it. What waits keeps `frame.data`,
        which must not be changed afterwards.

        Raises
        ------
        DeviceNonsense
            The frame has no pixels that could be stored.
        DiskFull, StorageFailed
            As many frames wait as may; this one is still the caller's.
        """
        known = replace(self._completed(known, frame), sequence=0)
        try:
            known = self._numbered(known)
            stored = self._write(frame.data, known)
        except (DiskFull, StorageFailed) as error:
            return self._keep(frame.data, known, error)
        self._record_later(stored)
        return stored

    def settle(self, timeout_s: float) -> bool:
        """Wait until all that was stored is written and recorded; False if it is not in time."""
        with self._changed:
            return self._changed.wait_for(self._is_settled, timeout_s)

    def state(self) -> dict[str, Any]:
        """Tell how many frames wait to be written, how many files for their row, and why."""
        with self._changed:
            return {
                "frames_waiting": len(self._waiting),
                "rows_waiting": self._recorder.waiting,
                "trouble": self._trouble,
            }

    def _is_settled(self) -> bool:
        return not self._waiting and self._recorder.is_done

    def _completed(self, known: Circumstances, frame: RawFrame) -> Circumstances:
        """Put in what the camera itself says of an exposure."""
        notes = list(known.notes)
        start, length_s = known.start_utc, known.exposure_time_s
        told_s = frame.exposure_time_s
        if told_s is not None and math.isfinite(told_s) and told_s >= 0:
            length_s = told_s
        if frame.start is not None:
            off = frame.start - known.start_utc
            # What takes a second in reality takes many in an accelerated rehearsal.
            if abs(off) <= _CAMERA_CLOCK_TOLERANCE * max(self.taken.clock.rate, 1.0):
                start = frame.start
            else:
                notes.append(f"The clock of the camera is off by {off.total_seconds():.0f} s.")
                log.warning("the clock of the camera is off by %.0f s", off.total_seconds())
        return replace(known, start_utc=start, exposure_time_s=length_s, notes=tuple(notes))

    def _numbered(self, known: Circumstances) -> Circumstances:
        """Give an exposure its number, once.

        Raises
        ------
        StorageFailed
        """
        if known.sequence:
            return known
        return replace(known, sequence=self._next(known.night.isoformat()))

    def _next(self, night: str) -> int:
        with self._changed:
            if night not in self._last:
                last = nights.last_sequence(self.folder, night)
                try:
                    # Files may have been moved away; their numbers are not given again.
                    if self.taken.database.trouble is None:
                        last = max(last, self.taken.last_sequence(night))
                except (DatabaseUnavailable, DiskFull) as error:
                    log.debug("numbers of %s by its files alone: %s", night, error.message)
                self._last[night] = last
            self._last[night] += 1
            return self._last[night]

    def _write(self, data: NDArray[Any], known: Circumstances) -> Stored:
        """Write a file under a name that nothing has.

        Raises
        ------
        DiskFull, StorageFailed, DeviceNonsense
        """
        while True:
            path = self.folder / known.night.isoformat() / nights.file_name(known)
            staged = nights.staged(path)
            with self._writing, store.whole_file(staged) as file:
                digest = write_frame(file, data, _cards(known, data.shape))
            if nights.give_name(staged, path):
                log.info("stored %s", path)
                return Stored(path, known.sequence, digest, waits=False)
            log.error("%s is there already and stays; another daemon uses the folder", path)
            known = replace(known, sequence=self._next(known.night.isoformat()))

    def _keep(
        self, data: NDArray[Any], known: Circumstances, error: DiskFull | StorageFailed
    ) -> Stored:
        with self._changed:
            if len(self._waiting) >= _WAITING_LIMIT:
                raise error
            self._waiting.append(_Waiting(data, known))
        self._tell(error)
        self._wake.set()
        path = self.folder / known.night.isoformat() / nights.file_name(known)
        return Stored(path, known.sequence, "", waits=True)

    def _tell(self, error: DiskFull | StorageFailed) -> None:
        self._trouble = error.message
        now = time.monotonic()
        if now - self._told_at > _TOLD_AGAIN_S:
            self._told_at = now
            log.error(
                "%d frames that were read out cannot be written and are kept in memory; "
                "do not end the daemon: %s",
                len(self._waiting),
                error.message,
            )

    def _record_later(self, stored: Stored) -> None:
        self._recorder.add(stored.path, stored.sha256)
        self._wake.set()

    def _work(self) -> None:
        while True:
            closing = self._closing.is_set()
            try:
                self._write_waiting()
                self._recorder.work()
            except (DatabaseUnavailable, DiskFull, StorageFailed) as error:
                log.debug("rows of exposures wait for the database: %s", error.message)
            except Exception:  # what is stored later is to be recorded all the same
                log.exception("a defect in recording exposures")
            if closing:
                return
            with self._changed:
                self._changed.notify_all()
                idle = self._is_settled()
            self._wake.wait(None if idle else _RETRY_S)
            self._wake.clear()

    def _write_waiting(self) -> None:
        while self._waiting:
            waiting = self._waiting[0]
            try:
                waiting.known = self._numbered(waiting.known)
                stored = self._write(waiting.data, waiting.known)
            except (DiskFull, StorageFailed) as error:
                self._tell(error)
                return
            self._record_later(stored)
            with self._changed:
                self._waiting.popleft()
            log.warning("%s is written at last", stored.path)
        self._trouble = ""
        self._told_at = -math.inf


def _cards(known: Circumstances, shape: tuple[int, ...]) -> list[Card]:
    """Make the header; if a defect keeps it from being made, a bare one, for the frame's sake."""
    try:
        return header_cards(known, shape)
    except Exception:  # a frame is worth more than its header
        log.exception("a defect in making the header of %s", nights.file_name(known))
    bare = Circumstances(
        exposure_type=known.exposure_type,
        start_utc=known.start_utc,
        exposure_time_s=known.exposure_time_s,
        night=known.night,
        sequence=known.sequence,
        notes=("A defect left out the rest of this header; the log of the night has more.",),
    )
    return header_cards(bare, shape)
