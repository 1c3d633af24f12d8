"""The handlers of the alert robot's requests."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toros import clock
from toros.clock import Clock
from toros.config import Settings
from toros.database.alerts import Alerts
from toros.database.session import Database
from toros.errors import (
    CatalogueRefused,
    DatabaseUnavailable,
    EventNotFound,
    InvalidField,
    SkyMapUnreachable,
    StorageFailed,
)
from toros.frontdesk import resources
from toros.frontdesk.desk import Asked, FrontDesk
from toros.frontdesk.outbox import Outbox
from toros.frontdesk.registry import Registry
from toros.frontdesk.worker import Task
from toros.lvcgcn.catalogues import CatalogueInUse
from toros.lvcgcn.files import ASSIGNMENTS, PICTURE_PNG, read_json
from toros.lvcgcn.observatories import Observatory
from toros.lvcgcn.own_alert import voevent_of
from toros.lvcgcn.picture import Pictures
from toros.lvcgcn.reception.reception import Reception
from toros.lvcgcn.relay import Relay, message_id
from toros.lvcgcn.robot import BY_HAND, Robot
from toros.lvcgcn.targets.stored import csv_of
from toros.lvcgcn.tidying import Tidying
from toros.workorders import lvcgcn as orders

registry = Registry("lvcgcn")

# More than any notice has: an LVK notice with two sky maps has 2 MB.
_NOTICE_BYTES = 16_000_000
_PICTURES_LOOKED_FOR = 50


@dataclass
class Resources(resources.Resources):
    """What the alert robot's handlers share."""

    settings: Settings
    clock: Clock
    database: Database
    observatories: tuple[Observatory, ...]
    alerts: Alerts
    outbox: Outbox
    relay: Relay
    reception: Reception
    robot: Robot
    pictures: Pictures
    catalogue: CatalogueInUse
    tidying: Tidying

    def state(self) -> dict[str, Any]:
        """Return what `status` tells of the robot."""
        return {
            "sources": self.reception.state(),
            "notices": self.robot.state(),
            "messages": self.outbox.state(),
            "observatories": [each.name for each in self.observatories],
            "catalogue": self.catalogue.tell(),
        }

    def database_is_ready(self) -> None:
        """Begin to handle what was received, and to send."""
        self.want_pictures()  # the first: the database may be away again
        self.outbox.start()
        self.pictures.start()
        self.robot.start()
        self.tidying.start()

    def want_pictures(self) -> None:
        """Have the pictures drawn that the end of the last process has prevented.

        Raises
        ------
        DatabaseUnavailable
        """
        newest = self.alerts.page("any", 1, _PICTURES_LOOKED_FOR)["events"]
        for told in reversed(newest):  # the last wish comes first
            folder = Path(told["folder"])
            if told["folder"] and folder.is_dir() and not (folder / PICTURE_PNG).exists():
                self.pictures.want(folder)

    def close(self) -> None:
        """End; what is not done is done after the next start."""
        timeout_s = self.settings.lvcgcn.stop_timeout_s
        self.tidying.stop()
        self.reception.stop()
        self.robot.stop(timeout_s)
        self.pictures.stop(timeout_s)
        self.outbox.stop(timeout_s)


def _of(desk: FrontDesk) -> Resources:
    assert isinstance(desk.resources, Resources)
    return desk.resources


@registry.serves(orders.ProcessAlert)
def process_alert(order: orders.ProcessAlert, task: Task) -> dict[str, Any]:
    """Archive and handle a notice that a person gives."""
    assert isinstance(task.resources, Resources)
    settings = task.resources.settings
    raw = order.text.encode() if order.text is not None else _read(Path(order.path or ""), settings)
    task.progress(0.1, "handling the notice")
    robot = task.resources.robot
    try:
        handled = robot.take(raw, f"{BY_HAND}-{order.user or 'nobody'}")
    except (CatalogueRefused, DatabaseUnavailable, SkyMapUnreachable, StorageFailed) as error:
        more = "; the notice is kept, and tried again by itself"
        raise type(error)(f"{error.message}{more}") from error
    if handled.error is not None:
        raise handled.error
    return {
        "event": handled.event,
        "outcome": handled.outcome,
        "revision": handled.revision,
        "message": handled.message,
        "folder": None if handled.folder is None else str(handled.folder),
    }


def _read(path: Path, settings: Settings) -> bytes:
    """Read a notice's file: one that everybody may read, or one of the robot's own folders.

    Else whoever may send orders could have any file of the daemon's user archived and quoted.
    """
    own = (settings.state_folder, *(each.path for each in settings.lvcgcn.folders))
    if not path.is_absolute():
        raise InvalidField(f"path: {str(path)!r}; an absolute path on the daemon's machine")
    try:
        # A pipe that nobody writes to would be waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise InvalidField(f"path: {str(path)!r} is no file")
            is_own = any(path.resolve().is_relative_to(folder.resolve()) for folder in own)
            if not (is_own or mode & stat.S_IROTH):
                raise InvalidField(
                    f"path: {str(path)!r}; expected a file that everybody may read (chmod o+r), or "
                    "one below the State Folder or Lvcgcn / Folders"
                )
            raw = file.read(_NOTICE_BYTES + 1)
    except OSError as error:
        raise InvalidField(f"path: {str(path)!r} cannot be read: {error.strerror}") from error
    if len(raw) > _NOTICE_BYTES:
        raise InvalidField(f"path: {str(path)!r} has over {_NOTICE_BYTES} bytes; no notice has")
    return raw


@registry.serves(orders.ListEvents)
def list_events(order: orders.ListEvents, asked: Asked) -> dict[str, Any]:
    """List events."""
    return _of(asked.desk).alerts.page(order.state, order.page, order.page_size)


@registry.serves(orders.GetEvent)
def get_event(order: orders.GetEvent, asked: Asked) -> dict[str, Any]:
    """Tell all of an event, and who was told of its newest revision."""
    shared = _of(asked.desk)
    told = shared.alerts.tell(order.event)
    told["told"] = shared.outbox.messages.tell(message_id(order.event, told["revision"]))
    return told


@registry.serves(orders.GetTargets)
def get_targets(order: orders.GetTargets, asked: Asked) -> dict[str, Any]:
    """Return the newest lists of an event."""
    shared = _of(asked.desk)
    revision, lists = shared.alerts.lists(order.event)
    if order.observatory is not None:
        if order.observatory not in lists:
            raise EventNotFound(
                f"{order.event}: no list for the observatory {order.observatory!r}; there are "
                f"lists for {', '.join(map(repr, lists)) or 'none'}"
            )
        lists = {order.observatory: lists[order.observatory]}
    content: dict[str, Any] = dict(lists)
    if order.form == "csv":
        content = {name: csv_of(made["targets"]) for name, made in lists.items()}
    elif order.form == "assignments":
        content = _assignments(shared.alerts.tell(order.event)["folder"])
        content["assignments"] = {
            name: {target["name"]: target["probability"] for target in made["targets"]}
            for name, made in lists.items()
        }
    elif order.form == "voevent":
        author = shared.settings.lvcgcn.tell.author
        told = shared.alerts.tell(order.event)
        # A person's withdrawal has no notice.
        facts = {**_newest_facts(told), "is_retraction": told["state"] == "retracted"}
        content = {"voevent": voevent_of(facts, lists, revision, author, shared.clock.now())}
    return {"event": order.event, "revision": revision, "form": order.form, "lists": content}


def _newest_facts(told: dict[str, Any]) -> dict[str, Any]:
    """Return what the notice that led to the newest lists says."""
    led = [each for each in told["notices"] if each["revision"] is not None]
    facts: dict[str, Any] = max(led, key=lambda each: each["revision"])["facts"]
    return facts


@registry.serves(orders.RetractEvent)
def retract(order: orders.RetractEvent, task: Task) -> dict[str, Any]:
    """Withdraw an event."""
    assert isinstance(task.resources, Resources)
    shared = task.resources
    told = shared.alerts.tell(order.event)
    if told["state"] == "retracted":  # also by this order, before the daemon was killed
        return {"event": order.event, "revision": told["revision"], "state": "retracted"}
    messages = shared.relay.of_retraction(
        order.event, order.reason, _assignments(told["folder"]), shared.clock.now()
    )
    names = [each.name for each in shared.observatories]
    revision = task.patiently(
        lambda: shared.alerts.retract(order.event, order.reason, names, messages)
    )
    shared.relay.wake()
    return {"event": order.event, "revision": revision, "state": "retracted"}


def _assignments(folder: str) -> dict[str, Any]:
    if not folder:  # the files were tidied up
        return {}
    try:
        return read_json(Path(folder) / ASSIGNMENTS)
    except (OSError, ValueError):  # a person has cleared the folder: the event is withdrawn anyway
        return {}


@registry.serves(orders.ReportTarget)
def report_target(order: orders.ReportTarget, task: Task) -> dict[str, Any]:
    """Record what became of a target."""
    assert isinstance(task.resources, Resources)
    alerts = task.resources.alerts
    content = {
        "event": order.event,
        "observatory": order.observatory,
        "name": order.name,
        "state": order.state,
        "message": order.message,
        "exposures": order.exposures,
    }
    task.patiently(lambda: alerts.report(content))
    return {"event": order.event, "name": order.name, "recorded": clock.to_iso(alerts.clock.now())}
