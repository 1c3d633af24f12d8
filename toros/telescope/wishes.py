"""What a person asks of the night, one thing at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

from toros.errors import Interrupted, TorosError

What = Literal["prepare", "open", "dome", "close"]
"""To prepare the night; to open it and observe; to open the dome alone; to close the night."""


@dataclass(eq=False)
class Wish:
    """Something that a person has asked for, until it is granted or refused."""

    what: What
    done: threading.Event = field(default_factory=threading.Event)
    error: TorosError | None = None


class Wishes:
    """The wish that waits; a newer one takes its place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wish: Wish | None = None

    def ask(self, what: What) -> Wish:
        """Ask for something; what was asked for before ends."""
        wish = Wish(what)
        with self._lock:
            before, self._wish = self._wish, wish
        if before is not None:
            _end(before, Interrupted(f"{before.what}: another order has come: {what}"))
        return wish

    @property
    def what(self) -> What | None:
        """What is asked for now."""
        wish = self._wish
        return None if wish is None else wish.what

    def grant(self, *what: What) -> bool:
        """End the wish that waits, if it is one of these; return whether it was."""
        with self._lock:
            wish = self._wish
            if wish is None or wish.what not in what:
                return False
            self._wish = None
        _end(wish, None)
        return True

    def refuse(self, error: TorosError) -> None:
        """End the wish that waits, whatever it is."""
        with self._lock:
            wish, self._wish = self._wish, None
        if wish is not None:
            _end(wish, error)

    def withdraw(self, wish: Wish) -> None:
        """Forget a wish that nobody waits for any more."""
        with self._lock:
            if self._wish is wish:
                self._wish = None


def _end(wish: Wish, error: TorosError | None) -> None:
    wish.error = error
    wish.done.set()
