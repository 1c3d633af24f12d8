"""Starts alert robots fast, for the tests that kill them: all is imported, each is a fork.

``python -m tests.system.robot_forks CONFIG`` reads lines: ``start`` forks a robot, which is
its daemon's own program from there on, and answers with its process id; ``wait`` waits for the
end of the last one and answers with how it ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.conftest import PROJECT
from tests.system.alerts import AlertRobot


class Starter:
    """A process that forks robots; each answers within some 0.1 s."""

    def __init__(self, robot: AlertRobot) -> None:
        command = [sys.executable, "-m", "tests.system.robot_forks", str(robot.configuration)]
        with (robot.folder / "log" / "starter.stderr").open("ab") as errors:
            self._process = subprocess.Popen(
                command, cwd=PROJECT, text=True, stderr=errors,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        assert self._ask(None) == "ready"

    def _ask(self, word: str | None) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if word is not None:
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def start(self) -> int:
        """Start a robot; return its process id."""
        return int(self._ask("start"))

    def kill(self, pid: int) -> None:
        """Kill it with -9."""
        os.kill(pid, signal.SIGKILL)
        assert self._ask("wait") == "-9", "it had ended by itself"

    def close(self) -> None:
        """End it, and the robot that it has started last."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()


def main() -> None:
    """Fork robots until stdin ends; then end the last one."""
    import confluent_kafka  # noqa: F401
    import gcn_kafka  # noqa: F401

    import toros.lvcgcn.daemon as daemon

    child = 0
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "wait":
            _, status = os.waitpid(child, 0)
            child = 0
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        child = os.fork()
        if child == 0:
            _be_a_robot(daemon.main)
        print(child, flush=True)
    if child:
        os.kill(child, signal.SIGKILL)


def _be_a_robot(program: object) -> None:
    code = 1
    try:
        os.setsid()
        os.close(0)
        os.open(os.devnull, os.O_RDONLY)
        program(["--config", sys.argv[1]], standalone_mode=True)  # type: ignore[operator]
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
