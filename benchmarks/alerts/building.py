"""Making the synthetic catalogue's text, and measuring the build of the catalogue."""

from __future__ import annotations

import json
import multiprocessing
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from toros.simulation.galaxies import blocks, glade_plus_block


def _block(task: tuple[int, int, int]) -> bytes:
    return glade_plus_block(*task)


def make_source(path: Path, rows: int, seed: int) -> None:
    """Write the text of a catalogue, by two processes; whole or not at all."""
    partial = path.with_suffix(".part")
    tasks = [(seed, number, count) for number, count in enumerate(blocks(rows))]
    with multiprocessing.Pool(2) as pool, partial.open("wb") as file:
        for text in pool.imap(_block, tasks):
            file.write(text)
    partial.rename(path)


def _processes(pid: int) -> Iterator[int]:
    """Yield a process and those below it."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _processes(int(child))


def _memory_mb(pid: int) -> float:
    """Return what a process and those below it have in memory, files' pages too [MB]."""
    total = 0
    for process in _processes(pid):
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line[:4] == "Pss:")
    return total / 1024


def main(source: str, folder: str) -> None:
    """Build, and print seconds, CPU seconds and memory as JSON."""
    import os
    import resource

    from toros.lvcgcn.galaxies.building import build

    peak, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.5):
            peak = max(peak, _memory_mb(os.getpid()))

    watching = threading.Thread(target=watch)
    watching.start()
    began = time.perf_counter()
    built = build(Path(source), Path(folder), made=datetime.now(UTC))
    seconds = time.perf_counter() - began
    done.set()
    watching.join()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_s": sum(u.ru_utime + u.ru_stime for u in used),
                "memory_mb": peak,
                "galaxies": built.rows,
                "lines": built.lines,
                "bytes": Path(source).stat().st_size,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
