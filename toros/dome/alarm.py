"""Alarms: an error in the log, and so a mail, at once and again while it goes on."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


class Alarm:
    """What is wrong just now.

    Parameters
    ----------
    interval_s : float
        How often what goes on is told again [s].
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._active: dict[str, tuple[str, float, float]] = {}

    @property
    def texts(self) -> list[str]:
        """What is wrong."""
        return [text for text, _, _ in list(self._active.values())]

    def sound(self, key: str, text: str, now_s: float) -> None:
        """Tell what is wrong; told already, it is told again only after the interval."""
        known = self._active.get(key)
        if known is None:
            log.error("%s", text)
            self._active[key] = (text, now_s, now_s)
            return
        _, since_s, told_s = known
        if now_s - told_s >= self._interval_s:
            log.error("%s (for %.0f s now)", text, now_s - since_s)
            told_s = now_s
        self._active[key] = (text, since_s, told_s)

    def repeat(self, now_s: float) -> None:
        """Tell again what is due."""
        for key, (text, _, _) in list(self._active.items()):
            self.sound(key, text, now_s)

    def end(self, key: str) -> None:
        """Note that something is right again."""
        known = self._active.pop(key, None)
        if known is not None:
            log.warning("no longer: %s", known[0])
