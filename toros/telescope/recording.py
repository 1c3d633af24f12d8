"""The rows of exposures: every file of the telescope gets one, sooner or later."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from toros import store
from toros.config import HeaderRule
from toros.database.exposures import TakenExposures, bare_row, described
from toros.errors import DatabaseUnavailable, DiskFull, StorageFailed, UnusableFrame
from toros.images import read_facts
from toros.images.headers import Origin, read_origin
from toros.images.layout import read_layout, readable
from toros.telescope import nights

log = logging.getLogger(__name__)


class Recorder:
    """Records exposures from their files, whenever the database is there.

    What is in a row comes out of the file, so that a row made after a crash is the same.

    Parameters
    ----------
    folder : Path
        That of the exposures.
    taken : TakenExposures
    rules : sequence of HeaderRule
    frame_limit_mpixel : float
        Most pixels of one image [1e6 pixel].
    """

    def __init__(
        self,
        folder: Path,
        taken: TakenExposures,
        rules: Sequence[HeaderRule],
        frame_limit_mpixel: float,
    ) -> None:
        self.folder = folder
        self.taken = taken
        self.rules = rules
        self.frame_limit_mpixel = frame_limit_mpixel
        self._files: deque[tuple[Path, str | None]] = deque()
        self._searched = False
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many files wait for their row."""
        return len(self._files)

    @property
    def is_done(self) -> bool:
        """Whether every file has its row, as far as is known."""
        return self._searched and not self._files

    def add(self, path: Path, sha256: str | None) -> None:
        """Have a file recorded; its checksum is computed if it is not given."""
        with self._lock:
            self._files.append((path, sha256))

    def work(self) -> None:
        """Record what waits; the first time, look for files that never got a row.

        Raises
        ------
        DatabaseUnavailable, DiskFull, StorageFailed
            Not now; call it again later.
        """
        self._record_all()
        if not self._searched:
            self._search()
            self._record_all()

    def _record_all(self) -> None:
        while self._files:
            path, sha256 = self._files[0]
            try:
                self._record(path, sha256)
            except (UnusableFrame, StorageFailed, OSError) as error:
                log.error("%s gets no row: %s", path, error)
            except (DatabaseUnavailable, DiskFull):
                raise
            except Exception:  # one file must not keep all others from their rows
                log.exception("a defect: %s gets no row", path)
            with self._lock:
                self._files.popleft()

    def _record(self, path: Path, sha256: str | None) -> None:
        origin = self._origin(path)
        if origin is None:
            log.warning("%s has a name like an exposure of this telescope, but is none", path)
            return
        digest = sha256 or store.sha256_of(path)
        bare = bare_row(path.name, digest, path.stat().st_size)
        try:
            facts = read_facts(path, path.name, self.rules, self.frame_limit_mpixel)
            row = described(bare, facts, None)
        except UnusableFrame as error:
            row = described(bare, None, error.message)
        self.taken.record(row, origin)

    def _origin(self, path: Path) -> Origin | None:
        with readable(path) as file:
            return read_origin(read_layout(file, math.inf)[0].header)

    def _search(self) -> None:
        """Find files without a row, which a crash or an absence of the database left."""
        for night in nights.nights_in(self.folder):
            nights.clear_staged(self.folder / night)
            files = nights.exposures_in(self.folder, night)
            recorded = self.taken.sequences(night) if files else set()
            missing = [path for number, path in sorted(files.items()) if number not in recorded]
            with self._lock:
                queued = {path for path, _ in self._files}
                self._files.extend((path, None) for path in missing if path not in queued)
            if missing:
                log.warning("night %s: %d exposures have no row yet", night, len(missing))
        self._searched = True
