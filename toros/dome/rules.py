"""What the dome is to do, and what it refuses: pure functions of the situation.

The dome may be open only while somebody is entitled to have it open, the weather is known
to be safe, the sun is low and no error is latched. As soon as one of these no longer holds
it closes; only an override by a person in manual mode holds that off, for a bounded time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol

from toros.devices.protocols import ShutterState
from toros.errors import (
    DeviceUnreachable,
    DomeBusy,
    FaultLatched,
    LeaseHeld,
    OutsideWindow,
    ShutterFailed,
    Stopping,
    TorosError,
    UnsafeWeather,
    WrongMode,
)

NEVER_TOLD_S = 3.0
"""A shutter that has not told its state for so long after a start counts as open [s]."""

SILENT_S = 15.0
"""An open dome whose shutter has not told its state for so long closes [s]."""

_UNDER_WAY = frozenset({ShutterState.OPENING, ShutterState.CLOSING})


class Mode(StrEnum):
    """Who opens."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class Verdict(Protocol):
    """What is known of the weather."""

    @property
    def known(self) -> bool:
        """Whether all sources are fresh."""

    @property
    def safe(self) -> bool:
        """Whether the dome may stay open."""

    @property
    def may_open(self) -> bool:
        """Whether it has been safe for long enough to open."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not safe, or why the dome may not be opened though it is."""

    def plain(self) -> dict[str, object]:
        """Return all of it as it travels in a status."""


class Grant(NamedTuple):
    """By what right the dome is open.

    Parameters
    ----------
    by : {"lease", "hand", "restart"}
        The night's lease, a person, or that a start found it open and waits for a lease.
    holder : str
        Whose lease, or who opened by hand.
    until_s : float
        When it ends, as time since the boot [s]; that of a lease ends with the lease.
    """

    by: Literal["lease", "hand", "restart"]
    holder: str
    until_s: float = math.inf


@dataclass(frozen=True)
class Situation:
    """All that the rules look at, at one moment.

    Parameters
    ----------
    now_s : float
        Time since the boot [s].
    shutter : ShutterState or None
        What the shutter has just said; None when that is not known.
    believed : ShutterState or None
        What it said last, however long ago; opening, if it was told to open since then.
    unheard_s : float
        How long ago it was asked what it said last, or for the first time [s].
    closing, opening : bool
        A closing that has not reached its end; an opening likewise.
    mode : Mode
    grant : Grant or None
        By what right it is open.
    holder : str or None
        Who holds the lease just now.
    override_s : float
        For how long a person holds closing off yet [s].
    fault : str or None
        The latched error.
    weather : Verdict
    outside : str or None
        Why the dome is not to be open at this time of the day; None when it may be.
    outside_known : bool
        That is known; before it is, nothing opens.
    starting : bool
        The start was a moment ago: weather and sun need not be known yet, for staying open.
    stopping : bool
        The daemon goes down.
    paused : bool
        Somebody has just stopped all motion.
    """

    now_s: float
    shutter: ShutterState | None
    believed: ShutterState | None
    unheard_s: float
    closing: bool
    opening: bool
    mode: Mode
    grant: Grant | None
    holder: str | None
    override_s: float
    fault: str | None
    weather: Verdict
    outside: str | None
    outside_known: bool = True
    starting: bool = False
    stopping: bool = False
    paused: bool = False


@dataclass(frozen=True)
class Decision:
    """What is to be done now.

    Parameters
    ----------
    close : tuple of str
        Why a closing is to begin; empty: it is not.
    hold : bool
        A closing that nobody has ordered is to be given up: a person holds it off.
    """

    close: tuple[str, ...] = ()
    hold: bool = False


def decide(situation: Situation) -> Decision:
    """Decide whether a closing begins, or one is held off."""
    if held_off(situation):
        return Decision(hold=situation.closing)
    if situation.paused or situation.closing or not may_be_open(situation):
        return Decision()
    return Decision(close=reasons_to_close(situation))


def held_off(situation: Situation) -> bool:
    """Tell whether a person in manual mode keeps the dome from closing by itself."""
    return situation.mode is Mode.MANUAL and situation.override_s > 0


def may_be_open(situation: Situation) -> bool:
    """Tell whether the shutter is not known to be closed.

    A shutter that said closed, and does not answer since, counts as closed: it was told
    nothing meanwhile, and to command what does not answer is no use. When it answers again
    it is judged by what it says.
    """
    if situation.opening:
        return True
    if situation.believed is None:
        return situation.unheard_s > NEVER_TOLD_S
    return situation.believed is not ShutterState.CLOSED


def reasons_to_close(situation: Situation) -> tuple[str, ...]:
    """List why the dome is not to be open; empty if it may be."""
    reasons = _obstacles(situation)
    ended = grant_ended(situation)
    # A closing for the weather ends all rights, which would tell nobody anything.
    if ended is not None and not (reasons and situation.grant is None):
        reasons.append(ended)
    return tuple(reasons)


def why_not_open(situation: Situation) -> tuple[str, ...]:
    """List why the dome is not to be open, as a person wants to know it.

    That nobody has ordered it to be open tells nothing while it is closed.
    """
    if may_be_open(situation):
        return reasons_to_close(situation)
    return tuple(_obstacles(situation))


def _obstacles(situation: Situation) -> list[str]:
    """List what keeps anybody from having the dome open."""
    reasons = []
    if situation.stopping:
        reasons.append("the daemon goes down")
    if situation.fault is not None:
        reasons.append(f"an error is latched: {situation.fault}")
    if not (situation.weather.safe or (situation.starting and not situation.weather.known)):
        reasons += situation.weather.reasons or ("the weather is not known to be safe",)
    if situation.outside is not None and (situation.outside_known or not situation.starting):
        reasons.append(situation.outside)
    if situation.unheard_s > SILENT_S:
        reasons.append(f"the shutter has not told its state for {situation.unheard_s:.0f} s")
    return reasons


def grant_ended(situation: Situation) -> str | None:
    """Say why nobody is entitled to have the dome open; None if somebody is."""
    grant = situation.grant
    if grant is None:
        return "it is open without anybody's order"
    if grant.by == "hand":
        if situation.mode is not Mode.MANUAL:
            return "it was opened by hand, and the mode is automatic"
        over = situation.now_s >= grant.until_s
        return "the time of the opening by hand is over" if over else None
    if situation.mode is not Mode.AUTOMATIC:
        return "it was opened by the night, and the mode is manual"
    if grant.by == "restart":
        over = situation.now_s >= grant.until_s
        return "the start found it open, and no lease has come" if over else None
    return None if situation.holder == grant.holder else f"the lease of {grant.holder!r} has lapsed"


def refuse_opening(situation: Situation, who: str, *, for_lease: bool) -> TorosError | None:
    """Return why the dome is not opened; None if it may be.

    Parameters
    ----------
    situation : Situation
    who : str
        The lease's holder, or the person.
    for_lease : bool
        The order says that it is the holder's.
    """
    if (unfit := _unfit(situation, who, for_lease=for_lease)) is not None:
        return unfit
    if situation.mode is Mode.AUTOMATIC and situation.holder is None:
        return WrongMode(
            "in automatic mode the dome opens only for the holder of a lease, and nobody holds "
            "one; renew a lease first, or set_mode manual to open by hand"
        )
    weather = situation.weather
    if not (weather.known and weather.safe and weather.may_open):
        reasons = "; ".join(weather.reasons) or "it has not been safe for long enough"
        return UnsafeWeather(f"the dome stays closed: {reasons}")
    if situation.outside is not None or not situation.outside_known:
        return OutsideWindow(f"the dome stays closed: {situation.outside}")
    if situation.shutter is None:
        return DeviceUnreachable("the shutter does not tell its state; the dome is not opened")
    if situation.shutter is ShutterState.ERROR:
        return ShutterFailed("the shutter reports an error; the dome is not opened")
    return _busy(situation)


def refuse_turning(
    situation: Situation, who: str, *, for_lease: bool, slaved: bool, moving: bool
) -> TorosError | None:
    """Return why the dome is not turned; None if it may be.

    Parameters
    ----------
    situation, who, for_lease
        As of `refuse_opening`.
    slaved : bool
        The dome follows the telescope just now.
    moving : bool
        Another motion is under way, or the dome is not known to stand still.
    """
    if (unfit := _unfit(situation, who, for_lease=for_lease)) is not None:
        return unfit
    if slaved:
        return WrongMode(
            f"the dome follows the telescope of {situation.holder!r}; renew the lease without "
            "az, or set_mode manual, to turn it by order"
        )
    if moving:
        return DomeBusy(
            "another motion of the dome is under way, or it does not tell that it stands still; "
            "stop it first, or wait"
        )
    return _busy(situation)


def _unfit(situation: Situation, who: str, *, for_lease: bool) -> TorosError | None:
    """Say what forbids any motion but closing."""
    if situation.stopping:
        return Stopping("the dome's daemon is going down")
    if situation.fault is not None:
        return FaultLatched(
            f"an error is latched: {situation.fault}; look at the dome, then send acknowledge"
        )
    if situation.mode is Mode.MANUAL:
        if for_lease or (who and who == situation.holder):
            return WrongMode("the mode is manual: only a person opens and turns the dome")
        return None
    if situation.holder is not None and who != situation.holder:
        return LeaseHeld(
            f"{situation.holder!r} holds the lease, not {who!r}; in automatic mode only the holder "
            "opens and turns the dome (give it as holder), in manual mode a person"
        )
    return None


def _busy(situation: Situation) -> TorosError | None:
    # A word from before the last command to open says nothing of what that has done.
    moves = situation.shutter in _UNDER_WAY or situation.believed in _UNDER_WAY
    if situation.closing or situation.opening or moves:
        what = "closing" if situation.closing else "moving"
        return DomeBusy(f"the shutter is {what}; send the order again when it stands still")
    return None
