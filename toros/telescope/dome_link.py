"""The telescope's side of the dome: the lease, and what the dome tells."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Protocol

from toros.client import FrontDesk
from toros.devices.protocols import Horizontal
from toros.errors import DomeNotOpen, TorosError

log = logging.getLogger(__name__)

_RENEW_S = 1.0
_CALL_TIMEOUT_S = 3.0
_STALE_S = 5.0


@dataclass(frozen=True)
class DomeView:
    """What the dome last told.

    Attributes
    ----------
    shutter : str
        open, closed, opening, closing, error or unknown.
    azimuth_deg : float or None [deg]
        Where the slit looks.
    turning, safe, may_open : bool
    mode : str
        manual or automatic.
    fault : str or None
        The latched error.
    reasons : tuple of str
        Why it is not safe, or must not open.
    """

    shutter: str = "unknown"
    azimuth_deg: float | None = None
    turning: bool = False
    safe: bool = False
    may_open: bool = False
    mode: str = "unknown"
    fault: str | None = None
    reasons: tuple[str, ...] = ("the dome has not answered yet",)
    heard_at: float = field(default=-1e9, compare=False)

    @property
    def fresh(self) -> bool:
        """Whether the dome answered of late, in real time."""
        return time.monotonic() - self.heard_at < _STALE_S

    @property
    def is_open(self) -> bool:
        """Whether the sky is to be seen, by a fresh word of the shutter."""
        return self.fresh and self.shutter == "open"


class Roof(Protocol):
    """What the night needs of the dome; `DomeLink` is the one."""

    wants_lease: bool | None
    view: DomeView

    def is_due(self) -> bool:
        """Whether the lease is to be renewed now."""

    def renew(self, pointing: Horizontal | None, *, now: bool = False) -> DomeView:
        """Renew the lease if it is wanted, and hear how the dome is."""

    def open(self) -> str:
        """Ask the dome to open; return the order's id."""

    def close(self) -> None:
        """Tell the dome to close."""

    def outcome(self, order_id: str) -> tuple[str, str]:
        """Return state and message of an order to the dome."""


class DomeLink:
    """Keeps the dome's lease and its last word.

    The lease is renewed by `renew` alone, which the control loop calls as it gets on: a loop
    that hangs loses the dome.

    Parameters
    ----------
    url : str
        The dome's front desk.
    holder : str
        Whose lease it is: the same after a restart, and no other telescope's.
    """

    def __init__(self, url: str, holder: str = "telescope") -> None:
        self._url = url
        self._holder = holder
        self._desk = FrontDesk(url, timeout_s=_CALL_TIMEOUT_S)
        self._lock = threading.Lock()
        self._last = -1e9
        self._told_away = False
        self.wants_lease: bool | None = None
        """None: not known yet, after a start; the lease is neither renewed nor given back."""
        self.view = DomeView()

    def is_due(self) -> bool:
        """Whether the lease is to be renewed now."""
        return time.monotonic() - self._last >= _RENEW_S

    def renew(self, pointing: Horizontal | None, *, now: bool = False) -> DomeView:
        """Renew the lease if it is wanted, and hear how the dome is.

        Parameters
        ----------
        pointing : Horizontal or None
            Where the telescope points or is going to; the dome follows.
        now : bool
            At once; otherwise once a (real) second.
        """
        if not now and not self.is_due():
            return self.view
        self._last = time.monotonic()
        try:
            with self._lock:
                told = self._desk.send(self._question(pointing))
        except TorosError as error:
            self._away(error)
            return self.view
        if self._told_away:
            log.info("the dome answers again")
            self._told_away = False
        self.view = _view(told) if "remaining_s" in told else _view_of_status(told)
        return self.view

    def _question(self, pointing: Horizontal | None) -> dict[str, Any]:
        if self.wants_lease is None:
            return {"request": "status"}
        order: dict[str, Any] = {"request": "lease", "holder": self._holder}
        if not self.wants_lease:
            order["duration"] = 0.0
        elif pointing is not None:
            altitude = min(max(pointing.altitude_deg, -90.0), 90.0)
            # -1e-15 % 360 is 360, which no dome takes.
            order |= {"alt": altitude, "az": pointing.azimuth_deg % 360.0 % 360.0}
        return order

    def _away(self, error: TorosError) -> None:
        if not self._told_away:
            log.error("the dome's daemon does not answer as it should: %s", error.message)
            self._told_away = True
        # A call that timed out is not due again at once: the loop has a mount to park.
        self._last = time.monotonic()
        self.view = DomeView(
            reasons=(f"the dome's daemon: {error.message}",), heard_at=time.monotonic()
        )

    def open(self) -> str:
        """Ask the dome to open; return the order's id.

        Raises
        ------
        DomeNotOpen
            It refused, or does not answer; with its reason.
        """
        identity = f"night-{uuid.uuid4().hex[:12]}"
        return self._ask({"request": "OpenDome", "id": identity, "holder": self._holder})

    def close(self) -> None:
        """Tell the dome to close; a dome that cannot be reached closes by itself."""
        self.wants_lease = False
        order = {"request": "CloseDome", "holder": self._holder}
        try:
            # A connection of its own: a call that hangs does not delay it.
            FrontDesk(self._url, timeout_s=_CALL_TIMEOUT_S).send(order)
        except TorosError as error:
            log.error("the dome was not told to close, its lease ends instead: %s", error.message)

    def outcome(self, order_id: str) -> tuple[str, str]:
        """Return state and message of an order to the dome; ("unknown", why) if it is away."""
        try:
            told = self._desk.status(order_id)
        except TorosError as error:
            return "unknown", error.message
        return str(told.get("status", "unknown")), str(told.get("message", ""))

    def _ask(self, order: dict[str, Any]) -> str:
        try:
            with self._lock:
                receipt = self._desk.send(order)
        except TorosError as error:
            raise DomeNotOpen(
                f"the dome did not take {order['request']}: {error.message}"
            ) from error
        return str(receipt["id"])


def _view_of_status(told: dict[str, Any]) -> DomeView:
    """Read the status of the dome's daemon, which tells the same as a lease."""
    dome = told.get("dome") or {}
    weather = dome.get("weather") or {}
    outside = dome.get("outside_window") is not None
    return _view(
        {
            **{key: dome.get(key) for key in ("shutter", "azimuth", "slewing", "mode", "error")},
            "safe": weather.get("safe"),
            "may_open": weather.get("may_open") is True and not outside,
            "reasons": dome.get("not_open_because") or weather.get("reasons") or (),
        }
    )


def _view(told: dict[str, Any]) -> DomeView:
    azimuth = told.get("azimuth")
    fault = told.get("error")
    return DomeView(
        shutter=str(told.get("shutter") or "unknown"),
        azimuth_deg=float(azimuth) if azimuth is not None else None,
        turning=bool(told.get("slewing", False)),
        safe=told.get("safe") is True,
        may_open=told.get("may_open") is True,
        mode=str(told.get("mode") or "unknown"),
        fault=str(fault) if fault else None,
        reasons=tuple(map(str, told.get("reasons", ()))),
        heard_at=time.monotonic(),
    )
