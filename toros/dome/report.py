"""What the dome's daemon tells of the dome, at once and from memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toros import __version__
from toros.devices.protocols import ShutterState
from toros.dome import rules
from toros.dome.watch import FRESH_S

if TYPE_CHECKING:
    from toros.dome.controller import Controller


def dome_status(controller: Controller) -> dict[str, Any]:
    """Return what `DomeStatus` answers: azim [deg], open, park, connected, time (unix), version."""
    body = controller.watch.body.fresh(controller.now(), FRESH_S)
    shutter = controller.watch.shutter_now()
    return {
        "azim": body.azimuth if body is not None else None,
        "open": shutter is not ShutterState.CLOSED,
        "park": body is not None and body.at_park is True,
        "connected": body is not None and shutter is not None,
        "time": controller.clock.now().timestamp(),
        "version": f"v{__version__}",
    }


def state(controller: Controller) -> dict[str, Any]:
    """Return what `status` tells of the dome."""
    now_s = controller.now()
    situation = controller.situation(now_s)
    body = controller.watch.body.fresh(now_s, FRESH_S)
    held, closing = controller.rights.held(now_s), controller.closing.current
    return {
        "shutter": situation.shutter.value if situation.shutter is not None else None,
        "azimuth": body.azimuth if body is not None else None,
        "slewing": body.slewing if body is not None else None,
        "trouble": controller.watch.shutter.trouble,
        "mode": situation.mode.value,
        "override_s": round(situation.override_s, 1),
        "closing": list(closing.why) if closing is not None else None,
        "opening": situation.opening,
        "turning": controller.motion.current is not None,
        "open_by": situation.grant.by if situation.grant is not None else None,
        "lease": None
        if held is None
        else {"holder": held.holder, "remaining_s": round(held.until_s - now_s, 1)},
        "error": situation.fault,
        "alarms": controller.faults.alarm.texts,
        "weather": situation.weather.plain(),
        "outside_window": situation.outside,
        "not_open_because": list(rules.why_not_open(situation)),
    }
