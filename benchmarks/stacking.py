"""How fast a stack is made, against ccdproc.combine: 20 frames of 2048 x 2048, uint16.

    .venv/bin/python benchmarks/stacking.py

Both read the same FITS files, clip at 5 sigma around the median and average, with an
uncertainty; TOROS besides measures the noise, and writes product and preview. Printed are CPU
seconds (user and system, children included), the peak memory above the interpreter's with the
libraries loaded, and the ratios. Each runs in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from astropy.io import fits


def peer(paths: list[str], _folder: str) -> None:
    """Stack by ccdproc.combine."""
    import ccdproc
    from astropy.stats import mad_std

    frames = [ccdproc.CCDData.read(path, unit="adu") for path in paths]
    ccdproc.combine(
        frames, method="average", sigma_clip=True, sigma_clip_low_thresh=5,
        sigma_clip_high_thresh=5, sigma_clip_func=np.ma.median, sigma_clip_dev_func=mad_std,
        mem_limit=2e9, dtype=np.float32,
    )  # fmt: skip


def ours(paths: list[str], folder: str) -> None:
    """Stack by the step that the preprocessor runs."""
    from toros import store
    from toros.images import read_facts
    from toros.preprocessor.grouping import Frame
    from toros.preprocessor.jobs import plan, run_job

    frames = [
        Frame(
            path,
            Path(path).name,
            store.sha256_of(Path(path)),
            0,
            read_facts(Path(path), Path(path).name, (), 400),
        )
        for path in paths
    ]
    (job,) = plan("stack_bias", frames, []).jobs
    run_job(job, folder, folder, 512)


def measured(work: str, paths: list[str], folder: str, results: multiprocessing.Queue) -> None:
    """Do the work twice (the first call compiles and loads), and tell the second's cost."""
    function = {"ours": ours, "peer": peer}[work]
    function(paths[:2], folder)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.process_time()
    function(paths, folder)
    seconds = time.process_time() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    results.put((seconds, (after.ru_maxrss - before.ru_maxrss) / 1024))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--frames", type=int, default=20)
    arguments = parser.parse_args()
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(prefix="toros-bench-") as scratch:
        paths = []
        for number in range(arguments.frames):
            pixels = rng.normal(1000, 10, (arguments.size, arguments.size)).round().astype("uint16")
            header = fits.Header({"IMAGETYP": "BIAS", "EXPTIME": 0.0, "INSTRUME": "bench"})
            header["DATE-OBS"] = datetime(2026, 1, 1, 0, number, tzinfo=UTC).isoformat()[:19]
            paths.append(f"{scratch}/{number:03d}.fits")
            fits.writeto(paths[-1], pixels, header)
        context = multiprocessing.get_context("spawn")
        told = {}
        for work in ("peer", "ours"):
            results = context.Queue()
            process = context.Process(target=measured, args=(work, paths, scratch, results))
            process.start()
            told[work] = results.get()
            process.join()
    names = {"peer": "ccdproc.combine", "ours": "TOROS stack_bias"}
    for work, (seconds, megabytes) in told.items():
        print(f"{names[work]}: {seconds:.2f} CPU s, {megabytes:.0f} MB more than with two frames")
    print(f"ratio of CPU time, ccdproc to TOROS: {told['peer'][0] / told['ours'][0]:.1f}")


if __name__ == "__main__":
    sys.exit(main())
