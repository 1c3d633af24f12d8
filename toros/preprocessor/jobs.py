"""Making one product: the files are opened once, and worked on in bands of rows.

The memory taken depends on the configured limit, not on how many frames there
are or how large they are; only a single row of all frames must fit. A product's
bytes depend on its `Job` alone, not on the memory, the folder or the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toros import store
from toros.errors import CorrectionFailed, StackingFailed, UnusableFrame
from toros.images import open_frame, preview, product_writer
from toros.preprocessor.association import Master
from toros.preprocessor.grouping import Frame, Key
from toros.preprocessor.inputs import KNOWN_LIMIT_MPIXEL, Inputs, header_and_ceiling
from toros.preprocessor.planning import Job, Plan, of_unknown_type, plan
from toros.preprocessor.provenance import cards
from toros.preprocessor.site import DefaultSite, Site
from toros.preprocessor.steps import STEPS, Step
from toros.preprocessor.steps.base import HOT, LOW_RESPONSE, NODATA, SATURATED, Setup, Survey

__all__ = [
    "DefaultSite",
    "Frame",
    "Job",
    "Master",
    "Plan",
    "Product",
    "Site",
    "of_unknown_type",
    "plan",
    "run_job",
]

# Copies that reading, calibrating, clipping and averaging hold at a time, with their masks.
_BYTES_PER_VALUE = 40
# A band larger than this is no faster.
_BAND_VALUES = 1 << 20
_MASK_COUNTS = {NODATA: "nodata", HOT: "hot", LOW_RESPONSE: "low_response", SATURATED: "saturated"}


@dataclass(frozen=True)
class Product:
    """What a job made.

    Attributes
    ----------
    path, sha256 : str
        The FITS file, and the hash of its bytes.
    preview_path : str
        The PNG beside it.
    kind, key, missing
        As in the job.
    scalars : dict of str to float
        What was measured; what is unknown is not in it.
    frames_used : tuple of str
        Names of the frames that it is made of.
    frames_rejected : tuple of (str, str)
        Names of the others, and why.
    notes : tuple of str
        What a person should know.
    """

    path: str
    sha256: str
    preview_path: str
    kind: str
    key: Key
    scalars: dict[str, float]
    missing: tuple[str, ...]
    frames_used: tuple[str, ...]
    frames_rejected: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    def as_master(self, name: str) -> Master:
        """Return the product as what other frames are corrected by."""
        return Master(self.path, name, self.sha256, self.kind, self.key, self.scalars, self.missing)


def run_job(
    job: Job,
    folder: str,
    scratch: str,
    memory_limit_mb: float,
    progress: Callable[[float], None] | None = None,
) -> Product:
    """Make a product and its preview.

    Parameters
    ----------
    job : Job
    folder : str
        Where the product goes, under the job's name.
    scratch : str
        A folder on a real disk for what compressed files unpack to while they are open.
    memory_limit_mb : float
        What the pixels that are worked on may take [MB].
    progress : callable, optional
        Told the fraction that is done after each band.

    Raises
    ------
    StackingFailed, CorrectionFailed
        Nothing can be made of the frames; the message says why for each.
    DamagedFile
        A master cannot be read.
    DiskFull, StorageFailed
        Nothing is left under the product's name that was not there before.
    """
    step = STEPS[job.step]
    with ExitStack() as stack:
        inputs = Inputs(job, step, Path(scratch), stack)
        try:
            product = _make(job, step, inputs, Path(folder), memory_limit_mb, progress)
        except UnusableFrame as error:
            failure = StackingFailed if step.combines else CorrectionFailed
            raise failure(f"{job.name}: {error.message}") from error
    with open_frame(Path(product.path), 0, Path(scratch), KNOWN_LIMIT_MPIXEL) as image:
        store.write_whole(Path(product.preview_path), preview(image))
    return product


def _make(
    job: Job,
    step: Step,
    inputs: Inputs,
    folder: Path,
    memory_limit_mb: float,
    progress: Callable[[float], None] | None,
) -> Product:
    first = job.frames[inputs.indices[0]]
    header, ceiling = header_and_ceiling(first)
    setup = _setup(job, step, inputs, ceiling)
    found = step.survey(setup, inputs.sample())
    used = [job.frames[inputs.indices[number]] for number in found.used]
    rejected = dict(inputs.rejected)
    rejected |= {setup.names[number]: reason for number, reason in found.rejected}
    path = folder / job.name
    counts = dict.fromkeys(_MASK_COUNTS, 0)
    clipped = 0
    ny, nx = inputs.shape
    height = _height(len(found.used), nx, memory_limit_mb)
    with product_writer(path, inputs.shape, cards(job, found, used, rejected, header)) as writer:
        for y0 in range(0, ny, height):
            y1 = min(y0 + height, ny)
            strip = step.reduce(setup, found, inputs.band(found.used, y0, y1))
            writer.rows(y0, strip.data, strip.sigma, strip.mask)
            clipped += strip.clipped
            for bit in counts:
                counts[bit] += int(np.count_nonzero(strip.mask & bit))
            if progress is not None:
                progress(y1 / ny)
    return Product(
        path=str(path),
        sha256=writer.sha256,
        preview_path=str(path.with_suffix(".png")),
        kind=job.kind,
        key=_key(job, used),
        scalars=_scalars(job, found, counts, clipped, ny * nx, len(used)),
        missing=job.missing,
        frames_used=tuple(frame.name for frame in used),
        frames_rejected=tuple(sorted(rejected.items())),
        notes=found.notes,
    )


def _setup(job: Job, step: Step, inputs: Inputs, ceiling: float) -> Setup:
    frames = [job.frames[i] for i in inputs.indices]
    names = [job.dark_of[i] for i in inputs.indices]
    return Setup(
        settings=step.settings(**job.settings),
        names=tuple(frame.name for frame in frames),
        dark_of=tuple(None if name is None else inputs.darks.index(name) for name in names),
        dark_scale=tuple(job.dark_scale[i] for i in inputs.indices),
        noise=job.noise,
        exposure_s=tuple(frame.facts.exposure_time_s for frame in frames),
        saturation_adu=ceiling if job.saturation_adu is None else job.saturation_adu,
    )


def _key(job: Job, used: Sequence[Frame]) -> Key:
    """Take the start from the first frame that is used."""
    start = used[0].facts.start_utc
    return {**job.key, "start_utc": start.isoformat() if start is not None else None}


def _scalars(
    job: Job, found: Survey, counts: dict[int, int], clipped: int, pixels: int, frames: int
) -> dict[str, float]:
    scalars = {
        **found.scalars,
        "frames": float(frames),
        **{f"{_MASK_COUNTS[bit]}_fraction": count / pixels for bit, count in counts.items()},
    }
    if STEPS[job.step].combines:
        scalars["clipped_fraction"] = clipped / (pixels * frames)
    return {name: float(value) for name, value in scalars.items() if math.isfinite(value)}


def _height(frames: int, nx: int, memory_limit_mb: float) -> int:
    """Return how many rows fit into the memory, at least one."""
    values = min(memory_limit_mb * 1e6 / _BYTES_PER_VALUE, _BAND_VALUES)
    # Masters and the product count as some frames more.
    return max(int(values // ((frames + 4) * nx)), 1)
