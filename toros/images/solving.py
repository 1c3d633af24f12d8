"""Where on the sky an image is, found blind and without a network.

The search runs in a process of its own (`toros.images.solver`), which is killed at the
deadline: a frame without a solution keeps astrometry.net busy for minutes. What it finds is
verified here against a catalogue before anyone points a telescope by it.

References
----------
.. [1] Lang, D., et al., 2010, AJ 139, 1782: astrometry.net.
.. [2] Calabretta, M. R., Greisen, E. W., 2002, A&A 395, 1077: celestial coordinates in FITS.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from toros.errors import ConfigurationError, Interrupted, NotSolved
from toros.images.placement import placement
from toros.images.sources import Sources, find_sources
from toros.images.star_index import Stars, index_files, read_stars, tycho_catalogue
from toros.images.verification import LEAST_MATCHES, Evidence, verify

SCALE_RANGE_ARCSEC = (0.5, 60.0)
TIMEOUT_S = 20.0

_SOLVER = Path(__file__).with_name("solver.py")
_BRIGHTEST = 100
_LONGEST = 0.8  # ellipticity of what is no star but a trail or a bad column
_POLL_S = 0.05

Card = tuple[str, str | int | float | bool, str]


@dataclass(frozen=True)
class Near:
    """A hint: the centre is within a circle on the sky.

    Attributes
    ----------
    ra_deg, dec_deg : float, ICRS [deg], 0 <= ra < 360
    radius_deg : float [deg]
    """

    ra_deg: float
    dec_deg: float
    radius_deg: float


@dataclass(frozen=True)
class Solution:
    """A verified place on the sky.

    Attributes
    ----------
    cards : tuple of (keyword, value, comment)
        The world coordinate system for a FITS header: TAN with SIP distortion of order 2.
    ra_deg, dec_deg, scale_arcsec, rotation_deg, mirrored
        Where the frame's centre is, and how it lies there, as in
        `toros.images.placement.Placement`.
    matches, found, expected, residual_arcsec, zero_point_mag
        What speaks for it, as in `toros.images.verification.Evidence`.
    index : str
        The index file that had the pattern.
    """

    cards: tuple[Card, ...]
    ra_deg: float
    dec_deg: float
    scale_arcsec: float
    rotation_deg: float
    mirrored: bool
    matches: int
    found: int
    expected: int
    residual_arcsec: float
    zero_point_mag: float
    index: str

    def wcs(self) -> WCS:
        """Return the world coordinate system."""
        return WCS(fits.Header(self.cards))


def check_solver(index_folder: Path | None = None) -> None:
    """Make sure that plates can be solved here.

    Raises
    ------
    ConfigurationError
        The index files or the package astrometry are missing.
    """
    if find_spec("astrometry") is None:
        raise _missing("no module named astrometry")
    index_files(index_folder)


def solve(image: NDArray[Any], *, saturation_adu: float = math.inf, **options: Any) -> Solution:
    """Find where on the sky an image is.

    Parameters
    ----------
    image : ndarray, shape (ny, nx) [ADU]
        Raw or calibrated.
    saturation_adu : float [ADU]
        Where pixels are full.
    **options
        Those of `solve_sources`.

    Returns
    -------
    Solution

    Raises
    ------
    NotSolved, ConfigurationError, Interrupted
        As `solve_sources`.
    """
    sources = find_sources(image, saturation_adu=saturation_adu)
    ny, nx = image.shape
    return solve_sources(sources, (ny, nx), **options)


def solve_sources(
    sources: Sources,
    shape: tuple[int, int],
    *,
    scale_arcsec: tuple[float, float] = SCALE_RANGE_ARCSEC,
    near: Near | None = None,
    index_folder: Path | None = None,
    timeout_s: float = TIMEOUT_S,
    stop: threading.Event | None = None,
) -> Solution:
    """Find where on the sky stars of an image are.

    Parameters
    ----------
    sources : Sources
        The stars.
    shape : (int, int)
        (ny, nx) of the image [pixel].
    scale_arcsec : (float, float)
        Smallest and largest scale of a pixel that are tried [arcsec].
    near : Near, optional
        Where to look; the whole sky by default.
    index_folder : Path, optional
        Folder of astrometry.net's index files; that of Debian's package by default.
    timeout_s : float
        How long the search may take, in real time [s].
    stop : threading.Event, optional
        Ends the search when it is set.

    Returns
    -------
    Solution
        At least ten stars, and 70 % of those that the frame must show, are where it puts
        them.

    Raises
    ------
    NotSolved
        There is no solution, none in time, or none that could be verified.
    ConfigurationError
        The index files or the package astrometry are missing.
    Interrupted
        `stop` was set.
    """
    files = index_files(index_folder)
    stars = sources.select(sources.ellipticity < _LONGEST).select(slice(_BRIGHTEST))
    if len(stars) < LEAST_MATCHES:
        raise NotSolved(
            f"the image shows {len(stars)} stars; at least {LEAST_MATCHES} are needed "
            "(clouds, a closed cover or shutter, or too short an exposure)"
        )
    task = {
        "stars": list(zip(stars.x.tolist(), stars.y.tolist(), strict=True)),
        "scale_arcsec": scale_arcsec,
        "near": near and (near.ra_deg % 360, near.dec_deg, near.radius_deg),
        "indexes": [str(path) for path in files],
        "timeout_s": timeout_s,
    }
    answer = _search(task, timeout_s, stop)
    return _judge(answer, sources, shape, tycho_catalogue(files))


def _search(task: dict[str, Any], timeout_s: float, stop: threading.Event | None) -> Any:
    """Run the solver's process; return its answer.

    Its deadline is real time: it frees the processor, whatever the clock of the night.
    """
    deadline = time.monotonic() + timeout_s
    with subprocess.Popen(
        # -P: the folder of the program holds modules of ours, not of the solver's.
        [sys.executable, "-P", str(_SOLVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, err = _converse(process, json.dumps(task), deadline, timeout_s, stop)
        finally:
            process.kill()
    if process.returncode != 0:
        said = err.strip().splitlines()[-1:] or [f"exit status {process.returncode}"]
        raise NotSolved(f"the solver's process failed: {said[0]}")
    answer = json.loads(out)
    if "missing" in answer:
        raise _missing(answer["missing"])
    if "reason" in answer:
        raise NotSolved(answer["reason"])
    return answer


def _converse(
    process: subprocess.Popen[str],
    text: str,
    deadline: float,
    timeout_s: float,
    stop: threading.Event | None,
) -> tuple[str, str]:
    first: str | None = text
    while True:
        try:
            return process.communicate(first, timeout=_POLL_S)
        except subprocess.TimeoutExpired:
            first = None
            if stop is not None and stop.is_set():
                raise Interrupted("the search for the image's place was ended") from None
            if time.monotonic() > deadline:
                raise NotSolved(f"no solution within {timeout_s:g} s") from None


def _judge(
    answer: Any, sources: Sources, shape: tuple[int, int], catalogue: Path | None
) -> Solution:
    """Make a solution of the solver's answer, if it is true."""
    cards = (*((key, value, text) for key, value, text in answer["cards"]), _FRAME)
    wcs = WCS(fits.Header(cards))
    place = placement(wcs, shape)
    if catalogue is not None and answer["index"].startswith("index-tycho2-"):
        radius = place.scale_arcsec * math.hypot(*shape) / 3600
        stars = read_stars(catalogue, place.ra_deg, place.dec_deg, min(radius, 90.0))
    else:
        stars = _stars_of_match(answer["stars"])
    evidence: Evidence = verify(wcs, shape, place.scale_arcsec, sources, stars)
    return Solution(cards=cards, index=answer["index"], **place._asdict(), **vars(evidence))


_FRAME: Card = ("RADESYS", "ICRS", "Frame of the coordinates")


def _stars_of_match(stars: list[tuple[float, float, dict[str, float]]]) -> Stars:
    """Return the matched index's own stars, for indexes other than Tycho-2's."""
    keys = ("MAG_VT", "mag", "MAG", "phot_g_mean_mag", "j_mag", "J_MAG", "r", "g")
    mags = [next((extra[k] for k in keys if k in extra), math.nan) for _, _, extra in stars]
    table = np.array([(ra, dec) for ra, dec, _ in stars], dtype=np.float64).reshape(-1, 2)
    return Stars(table[:, 0], table[:, 1], np.array(mags, dtype=np.float64))


def _missing(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"plate solving needs the package astrometry ({what}): install it with  "
        "pip install astrometry  (Linux and macOS, CPython)"
    )
