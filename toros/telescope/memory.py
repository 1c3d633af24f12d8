"""What must outlast a restart even without the database: who is in charge, and a latched error."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from toros import store
from toros.errors import DiskFull, StorageFailed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remembered:
    """What is remembered.

    Attributes
    ----------
    stage : int
        The setting that it holds for; with another one it is forgotten, but for the error.
    automatic : bool
        Whether nights run by the sun.
    follows_plan : bool
        Whether a night that was opened by request observes its plan.
    fault : str or None
        The night's latched error.
    """

    stage: int
    automatic: bool
    follows_plan: bool = False
    fault: str | None = None


class Memory:
    """A small file.

    Parameters
    ----------
    path : Path
    stage : int
        Telescope / Stage.
    """

    def __init__(self, path: Path, stage: int) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.kept = self._load(stage)

    def keep(self, **changes: Any) -> None:
        """Change what is remembered; a disk that does not take it is told of, no more."""
        with self._lock:
            changed = replace(self.kept, **changes)
            if changed == self.kept:
                return
            self.kept = changed
            try:
                store.make_folder(self._path.parent)
                store.write_whole(self._path, json.dumps(asdict(changed)).encode())
            except (DiskFull, StorageFailed) as error:
                log.error("after a restart %s would not be known: %s", changes, error.message)

    def _load(self, stage: int) -> Remembered:
        fresh = Remembered(stage, automatic=stage == 3)
        try:
            found = _checked(Remembered(**json.loads(self._path.read_text("utf-8"))))
        except FileNotFoundError:
            return fresh
        except (OSError, ValueError, TypeError) as error:
            log.error(
                "%s cannot be read (%s): nights run by request until set_mode says otherwise",
                self._path,
                error,
            )
            return replace(fresh, automatic=False)
        return found if found.stage == stage else replace(fresh, fault=found.fault)


def _checked(found: Remembered) -> Remembered:
    if not isinstance(found.automatic, bool) or not isinstance(found.follows_plan, bool):
        raise TypeError("automatic and follows_plan must be true or false")
    return found
