"""The scheduler against astroplan's PriorityScheduler and a greedy dispatcher: W per night.

    .venv/bin/python benchmarks/scheduling.py            measure TOROS, rerun a sample of the peer
    .venv/bin/python benchmarks/scheduling.py --peers    compute the peer's runs that are not kept

200 targets of priority 0 to 10, of 3, 5, 8 or 12 minutes, on three nights (winter, summer, full
moon) at 24.63 S 67.33 W and 4637 m; altitude and moon distance of 30 degrees, slews at 2 deg/s.
W is the sum of priority x minutes / airmass, found with every violation by a checker that uses
astropy's AltAz and none of the scheduler's code. The peer's 60 runs at 20 s take half an hour:
their results are kept in benchmarks/scheduling/kept.json, and one of them is rerun each time.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.scheduling.checker import Row, check
from benchmarks.scheduling.dynamic import compare
from benchmarks.scheduling.instances import CONSTRAINTS, NIGHTS, SITE, SLEW, make_instance
from benchmarks.scheduling.peers import astroplan_priority, greedy
from toros.telescope.scheduling import ITERATIONS, Plan, next_target, plan

KEPT = Path(__file__).parent / "scheduling" / "kept.json"
SEEDS = 20
FULL = 20_000
PEER_SLACK_S = 1.01  # the peer drops slews below a second

FAILURES: list[str] = []


def promise(kept: bool, text: str) -> None:
    """Print a promise and whether it is kept."""
    print(f"  {'ok' if kept else 'MISSED'}: {text}")
    if not kept:
        FAILURES.append(text)


def load_kept() -> dict[str, dict[str, float]]:
    return json.loads(KEPT.read_text())["runs"] if KEPT.exists() else {}


def run_peer(night: str, seed: int) -> dict[str, float]:
    instance = make_instance(night, seed)
    rows, seconds = astroplan_priority(instance)
    verdict = check(instance, rows, PEER_SLACK_S)
    return {
        "weight": round(verdict.weight, 3),
        "urgent": verdict.urgent,
        "done": verdict.done,
        "violations": len(verdict.violations),
        "seconds": round(seconds, 1),
    }


def compute_peers(limit: int) -> None:
    """Run the peer where no result is kept; keep each at once."""
    runs = load_kept()
    missing = [(n, s) for s in range(SEEDS) for n in NIGHTS if f"{n} {s}" not in runs]
    for night, seed in missing[:limit]:
        runs[f"{night} {seed}"] = run_peer(night, seed)
        print(f"{night} {seed}: {runs[f'{night} {seed}']}", flush=True)
        document = {
            "peer": f"astroplan {importlib.metadata.version('astroplan')} PriorityScheduler, 20 s",
            "runs": runs,
        }
        new = KEPT.with_suffix(".new")
        new.write_text(json.dumps(document, indent=1) + "\n")
        new.replace(KEPT)


def rows_of(found: Plan) -> list[Row]:
    return [Row(str(entry.target.id), entry.start, entry.end) for entry in found.entries]


def rerun_sample(runs: dict[str, dict[str, float]]) -> None:
    """Run the peer once more for one instance, another each day."""
    shortest = sorted(name for name in runs if name.startswith("summer"))
    if not shortest:
        return
    name = shortest[int(time.time() // 86400) % len(shortest)]
    night, _, seed = name.rpartition(" ")
    again, kept = run_peer(night, int(seed)), runs[name]
    print(f"rerun of PriorityScheduler, {name}: W {again['weight']:.1f}, kept {kept['weight']:.1f}")
    promise(abs(again["weight"] / kept["weight"] - 1.0) < 1e-3, "the kept result is found again")


def measure(runs: dict[str, dict[str, float]], iterations: int) -> tuple[np.ndarray, float]:
    """Plan every instance that has a kept result; return the ratios and the longest CPU time."""
    ratios, times, lost, violations, dispatch = [], [], 0, 0, []
    for name, kept in runs.items():
        night, _, seed = name.rpartition(" ")
        instance = make_instance(night, int(seed))
        began = time.process_time()
        found = plan(
            instance.targets, SITE, instance.start, instance.end, CONSTRAINTS, SLEW,
            iterations=iterations,
        )  # fmt: skip
        times.append(time.process_time() - began)
        verdict = check(instance, rows_of(found))
        ratios.append(verdict.weight / kept["weight"])
        lost += verdict.urgent < kept["urgent"]
        violations += len(verdict.violations)
        rows, _ = greedy(instance)
        dispatch.append(verdict.weight / check(instance, rows).weight)
    print(
        f"{len(ratios)} nights, {iterations} iterations, CPU {np.mean(times):.2f} s (at most "
        f"{max(times):.2f}): W / PriorityScheduler mean {np.mean(ratios):.4f}, least "
        f"{min(ratios):.4f}; W / greedy mean {np.mean(dispatch):.4f}, least {min(dispatch):.4f}"
    )
    promise(min(ratios) >= 1.0, "never below PriorityScheduler")
    promise(lost == 0, f"priority >= 9 never fewer ({lost} nights with fewer)")
    promise(violations == 0, f"no violation ({violations})")
    return np.array(ratios), max(times)


def measure_speed() -> None:
    """Time a thousand targets, and the next target."""
    big = make_instance("winter", 0, 1000)
    began = time.process_time()
    plan(big.targets, SITE, big.start, big.end, CONSTRAINTS, SLEW)
    seconds = time.process_time() - began
    promise(seconds <= 15.0, f"1000 targets planned in {seconds:.1f} s of CPU (15)")
    instance = make_instance("winter", 0)
    order = plan(instance.targets, SITE, instance.start, instance.end, CONSTRAINTS, SLEW).order
    times = []
    for first in range(0, 60, 5):
        began = time.process_time()
        next_target(
            instance.targets, SITE, instance.start, instance.end, CONSTRAINTS, SLEW,
            order=order[first:],
        )  # fmt: skip
        times.append(1000.0 * (time.process_time() - began))
    promise(max(times) <= 100.0, f"the next target in {max(times):.0f} ms of CPU at most (100)")


def measure_dynamic(seeds: int) -> None:
    """Compare nights full of surprises with hindsight."""
    ratios = []
    for night in NIGHTS:
        for seed in range(seeds):
            mine, theirs, cuts = compare(night, seed)
            ratios.append(mine / theirs)
            print(f"dynamic {night} {seed}: {cuts} cuts, W / hindsight {ratios[-1]:.3f}")
    promise(float(np.mean(ratios)) >= 0.95, f"dynamic nights at {np.mean(ratios):.3f} (0.95)")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", action="store_true", help="compute the peer's missing runs")
    parser.add_argument("--limit", type=int, default=1000, help="at most so many of them")
    parser.add_argument("--no-rerun", action="store_true", help="do not rerun the peer's sample")
    parser.add_argument("--dynamic", type=int, default=2, help="dynamic nights of each kind")
    arguments = parser.parse_args()
    if arguments.peers:
        compute_peers(arguments.limit)
        return
    runs = load_kept()
    print(f"{len(runs)} of {SEEDS * len(NIGHTS)} runs of PriorityScheduler are kept")
    plan((), SITE, *_any_night())  # the Earth's tables are read once in a process
    if not arguments.no_rerun:
        rerun_sample(runs)
    for iterations, limit_s, least in ((ITERATIONS, 1.5, 1.02), (FULL, 10.0, 1.05)):
        ratios, seconds = measure(runs, iterations)
        promise(float(ratios.mean()) >= least, f"mean at least {least}")
        promise(seconds <= limit_s, f"within {limit_s:g} s of CPU")
    measure_speed()
    measure_dynamic(arguments.dynamic)
    sys.exit(bool(FAILURES))


def _any_night():  # type: ignore[no-untyped-def]
    instance = make_instance("winter", 0)
    return instance.start, instance.end


if __name__ == "__main__":
    main()
