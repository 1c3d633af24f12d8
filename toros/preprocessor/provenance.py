"""The cards of a product: what it is, how it was made, and of which files, to the byte.

Nothing here knows a clock, a path or the number of a run: the same inputs give the same cards.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from astropy.io import fits

import toros
from toros.images.cards import CARD_ERRORS
from toros.preprocessor.grouping import Frame, mid_exposure
from toros.preprocessor.planning import Job
from toros.preprocessor.steps import STEPS
from toros.preprocessor.steps.base import (
    BIAS_STACK,
    CALIBRATED_LIGHT,
    DARK_STACK,
    FLAT_STACK,
    MASK_BITS,
    Survey,
)

Card: TypeAlias = tuple[str, str | bool | int | float | None, str]

_IMAGE_TYPES = {
    BIAS_STACK: "Master Bias",
    DARK_STACK: "Master Dark",
    FLAT_STACK: "Master Flat",
    CALIBRATED_LIGHT: "Calibrated Light",
}
FIGURES: dict[str, tuple[str, str]] = {
    "level_adu": ("LEVEL", "[adu] median level of a frame"),
    "noise_before_adu": ("NOISEBEF", "[adu] noise of one raw frame, 1 sigma"),
    "noise_after_adu": ("NOISEAFT", "[adu] noise of the product, 1 sigma"),
    "noise_before": ("NOISEBEF", "relative noise of one scaled frame, 1 sigma"),
    "noise_after": ("NOISEAFT", "relative noise of the product, 1 sigma"),
    "noise_dark_adu": ("NOISEDRK", "[adu] noise after bias and dark, 1 sigma"),
    "noise_expected_adu": ("NOISEEXP", "[adu] median of the uncertainty"),
    "spread_before_adu": ("SPRDBEF", "[adu] standard deviation of the raw frame"),
    "spread_dark_adu": ("SPRDDRK", "[adu] the same after bias and dark"),
    "spread_after_adu": ("SPRDAFT", "[adu] the same of the product"),
    "level_before_adu": ("LEVELBEF", "[adu] median of the raw frame"),
    "level_dark_adu": ("LEVELDRK", "[adu] median after bias and dark"),
    "level_after_adu": ("LEVELAFT", "[adu] median of the product"),
    "step_adu": ("QUANTUM", "[adu] what counts are rounded to; 0: nothing"),
    "dark_adu": ("DARKADU", "[adu] mean dark charge, hot pixels left out"),
    "dark_current_adu_s": ("DARKCUR", "[adu/s] mean dark current"),
    "dark_scale": ("DARKSCAL", "exposure time in units of the dark's"),
    "read_noise_adu": ("RDNADU", "[adu] read noise, 1 sigma"),
    "read_noise_e": ("RDNOISE", "[electron] read noise, 1 sigma"),
}
_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)
_WCS = re.compile(
    r"(WCSAXES|WCSNAME|C(TYPE|RVAL|RPIX|UNIT|DELT|ROTA)[12]|(CD|PC)[12]_[12]|(LON|LAT)POLE"
    r"|RADESYS|RADECSYS|EQUINOX|PV[12]_\d+|[AB]P?_(ORDER|DMAX|\d_\d))"
)


def cards(job: Job, found: Survey, frames: Sequence[Frame], rejected: Mapping[str, str],
          header: fits.Header) -> list[Card]:  # fmt: skip
    """Write down a product.

    Parameters
    ----------
    job : Job
    found : Survey
        What the step measured.
    frames : sequence of Frame
        The frames that are used.
    rejected : mapping of str to str
        The frames that are not, and why.
    header : Header
        The first frame's own; a light's coordinates are kept.

    Returns
    -------
    list of (keyword, value, comment)
    """
    return [
        *_what(job, frames),
        *(_sky(job, header) if job.kind == CALIBRATED_LIGHT else ()),
        *_how(job, found, len(frames)),
        *_origin(job, found, frames, rejected),
    ]


def _what(job: Job, frames: Sequence[Frame]) -> Iterator[Card]:
    facts, key = frames[0].facts, job.key
    yield "IMAGETYP", _IMAGE_TYPES.get(job.kind, job.kind), "type of the image"
    yield "COMBTYPE", job.kind, "type of the combination"
    unit = STEPS[job.step].unit
    if unit:
        yield "BUNIT", unit, "unit of the pixels"
    for keyword, value, comment in (
        ("INSTRUME", facts.instrument, "camera"),
        ("TELESCOP", facts.telescope, "telescope"),
        ("FILTER", key.get("filter"), "filter"),
        ("EXPTIME", key.get("exposure_time_s"), "[s] exposure time"),
        ("CCD-TEMP", _rounded(key.get("temperature_c")), "[C] temperature of the sensor"),
        ("BINNING", facts.binning, "columns x rows"),
        ("BAYERPAT", facts.bayer, "colour pattern"),
        ("GAINSET", facts.gain_setting, "the camera's gain setting"),
    ):
        if value is not None:
            yield keyword, value, comment
    if facts.start_utc is not None:
        start = facts.start_utc
        first = "" if len(frames) == 1 else " of the first frame"
        yield "TIMESYS", "UTC", "time scale"
        yield "DATE-OBS", _iso(start), f"start{first}"
        yield "MJD-OBS", _mjd(start), f"[d] start{first}"
    middles = [middle for frame in frames if (middle := mid_exposure(frame.facts)) is not None]
    if middles:
        seconds = math.fsum((middle - middles[0]).total_seconds() for middle in middles)
        mean = middles[0] + timedelta(seconds=seconds / len(middles))
        yield "DATE-AVG", _iso(mean), "middle of the exposure, averaged over the frames"
        yield "MJD-AVG", _mjd(mean), "[d] the same"


def _sky(job: Job, header: fits.Header) -> Iterator[Card]:
    facts = job.frames[0].facts
    for keyword, value, comment in (
        ("OBJECT", facts.object_name, "target"),
        ("RA", facts.ra_deg, "[deg] ICRS right ascension of the pointing"),
        ("DEC", facts.dec_deg, "[deg] ICRS declination of the pointing"),
    ):
        if value is not None:
            yield keyword, value, comment
    for keyword in header:
        if not _WCS.fullmatch(keyword):
            continue
        try:
            value, comment = header[keyword], header.comments[keyword]
        except CARD_ERRORS:
            continue
        if isinstance(value, (str, int, float)):
            yield keyword, value, str(comment)


def _how(job: Job, found: Survey, count: int) -> Iterator[Card]:
    yield "NCOMBINE", count, "frames combined"
    noise = job.noise
    scalars = {**found.scalars}
    measured = job.kind != CALIBRATED_LIGHT and "gain_e_adu" in scalars
    gain = scalars.pop("gain_e_adu", None) if measured else noise.gain_e_adu
    yield "GAIN", _known(gain), "[electron/adu] gain"
    yield "GAINSRC", "measured" if measured else noise.gain_source, "whence the gain is"
    yield "GAINMEAS", measured, "whether this product is what the gain was measured with"
    scalars.pop("gain_e_adu", None)
    if "read_noise_adu" not in scalars:
        scalars["read_noise_adu"] = _nan(noise.read_noise_adu)
    mine = job.kind in (BIAS_STACK, DARK_STACK)
    yield "RDNSRC", "measured" if mine else noise.read_noise_source, "whence the read noise is"
    for name, (keyword, comment) in FIGURES.items():
        if name in scalars:
            yield keyword, _known(scalars[name]), comment
    for i, note in enumerate(found.notes, start=1):
        yield f"NOTE{i}", note, ""
    for bit, (value, (name, meaning)) in enumerate(MASK_BITS.items()):
        yield f"MBIT{bit}", f"{name}: {meaning}", f"mask, value {value}"
    yield "PARTIAL", bool(job.missing), "whether anything is missing"
    for i, reason in enumerate(job.missing, start=1):
        yield f"MISS{i:04d}" if i > 9 else f"MISSING{i}", reason, ""
    for name, setting in sorted(job.settings.items()):
        yield "HISTORY", f"{job.step}: {name} = {setting}", ""


def _origin(
    job: Job, found: Survey, frames: Sequence[Frame], rejected: Mapping[str, str]
) -> Iterator[Card]:
    for i, master in enumerate(job.masters, start=1):
        yield f"MASTER{i}", master.name, "master applied"
        yield f"MROLE{i}", master.kind, "its role"
        yield f"MSHA{i}", master.sha256, "its SHA-256"
    for i, frame in enumerate(frames, start=1):
        plane = f"[{frame.hdu}]" if frame.hdu else ""
        yield f"INP{i:04d}", frame.name + plane, "input"
        yield f"SHA{i:04d}", frame.sha256, "its SHA-256"
    for i, (name, reason) in enumerate(sorted(rejected.items()), start=1):
        yield f"REJ{i:04d}", f"{name}: {reason}", "left out"
    yield "CREATOR", f"TOROS {toros.__version__}", "software"


def _iso(time: datetime) -> str:
    """Write a time as FITS does: UTC without a zone, milliseconds."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


def _mjd(time: datetime) -> float:
    """Return the modified Julian date (UTC) [d]; a leap second counts as the one before it."""
    return round((time - _MJD_ZERO) / timedelta(days=1), 8)


def _rounded(value: object) -> float | None:
    return round(value, 3) if isinstance(value, float) else None


def _known(value: float | None) -> float | None:
    """Write a number with as many digits as mean something, or none if it is unknown."""
    return float(f"{value:.7g}") if value is not None and math.isfinite(value) else None


def _nan(value: float | None) -> float:
    return math.nan if value is None else value
