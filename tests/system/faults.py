"""Real faults: disks that fill up, files and folders that cannot be written, servers that hang."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import PostgresServer, missing_part

WAIT_S = 60.0


def until(happens: Callable[[], object], what: str, every_s: float = 0.02) -> object:
    """Wait for something that is bound to come; return what it was."""
    deadline = time.monotonic() + WAIT_S
    while not (come := happens()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(every_s)
    return come


class Disk:
    """A small disk of its own (a tmpfs), and the ballast that fills it."""

    def __init__(self, folder: Path, size_kb: int) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            missing_part("the right to mount a tmpfs", "run the tests as root")

    def free_kb(self) -> int:
        """Return what is free [KB]."""
        state = os.statvfs(self.folder)
        return state.f_bavail * state.f_frsize // 1024

    def leave_kb(self, left_kb: int) -> None:
        """Put in so much ballast that no more than this is free."""
        with self.ballast.open("ab") as file:
            while (surplus := self.free_kb() - left_kb) > 0:
                try:
                    file.write(bytes(surplus * 1024))
                    file.flush()
                except OSError:  # somebody else took it meanwhile
                    return

    def lighten(self) -> None:
        """Take the ballast out."""
        self.ballast.unlink(missing_ok=True)

    def read_only(self) -> None:
        """Make it read-only, in a moment when no file on it is open for writing."""
        command = ["mount", "-o", "remount,ro", str(self.folder)]
        until(
            lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0,
            "a moment without a writer",
            every_s=0.001,
        )

    def writable(self) -> None:
        """Make it writable again."""
        subprocess.run(["mount", "-o", "remount,rw", str(self.folder)], check=True)

    def unmount(self) -> None:
        """Take it away."""
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


@contextmanager
def immutable(paths: list[Path]) -> Iterator[None]:
    """Let nobody write to files, root and who has them open included."""
    _check_immutable(paths[0].with_name("immutable-probe"))
    names = [str(path) for path in paths]
    subprocess.run(["chattr", "+i", *names], check=True)
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *names], check=True)


def _check_immutable(probe: Path) -> None:
    with probe.open("wb", buffering=0) as file:
        said = subprocess.run(["chattr", "+i", str(probe)], capture_output=True, check=False)
        try:
            file.write(b"x")
        except PermissionError:
            return
        finally:
            subprocess.run(["chattr", "-i", str(probe)], capture_output=True, check=False)
            probe.unlink()
    missing_part(
        f"a file system where chattr +i stops writers ({said.stderr.decode().strip()})",
        "keep the temporary folder on ext4 or xfs and run the tests as root",
    )


@contextmanager
def hanging(server: PostgresServer) -> Iterator[None]:
    """Stop all processes of a PostgreSQL server: it takes connections and never answers."""
    master = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(master, signal.SIGSTOP)
    stopped = [master]
    try:
        for child in _children(master):
            os.kill(child, signal.SIGSTOP)
            stopped.append(child)
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def _children(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii")
    return [int(pid) for pid in text.split()]
