"""The units as systemd judges them, and the work of a daemon under their restrictions."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT, missing_part

UNITS = PROJECT / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
NAMES = sorted([*SERVICES, *(path.name for path in UNITS.glob("*.target"))])

#: What the preprocessor's libraries do: compute, hash, make and use pools, thread, write.
WORK = """
import ctypes, logging, sys, threading
if "--no-executable-memory" in sys.argv:
    PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
    assert ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0
import argon2, astroscrappy, astropy.io.fits, astropy.wcs, bottleneck, ccdproc, numpy, psycopg
import PIL.Image, pydantic, scipy.ndimage, scipy.optimize, sqlalchemy, yaml
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from astropy.nddata import CCDData

if __name__ == "__main__":
    frame = numpy.random.default_rng(1).normal(size=(64, 64)).astype("float32")
    ccdproc.combine([CCDData(frame, unit="adu")] * 3, method="median")
    astroscrappy.detect_cosmics(frame)
    numpy.linalg.svd(frame)
    scipy.ndimage.median_filter(frame, 3)
    argon2.PasswordHasher().hash("password")
    with sqlalchemy.create_engine("sqlite:///" + sys.argv[1]).begin() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.exec_driver_sql("CREATE TABLE t (x)")
    astropy.io.fits.writeto(sys.argv[1] + ".fits", frame)
    with ProcessPoolExecutor(2, mp_context=get_context(sys.argv[2])) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
    print("done")
"""


@pytest.fixture(scope="module")
def analyze() -> str:
    command = shutil.which("systemd-analyze")
    if command is None:
        missing_part("systemd-analyze", "apt-get install systemd")
    assert command is not None
    return command


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Put the units and stand-ins for their commands where `make install` would."""
    prefix = tmp_path_factory.mktemp("prefix")
    (prefix / "bin").mkdir()
    for name in NAMES:
        text = (UNITS / name).read_text().replace("@PREFIX@", str(prefix))
        (prefix / name).write_text(text)
        for command in re.findall(rf"^ExecStart={re.escape(str(prefix))}/bin/(\S+)", text, re.M):
            shutil.copy("/bin/true", prefix / "bin" / command)
    return prefix


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_there_are_units() -> None:
    names = ("dome", "preprocessor", "telescope")
    assert {f"toros-{name}.service" for name in names} <= set(SERVICES)
    assert "toros.target" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_systemd_has_nothing_to_say(analyze: str, installed: Path, name: str) -> None:
    done = run(analyze, "verify", "--man=no", installed / name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", SERVICES)
def test_the_exposure_is_3_or_better(analyze: str, installed: Path, name: str) -> None:
    done = run(
        analyze, "security", "--offline=yes", "--threshold=30", "--no-pager", installed / name
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_keeps_the_conventions(name: str) -> None:
    lines = (UNITS / name).read_text().splitlines()
    assert {"Type=notify", "User=toros", "KillMode=mixed"} <= set(lines)
    # An open dome without its daemon is the worst case: whatever ended it, it comes back.
    assert ("Restart=always" if "dome" in name else "Restart=on-failure") in lines
    assert any(line.startswith("WatchdogSec=") for line in lines)
    assert [line for line in lines if "--detach" in line] == []


def test_the_dome_needs_nobody_and_nobody_needs_another() -> None:
    """The order of the start may be given; what one requires would take it down with the other."""
    for name in SERVICES:
        lines = (UNITS / name).read_text().splitlines()
        needs = [line for line in lines if line.startswith(("Requires=", "BindsTo=", "Requisite="))]
        assert needs == []
        if "dome" in name:
            assert [line for line in lines if line.startswith(("After=", "Wants="))] == [
                "After=network.target"
            ]


def test_a_mistake_in_a_unit_is_noticed(analyze: str, installed: Path) -> None:
    """The check above means something: an unknown key gives exit 0 and a word on stderr."""
    wrong = installed / "wrong.service"
    wrong.write_text((installed / SERVICES[0]).read_text() + "\n[Service]\nProtectEverything=yes\n")
    assert "ProtectEverything" in run(analyze, "verify", "--man=no", wrong).stderr


def allowed_calls(analyze: str, unit: Path) -> set[str]:
    """Return the system calls that a unit's SystemCallFilter lines leave."""
    allowed: set[str] = {*members(analyze, "@default")}
    for rule in re.findall(r"^SystemCallFilter=(.*)$", unit.read_text(), re.M):
        names = {call for name in rule.lstrip("~").split() for call in members(analyze, name)}
        allowed = allowed - names if rule.startswith("~") else allowed | names
    return allowed


def members(analyze: str, name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    lines = run(analyze, "--no-pager", "syscall-filter", name).stdout.split("\n")[1:]
    entries = [line.strip() for line in lines if line.strip() and "#" not in line]
    return {call for entry in entries for call in members(analyze, entry)}


@pytest.mark.long
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_work_needs_no_system_call_that_is_forbidden(
    analyze: str, installed: Path, tmp_path: Path, method: str
) -> None:
    if shutil.which("strace") is None:
        missing_part("strace", "apt-get install strace")
    script, trace = tmp_path / "work.py", tmp_path / "trace"
    script.write_text(WORK)
    arguments = [sys.executable, script, tmp_path / "data", method]
    done = run("strace", "-f", "--seccomp-bpf", "-qq", "-o", trace, *arguments)
    assert done.stdout == "done\n", done.stderr
    used = set(re.findall(r"^\d+ +(?:<\.\.\. )?([a-z_0-9]+)", trace.read_text(), re.M))
    assert {"openat", "fsync", "mmap"} <= used
    if os.geteuid() == 0:
        used.discard("fchown")  # SQLite's, for root only, which the daemon is not
    assert used - allowed_calls(analyze, installed / "toros-preprocessor.service") == set()


@pytest.mark.long
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_work_needs_no_memory_that_becomes_executable(tmp_path: Path, method: str) -> None:
    """MemoryDenyWriteExecute=yes, by the kernel's own switch for it (PR_SET_MDWE)."""
    pr_get_mdwe = 66
    if ctypes.CDLL(None).prctl(pr_get_mdwe, 0, 0, 0, 0) < 0:
        missing_part("a kernel with PR_SET_MDWE (Linux 6.3)", "apt-get install linux-image-amd64")
    script = tmp_path / "work.py"
    script.write_text(WORK)
    done = run(sys.executable, script, tmp_path / "data", method, "--no-executable-memory")
    assert done.stdout == "done\n", done.stderr
