"""The plate solver's own process: stars in, a world coordinate system out.

`toros.images.solving` runs this file as a program, so that a search without a match
ends when its parent kills it, and astrometry.net's code never shares a process with a
daemon. It reads one JSON object from its standard input, writes one to its standard
output, and needs nothing but the package astrometry. Nothing here is imported elsewhere.

The limits on memory and time are set here too: a process whose parent is dead still ends.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any

_WORKING_BYTES = 1 << 30
_GRACE_S = 5.0


def main() -> None:
    """Solve what standard input asks for."""
    task = json.load(sys.stdin)
    indexes = [Path(name) for name in task["indexes"]]
    _limit(task["timeout_s"], sum(path.stat().st_size for path in indexes))
    try:
        answer = _solve(task, indexes)
    except ImportError as error:
        answer = {"missing": str(error)}
    except MemoryError:
        answer = {"reason": "the solver needed more memory than it is allowed"}
    json.dump(answer, sys.stdout)


def _limit(timeout_s: float, index_bytes: int) -> None:
    """End by itself after the deadline, and cap the memory; index files are mapped."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, timeout_s + _GRACE_S)
    most = index_bytes + _WORKING_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _solve(task: dict[str, Any], indexes: list[Path]) -> dict[str, Any]:
    import astrometry

    near = task["near"]
    parameters = astrometry.SolutionParameters(
        sip_order=2,
        # A match this unlikely to be chance is taken at once; the parent verifies it.
        logodds_callback=lambda _: astrometry.Action.STOP,
    )
    with astrometry.Solver(indexes) as solver:
        solution = solver.solve(
            # astrometry.net counts pixels from 1, as FITS does.
            [(x + 1.0, y + 1.0) for x, y in task["stars"]],
            astrometry.SizeHint(*task["scale_arcsec"]),
            astrometry.PositionHint(*near) if near else None,
            parameters,
        )
    if not solution.has_match():
        return {"reason": "no pattern of its stars is in the index"}
    match = solution.best_match()
    stars = [(star.ra_deg, star.dec_deg, star.metadata) for star in match.stars]
    return {
        "cards": [(key, value, comment) for key, (value, comment) in match.wcs_fields.items()],
        "index": match.index_path.name,
        "stars": stars,
    }


if __name__ == "__main__":
    main()
