"""``toros demo-alert``: an alert from its notice to two observatories' telescopes, in a minute.

Real daemons, a real broker, real orders and files; only the event, and the time, are made up.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import yaml

from toros.cli.output import complain, exits, json_option, tell_json
from toros.cli.processes import free_port, running
from toros.client import FrontDesk
from toros.errors import InternalError
from toros.lvcgcn.files import PICTURE_PNG
from toros.simulation.notices import make_notice
from toros.simulation.sky_maps import make_sky_map

EVENT = "MS260611a"
TOPIC = "igwn.gwalert"
_DETECTED = datetime(2026, 6, 11, 0, 12, 44, 120_000, tzinfo=UTC)
# NGC 4993, the host of GW170817; its distance as the packaged catalogue has it, by redshift.
_HOST, _RA_DEG, _DEC_DEG, _DISTANCE_MPC = "NGC 4993", 197.4487, -23.3838, 41.0
_SITES = {
    "Cerro Macon": {"Longitude (deg)": -67.33, "Latitude (deg)": -24.62, "Height (m)": 4637},
    "Brownsville": {"Longitude (deg)": -97.57, "Latitude (deg)": 25.99, "Height (m)": 17},
}
_MESSAGE_BYTES = 4_000_000  # as GCN's broker takes
_LIMIT_S = 40.0
_LOOK_S = 0.05
_SHOWN = 5


@dataclass(frozen=True)
class Step:
    """One notice of the demonstration.

    Parameters
    ----------
    kind : str
    after_s : float
        The time it is issued after the event [s].
    area_deg2 : float or None
        Of its sky map's 90 % region; None for a retraction.
    says : str
    """

    kind: Any
    after_s: float
    area_deg2: float | None
    says: str

    def notice(self) -> bytes:
        """Make the notice."""
        sky_map = None
        if self.area_deg2 is not None:
            sky_map = make_sky_map(
                _RA_DEG, _DEC_DEG, _DISTANCE_MPC, self.area_deg2,
                seed=4993, event=EVENT, detected=_DETECTED, shape="ellipse",
                distance_relative_error=0.15,
            )  # fmt: skip
        issued = _DETECTED + timedelta(seconds=self.after_s)
        return make_notice(EVENT, self.kind, issued, _DETECTED, sky_map)


_STEPS = (
    Step("PRELIMINARY", 31.0, 900.0, "found half a minute ago, somewhere in 900 square degrees"),
    Step("UPDATE", 900.0, 60.0, "a better sky map, of 60 square degrees"),
    Step("RETRACTION", 1800.0, None, "it was nothing"),
)


@click.command("demo-alert")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where everything is put; a new folder in the system's temporary one by default.",
)
@json_option
@exits
def demo_alert(folder: Path | None, as_json: bool) -> None:
    """Send a gravitational-wave alert through a broker to two observatories.

    One sees it arrive, be ranked, be relayed, be updated and withdrawn. The exit code is 1 when
    something is not as it should be.
    """
    folder = (folder or Path(tempfile.mkdtemp(prefix="toros-alert-"))).resolve()
    if (folder / "robot").exists():
        raise click.UsageError(f"{folder} holds a demonstration already: name another --folder")
    began = time.monotonic()
    with ExitStack() as stack:
        complain("1. A Kafka broker on this machine, and two observatories, north and south")
        broker = stack.enter_context(_broker())
        nodes = _configure(folder, broker.address)
        desks = {
            name: stack.enter_context(_daemon("telescope", node)) for name, node in nodes.items()
        }
        complain("2. The alert robot starts")
        robot = stack.enter_context(_daemon("lvcgcn", nodes["Cerro Macon"]))
        _await("the robot's connection", lambda: _is_connected(robot))
        told, picture = [], Path()
        for number, step in enumerate(_STEPS, 3):
            told.append(_play(number, step, broker, robot, desks))
            if step.area_deg2 is not None:  # of a withdrawn event there is little to see
                picture = _picture(told[-1]["folder"])
    if as_json:
        tell_json({"event": EVENT, "steps": told, "picture": str(picture)})
    else:
        complain(f"{time.monotonic() - began:.0f} s in all; everything is in {folder}")
        click.echo(str(picture))


@dataclass(frozen=True)
class Node:
    """An observatory of the demonstration: its configuration and its ports."""

    name: str
    configuration: Path
    ports: Mapping[str, int]

    def url(self, service: str) -> str:
        """Return the address of one of its daemons."""
        return f"http://127.0.0.1:{self.ports[service]}"


def _configure(folder: Path, broker: str) -> dict[str, Node]:
    names = ("preprocessor", "telescope", "dome", "lvcgcn")
    nodes = {
        name: Node(
            name,
            folder / ("robot" if number == 0 else "other") / "toros.conf.yaml",
            {service: free_port() for service in names},
        )
        for number, name in enumerate(_SITES)
    }
    anchor = datetime.now(UTC)
    for name, node in nodes.items():
        settings: dict[str, Any] = {
            "Observatory": {"Name": name, **_SITES[name]},
            "Logging": {"File": str(node.configuration.parent / "log" / "toros.log")},
            "State Folder": str(node.configuration.parent / "state"),
            "Rehearsal": {
                "Anchor": f"{anchor:%Y-%m-%dT%H:%M:%S}",
                "Start": f"{_DETECTED + timedelta(seconds=40):%Y-%m-%dT%H:%M:%S}",
                "Rate": 1,
            },
        }
        for service, port in node.ports.items():
            settings[f"{service.capitalize()} Service Address"] = {"Port": port}
        node.configuration.parent.mkdir(parents=True)
        node.configuration.write_text(yaml.safe_dump(settings, sort_keys=False))
    first, other = nodes.values()
    settings = yaml.safe_load(first.configuration.read_text())
    settings["Other Observatories"] = [
        {"Name": other.name, **_SITES[other.name], "Telescope Service HTTP": other.url("telescope")}
    ]
    settings["Lvcgcn"] = {
        "Mock Alerts": "answer",
        "Kafka": {"Servers": [broker], "Topics": [TOPIC], "Heartbeat": "none"},
    }
    first.configuration.write_text(yaml.safe_dump(settings, sort_keys=False))
    return nodes


@contextmanager
def _daemon(service: str, node: Node) -> Iterator[FrontDesk]:
    errors = node.configuration.parent / f"{service}.stderr"
    with running(service, node.configuration, node.url(service), errors) as desk:
        yield desk


class Broker:
    """A Kafka broker within this process: librdkafka's mock cluster."""

    def __init__(self) -> None:
        from confluent_kafka import Producer

        self._producer = Producer(
            {
                "bootstrap.servers": "127.0.0.1:1",
                "test.mock.num.brokers": 1,
                "log_level": 0,
                "message.max.bytes": _MESSAGE_BYTES,
            }
        )
        brokers = self._producer.list_topics(timeout=10).brokers
        found = next(iter(brokers.values()))
        self.address = f"{found.host}:{found.port}"

    def send(self, topic: str, content: bytes) -> None:
        """Send a message; it is with the broker when this returns."""
        self._producer.produce(topic, content)
        if self._producer.flush(10.0):
            raise InternalError(f"the broker takes no message on {topic}")


@contextmanager
def _broker() -> Iterator[Broker]:
    yield Broker()


def _is_connected(robot: FrontDesk) -> bool:
    return all(source["connected"] for source in robot.status()["sources"])


def _await(what: str, is_there: Any) -> Any:
    deadline = time.monotonic() + _LIMIT_S
    while not (found := is_there()):
        if time.monotonic() > deadline:
            raise InternalError(f"{what} did not come in {_LIMIT_S:.0f} s")
        time.sleep(_LOOK_S)
    return found


def _play(
    number: int, step: Step, broker: Broker, robot: FrontDesk, desks: Mapping[str, FrontDesk]
) -> dict[str, Any]:
    """Send a notice, wait until every telescope has taken what it leads to, and show it."""
    complain(f"{number}. {step.kind.capitalize()}: {step.says}")
    notice = step.notice()
    began = time.monotonic()
    broker.send(TOPIC, notice)

    def event() -> dict[str, Any] | None:
        events = robot.send({"request": "list_events"})["events"]
        if not events:
            return None
        told = robot.send({"request": "get_event", "event": EVENT})
        kinds = [each["kind"].upper() for each in told["notices"]]
        return told if step.kind in kinds else None

    told = _await(f"the {step.kind}", event)
    ranked_s = time.monotonic() - began
    _await("the telescopes", lambda: _is_delivered(robot, told["revision"]))
    relayed_s = time.monotonic() - began
    lists = robot.send({"request": "get_targets", "event": EVENT})["lists"]
    complain(
        f"   revision {told['revision']}, {told['state']}; ranked {ranked_s:.2f} s and at both "
        f"telescopes {relayed_s:.2f} s after it was sent"
    )
    for name, made in lists.items():
        _tell_list(name, made)
    return {
        "kind": step.kind,
        "revision": told["revision"],
        "state": told["state"],
        "folder": told["folder"],
        "ranked_s": round(ranked_s, 3),
        "relayed_s": round(relayed_s, 3),
        "lists": lists,
    }


def _is_delivered(robot: FrontDesk, revision: int) -> bool:
    told = robot.send({"request": "get_event", "event": EVENT})["told"]
    return len(told) == len(_SITES) and all(each["state"] == "delivered" for each in told)


def _tell_list(name: str, made: Mapping[str, Any]) -> None:
    targets = made["targets"]
    if not targets:
        complain(f"   {name}: no targets any more")
        return
    best = ", ".join(f"{t['name']} {t['probability']:.0%}" for t in targets[:_SHOWN])
    host = [target["rank"] for target in targets if target["name"] == _HOST.replace(" ", "")]
    place = f"; the true host, {_HOST}, is number {host[0]}" if host else ""
    complain(f"   {name}: {len(targets)} targets: {best}, ...{place}")


def _picture(folder: str) -> Path:
    path = Path(folder) / PICTURE_PNG
    _await("the sky plot", path.is_file)
    return path
