"""The handlers of the dome's requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Any, Literal

from toros.dome import report
from toros.dome.controller import Controller
from toros.dome.journal import Written
from toros.dome.rules import Mode
from toros.errors import NotSupported, TorosError
from toros.frontdesk import resources
from toros.frontdesk.desk import Asked, FrontDesk, user_of
from toros.frontdesk.registry import Registry
from toros.frontdesk.worker import Task
from toros.workorders.dome import (
    Acknowledge,
    CloseDome,
    DomeStatus,
    Lease,
    OpenDome,
    ParkPosition,
    SetAzim,
    SetCoordinates,
    SetMode,
    StopDome,
    SyncAzim,
)

registry = Registry("dome")

_SOON_S = 60.0
"""An order to move that has waited for so long is not carried out any more [s]."""
_JOURNAL_S = 1.0
_POLL_S = 0.2

Moving = OpenDome | SetAzim | SetCoordinates | ParkPosition


@dataclass
class Resources(resources.Resources):
    """The control loop, and what it tells."""

    controller: Controller

    def state(self) -> dict[str, Any]:
        """Return what `status` tells of the dome."""
        return {"dome": report.state(self.controller)}

    def tell_order(self, order_id: str, user: str | None) -> dict[str, Any] | None:
        """Return the status of an order to close or to stop; None for others."""
        return self.controller.ledger.tell(order_id, user)

    def silent_s(self) -> float:
        """Return for how long the control loop has made no progress [s]."""
        return self.controller.silent_s()


def _resources(at: Asked | FrontDesk | Task) -> Resources:
    found = at.desk.resources if isinstance(at, Asked) else at.resources
    assert isinstance(found, Resources)
    return found


def _controller(at: Asked | FrontDesk | Task) -> Controller:
    return _resources(at).controller


# What is answered at once, without a database


@registry.serves(DomeStatus)
def dome_status(_order: DomeStatus, asked: Asked) -> dict[str, Any]:
    """Tell azimuth, shutter, park position and connection."""
    return report.dome_status(_controller(asked))


@registry.serves(CloseDome)
def close_dome(order: CloseDome, asked: Asked) -> dict[str, Any]:
    """Close: the driver first, then the journal, later the database."""
    controller = _controller(asked)
    before = controller.rights.mode
    record = controller.close(order, user_of(order, asked.caller))
    told = _receipt(record, controller.ledger.write(record))
    mode = controller.rights.mode
    if mode is not before:
        told["warnings"].append(f"the mode is {mode} now: the night opens after set_mode automatic")
    return {**told, "mode": mode.value}


@registry.serves(StopDome)
def stop(order: StopDome, asked: Asked) -> dict[str, Any]:
    """Stop all motion: the driver first, then the journal, later the database."""
    controller = _controller(asked)
    record = controller.stop_motion(order, user_of(order, asked.caller))
    return _receipt(record, controller.ledger.write(record))


def _receipt(record: dict[str, Any], written: Written) -> dict[str, Any]:
    trouble = written.wait(_JOURNAL_S)
    where = "in the local journal; the database has it later"
    return {
        **record,
        "message": record["message"] or record["progress_text"],
        "warnings": [] if trouble is None else [f"the order is not journalled: {trouble}"],
        "journalled": where if trouble is None else f"not in the local journal: {trouble}",
    }


@registry.serves(Lease)
def lease(order: Lease, asked: Asked) -> dict[str, Any]:
    """Give or renew the lease."""
    controller = _controller(asked)
    now_s = controller.now()
    held = controller.rights.renew(order.holder, now_s, order.duration, order.alt, order.az)
    told = report.state(controller)
    return {
        "value": True,
        "holder": held.holder,
        "remaining_s": round(held.until_s - now_s, 3),
        **{key: told[key] for key in ("shutter", "azimuth", "slewing", "mode", "error")},
        "safe": told["weather"]["safe"],
        "may_open": told["weather"]["may_open"] and told["outside_window"] is None,
        "reasons": told["not_open_because"] or told["weather"]["reasons"],
    }


@registry.serves(SetMode)
def set_mode(order: SetMode, asked: Asked) -> dict[str, Any]:
    """Choose who opens."""
    controller, user = _controller(asked), user_of(order, asked.caller)
    now_s = controller.now()
    override_s = controller.rights.set_mode(
        Mode(order.mode), order.override or 0.0, user or "somebody", now_s
    )
    controller.ledger.note("mode", mode=order.mode, override_s=override_s, by=user)
    kept = controller.rights.kept
    trouble = kept.wait(_JOURNAL_S) if kept is not None else None
    return {
        "value": True,
        "mode": order.mode,
        "override_s": override_s,
        "warnings": [] if trouble is None else [f"a restart may forget the mode: {trouble}"],
    }


@registry.serves(Acknowledge)
def acknowledge(order: Acknowledge, asked: Asked) -> dict[str, Any]:
    """Clear the latched error."""
    controller, user = _controller(asked), user_of(order, asked.caller)
    cleared = controller.rights.acknowledge(user or "somebody")
    controller.ledger.note("acknowledged", by=user, cleared=cleared)
    return {"value": True, "cleared": cleared}


@registry.serves(SyncAzim)
def sync_azim(_order: SyncAzim, _asked: Asked) -> dict[str, Any]:
    """Refuse."""
    raise NotSupported("SyncAzim is not yet supported; set the azimuth at the dome itself")


# What is queued: checked at its receipt, and again when it runs


def _may_open(order: OpenDome, desk: FrontDesk) -> None:
    _controller(desk).check_opening(*_who(order), for_lease=order.holder is not None)


def _may_turn(order: SetAzim | SetCoordinates | ParkPosition, desk: FrontDesk) -> None:
    _controller(desk).turning.check(*_who(order), for_lease=order.holder is not None)


def _who(order: Moving) -> tuple[str]:
    return (order.holder or order.user or "",)


@registry.serves(OpenDome, check=_may_open, within_s=_SOON_S)
def open_dome(order: OpenDome, task: Task) -> dict[str, Any]:
    """Open, and wait for the shutter's word."""
    controller = _controller(task)
    opening = controller.open(*_who(order), for_lease=order.holder is not None)
    try:
        _wait(opening.done, task, lambda: "the shutter opens")
    except TorosError:
        controller.abandon(opening)
        raise
    return _value(opening.error)


@registry.serves(SetAzim, check=_may_turn, within_s=_SOON_S)
def set_azim(order: SetAzim, task: Task) -> dict[str, Any]:
    """Turn, and wait until the dome stands there."""
    return _turn(order, task, order.azim)


@registry.serves(SetCoordinates, check=_may_turn, within_s=_SOON_S)
def set_coordinates(order: SetCoordinates, task: Task) -> dict[str, Any]:
    """Turn the slit to the direction's azimuth, whatever its altitude."""
    return _turn(order, task, order.az)


@registry.serves(ParkPosition, check=_may_turn, within_s=_SOON_S)
def park_position(order: ParkPosition, task: Task) -> dict[str, Any]:
    """Turn to the park position, and wait until the dome stands there."""
    return _turn(order, task, None)


def _turn(
    order: SetAzim | SetCoordinates | ParkPosition, task: Task, azimuth_deg: float | None
) -> dict[str, Any]:
    controller = _controller(task)
    target: float | Literal["park"] = azimuth_deg if azimuth_deg is not None else "park"
    turn = controller.turning.begin(target, *_who(order), for_lease=order.holder is not None)
    try:
        _wait(turn.done, task, lambda: f"the dome turns to {target}")
    except TorosError:
        controller.turning.abandon(turn)
        raise
    return _value(turn.error)


def _wait(done: Event, task: Task, text: Callable[[], str]) -> None:
    while not done.wait(_POLL_S):
        task.progress(0.5, text())


def _value(error: TorosError | None) -> dict[str, Any]:
    if error is not None:
        raise error
    return {"value": True}
