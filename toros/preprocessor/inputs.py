"""The open files of a job, read in bands of rows: each frame is opened once."""

from __future__ import annotations

import math
import resource
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
from astropy.io import fits

from toros.errors import CorrectionFailed, DamagedFile, StackingFailed, UnusableFrame
from toros.images import FrameReader, open_frame
from toros.images.cards import CARD_ERRORS
from toros.images.layout import read_layout, readable
from toros.images.pixels import FRAME_LIMIT_MPIXEL, read_scaling
from toros.preprocessor.association import Master
from toros.preprocessor.grouping import Frame
from toros.preprocessor.planning import Job
from toros.preprocessor.steps import Step
from toros.preprocessor.steps.base import BIAS_STACK, DARK_STACK, FLAT_STACK, Band, Plane
from toros.preprocessor.steps.noise import Array, Mask

STRIPE = 16
"""Rows of the sample come in stripes of so many, spread over the frame."""

# Enough for a variance to a part in 400; surveying so many values takes some 90 MB.
_SAMPLE_PIXELS = 1 << 18
_SAMPLE_VALUES = 1 << 21
_SPARE_FILES = 64
KNOWN_LIMIT_MPIXEL = 1e6  # the limit held when the file was registered


class Inputs:
    """The open files of a job: its frames, less those that cannot be read, and its masters."""

    def __init__(self, job: Job, step: Step, scratch: Path, stack: ExitStack) -> None:
        _allow_open_files(2 * len(job.frames))
        self.rejected: dict[str, str] = {}
        self.readers: list[FrameReader] = []
        self.indices: list[int] = []
        for i, frame in enumerate(job.frames):
            try:
                reader = _open(frame, scratch, stack)
            except UnusableFrame as error:
                self.rejected[frame.name] = error.message
            else:
                self.readers.append(reader)
                self.indices.append(i)
        if not self.readers:
            failure = StackingFailed if step.combines else CorrectionFailed
            every = "; ".join(f"{name}: {reason}" for name, reason in self.rejected.items())
            raise failure(f"{job.name}: no frame can be read: {every}")
        self._names = [job.frames[i].name for i in self.indices]
        self.shape = self.readers[0].shape
        self.masters = {
            master.name: _open_master(master, self.shape, scratch, stack) for master in job.masters
        }
        self._kinds = {master.name: master.kind for master in job.masters}
        self.darks = [m.name for m in job.masters if m.kind == DARK_STACK]

    def band(self, used: Sequence[int], y0: int, y1: int) -> Band:
        """Read the same rows of the frames `used` (numbers of readers) and of the masters."""
        cube = np.empty((len(used), y1 - y0, self.shape[1]), np.float32)
        for i, number in enumerate(used):
            try:
                cube[i] = self.readers[number].rows(y0, y1)
            except UnusableFrame as error:
                raise UnusableFrame(f"{self._names[number]}: {error.message}") from error
        # An infinity has no noise and no mean.
        cube[~np.isfinite(cube)] = np.nan
        planes = {name: master.rows(y0, y1) for name, master in self.masters.items()}
        single = {self._kinds[name]: plane for name, plane in planes.items()}
        return Band(
            cube,
            single.get(BIAS_STACK),
            tuple(planes[name] for name in self.darks),
            single.get(FLAT_STACK),
        )

    def sample(self) -> Band:
        """Read stripes of rows spread over the frame, of all frames, as one band."""
        used = range(len(self.readers))
        bands = [self.band(used, y0, y1) for y0, y1 in sample_rows(self.shape, len(used))]
        return Band(
            np.concatenate([band.frames for band in bands], axis=1),
            _joined([band.bias for band in bands]),
            tuple(
                plane
                for i in range(len(self.darks))
                if (plane := _joined([band.darks[i] for band in bands])) is not None
            ),
            _joined([band.flat for band in bands]),
        )


def _open(frame: Frame, scratch: Path, stack: ExitStack) -> FrameReader:
    reader = stack.enter_context(open_frame(Path(frame.path), frame.hdu, scratch, _limit(frame)))
    if reader.shape != frame.facts.shape:
        raise UnusableFrame(f"its shape is {reader.shape}, not {frame.facts.shape}")
    return reader


class _MasterReader:
    """A product of an earlier step, in bands."""

    def __init__(self, data: FrameReader, sigma: FrameReader, mask: FrameReader) -> None:
        self.shape = data.shape
        self._data, self._sigma, self._mask = data, sigma, mask

    def rows(self, y0: int, y1: int) -> Plane:
        mask: Mask = self._mask.rows(y0, y1).astype(np.uint8)
        return Plane(self._data.rows(y0, y1), self._sigma.rows(y0, y1), mask)


def _open_master(
    master: Master, shape: tuple[int, int], scratch: Path, stack: ExitStack
) -> _MasterReader:
    try:
        reader = _MasterReader(
            *(
                stack.enter_context(open_frame(Path(master.path), i, scratch, KNOWN_LIMIT_MPIXEL))
                for i in range(3)
            )
        )
    except UnusableFrame as error:
        raise DamagedFile(f"{master.name}: {error.message}; restart the file batch") from error
    if reader.shape != shape:
        raise DamagedFile(f"{master.name}: its shape is {reader.shape}, its frames' {shape}")
    return reader


def sample_rows(shape: tuple[int, int], frames: int) -> Iterator[tuple[int, int]]:
    """Choose the rows of a survey: the same whatever the memory, so that results are too.

    Parameters
    ----------
    shape : (int, int)
        (ny, nx) [pixel].
    frames : int
        The more there are, the fewer rows: their values are all in memory at a time.

    Yields
    ------
    y0, y1 : int
        Rows ``y0 <= y < y1``, in stripes that do not overlap.
    """
    ny, nx = shape
    rows = max(min(_SAMPLE_PIXELS, _SAMPLE_VALUES // frames) // nx, 1)
    if rows >= ny:
        yield 0, ny
        return
    height = min(rows, STRIPE)
    stripes = rows // height
    for i in range(stripes):
        y0 = (2 * i + 1) * ny // (2 * stripes) - height // 2
        y0 = min(max(y0, 0), ny - height)
        yield y0, y0 + height


def _joined(planes: Sequence[Plane | None]) -> Plane | None:
    parts = [plane for plane in planes if plane is not None]
    if not parts:
        return None

    def join(arrays: Sequence[Array]) -> Array:
        return np.concatenate(arrays, axis=0)

    return Plane(
        join([part.data for part in parts]),
        join([part.sigma for part in parts]),
        np.concatenate([part.mask for part in parts], axis=0),
    )


def header_and_ceiling(frame: Frame) -> tuple[fits.Header, float]:
    """Read a frame's header, and from where on it is saturated [ADU].

    Returns
    -------
    Header
        The HDU's, completed by the primary one's.
    float
        SATURATE, or the largest value that the file's integers can hold; infinity for
        floating point numbers.
    """
    with warnings.catch_warnings(), readable(Path(frame.path)) as file:
        warnings.simplefilter("ignore")
        layout = read_layout(file, _limit(frame))
        own = layout[frame.hdu]
        header = own.header.copy()
        if frame.hdu:
            with suppress(*CARD_ERRORS):
                header.extend(layout[0].header, unique=True)
        try:
            stated = header.get("SATURATE")
        except CARD_ERRORS:
            stated = None
        if isinstance(stated, (int, float)) and stated > 0:
            return header, float(stated)
        scaling = read_scaling(own)
        dtype = np.dtype(scaling.raw_type)
        if dtype.kind == "f":
            return header, math.inf
        ends = np.iinfo(dtype)
        return header, max(scaling.bscale * end + scaling.bzero for end in (ends.min, ends.max))


def _limit(frame: Frame) -> float:
    ny, nx = frame.facts.shape
    return max(FRAME_LIMIT_MPIXEL, ny * nx / 1e6)


def _allow_open_files(count: int) -> None:
    """Raise this process's own limit of open files, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
