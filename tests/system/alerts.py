"""What the tests of the alert robot need around it: its daemon, a telescope's, and who is told.

All is on loopback: front desks that record, a mail server and web addresses that refuse, hang
or are away when they are told to, and a server of sky maps that drips.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import yaml

from tests.conftest import free_port
from tests.system.brokers import wait_until
from toros.client import FrontDesk
from toros.database.session import Database
from toros.errors import ServiceUnreachable, TorosError
from toros.frontdesk.access import Access
from toros.frontdesk.server import FrontDeskServer, ServerLimits
from toros.lvcgcn.reception.archive import Archive

BIN = Path(sys.executable).parent
PATIENCE_S = 60.0
MACON = {"Longitude (deg)": -67.33, "Latitude (deg)": -24.62, "Height (m)": 4637}
NORTH = {"Longitude (deg)": -97.57, "Latitude (deg)": 25.99, "Height (m)": 17}
#: By day at both sites: the lists are for a whole night, whenever they are made.
NOON = datetime(2026, 6, 11, 16, 0, tzinfo=UTC)
SLACK, FULL, BROKER = "slack", "full", "assignments"


def until(happens: Any, what: str, timeout_s: float = PATIENCE_S) -> Any:
    """Wait for what is bound to come; return it."""
    return wait_until(happens, what, timeout_s, 0.05)


class AlertRobot:
    """An alert robot and the telescope of the same configuration, in a scratch folder.

    Parameters
    ----------
    folder : Path
    section : mapping
        Settings of Lvcgcn.
    start : datetime
        The time that it is when the robot is made.
    north : str
        Address of the second observatory's front desk.
    changes : mapping
        Other settings.
    database_url : str, optional
        By default SQLite in the state folder.
    state : Path, optional
        The state folder; by default in `folder`.
    """

    def __init__(
        self,
        folder: Path,
        section: Mapping[str, Any],
        *,
        start: datetime = NOON,
        north: str = "http://127.0.0.1:9",
        changes: Mapping[str, Any] | None = None,
        database_url: str | None = None,
        state: Path | None = None,
    ) -> None:
        self.folder = folder
        self.state = state or folder / "state"
        self.log = folder / "log" / "toros-lvcgcn.log"
        self.incoming = folder / "incoming"
        for each in (self.state, self.log.parent, self.incoming):
            each.mkdir(parents=True, exist_ok=True)
        self.ports = {name: free_port() for name in ("lvcgcn", "telescope")}
        self.anchor, self._start = datetime.now(UTC), start
        self.settings: dict[str, Any] = {
            "State Folder": str(self.state),
            "Logging": {"File": str(folder / "log" / "toros.log"), "Log Level": "DEBUG"},
            "Observatory": {"Name": "Macon", **MACON},
            "Other Observatories": [{"Name": "North", **NORTH, "Telescope Service HTTP": north}],
            "Rehearsal": {
                "Anchor": self.anchor.isoformat(),
                "Start": start.isoformat(),
                "Rate": 1,
            },
            "Lvcgcn": {"Folders": [{"Name": "hand", "Path": str(self.incoming)}], **section},
            **(changes or {}),
        }
        for name, port in self.ports.items():
            self.settings[f"{name.capitalize()} Service Address"] = {"Port": port}
        if database_url is not None:
            self.settings["Database"] = {"URL": database_url}
        self.configuration = folder / "toros.conf.yaml"
        self.configuration.write_text(yaml.safe_dump(self.settings), "utf-8")
        self.desk = FrontDesk(f"http://127.0.0.1:{self.ports['lvcgcn']}")
        self.telescope = FrontDesk(f"http://127.0.0.1:{self.ports['telescope']}")
        self.database_url = database_url or f"sqlite:///{self.state / 'toros.db'}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def now(self) -> datetime:
        """Return the robot's time."""
        return self._start + (datetime.now(UTC) - self.anchor)

    def start(self, *services: str, preexec: Any = None) -> Self:
        """Start daemons, the robot if none is named, and wait until they answer."""
        for service in services or ("lvcgcn",):
            command = [str(BIN / f"toros-{service}"), "--config", str(self.configuration)]
            with self._errors(service).open("ab") as errors:
                self.processes[service] = subprocess.Popen(
                    command, stderr=errors, stdin=subprocess.DEVNULL, start_new_session=True,
                    preexec_fn=preexec,  # noqa: PLW1509 - this process's threads hold no lock of it
                )  # fmt: skip
        for service in services or ("lvcgcn",):
            self.wait_ready(service)
        return self

    def answer_as_telescope(self, address: str) -> None:
        """Let another front desk stand in for this configuration's telescope."""
        self.settings["Telescope Service Address"] = {"Port": int(address.rpartition(":")[2])}
        self.configuration.write_text(yaml.safe_dump(self.settings), "utf-8")

    def answers(self) -> bool:
        """Whether the robot answers."""
        with contextlib.suppress(ServiceUnreachable):
            return bool(self.desk.status())
        return False

    def wait_ready(self, service: str = "lvcgcn") -> None:
        """Wait until a daemon answers."""
        desk = self.desk if service == "lvcgcn" else self.telescope

        def answers() -> bool:
            code = self.processes[service].poll()
            assert code is None, f"the {service} ended with {code}: {self.said(service)}"
            with contextlib.suppress(ServiceUnreachable):
                return bool(desk.status())
            return False

        until(answers, f"an answer of the {service}")

    def until_connected(self) -> None:
        """Wait until every source is connected, and Kafka's topics are being read."""

        def is_connected() -> bool:
            sources = self.desk.status()["sources"]
            return all(each["connected"] and each.get("topics", True) for each in sources)

        until(is_connected, "the sources")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The robot's process."""
        return self.processes["lvcgcn"]

    def kill(self) -> None:
        """Kill the robot with -9, and only it."""
        self.process.kill()
        self.process.wait(20)

    def stop(self, timeout_s: float = 60.0) -> int:
        """End the robot by SIGTERM; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def event(self, name: str) -> dict[str, Any] | None:
        """Return what is told of an event, None while there is none."""
        with contextlib.suppress(TorosError):
            return self.desk.submit("get_event", event=name)
        return None

    def until_notice(self, event: str, kind: str, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait until an event has a notice of a kind; return what is told of the event."""

        def told() -> dict[str, Any] | None:
            known = self.event(event)
            kinds = [] if known is None else [each["kind"] for each in known["notices"]]
            return known if kind in kinds else None

        found: dict[str, Any] = until(told, f"{event} {kind}", timeout_s)
        return found

    def until_told(self, event: str, states: Mapping[str, str]) -> dict[str, Any]:
        """Wait until the newest revision's messages are in these states, by recipient."""

        found: dict[str, str] = {}

        def told() -> dict[str, Any] | None:
            known = self.event(event)
            found.update({m["recipient"]: m["state"] for m in (known or {"told": []})["told"]})
            return known if found.items() >= states.items() else None

        try:
            return dict(until(told, "all"))
        except AssertionError as error:
            raise AssertionError(f"{event}: told are {found}, not {states}") from error

    def database(self) -> Database:
        """Open the database."""
        return Database(self.database_url)

    def archive(self) -> Archive:
        """Open the robot's archive, to look into it."""
        from toros import clock

        return Archive(self.state / "alerts", clock.REAL)

    def drop(self, name: str, raw: bytes) -> None:
        """Put a notice into the watched folder, whole."""
        beside = self.incoming / f".{name}"
        beside.write_bytes(raw)
        beside.rename(self.incoming / name)

    def peak_mb(self) -> float:
        """Return the most memory that the robot has had [MB]."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        (line,) = [each for each in status.splitlines() if each.startswith("VmHWM")]
        return int(line.split()[1]) / 1000

    def forget_peak(self) -> float:
        """Let the peak begin at what it has now; return that [MB]."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", "ascii")
        return self.peak_mb()

    def said(self, service: str = "lvcgcn") -> str:
        """Return the end of what a daemon has written to stderr."""
        path = self._errors(service)
        return path.read_text("utf-8", "replace")[-3000:] if path.exists() else ""

    def _errors(self, service: str) -> Path:
        return self.folder / "log" / f"{service}.stderr"

    def close(self) -> None:
        """End whatever is left."""
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


class RecordingDesk:
    """A front desk of ours that only records: every delivery, repeated ones too."""

    def __init__(self) -> None:
        self.deliveries: list[dict[str, Any]] = []
        self.moments: list[float] = []
        self._server = FrontDeskServer(
            ("127.0.0.1", 0), self._take, lambda: "", Access(()), ServerLimits()
        )
        self._server.start()
        self.address = f"http://127.0.0.1:{self._server.address[1]}"

    def _take(self, order: Any, _caller: Any) -> dict[str, Any]:
        self.deliveries.append(dict(order))
        self.moments.append(time.monotonic())
        return {
            "id": order["id"], "request": order["request"], "status": "queued", "message": "",
            "warnings": [],
        }  # fmt: skip

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return what came of an event, each id once."""
        return list(
            {each["id"]: each for each in self.deliveries if each["event"] == event}.values()
        )

    def names(self) -> dict[str, list[str]]:
        """Return the targets that count at the end, by event: the highest revision wins."""
        newest: dict[str, dict[str, Any]] = {}
        for each in self.deliveries:
            if each["revision"] >= newest.get(each["event"], {"revision": -1})["revision"]:
                newest[each["event"]] = each
        return {event: [t["name"] for t in each["targets"]] for event, each in newest.items()}

    def assert_nothing_twice(self) -> None:
        """Hold that each message came once, or again under its id with the same content."""
        contents: dict[str, str] = {}
        for each in self.deliveries:
            content = json.dumps(each, sort_keys=True)
            assert contents.setdefault(each["id"], content) == content, "one id, two contents"
        firsts = [json.loads(content) for content in contents.values()]
        told = Counter((each["event"], each["revision"]) for each in firsts)
        assert set(told.values()) <= {1}, "a revision under two ids"
        newest: dict[str, int] = {}
        for each in firsts:  # in the order of their first delivery
            assert each["revision"] > newest.get(each["event"], -1), "an older one after a newer"
            newest[each["event"]] = each["revision"]

    def close(self) -> None:
        """Listen no more."""
        self._server.stop(2.0)


class MailSink:
    """A mail server that wants a login; `answers` holds what it says to a recipient."""

    USER, PASSWORD = "toros", "right"

    def __init__(self) -> None:
        from aiosmtpd.controller import Controller
        from aiosmtpd.smtp import AuthResult

        self.mails: list[tuple[str, EmailMessage]] = []
        self.answers: dict[str, str] = {}
        self.attempts: Counter[str] = Counter()

        def login(*details: Any) -> Any:
            data = details[-1]
            return AuthResult(
                success=(data.login, data.password) == (b"toros", b"right"), handled=False
            )

        self._controller = Controller(
            self, hostname="127.0.0.1", port=free_port(), authenticator=login,
            auth_required=True, auth_require_tls=False,
        )  # fmt: skip
        self._controller.start()

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        """Take a recipient, or say what is to be said; `hang` says nothing for a while."""
        import asyncio

        self.attempts[address] += 1
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("hang"):
            await asyncio.sleep(float(answer.split()[1]))
            answer = "250 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """Take a mail."""
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.mails += [(address, mail) for address in envelope.rcpt_tos]  # type: ignore[misc]
        return "250 OK"

    def of(self, address: str) -> list[EmailMessage]:
        """Return the mails to an address."""
        return [mail for to, mail in self.mails if to == address]

    @property
    def settings(self) -> dict[str, Any]:
        """The section Email Configuration for this server."""
        return {
            "Server": "127.0.0.1", "Port": self._controller.port, "Security": "none",
            "User": self.USER, "Password": self.PASSWORD, "From": "robot@example.org",
        }  # fmt: skip

    def close(self) -> None:
        """Listen no more."""
        self._controller.stop()


class WebSink:
    """Web addresses; `answers` holds the status of a path, or for how long it hangs [s]."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.answers: dict[str, int | float] = {}
        self.files: dict[str, tuple[bytes, float]] = {}
        """Content of a path, and over how long it drips [s]."""
        self.asked: list[str] = []
        self._closing = threading.Event()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = sink.answers.get(self.path, 200)
                if isinstance(answer, float):
                    sink._closing.wait(answer)
                    answer = 200
                if answer == 200:
                    sink.posts.append((self.path, dict(self.headers), json.loads(body)))
                with contextlib.suppress(OSError):
                    self.send_response(answer)
                    self.end_headers()

            def do_GET(self) -> None:
                sink.asked.append(self.path)
                content, over_s = sink.files[self.path]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                steps = max(1, int(over_s / 0.2))
                with contextlib.suppress(OSError):
                    for n in range(steps):
                        self.wfile.write(
                            content[n * len(content) // steps : (n + 1) * len(content) // steps]
                        )
                        if over_s and sink._closing.wait(0.2):
                            return

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"127.0.0.1:{self._server.server_port}"

    def of(self, path: str) -> list[dict[str, Any]]:
        """Return what was posted to a path, each message once, by its key."""
        found = {heads["Idempotency-Key"]: body for at, heads, body in self.posts if at == path}
        return list(found.values())

    def close(self) -> None:
        """Listen no more, and let go of whoever is kept waiting."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def closing(*things: Any) -> Iterator[None]:
    """Close things, whatever happens."""
    try:
        yield
    finally:
        for each in things:
            each.close()


def issued(after_s: float, start: datetime = NOON) -> datetime:
    """Return a time after the robot's start."""
    return start + timedelta(seconds=after_s)


def drawing(folder: Path) -> list[str]:
    """Return the command lines of the processes that draw pictures below a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(entry.read_text("utf-8", "replace").replace("\0", " "))
    return [line for line in found if "toros.lvcgcn.picture" in line and str(folder) in line]
