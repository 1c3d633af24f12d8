"""The night's lease: who keeps the dome open, until when, and where the telescope points."""

from __future__ import annotations

from dataclasses import dataclass

from toros.errors import LeaseHeld


@dataclass(frozen=True)
class Held:
    """A lease that was given.

    Parameters
    ----------
    holder : str
    until_s : float
        When it lapses, as time since the boot [s].
    altitude_deg, azimuth_deg : float or None
        Where the telescope points [deg]; None where that was not told.
    """

    holder: str
    until_s: float
    altitude_deg: float | None = None
    azimuth_deg: float | None = None


class Lease:
    """One lease at a time; it lives in memory and so ends with the daemon.

    Times are of the clock that counts since the boot and goes on while the machine is
    suspended: nobody who sets the clock lengthens a lease, and no suspend outlasts it.

    Parameters
    ----------
    longest_s : float
        The longest and usual duration [s].
    """

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._held: Held | None = None

    def renew(
        self,
        holder: str,
        now_s: float,
        duration_s: float | None = None,
        altitude_deg: float | None = None,
        azimuth_deg: float | None = None,
    ) -> Held:
        """Give or renew the lease; a duration of 0 gives it back.

        Raises
        ------
        LeaseHeld
            Another holds it yet.
        """
        held = self.held(now_s)
        if held is not None and held.holder != holder:
            raise LeaseHeld(
                f"{held.holder!r} holds the lease for {held.until_s - now_s:.0f} s yet; "
                f"{holder!r} can have it when it has lapsed or was given back"
            )
        wanted_s = self._longest_s if duration_s is None else duration_s
        until_s = now_s + min(wanted_s, self._longest_s)
        self._held = Held(holder, until_s, altitude_deg, azimuth_deg)
        return self._held

    def held(self, now_s: float) -> Held | None:
        """Return the lease that is valid at `now_s`, None if there is none."""
        held = self._held
        return held if held is not None and now_s < held.until_s else None
