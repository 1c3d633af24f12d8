"""Files that are broken on purpose, as they come in from real observatories."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from astropy.io import fits

from toros.simulation.frames import fits_bytes, make_header

if TYPE_CHECKING:
    from toros.simulation.night import Night

_PETABYTE_SIDE = 23_000_000  # squared and times 2 bytes: 1.06e15


@dataclass(frozen=True)
class BrokenFile:
    """What is wrong with a file, and what must become of it.

    Attributes
    ----------
    name : str
        Its name.
    fault : str
        "truncated", "text", "petabyte", "empty", "no type", "other shape" or "saturated".
    fate : str
        "quarantined": it cannot be used as a frame; "unknown": a frame whose
        type is not known; "left out": a frame that must not get into a stack.
    reason : str
        Why, for a person.
    frame_type : str or None
        What its header says: None if there is no header to read.
    """

    name: str
    fault: str
    fate: Literal["quarantined", "unknown", "left out"]
    reason: str
    frame_type: str | None


def broken_files(night: Night, stamp: str) -> list[tuple[BrokenFile, bytes]]:
    """Make one file of each kind of fault.

    Parameters
    ----------
    night : Night
        Whose frames they are made from; it needs a light, a dark and a flat.
    stamp : str
        What the files' names begin with.

    Returns
    -------
    list of (BrokenFile, bytes)
        What is wrong with the file, and its content.
    """
    number = len(night.frames)

    def name(what: str) -> str:
        nonlocal number
        number += 1
        return f"{stamp}_{number:04d}_{what}.fits"

    target = night.field.file_name
    return [
        _truncated(night, name(f"{target}_truncated")),
        _text(name("observing_log")),
        _petabyte(night, name(f"{target}_mosaic")),
        _without_type(night, name(f"{target}_focus")),
        (
            BrokenFile(name("empty"), "empty", "quarantined", "the file has no bytes", None),
            b"",
        ),
        _other_shape(night, name("dark_binned")),
        _saturated(night, name("flat_saturated")),
    ]


def _truncated(night: Night, name: str) -> tuple[BrokenFile, bytes]:
    light = night.select("light")[0]
    content = fits_bytes(night.pixels(light), night.header(light))
    reason = "truncated: the header promises more pixels than the file has"
    truth = BrokenFile(name, "truncated", "quarantined", reason, "light")
    return truth, content[: len(content) * 6 // 10]


def _text(name: str) -> tuple[BrokenFile, bytes]:
    lines = "21:04 dome open\n23:40 thin clouds in the west\n"
    reason = "not FITS: a text file under a FITS file's name"
    return BrokenFile(name, "text", "quarantined", reason, None), lines.encode()


def _petabyte(night: Night, name: str) -> tuple[BrokenFile, bytes]:
    light = night.select("light")[0]
    header = fits.PrimaryHDU(night.pixels(light), night.header(light)).header
    header["NAXIS1"] = header["NAXIS2"] = _PETABYTE_SIDE
    reason = f"too large: the header claims {_PETABYTE_SIDE} x {_PETABYTE_SIDE} pixels"
    truth = BrokenFile(name, "petabyte", "quarantined", reason, "light")
    return truth, header.tostring().encode("ascii") + bytes(2880)


def _without_type(night: Night, name: str) -> tuple[BrokenFile, bytes]:
    light = night.select("light")[-1]
    header = night.header(light)
    del header["IMAGETYP"]
    reason = "unknown: the header does not say what type of frame it is"
    truth = BrokenFile(name, "no type", "unknown", reason, "unknown")
    return truth, fits_bytes(night.pixels(light), header)


def _other_shape(night: Night, name: str) -> tuple[BrokenFile, bytes]:
    ny, nx = night.camera.shape
    binned = replace(
        night.camera,
        shape=(max(ny // 2, 1), max(nx // 2, 1)),
        pixel_um=2 * night.camera.pixel_um,
        dark_current_e_s=4 * night.camera.dark_current_e_s,
    )
    dark = night.select("dark")[0]
    pixels = binned.dark(dark.exposure_time_s, dark.temperature_c, number=dark.number)
    header = make_header(dark, binned, night.optics, night.field, binning=2)
    reason = f"other shape and binning: {binned.shape[0]} x {binned.shape[1]} pixels, 2x2"
    truth = BrokenFile(name, "other shape", "left out", reason, "dark")
    return truth, fits_bytes(pixels, header)


def _saturated(night: Night, name: str) -> tuple[BrokenFile, bytes]:
    flat = night.select("flat")[0]
    pixels = night.pixels(replace(flat, level_adu=10.0 * night.camera.saturation_adu))
    reason = f"saturated: all but the dead pixels are at {int(np.max(pixels))} ADU"
    truth = BrokenFile(name, "saturated", "left out", reason, "flat")
    return truth, fits_bytes(pixels, night.header(flat))
