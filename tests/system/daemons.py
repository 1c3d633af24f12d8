"""Real daemons for the tests: a configuration, a process, a client."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import free_port
from toros.client import FrontDesk
from toros.errors import ServiceUnreachable

BIN = Path(sys.executable).parent
START_TIMEOUT_S = 60.0


class Preprocessor:
    """A preprocessor daemon of its own, with everything in a scratch folder.

    Parameters
    ----------
    folder : Path
        Holds configuration, state, log and incoming frames.
    database_url : str, optional
        By default SQLite in the state folder.
    changes : dict, optional
        Settings by section, over the test's own.
    before : sequence of str
        A command to run the daemon under (strace, …).
    """

    def __init__(
        self,
        folder: Path,
        database_url: str | None = None,
        changes: dict[str, Any] | None = None,
        before: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.state = folder / "state"
        self.incoming = folder / "incoming"
        self.incoming.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log" / "toros-preprocessor.log"
        self.log.parent.mkdir(exist_ok=True)
        self.configuration = folder / "toros.conf.yaml"
        self.before = before
        self.process: subprocess.Popen[bytes] | None = None
        settings: dict[str, Any] = {
            "Preprocessor Service Address": {"Port": self.port},
            "State Folder": str(self.state),
            "Logging": {"File": str(folder / "log" / "toros.log"), "Log Level": "DEBUG"},
            "Preprocessor": {
                "Free Space Reserve (MB)": 1.0,
                "Stop Timeout (s)": 20.0,
                "Sources": {"Folders": [str(self.incoming)]},
            },
        }
        if database_url is not None:
            settings["Database"] = {"URL": database_url}
        self.settings = settings
        self.configure(changes or {})
        self.url = f"http://127.0.0.1:{self.port}"
        self.desk = FrontDesk(self.url)

    def configure(self, changes: dict[str, Any]) -> None:
        """Change settings; they count from the next start on."""
        _merge(self.settings, changes)
        self.configuration.write_text(yaml.safe_dump(self.settings), "utf-8")

    def start(self, *, wait: bool = True) -> Preprocessor:
        """Start the daemon and wait until it answers."""
        command = [
            *self.before,
            str(BIN / "toros-preprocessor"),
            "--config",
            str(self.configuration),
        ]
        self.errors = (self.folder / "stderr").open("ab")
        self.process = subprocess.Popen(command, stderr=self.errors, start_new_session=True)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> dict[str, Any]:
        """Wait until the daemon answers; return its state."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                return self.desk.status()
            except ServiceUnreachable:
                assert self.process is not None
                code = self.process.poll()
                assert code is None, f"ended with {code}: {self.stderr()}"
                assert time.monotonic() < deadline, f"does not answer: {self.stderr()}"
                time.sleep(0.05)

    def stderr(self) -> str:
        """Return what the daemon has written to stderr."""
        return (self.folder / "stderr").read_text("utf-8", "replace")[-4000:]

    def stop(self, timeout_s: float = 40.0) -> int:
        """End the daemon by SIGTERM; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """Kill the daemon alone, with -9, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def close(self) -> None:
        """End whatever is left of the daemon, its pool included."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
            self.errors.close()

    def __enter__(self) -> Preprocessor:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


def _merge(settings: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(settings.get(key), dict):
            _merge(settings[key], value)
        else:
            settings[key] = value
