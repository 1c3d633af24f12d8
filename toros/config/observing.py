"""Settings of the telescope's daemon: devices, limits, the night, its plan, its frames."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from toros.config.hardware import Device
from toros.config.kinds import (
    AbsolutePath,
    Flag,
    Kind,
    Listed,
    Section,
    Text,
    WebAddress,
    expected,
    number,
    whole,
)

_HORIZON = "a list of azimuth and altitude, such as - {Azimuth (deg): 90, Altitude (deg): 35}"


class HorizonPoint(Section):
    """A point of the line below which the site sees no sky."""

    azimuth_deg: Annotated[float, *number(0, 360, "degrees")] = Field(
        alias="Azimuth (deg)", description="From north over east."
    )
    altitude_deg: Annotated[float, *number(-10, 90, "degrees")] = Field(
        alias="Altitude (deg)", description="The lowest altitude that is seen there."
    )


class Limits(Section):
    """Where the telescope may point. They hold while it tracks, too."""

    altitude_deg: Annotated[float, *number(0, 89)] = Field(
        15.0, alias="Altitude (deg)", description="The mount never points lower."
    )
    sun_distance_deg: Annotated[float, *number(0, 90)] = Field(
        30.0,
        alias="Sun Distance (deg)",
        description="The mount never points nearer to the sun while that is above -6 degrees.",
    )
    hour_angle_h: Annotated[float, *number(0.1, 12)] = Field(
        12.0,
        alias="Hour Angle (h)",
        description="The largest hour angle on either side of the meridian; 12 for none.",
    )
    pier_past_h: Annotated[float, *number(0, 12)] = Field(
        12.0,
        alias="Past Meridian (h)",
        description="How far a German mount tracks past the meridian; 12 for mounts without a "
        "pier.",
    )
    horizon: Annotated[tuple[HorizonPoint, ...], Listed, Kind(_HORIZON)] = Field(
        (), alias="Horizon", description="The horizon's mask, joined by straight lines."
    )


class Observability(Section):
    """When a target can be observed."""

    altitude_deg: Annotated[float, *number(0, 89)] = Field(
        30.0, alias="Altitude (deg)", description="Targets are observed above this altitude."
    )
    airmass: Annotated[float, *number(1, 10)] = Field(
        2.0, alias="Airmass", description="Targets are observed up to this airmass."
    )
    moon_distance_deg: Annotated[float, *number(0, 180)] = Field(
        30.0, alias="Moon Distance (deg)", description="The nearest to the moon while it is up."
    )
    sun_altitude_deg: Annotated[float, *number(-24, 0)] = Field(
        -15.0, alias="Sun Altitude (deg)", description="Targets are observed with the sun below."
    )


class Planning(Observability):
    """What the scheduler asks of a target, and how it counts time."""

    slew_rate_deg_s: Annotated[float, *number(0.05, 90)] = Field(
        2.0, alias="Slew Rate (deg/s)", description="How fast mount and dome turn together."
    )
    settle_s: Annotated[float, *number(0, 300)] = Field(
        5.0, alias="Settle (s)", description="After a slew, before an exposure."
    )
    readout_s: Annotated[float, *number(0, 600)] = Field(
        5.0, alias="Readout (s)", description="Between two exposures."
    )
    filter_change_s: Annotated[float, *number(0, 300)] = Field(
        5.0, alias="Filter Change (s)", description="To turn the filter wheel."
    )
    on_alert: Annotated[Literal["finish", "cut"], Kind("one of finish, cut")] = Field(
        "finish",
        alias="On Alert",
        description="What an interrupting target does to the running exposure: finish lets it end, "
        "cut ends it; nothing that was read out is lost.",
    )


class Calibration(Section):
    """Which calibration frames a night takes by itself."""

    biases: Annotated[int, *whole(0, 1000)] = Field(
        10, alias="Biases", description="Biases of a night."
    )
    darks: Annotated[int, *whole(0, 1000)] = Field(
        5, alias="Darks", description="Darks for each exposure time that the night has used."
    )
    flats: Annotated[int, *whole(0, 1000)] = Field(
        5, alias="Flats", description="Flats for each filter that the plan asks for."
    )
    flat_light: Annotated[Literal["sky", "lamp", "none"], Kind("one of sky, lamp, none")] = Field(
        "sky", alias="Flat Light", description="sky: the twilight; lamp: the flat field lamp."
    )
    flat_level_adu: Annotated[float, *number(100, 1e6)] = Field(
        25000.0, alias="Flat Level (ADU)", description="Median that flats are exposed to."
    )
    flat_tolerance: Annotated[float, *number(0.01, 0.9)] = Field(
        0.3, alias="Flat Tolerance", description="Relative distance from the level that is kept."
    )
    flat_exposure_min_s: Annotated[float, *number(0.001, 60)] = Field(
        1.0, alias="Flat Shortest (s)", description="Shortest exposure of a flat."
    )
    flat_exposure_max_s: Annotated[float, *number(0.01, 600)] = Field(
        60.0, alias="Flat Longest (s)", description="Longest exposure of a flat."
    )
    lamp_brightness: Annotated[float, *number(0, 1)] = Field(
        0.5, alias="Lamp Brightness", description="Of the flat field lamp, 0 to 1."
    )


class PointingCorrection(Section):
    """Whether pointing is corrected by solving a short exposure."""

    solve: Flag = Field(
        default=False, alias="Solve", description="Solve a short exposure after each slew."
    )
    exposure_s: Annotated[float, *number(0.1, 120)] = Field(
        5.0, alias="Exposure (s)", description="Of the exposure that is solved."
    )
    tolerance_arcsec: Annotated[float, *number(0.5, 3600)] = Field(
        30.0, alias="Tolerance (arcsec)", description="What is nearer is good enough."
    )
    attempts: Annotated[int, *whole(1, 10)] = Field(
        3, alias="Attempts", description="Corrections before the target is left."
    )
    pixel_scale_arcsec: Annotated[float | None, *number(0.05, 120)] = Field(
        None,
        alias="Pixel Scale (arcsec)",
        description="Scale of an unbinned pixel, within 10 %; null: 0.5 to 60 are tried.",
    )
    index_folder: AbsolutePath | None = Field(
        None,
        alias="Index Folder",
        description="Folder of astrometry.net's index files; null: that of Debian's "
        "astrometry-data-tycho2.",
    )
    timeout_s: Annotated[float, *number(1, 600)] = Field(
        20.0, alias="Timeout (s)", description="How long one solution may take."
    )


class FocusRun(Section):
    """Whether, and how, the night looks for the focus by itself."""

    at_start: Flag = Field(
        default=False, alias="At Start", description="A focus run when the night opens."
    )
    step: Annotated[int, *whole(1, 1_000_000)] = Field(
        100, alias="Step", description="Between two positions of the V-curve [steps]."
    )
    positions: Annotated[int, *whole(5, 31)] = Field(
        9, alias="Positions", description="Of the V-curve."
    )
    exposure_s: Annotated[float, *number(0.1, 300)] = Field(
        5.0, alias="Exposure (s)", description="Of each."
    )


class Telescope(Section):
    """The telescope and its nights."""

    stage: Annotated[int, *whole(1, 3)] = Field(
        1,
        alias="Stage",
        description="1: plans only, devices by hand; 2: devices by request, the night by hand; "
        "3: the night runs itself.",
    )
    mount: Device = Field(default_factory=Device, alias="Mount", description="The mount.")
    camera: Device = Field(default_factory=Device, alias="Camera", description="The camera.")
    filter_wheel: Device = Field(
        default_factory=Device, alias="Filter Wheel", description="The filter wheel."
    )
    focuser: Device = Field(default_factory=Device, alias="Focuser", description="The focuser.")
    cover: Device = Field(
        default_factory=Device, alias="Cover", description="Mirror cover and flat field lamp."
    )
    filters: Annotated[tuple[Text, ...], Listed, Kind("a list of filters' names")] = Field(
        (),
        alias="Filters",
        description="Names of the wheel's filters by position; by default as the wheel tells them.",
    )
    name: Text = Field(
        "TOROS", alias="Name", description="Name of the telescope (TELESCOP in the headers)."
    )
    observer: Text = Field(
        "TOROS", alias="Observer", description="OBSERVER in the headers, where no user is known."
    )
    focal_length_mm: Annotated[float | None, *number(1, 200000)] = Field(
        None, alias="Focal Length (mm)", description="For the headers and the field of view."
    )
    aperture_mm: Annotated[float | None, *number(1, 100000)] = Field(
        None, alias="Aperture (mm)", description="For the headers."
    )
    field_width_deg: Annotated[float, *number(0.01, 30)] = Field(
        0.5, alias="Field Width (deg)", description="Of the camera's field of view, east-west."
    )
    field_height_deg: Annotated[float, *number(0.01, 30)] = Field(
        0.5, alias="Field Height (deg)", description="Of the field of view, north-south."
    )
    temperature_c: Annotated[float | None, *number(-120, 40)] = Field(
        None, alias="Temperature (C)", description="The sensor is cooled to; null: left as it is."
    )
    binning: Annotated[int, *whole(1, 16)] = Field(1, alias="Binning", description="Of all frames.")
    exposures_folder: AbsolutePath | None = Field(
        None,
        alias="Exposures Folder",
        description="Where exposures are stored, a folder for each night; by default incoming in "
        "the State Folder, where the preprocessor may take them.",
    )
    archive_folders: Annotated[
        tuple[AbsolutePath, ...], Listed, Kind("a list of absolute paths")
    ] = Field(
        (),
        alias="Archive Folders",
        description="Folders below which store_images may copy exposures.",
    )
    free_space_reserve_mb: Annotated[float, *number(0, 1e9)] = Field(
        1000.0,
        alias="Free Space Reserve (MB)",
        description="Disk space kept free; with less no exposure is begun.",
    )
    limits: Limits = Field(
        default_factory=Limits, alias="Limits", description="Where the telescope may point."
    )
    planning: Planning = Field(
        default_factory=Planning, alias="Planning", description="What the scheduler goes by."
    )
    calibration: Calibration = Field(
        default_factory=Calibration, alias="Calibration", description="Calibration frames."
    )
    pointing: PointingCorrection = Field(
        default_factory=PointingCorrection, alias="Pointing", description="Pointing by solving."
    )
    focus: FocusRun = Field(default_factory=FocusRun, alias="Focus", description="Focus runs.")
    tell: Annotated[tuple[WebAddress, ...], Listed, Kind("a list of addresses")] = Field(
        (),
        alias="Tell",
        description="Web addresses that are told what becomes of a night, by an HTTP POST of JSON.",
    )
    stop_timeout_s: Annotated[float, *number(0, 3600)] = Field(
        60.0,
        alias="Stop Timeout (s)",
        description="Time to bring the telescope to a safe state when the daemon is stopped.",
    )

    @model_validator(mode="after")
    def _has_what_its_stage_needs(self) -> Self:
        if self.stage > 1:
            for name, key in (("mount", "Mount"), ("camera", "Camera")):
                if getattr(self, name).driver == "none":
                    raise expected(f"{key} / Driver: stage {self.stage} needs a {name}, not none")
        shortest, longest = (
            self.calibration.flat_exposure_min_s,
            self.calibration.flat_exposure_max_s,
        )
        if shortest >= longest:
            raise expected("Calibration: Flat Shortest (s) below Flat Longest (s)")
        return self
