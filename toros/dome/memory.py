"""What outlasts a restart: the mode, and an error that waits to be acknowledged."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from toros.dome.journal import Scribe, Written
from toros.dome.rules import Mode
from toros.store import write_whole

log = logging.getLogger(__name__)

_WAIT_S = 2.0


@dataclass(frozen=True)
class Remembered:
    """What is remembered.

    Parameters
    ----------
    mode : Mode
    fault : str or None
        The latched error.
    """

    mode: Mode = Mode.AUTOMATIC
    fault: str | None = None


class Memory:
    """A small file.

    Parameters
    ----------
    path : Path
    scribe : Scribe
        Writes it.
    """

    def __init__(self, path: Path, scribe: Scribe) -> None:
        self._path = path
        self._scribe = scribe

    def load(self) -> Remembered:
        """Read it; what cannot be read leaves opening to a person (manual mode).

        A disk that hangs is waited for only a moment.
        """
        found: list[Remembered] = []
        trouble = self._scribe.begin(lambda: found.append(self._read())).wait(_WAIT_S)
        if not found:
            log.error("%s: %s; the mode is manual", self._path, trouble)
        return found[0] if found else Remembered(Mode.MANUAL)

    def _read(self) -> Remembered:
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            return Remembered(Mode(kept["mode"]), _text(kept["fault"]))
        except FileNotFoundError:
            return Remembered()
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.error(
                "%s cannot be read (%s); the mode is manual until set_mode says otherwise",
                self._path,
                error,
            )
            return Remembered(Mode.MANUAL)

    def save(self, remembered: Remembered) -> Written:
        """Write it; returns at once."""
        kept = {"mode": remembered.mode.value, "fault": remembered.fault}
        content = json.dumps(kept).encode()
        return self._scribe.begin(lambda: _write(self._path, content))


def _write(path: Path, content: bytes) -> None:
    write_whole(path, content)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"fault: {value!r} is no text")
