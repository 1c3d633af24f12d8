"""What the preprocessor knows of a frame, in standard words and units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeAlias, get_args

FrameType: TypeAlias = Literal["bias", "dark", "flat", "light", "unknown"]
FRAME_TYPES: tuple[FrameType, ...] = get_args(FrameType)


class HeaderRule(Protocol):
    """One site rule of the configuration (`Header Rules`), as far as it is read here.

    A rule applies to a frame when every condition it states holds.

    Attributes
    ----------
    file_name : str or None
        Shell pattern on the path inside the batch folder and on the bare name,
        upper and lower case alike.
    header : mapping of str to str
        Keyword to shell pattern on the header's value.
    set : mapping of str to value or None
        Quantity (type, filter, exposure_time_s, temperature_c, instrument) to
        the value it gets; None removes what the header says.
    keywords : mapping of str to str
        Quantity (those above and start_utc) to the keyword to read it from first.
    """

    @property
    def file_name(self) -> str | None: ...  # noqa: D102
    @property
    def header(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def set(self) -> Mapping[str, str | float | None]: ...  # noqa: D102
    @property
    def keywords(self) -> Mapping[str, str]: ...  # noqa: D102


@dataclass(frozen=True)
class FrameFacts:
    """One frame, as its headers and the site's rules describe it.

    Attributes
    ----------
    frame_type : {"bias", "dark", "flat", "light", "unknown"}
        Never guessed: what neither a header nor a rule says is "unknown".
    start_utc : datetime or None
        Start of the exposure, aware, UTC.
    exposure_time_s : float or None
        Exposure time [s], >= 0.
    filter : str or None
        Name of the filter as the camera writes it; several wheels joined by "+".
    temperature_c : float or None
        Measured temperature of the detector [deg C], never the set point.
    shape : tuple of int
        (ny, nx) of each image in `hdus` [pixel].
    hdus : tuple of int
        The HDUs, counted from 0, that hold pixels of this camera.
    binning : str or None
        "2x1" is two columns by one row.
    gain_e_adu : float or None
        Gain [electron/ADU], only when plausible.
    gain_setting : str or None
        The camera's gain or ISO setting as written.
    instrument, telescope, object_name : str or None
        As written.
    bayer : str or None
        Colour pattern of the detector, e.g. "RGGB".
    ra_deg, dec_deg : float or None
        Pointing, ICRS [deg], 0 <= ra < 360, -90 <= dec <= 90.
    notes : tuple of str
        Why a value is missing or was corrected, for a person.
    """

    frame_type: FrameType
    start_utc: datetime | None
    exposure_time_s: float | None
    filter: str | None
    temperature_c: float | None
    shape: tuple[int, int]
    hdus: tuple[int, ...]
    binning: str | None = None
    gain_e_adu: float | None = None
    gain_setting: str | None = None
    instrument: str | None = None
    telescope: str | None = None
    bayer: str | None = None
    object_name: str | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    notes: tuple[str, ...] = ()
