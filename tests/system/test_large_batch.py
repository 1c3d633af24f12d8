"""A batch much larger than the memory that its stacks may take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from tests.system.conftest import small_night
from tests.system.daemons import Preprocessor
from tests.system.provenance import walk

LIMIT_MB = 256.0
SIDE = 4096
# type, how many, exposure time [s], level [ADU]
PLAN = (("BIAS", 25, 0.0, 1000), ("DARK", 25, 60.0, 1100), ("FLAT", 5, 60.0, 20000), ("LIGHT", 5, 60.0, 1500))  # noqa: E501  # fmt: skip


def write_batch(folder: Path) -> int:
    """Write 60 frames of 4096²; the noise of one is shifted from frame to frame."""
    folder.mkdir()
    noise = np.random.default_rng(7).standard_normal((SIDE, SIDE), dtype=np.float32)
    count = 0
    for kind, number, time_s, level in PLAN:
        pixels = (level + np.sqrt(level / 1.5) * noise + 0.5).astype(np.uint16)
        for i in range(number):
            hdu = fits.PrimaryHDU(np.roll(pixels, 7919 * count, axis=(0, 1)))
            hdu.header.update({
                "IMAGETYP": kind, "EXPTIME": time_s, "CCD-TEMP": -10.0, "INSTRUME": "Large",
                "DATE-OBS": f"2026-03-14T{20 + count // 60:02d}:{count % 60:02d}:00",
            })  # fmt: skip
            if kind in ("FLAT", "LIGHT"):
                hdu.header["FILTER"] = "V"
            hdu.writeto(folder / f"{kind.lower()}{i:02d}.fits")
            count += 1
    return count


def pool(daemon: Preprocessor) -> Iterator[int]:
    """Return the processes of the daemon's pool."""
    assert daemon.process is not None
    group = str(daemon.process.pid)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != group:
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_text()
            except OSError:
                continue
            if fields[2] == group and "multiprocessing.spawn" in command:
                yield int(entry.name)


def peak_mb(pid: int) -> float:
    """Return the largest resident memory that a process has had [MB]."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) * 1024 / 1e6


@pytest.mark.long
@pytest.mark.timeout(900)
def test_sixty_large_frames_keep_within_the_memory_limit(make_preprocessor):
    daemon = make_preprocessor(changes={"Preprocessor": {"Memory Limit (MB)": LIMIT_MB}}).start()
    small_night(daemon.incoming / "small")
    order = daemon.desk.submit("calibrate_file_batch", url=str(daemon.incoming / "small"))
    daemon.desk.wait(order["id"], 120)
    before = {pid: peak_mb(pid) for pid in pool(daemon)}
    assert len(before) == 2

    assert write_batch(daemon.incoming / "large") == 60
    begun = time.monotonic()
    order = daemon.desk.submit("calibrate_file_batch", url=str(daemon.incoming / "large"))
    result = daemon.desk.wait(order["id"], 800)["result"]
    took_s = time.monotonic() - begun
    assert result["made"] == {
        "bias_stack": 1, "calibrated_light": 5, "dark_stack": 1, "flat_stack": 1
    }  # fmt: skip
    assert result["partial"] == 0
    after = {pid: peak_mb(pid) for pid in pool(daemon)}
    assert set(after) == set(before), "a process of the pool was lost"
    grown = {pid: after[pid] - before[pid] for pid in after}
    print(
        f"60 frames of {SIDE}² in {took_s:.0f} s; peak of the pool's processes "
        + ", ".join(f"{before[pid]:.0f} -> {after[pid]:.0f} MB" for pid in sorted(after))
        + f"; grown by {sum(grown.values()):.0f} MB in all, limit {LIMIT_MB:g} MB"
    )
    assert sum(grown.values()) <= LIMIT_MB
    walk(daemon)
