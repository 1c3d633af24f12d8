"""Raw frames on the disk, and the whole chain of steps over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from astropy.io import fits

from toros import store
from toros.images import FrameFacts
from toros.preprocessor.association import Master
from toros.preprocessor.grouping import Frame
from toros.preprocessor.jobs import Product, run_job
from toros.preprocessor.planning import Job, Site, plan

START = datetime(2026, 3, 1, 22, tzinfo=UTC)
STEPS = ("stack_bias", "stack_dark", "stack_flat", "correct_light")


def facts(frame_type: str = "light", **values: object) -> FrameFacts:
    """Describe a frame of a usual camera."""
    usual = {
        "start_utc": START,
        "exposure_time_s": 60.0,
        "filter": None,
        "temperature_c": -10.0,
        "shape": (64, 48),
        "hdus": (0,),
        "binning": "1x1",
        "instrument": "Camera",
    }
    return FrameFacts(frame_type=frame_type, **{**usual, **values})  # type: ignore[arg-type]


def frame(name: str, frame_type: str = "light", *, hdu: int = 0, **values: object) -> Frame:
    """Describe a frame without a file, for planning."""
    return Frame(f"/raw/{name}", name, f"sha of {name}", hdu, facts(frame_type, **values))


def master(name: str, kind: str, *, missing: tuple[str, ...] = (), **key: object) -> Master:
    """Describe a master without a file, for planning."""
    usual = {
        "instrument": "Camera",
        "telescope": None,
        "shape": "48x64",
        "hdu": 0.0,
        "binning": "1x1",
        "gain_setting": None,
        "bayer": None,
        "temperature_c": -10.0,
        "start_utc": START.isoformat(),
    }
    if kind == "dark_stack":
        usual |= {"exposure_time_s": 60.0, "filter": None}
    if kind == "flat_stack":
        usual |= {"filter": None}
    return Master("", name, f"sha of {name}", kind, {**usual, **key}, {}, missing)  # type: ignore[arg-type]


def write(
    folder: Path,
    name: str,
    pixels: np.ndarray,
    frame_type: str,
    minute: float = 0,
    **values: object,
) -> Frame:
    """Write a raw frame of 16 bits; return it as ingest would register it."""
    path = folder / name
    hdu = fits.PrimaryHDU(np.clip(pixels, 0, 65535).astype(np.uint16))
    hdu.header["CTYPE1"], hdu.header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    hdu.header["CRVAL1"], hdu.header["CRVAL2"] = 10.5, -20.25
    hdu.writeto(path)
    described = facts(
        frame_type,
        shape=pixels.shape,
        start_utc=START + timedelta(minutes=minute),
        **values,
    )
    return Frame(str(path), name, store.sha256_of(path), 0, described)


def write_night(
    folder: Path, chip, *, biases: int = 5, darks: int = 5, flats: int = 5, lights: int = 2
) -> list[Frame]:  # type: ignore[no-untyped-def]
    """Write a night of a `tests.known_answers.truth.Chip`."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for kind, count, time_s, light in (
        ("bias", biases, 0.0, 0.0),
        ("dark", darks, 120.0, 0.0),
        ("flat", flats, 4.0, 6000.0),
        ("light", lights, 30.0, 20.0),
    ):
        for i in range(count):
            pixels = chip.expose(1, time_s, light)[0]
            values = {"exposure_time_s": time_s, "filter": "R" if light else None}
            made.append(write(folder, f"{kind}{i}.fits", pixels, kind, len(made), **values))
    return made


def reduce(
    frames: Sequence[Frame],
    folder: Path,
    *,
    site: Site | None = None,
    memory_limit_mb: float = 256.0,
    steps: Sequence[str] = STEPS,
) -> list[tuple[Job, Product]]:
    """Plan and run every step, in this process."""
    folder.mkdir(parents=True, exist_ok=True)
    made: list[tuple[Job, Product]] = []
    for step in steps:
        masters = [product.as_master(job.name) for job, product in made]
        for job in plan(step, frames, masters, None, site).jobs:
            made.append((job, run_job(job, str(folder), str(folder), memory_limit_mb)))
    return made
