"""How fast a receipt comes while the machine reduces: 60 frames of 2048 x 2048.

    .venv/bin/python benchmarks/receipts.py

The peer is the same front desk of the same daemon when it is idle, and the promise:
99 of 100 receipts within 50 ms. The load is a real `calibrate_file_batch` of 60
simulated frames (20 biases, 15 darks, 15 flats, 10 lights of 2048 x 2048, uint16)
in the daemon's own pool of two processes; the probing orders wait behind it in
the queue, so that each receipt includes its commit to the database (SQLite, fsync).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.system.daemons import Preprocessor
from toros.simulation import Camera, make_night

LIMIT_MS = 50.0


def probe(daemon: Preprocessor, label: str, count: int, while_running: str | None) -> list[float]:
    """Send orders one after another; return the times of their receipts [ms]."""
    times = []
    for number in range(count):
        if while_running and daemon.desk.status(while_running)["status"] != "running":
            break
        began = time.perf_counter()
        daemon.desk.submit(
            "calibrate_file_batch", url=str(daemon.incoming / "none"), id=f"{label}-{number}"
        )
        times.append(1000 * (time.perf_counter() - began))
        time.sleep(0.02)
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--count", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="toros-bench-") as scratch:
        changes = {"Front Desk": {"Queue Limit": 100_000}}
        daemon = Preprocessor(Path(scratch), changes=changes)
        make_night(
            daemon.incoming / "night",
            camera=Camera(shape=(arguments.size, arguments.size)),
            filters=("V",), exposure_times_s=(60.0,), flat_exposure_s=60.0,
            n_bias=20, n_dark=15, n_flat=15, n_light=10, broken=False,
        )  # fmt: skip
        with daemon:
            idle = probe(daemon, "idle", 200, None)
            while daemon.desk.status()["queue"]["queued"]:
                time.sleep(0.2)
            began = time.perf_counter()
            daemon.desk.submit(
                "calibrate_file_batch", url=str(daemon.incoming / "night"), id="load", priority=10.0
            )
            while daemon.desk.status("load")["status"] == "queued":
                time.sleep(0.01)
            loaded = probe(daemon, "loaded", arguments.count, "load")
            done = daemon.desk.wait("load", 1200)
            seconds = time.perf_counter() - began
    made = done["result"]["made"]
    print(f"load: 60 frames of {arguments.size} x {arguments.size}, {seconds:.1f} s, made {made}")
    for name, times in (("idle", idle), ("loaded", loaded)):
        p50, p99, worst = np.percentile(times, [50, 99, 100])
        print(
            f"{name}: {len(times)} receipts, p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {worst:.1f} ms"
        )
    p99 = float(np.percentile(loaded, 99))
    print(f"ratio of p99 to the limit of {LIMIT_MS:g} ms: {p99 / LIMIT_MS:.2f}")
    print(f"ratio of p99 loaded to p99 idle: {p99 / np.percentile(idle, 99):.2f}")
    sys.exit(p99 > LIMIT_MS)


if __name__ == "__main__":
    main()
