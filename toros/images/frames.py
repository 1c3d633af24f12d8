"""A frame's file to its facts."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from toros.errors import UnusableFrame
from toros.images.cards import CARD_ERRORS
from toros.images.dialects import translate
from toros.images.facts import FrameFacts, HeaderRule
from toros.images.keywords import AUXILIARY_EXTENSION, SCIENCE_EXTENSION
from toros.images.layout import HduLayout, read_layout, readable
from toros.images.pixels import read_scaling

_AUXILIARY = re.compile(AUXILIARY_EXTENSION, re.IGNORECASE)


def read_facts(
    path: Path, name: str, rules: Sequence[HeaderRule], frame_limit_mpixel: float
) -> FrameFacts:
    """Say what a file is, from its headers and the site's rules.

    Only headers are read; a gzipped file is inflated on the way, block by block.

    Parameters
    ----------
    path : Path
        The file: FITS, plain, gzipped or tile-compressed (``.fz``). What it is
        shows in its content, not in its name.
    name : str
        Its path inside the batch folder, for rules on file names.
    rules : sequence of HeaderRule
        The site's rules.
    frame_limit_mpixel : float
        Most pixels of one image [1e6 pixel].

    Returns
    -------
    FrameFacts

    Raises
    ------
    UnusableFrame
        The file is no frame that can be calibrated; the message is the reason,
        without the file's name. Nothing else is raised whatever the file holds,
        and neither memory nor time go with what its headers claim.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy's remarks on odd cards
        with readable(Path(path)) as file:
            layout = read_layout(file, frame_limit_mpixel)
        images, notes = camera_images(layout)
        for image in images:
            read_scaling(image)
        headers = [layout[0].header]
        if images[0].index != 0:
            headers.append(images[0].header)
        shape = (images[0].shape[0], images[0].shape[1])
        hdus = tuple(image.index for image in images)
        return translate(headers, name, rules, shape=shape, hdus=hdus, notes=notes)


def camera_images(layout: Sequence[HduLayout]) -> tuple[list[HduLayout], list[str]]:
    """Choose the HDUs that hold pixels of the camera.

    Images of two axes, both longer than 1; of these the ones named SCI if there
    are any, else all but those named as variances, masks, weights and the like;
    of these the ones of the first one's shape.

    Returns
    -------
    list of HduLayout
        At least one.
    list of str
        Remarks on what was left out.

    Raises
    ------
    UnusableFrame
        There is none.
    """
    images = [hdu for hdu in layout if hdu.kind != "other" and _is_frame(hdu.shape)]
    science = [hdu for hdu in images if _extension_name(hdu) == SCIENCE_EXTENSION]
    chosen = science or [hdu for hdu in images if not _AUXILIARY.fullmatch(_extension_name(hdu))]
    if not chosen:
        what = "; ".join(_what(hdu) for hdu in layout[:5])
        raise UnusableFrame(f"no image of two axes that a camera could have made: {what}")
    same = [hdu for hdu in chosen if hdu.shape == chosen[0].shape]
    others = [hdu for hdu in images if hdu not in same]
    notes = [f"left out: {_what(hdu)}" for hdu in others]
    return same, notes


def _is_frame(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and min(shape) > 1


def _extension_name(hdu: HduLayout) -> str:
    try:
        return str(hdu.header.get("EXTNAME", "")).strip().upper()
    except CARD_ERRORS:
        return ""


def _what(hdu: HduLayout) -> str:
    name = _extension_name(hdu)
    label = f"HDU {hdu.index}" + (f" ({name})" if name else "")
    size = " x ".join(str(axis) for axis in reversed(hdu.shape[:5]))
    if hdu.kind == "other":
        return f"{label} is a table"
    if not hdu.shape or 0 in hdu.shape:
        return f"{label} has no data"
    if _is_frame(hdu.shape):
        return f"{label} is an image of {size} pixels, by its name or shape not the camera's"
    return f"{label} has {len(hdu.shape)} axes ({size})"
