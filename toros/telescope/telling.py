"""When the telescope tells others what: the preprocessor, the alert robot, whoever is listed."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from toros.config import Settings
from toros.database.exposures import TakenExposures
from toros.database.messages import NewMessage
from toros.errors import DatabaseUnavailable, DiskFull
from toros.frontdesk.outbox import Outbox
from toros.telescope.exposures import ExposureStore
from toros.telescope.outbox import exposures_taken, night_told
from toros.telescope.targets import TargetRow, Work

log = logging.getLogger(__name__)


class Telling:
    """Makes the telescope's messages; none of it stalls observing.

    Parameters
    ----------
    outbox : Outbox
    settings : Settings
    store : ExposureStore
    taken : TakenExposures
    """

    def __init__(
        self, outbox: Outbox, settings: Settings, store: ExposureStore, taken: TakenExposures
    ) -> None:
        self._outbox = outbox
        self._settings = settings
        self._store = store
        self._taken = taken

    def frames_of(self, date: str) -> bool:
        """Hand a night's frames to the preprocessor; False if that has to be done again later."""
        try:
            message = exposures_taken(self._taken, self._store.folder, date)
        except (DatabaseUnavailable, DiskFull) as error:
            log.warning("the night of %s is handed over later: %s", date, error.message)
            return False
        if message is not None:
            self._outbox.post(message)
        return True

    def night(self, date: str, number: int, content: Mapping[str, Any]) -> Work | None:
        """Make the unit of work that tells whoever is listed what becomes of the night."""
        return self._adding(night_told(self._settings.telescope.tell, date, number, content))

    def target(self, row: TargetRow, state: str) -> Work | None:
        """Make the unit of work that tells the alert robot what became of one of its targets.

        Parameters
        ----------
        row : TargetRow
        state : str
            ``done``, ``expired``, ``withdrawn``, or ``failed: why``.

        Returns
        -------
        callable or None
            To be carried out with what it tells of; None for a target of nobody's alert.
        """
        if row.event is None:
            return None
        content = {
            "event": row.event,
            "observatory": self._settings.observatory.name or "",
            "name": row.name,
            "state": state.partition(":")[0],
            "message": state.partition(": ")[2],
            "exposures": row.exposures_done,
        }
        text = json.dumps([row.id, content], sort_keys=True)
        identity = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self._adding(
            [NewMessage("front_desk", "lvcgcn", f"target-{identity}", "report_target", content)]
        )

    def _adding(self, messages: Sequence[NewMessage]) -> Work | None:
        if not messages:
            return None

        def add(session: Session) -> None:
            for message in messages:
                self._outbox.messages.add(session, message)

        return add
