"""The handlers of the telescope's requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toros.devices.protocols import Pointing
from toros.errors import (
    InvalidField,
    NeverObservable,
    NightFaultLatched,
    NotInThisState,
)
from toros.frontdesk import resources
from toros.frontdesk.desk import Asked, FrontDesk
from toros.frontdesk.outbox import Outbox
from toros.frontdesk.registry import Registry
from toros.frontdesk.worker import HandedOver, Task
from toros.telescope import scheduling, transfer
from toros.telescope.camera_work import Purpose
from toros.telescope.engine import Engine, Job
from toros.telescope.outbox import frames_by_hand
from toros.telescope.parts import Parts
from toros.telescope.planner import Planner
from toros.telescope.record import keep_plan
from toros.telescope.scheduling import Plan
from toros.telescope.states import State
from toros.telescope.targets import OPEN_STATES, TargetBook, check_list
from toros.telescope.wishes import What
from toros.workorders import telescope as orders

registry = Registry("telescope")

_POLL_S = 0.2
_SOON_S = 60.0
"""What a person asks for begins so soon, or not at all [s]."""
_STORED_S = 20.0


@dataclass
class Resources(resources.Resources):
    """What the telescope's handlers share; `engine` is None at stage 1, without devices."""

    parts: Parts
    engine: Engine | None
    book: TargetBook
    planner: Planner
    outbox: Outbox

    def state(self) -> dict[str, Any]:
        """Return what `status` tells of the night."""
        return {
            **self.parts.record.tell(),
            "stage": self.parts.settings.telescope.stage,
            "mode": self._mode(),
            "dome": self.parts.dome.view.shutter,
            "weather_safe": self.parts.dome.view.safe,
            "waiting_records": self.parts.backlog.behind,
            "exposures": self.parts.store.state(),
            "messages": self.outbox.state(),
        }

    def database_is_ready(self) -> None:
        """Begin to record, and let the engine go beyond making the telescope safe."""
        self.parts.store.start()
        self.outbox.start()
        self.parts.backlog.start()
        self.parts.targets.start()
        self.parts.replanning.start()
        self.parts.ready.set()
        if self.engine is not None:
            self.engine.wake()  # it waits after an error: the lease may not last so long

    def close(self) -> None:
        """Record what waits, and end."""
        if self.parts.ready.is_set():
            self.parts.replanning.stop()
            self.parts.targets.stop()
            self.parts.backlog.stop(5.0)
            self.outbox.stop()
            self.parts.store.close()

    def _mode(self) -> str:
        if self.engine is None:
            return "plan"
        return "automatic" if self.engine.night.automatic else "manual"

    def silent_s(self) -> float:
        """Return for how long the control loop has not got on [s]."""
        return 0.0 if self.engine is None else self.engine.silent_s()

    def moving(self) -> Engine:
        """Return the engine.

        Raises
        ------
        NotInThisState
            At stage 1 there is none.
        """
        if self.engine is None:
            raise NotInThisState(
                "Telescope / Stage: 1; the telescope only plans, people move it (stage 2 moves "
                "the devices on request)"
            )
        return self.engine


def _resources(desk: FrontDesk) -> Resources:
    assert isinstance(desk.resources, Resources)
    return desk.resources


def _own(task: Task) -> Resources:
    assert isinstance(task.resources, Resources)
    return task.resources


def _list_is_good(order: orders.ReceiveTargets, _desk: FrontDesk) -> None:
    check_list(order)


# ---- targets ------------------------------------------------------------------------------


def _can_be_observed(order: orders.Observation, desk: FrontDesk) -> None:
    """Refuse a target that never rises high enough here, or whose time is over."""
    own = _resources(desk)
    if order.not_before and order.not_after and order.not_after <= order.not_before:
        raise InvalidField("observation: not_after: it must be later than not_before")
    if order.not_after is not None and order.not_after <= own.parts.clock.now():
        raise InvalidField("observation: not_after: this time is over")
    names = own.parts.hardware.filter_names
    if order.filter is not None and names and order.filter not in names:
        raise InvalidField(f"filter: got {order.filter!r}; the wheel has {', '.join(names)}")
    highest = 90.0 - abs(order.dec - own.planner.site.latitude_deg)
    needed = max(order.altitude_min or 0.0, own.planner.lowest_deg(order.altitude_min))
    if highest < needed:
        raise NeverObservable(
            f"dec: got {order.dec:g}; it culminates at {highest:.1f} deg here, and "
            f"{needed:g} deg are needed"
        )


def _appraise(order: orders.Observation, desk: FrontDesk) -> tuple[float, list[str]]:
    return _resources(desk).planner.appraise_order(order)


@registry.serves(orders.Observation, check=_can_be_observed, appraise=_appraise)
def observe(order: orders.Observation, task: Task) -> dict[str, Any]:
    """Enter the target in the book; the order ends with the target's last exposure."""
    own = _own(task)
    priority, _ = own.planner.appraise_order(order)
    row = task.patiently(
        lambda: own.book.add_observation(order, task.row, task.order_id, order.user or "", priority)
    )
    if own.engine is None:
        own.parts.targets.changed()
        return {"target": row.id, "priority": priority, "message": "planned, for observing by hand"}
    done = min(row.exposures_done / row.number_of_exposures, 1.0)
    task.note(done, f"target {row.id} waits for its hour")
    own.parts.targets.expect(task.row, task)
    raise HandedOver


@registry.serves(orders.ReceiveTargets, check=_list_is_good)
def receive_targets(order: orders.ReceiveTargets, task: Task) -> dict[str, Any]:
    """Take an alert's list; the engine sees it at once."""
    own = _own(task)
    priorities = own.planner.appraise_list(order, check_list(order))
    told: dict[str, Any] = task.patiently(
        lambda: own.book.receive(
            order, priorities, lambda row: own.parts.telling.target(row, "done")
        )
    )
    own.parts.targets.changed()
    return {"event": order.event, **told}


@registry.serves(orders.WithdrawTargets)
def withdraw_targets(order: orders.WithdrawTargets, task: Task) -> dict[str, Any]:
    """Withdraw what is open."""
    own = _own(task)
    rows = task.patiently(lambda: own.book.withdraw(order.event, order.target))
    own.parts.targets.changed()
    return {"withdrawn": [row.id for row in rows]}


@registry.serves(orders.ScheduleNight)
def schedule_night(order: orders.ScheduleNight, task: Task) -> dict[str, Any]:
    """Order the open targets for a night, and keep the plan."""
    own = _own(task)
    rows = task.patiently(own.book.open_targets)
    task.progress(0.1, f"{len(rows)} targets")
    night = own.planner.night(order.night)
    plan = own.planner.plan_night(rows, night)
    told = scheduling.plan_dict(plan)
    task.patiently(lambda: keep_plan(task.database, night.date.isoformat(), told))
    if night == own.planner.night():
        own.parts.targets.keep_plan(plan, rows)
    return told


def _plan(own: Resources) -> Plan:
    """Return the plan of the coming or running night as it holds now."""
    targets, night = own.parts.targets, own.planner.night()
    if own.engine is not None and targets.plan is not None and targets.plan.end == night.end:
        return targets.plan  # it is followed, and made anew when it has to be
    rows = own.book.open_targets()
    plan = targets.plan_of(rows, night.end)
    if plan is None:
        plan = own.planner.plan_night(rows, night)
        if own.engine is None:
            targets.keep_plan(plan, rows)
    return plan


@registry.serves(orders.GetPlan)
def get_plan(order: orders.GetPlan, asked: Asked) -> dict[str, Any]:
    """Return the plan of the coming or running night."""
    plan = _plan(_resources(asked.desk))
    if order.format == "data":
        return scheduling.plan_dict(plan)
    write = scheduling.plan_text if order.format == "text" else scheduling.plan_csv
    return {"format": order.format, "text": write(plan)}


@registry.serves(orders.Explain)
def explain(order: orders.Explain, asked: Asked) -> dict[str, Any]:
    """Explain a target's priority and chances tonight."""
    own = _resources(asked.desk)
    if order.target is not None and order.name is None:
        row = own.book.get(order.target)
    elif order.target is None and order.name is not None:
        row = own.book.newest(order.name)
    else:
        raise InvalidField("explain: give either target or name")
    is_open = row.state in OPEN_STATES
    lines = own.planner.explain(row, _plan(own) if is_open else None)
    if not is_open:
        lines.append(f"not planned: it is {row.state}")
    return {"target": row.id, "name": row.name, "state": row.state, "message": row.message,
            "lines": lines}  # fmt: skip


# ---- the night ----------------------------------------------------------------------------


def _wish(task: Task, what: What) -> dict[str, Any]:
    """Ask the night for something and wait until it is so."""
    own = _own(task)
    engine = own.moving()
    _refuse_if_latched(own)
    wish = engine.night.wishes.ask(what)
    engine.wake()
    try:
        while not wish.done.wait(_POLL_S):
            reasons = ", ".join(own.parts.dome.view.reasons)
            text = f"the night is {own.parts.record.state}"
            task.progress(0.5, f"{text}; {reasons}" if reasons else text)
    finally:
        engine.night.wishes.withdraw(wish)
    if wish.error is not None:
        raise wish.error
    return own.parts.record.tell()


def _refuse_if_latched(own: Resources) -> None:
    if own.parts.record.state is State.ERROR:
        raise NightFaultLatched(
            f"the night is in error: {own.parts.record.message}; send acknowledge after a look"
        )


@registry.serves(orders.PrepareNight)
def prepare_night(_order: orders.PrepareNight, task: Task) -> dict[str, Any]:
    """Prepare the night."""
    return _wish(task, "prepare")


@registry.serves(orders.OpenNight)
def open_night(_order: orders.OpenNight, task: Task) -> dict[str, Any]:
    """Open the night, as soon as the weather allows."""
    return _wish(task, "open")


@registry.serves(orders.TelescopeOpenDome)
def open_dome(_order: orders.TelescopeOpenDome, task: Task) -> dict[str, Any]:
    """Open the dome, without following the plan."""
    return _wish(task, "dome")


@registry.serves(orders.CloseNight)
def close_night(_order: orders.CloseNight, task: Task) -> dict[str, Any]:
    """Close the night and hand it over."""
    return _wish(task, "close")


@registry.serves(orders.TelescopeCloseDome)
def close_dome(_order: orders.TelescopeCloseDome, asked: Asked) -> dict[str, Any]:
    """Close the dome now, and suspend the night."""
    own = _resources(asked.desk)
    if own.engine is not None:
        own.engine.suspend("the dome is closed on request")
    own.parts.dome.close()
    return {"message": "closing; the dome's DomeStatus tells when it is closed"}


@registry.serves(orders.Abort)
def abort(_order: orders.Abort, asked: Asked) -> dict[str, Any]:
    """Stop everything that the telescope does."""
    own = _resources(asked.desk)
    engine = own.moving()
    engine.suspend("abort")
    own.parts.hardware.abort()
    return {"message": "stopped; a running night is suspended and in manual mode"}


@registry.serves(orders.TelescopeSetMode)
def set_mode(order: orders.TelescopeSetMode, asked: Asked) -> dict[str, Any]:
    """Let nights run by the sun, or by request."""
    engine = _resources(asked.desk).moving()
    engine.night.set_automatic(on=order.mode == "automatic")
    engine.wake()
    return {"mode": order.mode}


@registry.serves(orders.TelescopeAcknowledge)
def acknowledge(_order: orders.TelescopeAcknowledge, asked: Asked) -> dict[str, Any]:
    """Clear the night's latched error."""
    own = _resources(asked.desk)
    engine = own.moving()
    if own.parts.record.state is not State.ERROR:
        return {
            "message": f"there is nothing to acknowledge: the night is {own.parts.record.state}"
        }
    engine.night.acknowledged = True
    engine.wake()
    return {"message": "acknowledged; the night is brought to its end"}


# ---- by hand ------------------------------------------------------------------------------


def _do(
    task: Task,
    what: str,
    run: Callable[[Parts], dict[str, Any]],
    *,
    needs_sky: bool,
    calibrates: bool = False,
) -> dict[str, Any]:
    own = _own(task)
    engine = own.moving()
    job = Job(what, lambda: run(own.parts), needs_sky, calibrates)
    return engine.do(job, alive=lambda: task.progress(0.5, what))


def _is_free(what: str, *, needs_sky: bool) -> Callable[[Any, FrontDesk], None]:
    """Return a check that refuses at once what could not be done now."""

    def check(_order: Any, desk: FrontDesk) -> None:
        _resources(desk).moving().check_free(what, needs_sky=needs_sky)

    return check


def _hand_over(task: Task, told: dict[str, Any]) -> dict[str, Any]:
    """Tell the preprocessor of what an order has taken, once it is stored."""
    parts = _own(task).parts
    deadline = time.monotonic() + _STORED_S
    while not parts.is_settled() and time.monotonic() < deadline:
        task.alive()
        time.sleep(0.05)
    task.patiently(lambda: parts.telling.frames_of(parts.record.date))
    return told


@registry.serves(orders.Point, check=_is_free("pointing", needs_sky=True), within_s=_SOON_S)
def point(order: orders.Point, task: Task) -> dict[str, Any]:
    """Point the telescope."""

    def run(parts: Parts) -> dict[str, Any]:
        parts.observer.point(Pointing(order.ra, order.dec))
        told = parts.hardware.attempt("asking the mount", parts.hardware.mount.pointing)
        return {"ra": told.ra_deg, "dec": told.dec_deg}

    return _do(task, "pointing", run, needs_sky=True)


@registry.serves(
    orders.TakeImages, check=_is_free("taking images", needs_sky=True), within_s=_SOON_S
)
def take_images(order: orders.TakeImages, task: Task) -> dict[str, Any]:
    """Take exposures where the telescope points."""

    def run(parts: Parts) -> dict[str, Any]:
        observer = parts.observer
        if observer.place is None:
            raise NotInThisState("taking images: the telescope points nowhere; send point first")
        chosen = parts.hardware.set_filter(order.filter)
        parts.hardware.open_cover()  # flats by the lamp may have been taken since it was pointed
        purpose = Purpose(
            "light", order.exposure_time, filter=chosen, name=order.target,
            order_id=task.order_id, observer=order.user, asked=observer.place,
        )  # fmt: skip
        files = []
        with observer.staying(observer.place):
            for _ in range(order.number_of_exposures):
                files.append(str(observer.take(purpose).path))
        return {"exposures": len(files), "files": files}

    return _hand_over(task, _do(task, "taking images", run, needs_sky=True))


def _light_of(order: orders.TakeCalibrationFrames, parts: Parts) -> str:
    return order.light or parts.settings.telescope.calibration.flat_light


def _can_be_taken(order: orders.TakeCalibrationFrames, desk: FrontDesk) -> None:
    own = _resources(desk)
    if order.type == "dark" and order.exposure_time is None:
        raise InvalidField("take_calibration_frames: exposure_time: missing; a dark needs it")
    needs_sky = order.type == "flat" and _light_of(order, own.parts) == "sky"
    own.moving().check_free(f"taking {order.type} frames", needs_sky=needs_sky)


@registry.serves(orders.TakeCalibrationFrames, check=_can_be_taken, within_s=_SOON_S)
def take_calibration_frames(order: orders.TakeCalibrationFrames, task: Task) -> dict[str, Any]:
    """Take biases, darks or flats."""
    own = _own(task)
    light = _light_of(order, own.parts)

    def run(parts: Parts) -> dict[str, Any]:
        count, calibrator = order.number_of_exposures, parts.calibrator
        if order.type == "bias":
            return calibrator.biases(count, task.order_id).told()
        if order.type == "dark":
            assert order.exposure_time is not None
            return calibrator.darks(order.exposure_time, count, task.order_id).told()
        return calibrator.flats(
            order.filter, count, light=light, level_adu=order.level, order_id=task.order_id
        ).told()

    needs_sky = order.type == "flat" and light == "sky"
    what = f"taking {order.type} frames"
    return _hand_over(task, _do(task, what, run, needs_sky=needs_sky, calibrates=True))


# ---- files --------------------------------------------------------------------------------


def _may_be_stored(order: orders.StoreImages, desk: FrontDesk) -> None:
    if (order.night is None) == (order.order is None):
        raise InvalidField("store_images: give either night or order")
    own = _resources(desk)
    allowed = own.parts.settings.telescope.archive_folders
    transfer.check_destination(Path(order.destination), allowed, own.parts.store.folder)


@registry.serves(orders.StoreImages, check=_may_be_stored)
def store_images(order: orders.StoreImages, task: Task) -> dict[str, Any]:
    """Copy exposures to an archive."""
    own = _own(task)
    taken = own.parts.store.taken
    rows = task.patiently(lambda: taken.find(night=order.night, order_id=order.order))
    return transfer.copy_exposures(
        rows,
        own.parts.store.folder,
        Path(order.destination),
        reserve_bytes=own.parts.store.reserve_bytes,
        progress=task.progress,
    )


def _by_hand(order: orders.AcceptFrames, desk: FrontDesk) -> None:
    frames_by_hand(Path(order.folder), desk.settings.preprocessor.sources.folders)


@registry.serves(orders.AcceptFrames, check=_by_hand)
def accept_frames(order: orders.AcceptFrames, task: Task) -> dict[str, Any]:
    """Hand frames that were taken by hand to the preprocessor."""
    own = _own(task)
    message = frames_by_hand(Path(order.folder), task.settings.preprocessor.sources.folders)
    own.outbox.post(message)
    return {
        "order": message.message_id,
        "message": "recorded; the preprocessor is told under this id as soon as it answers",
    }
