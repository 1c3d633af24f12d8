"""The whole road: bytes of a notice to the lists of six observatories on the disk.

The functions that the robot runs: `read_notice`, `Maps.of`, `answer`, `EventFiles.write`.
Everything is measured in a process of its own that nothing else has been done in.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path


def anonymous_mb() -> float:
    """Return the process's memory that is no file's [MB]."""
    text = Path("/proc/self/smaps_rollup").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("Anonymous:")]
    return int(line.split()[1]) / 1024


def main(folder: str, count: int, seed: int, spawned: float) -> None:
    """Measure, and print what was found as JSON."""
    from benchmarks.alerts.notices import KINDS, draw
    from benchmarks.alerts.sites import NOW, TARGETS, observatories
    from toros.clock import REAL
    from toros.config.alerts import Galaxies, SkyMaps
    from toros.lvcgcn.answer import answer
    from toros.lvcgcn.catalogues import CatalogueInUse
    from toros.lvcgcn.files import EventFiles
    from toros.lvcgcn.maps import Maps
    from toros.lvcgcn.notices import read_notice
    from toros.lvcgcn.warming import warm_up

    catalogue = CatalogueInUse(Path(folder), Path(folder) / "packaged", REAL)
    sites, maps, galaxies = observatories(), Maps(SkyMaps()), Galaxies()
    warm_up(catalogue, sites, REAL)
    told: dict = {"ready_s": time.time() - spawned, "kinds": {}}

    def road(raw: bytes, files: EventFiles) -> dict[str, float]:
        times = [time.perf_counter()]
        notice = read_notice(raw)
        found = maps.of(notice)
        content, sky_map = found.content, found.sky_map
        times.append(time.perf_counter())
        made = answer(notice, sky_map, catalogue.newest(), sites, galaxies, TARGETS, NOW)
        times.append(time.perf_counter())
        files.write(notice, raw, content, made)
        times.append(time.perf_counter())
        assert len(made.lists) == len(sites)
        read, ranked, written = (b - a for a, b in pairwise(times))
        return {"whole": times[-1] - times[0], "read": read, "lists": ranked, "write": written}

    with tempfile.TemporaryDirectory(prefix="toros-bench-", dir=folder) as scratch:
        files = EventFiles(Path(scratch))
        for kind in KINDS:
            for drawn in draw(kind, 4, seed + 1):
                road(drawn.raw, files)
        peak = anonymous_mb()
        for kind in KINDS:
            runs = []
            for drawn in draw(kind, count, seed):
                found = road(drawn.raw, files)
                peak = max(peak, anonymous_mb())
                runs.append({**found, "area_deg2": drawn.area_deg2, "mpc": drawn.distance_mpc})
            told["kinds"][kind] = runs
    told["anonymous_mb"] = peak
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
