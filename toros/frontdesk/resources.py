"""What a daemon's handlers need, and what the daemon tells of itself."""

from __future__ import annotations

from typing import Any


class Resources:
    """The root of each daemon's resources; a daemon overrides what it has to tell."""

    def state(self) -> dict[str, Any]:
        """Return what `status` tells besides; at once, without a database."""
        return {}

    def tell_order(self, order_id: str, user: str | None) -> dict[str, Any] | None:
        """Return the status of an order that the database need not know; None for others.

        Parameters
        ----------
        order_id : str
        user : str or None
            Whose order it is; None where the id alone tells.
        """
        return None

    def database_is_ready(self) -> None:
        """Hear that the database can be used: called once, before the first order runs."""

    def silent_s(self) -> float:
        """Return for how long the daemon's own loop has shown no progress [s]."""
        return 0.0
