"""Going to the background, with real processes: what the one who starts it hears."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.frontdesk.test_single import is_running, wait_until

START = """
import sys, time
from pathlib import Path
from toros.errors import ConfigurationError
from toros.frontdesk import detach
from toros.frontdesk.single import hold_lock
path, what = Path(sys.argv[1]), sys.argv[2]
def run(word):
    if what == "refuses": raise ConfigurationError("the colour: got 'no'; expected 'blue'")
    if what == "breaks": raise KeyError("colour")
    if what == "ends": return
    if what == "hangs": time.sleep(30)
    time.sleep(0.3)
    word.say(detach.Outcome(0, "ready" * (what == "talks")))
    word.say(detach.Outcome(1, "never heard"))
    time.sleep(30)
code_of = lambda error: 2 if isinstance(error, ConfigurationError) else 1
outcome = detach.start(hold_lock(path), run, code_of, 1.5 if what == "hangs" else 20.0)
if outcome is not None:
    print(outcome.text, end="")
    sys.exit(outcome.code)
"""


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("refuses", 2, "the colour: got 'no'; expected 'blue'"),
        ("breaks", 1, "a defect: KeyError('colour')"),
        ("ends", 1, "it ended before it answered; its log may say why"),
    ],
)
def test_what_ends_before_it_is_ready_is_told(
    tmp_path: Path, what: str, code: int, said: str
) -> None:
    path = tmp_path / "toros.pid"
    done = started(path, what)
    assert (done.returncode, done.stdout) == (code, said)
    wait_until(lambda: not path.exists())


@pytest.mark.parametrize(("what", "said"), [("works", ""), ("talks", "ready")])
def test_who_starts_it_waits_until_it_is_ready_and_finds_its_number(
    tmp_path: Path, what: str, said: str
) -> None:
    path = tmp_path / "toros.pid"
    began = time.monotonic()
    done = started(path, what)
    pid = int(path.read_text())
    try:
        assert (done.returncode, done.stdout) == (0, said)
        assert time.monotonic() - began > 0.3
        assert is_running(pid)
        assert path.read_text() == f"{pid}\n"
        assert os.getsid(pid) != os.getsid(0)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "toros.pid"
    done = started(path, "hangs")
    pid = int(path.read_text())
    os.kill(pid, signal.SIGKILL)
    assert done.returncode == 1
    assert "does not answer after 1.5 s" in done.stdout
    assert str(path) in done.stdout


def started(path: Path, what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START, str(path), what],
        stdout=subprocess.PIPE, text=True, check=False, timeout=30,
    )  # fmt: skip
