"""Who may have the dome open: mode, lease, openings by hand, overrides and latched errors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from toros.config.enclosure import Dome as Settings
from toros.dome.journal import Written
from toros.dome.lease import Held, Lease
from toros.dome.memory import Memory, Remembered
from toros.dome.rules import Grant, Mode
from toros.errors import FaultLatched, WrongMode

log = logging.getLogger(__name__)


class Rights:
    """What entitles to an open dome, and what forbids it.

    Parameters
    ----------
    settings : Dome
    memory : Memory
        Keeps mode and error over a restart.
    forbidden : str or None
        An error that only a restart clears: the configuration is wrong.
    """

    def __init__(self, settings: Settings, memory: Memory, forbidden: str | None) -> None:
        self.lock = threading.Lock()
        """Held for a few assignments, never during any work."""
        self.mode = Mode.AUTOMATIC
        self.grant: Grant | None = None
        self._settings = settings
        self._memory = memory
        self._forbidden = forbidden
        self._latched: str | None = None
        self._lease = Lease(settings.lease_s)
        self._override_until_s = 0.0
        self.kept: Written | None = None
        """What became of the last change on the disk."""

    def begin(self, now_s: float) -> None:
        """Take up mode and error; what is found open may stay so until a lease comes in time."""
        remembered = self._memory.load()
        self.mode, self._latched = remembered.mode, remembered.fault
        self.grant = Grant("restart", "", now_s + self._settings.lease_s)

    @property
    def fault(self) -> str | None:
        """The error that forbids to open."""
        return self._forbidden or self._latched

    def latch(self, text: str) -> bool:
        """Latch an error; the first one stays. Return whether this is it."""
        if self._latched is not None:
            return False
        self._latched = text
        self._remember()
        return True

    def acknowledge(self, user: str) -> bool:
        """Clear the latched error; return whether there was one.

        Raises
        ------
        FaultLatched
            Only a restart with a good configuration clears it.
        """
        if self._forbidden is not None:
            raise FaultLatched(f"{self._forbidden}; mend it and start the daemon again")
        fault, self._latched = self._latched, None
        self._remember()
        if fault is not None:
            log.warning("the error is acknowledged by %s: %s", user, fault)
        return fault is not None

    def held(self, now_s: float) -> Held | None:
        """Return the lease that is valid now."""
        return self._lease.held(now_s)

    def renew(
        self,
        holder: str,
        now_s: float,
        duration_s: float | None,
        altitude_deg: float | None,
        azimuth_deg: float | None,
    ) -> Held:
        """Give or renew the lease; what a start found open, it takes over.

        Raises
        ------
        LeaseHeld
        """
        with self.lock:
            held = self._lease.renew(holder, now_s, duration_s, altitude_deg, azimuth_deg)
            restart = self.grant is not None and self.grant.by == "restart"
            if restart and self.mode is Mode.AUTOMATIC and self._lease.held(now_s) is not None:
                self.grant = Grant("lease", holder)
        return held

    def is_night(self, who: str, named: str | None, now_s: float) -> bool:
        """Tell whether an order is the night's own.

        It is when `who`, its holder or else its user, holds the lease; or when nobody holds
        one and the order has `named` a holder, who has just given it back.
        """
        held = self._lease.held(now_s)
        return named is not None if held is None else who == held.holder

    def override_s(self, now_s: float) -> float:
        """Return for how long a person holds closing off yet [s]."""
        return max(0.0, self._override_until_s - now_s)

    def end_override(self) -> None:
        """Hold nothing off any more."""
        self._override_until_s = 0.0

    def set_mode(self, mode: Mode, override_s: float, user: str, now_s: float) -> float:
        """Choose who opens; return for how long closing is held off [s].

        Raises
        ------
        WrongMode
            An override was asked for in automatic mode.
        """
        if override_s > 0 and mode is Mode.AUTOMATIC:
            raise WrongMode("override: closing is held off in manual mode only")
        override_s = min(override_s, self._settings.override_limit_s)
        with self.lock:
            changed, self.mode = self.mode is not mode, mode
            self._override_until_s = now_s + override_s
            if changed and self.grant is not None:
                self.grant = self._grant_in(mode, now_s, user)
        if override_s > 0:
            log.warning("%s holds closing off for %.0f s", user, override_s)
        if changed:
            log.warning("%s sets the mode to %s", user, mode)
        self._remember()
        return override_s

    def _grant_in(self, mode: Mode, now_s: float, user: str) -> Grant | None:
        """Hand an open dome over to the person, or to the lease if there is one."""
        if mode is Mode.MANUAL:
            return Grant("hand", user, now_s + self._settings.manual_open_limit_s)
        held = self._lease.held(now_s)
        return Grant("lease", held.holder) if held is not None else None

    def grant_for(self, who: str, now_s: float) -> Grant:
        """Return the right by which `who` opens in this mode."""
        if self.mode is Mode.MANUAL:
            return Grant("hand", who, now_s + self._settings.manual_open_limit_s)
        return Grant("lease", who)

    def revoke(self, unless: Callable[[], bool] | None = None) -> None:
        """Nobody is entitled to an open dome any more."""
        with self.lock:
            if unless is None or not unless():
                self.grant = None

    def _remember(self) -> None:
        self.kept = self._memory.save(Remembered(self.mode, self._latched))
