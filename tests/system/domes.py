"""Real dome daemons for the tests, over the simulated observatory or the Alpaca simulators."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import free_port
from toros.client import FrontDesk
from toros.clock import REAL
from toros.devices.protocols import ShutterState
from toros.errors import ServiceUnreachable, TorosError
from toros.simulation.observatory.settings import WorldSettings
from toros.simulation.observatory.world import World

START_TIMEOUT_S = 60.0
CLOSED_S = 5.0
"""By when closing is commanded."""
QUICK = WorldSettings(shutter_s=1.0, dome_speed_deg_s=120.0, mount_speed_deg_s=120.0, settle_s=0.1)
SITE = (-67.33, -24.63, 4637.0)


def wait_for(happens: Callable[[], object], what: str, timeout_s: float = 40.0) -> Any:
    """Wait for what is bound to come; return it."""
    deadline = time.monotonic() + timeout_s
    while not (come := happens()):
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.02)
    return come


class DomeDaemon:
    """A dome daemon of its own.

    Parameters
    ----------
    folder : Path
        Holds configuration, log and the simulated observatory.
    changes : dict, optional
        Over the test's own settings.
    state : Path, optional
        The state folder; by default in `folder`.
    """

    def __init__(
        self, folder: Path, changes: dict[str, Any] | None = None, state: Path | None = None
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.state = state or folder / "state"
        self.port = free_port()
        self.configuration = folder / "toros.conf.yaml"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        """What it finds in its environment besides the tests' own."""
        self.settings: dict[str, Any] = {
            "Dome Service Address": {"Port": self.port},
            "State Folder": str(self.state),
            "Logging": {"File": str(folder / "toros.log"), "Log Level": "DEBUG"},
            "Rehearsal": {"Folder": str(folder / "world")},
            "Dome": {
                "Device": {"Driver": "simulated"},
                "Lease (s)": 10,
                "Shutter Timeout (s)": 20,
                "Open Sun Altitude (deg)": 90,
                "Safe Before Opening (s)": 0,
                "Weather": {
                    "Sources": [{"Name": "sky", "Kind": "simulated", "Age Limit (s)": 5}],
                    "Limits": [{"Quantity": "rain_rate", "Above": 0, "Good Delay (s)": 0}],
                },
            },
        }
        self.configure(changes or {})
        self.desk = FrontDesk(f"http://127.0.0.1:{self.port}")

    def configure(self, changes: dict[str, Any]) -> None:
        """Change settings; they count from the next start on."""
        _merge(self.settings, changes)
        self.configuration.write_text(yaml.safe_dump(self.settings), "utf-8")

    def start(self, *, wait: bool = True) -> DomeDaemon:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "toros.dome.daemon", "--config", str(self.configuration)]
        with (self.folder / "stderr").open("ab") as errors:
            environment = {**os.environ, **self.environment}
            self.process = subprocess.Popen(
                command, stderr=errors, start_new_session=True, env=environment
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Wait until it answers."""

        def answers() -> bool:
            assert self.process is not None
            code = self.process.poll()
            assert code is None, f"ended with {code}: {self.stderr()}"
            try:
                self.desk.status()
            except ServiceUnreachable:
                return False
            return True

        wait_for(answers, f"an answer; {self.stderr()}", START_TIMEOUT_S)

    def stderr(self) -> str:
        """Return the end of what it has written to stderr."""
        path = self.folder / "stderr"
        return path.read_text("utf-8", "replace")[-4000:] if path.exists() else ""

    def told(self) -> dict[str, Any]:
        """Return what it tells of the dome."""
        dome: dict[str, Any] = self.desk.status()["dome"]
        return dome

    def renew(self, **fields: Any) -> dict[str, Any]:
        """Renew the night's lease."""
        return self.desk.submit("lease", holder="night", **fields)

    def open(self, timeout_s: float = 20.0) -> None:
        """Open for the night, as soon as it may be; the lease is renewed once."""

        def may_open() -> bool:
            return bool(self.renew()["may_open"])

        wait_for(may_open, f"weather to open in: {self.told()}")
        deadline = time.monotonic() + timeout_s
        while True:  # the database may still be set up
            try:
                receipt = self.desk.submit("OpenDome", holder="night")
                break
            except TorosError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert self.desk.wait(receipt["id"], timeout_s)["result"] == {"value": True}

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it with -9, as a power cut would."""
        self.close()

    def stop(self, timeout_s: float = 40.0) -> int:
        """End it by SIGTERM; return its exit code."""
        self.signal(signal.SIGTERM)
        assert self.process is not None
        return self.process.wait(timeout_s)

    def close(self) -> None:
        """End whatever is left of it."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)


class SimulatedSite:
    """The simulated observatory of a daemon, seen from the side of truth."""

    def __init__(self, folder: Path, hardware: WorldSettings = QUICK) -> None:
        self.world = World(folder / "world", REAL, SITE, hardware)
        self.world.set_weather(safe=True, rain_rate=0.0)

    def shutter(self) -> ShutterState:
        """Return what the shutter really is."""
        return self.world.dome_file.read().shutter_state(REAL.monotonic())

    def is_closed(self) -> bool:
        """Whether the shutter is really closed."""
        return self.shutter() is ShutterState.CLOSED

    def is_open(self) -> bool:
        """Whether the shutter is really open."""
        return self.shutter() is ShutterState.OPEN

    def open_by_force(self) -> None:
        """Leave the shutter open, as a daemon that was killed does."""
        dome = self.world.dome()
        dome.connect()
        dome.open_shutter()
        wait_for(self.is_open, "the shutter to open")

    def rain(self) -> float:
        """Let it rain; return when [s]."""
        began = time.monotonic()
        self.world.set_weather(safe=False, rain_rate=3.0)
        return began

    def closes(self, after: float = 0.0) -> list[float]:
        """Return when the shutter was told to close, after a moment, relative to it [s]."""
        return [
            event.real_s - after
            for event in self.world.truth()
            if event.device == "dome" and event.event == "close_shutter" and event.real_s >= after
        ]

    def until_closed(self, timeout_s: float = 40.0) -> None:
        """Wait until it is really closed."""
        wait_for(self.is_closed, "the shutter to close", timeout_s)


def _merge(settings: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(settings.get(key), dict):
            _merge(settings[key], value)
        else:
            settings[key] = value
