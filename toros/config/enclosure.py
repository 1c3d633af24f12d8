"""Settings of the dome's daemon: the enclosure, its weather, and when it may be open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, PlainValidator, model_validator

from toros.config.hardware import Device
from toros.config.kinds import (
    AbsolutePath,
    DataAddress,
    Flag,
    FrozenDict,
    HostPort,
    Kind,
    Listed,
    Section,
    Text,
    duplicates,
    expected,
    number,
    whole,
)

QUANTITIES = (
    "cloud_cover",
    "dew_point",
    "humidity",
    "pressure",
    "rain_rate",
    "sky_brightness",
    "sky_quality",
    "sky_temperature",
    "star_fwhm",
    "temperature",
    "wind_direction",
    "wind_gust",
    "wind_speed",
)
"""What limits may be set on; `toros.devices.protocols.QUANTITIES` has the units."""

_SOURCES = "one of safety_monitor, observing_conditions, file, url, simulated"
_FIELDS = "a mapping of quantities to the station's names"
Quantity = Annotated[
    Literal[
        "cloud_cover", "dew_point", "humidity", "pressure", "rain_rate", "sky_brightness",
        "sky_quality", "sky_temperature", "star_fwhm", "temperature", "wind_direction",
        "wind_gust", "wind_speed",
    ],
    Kind("one of " + ", ".join(QUANTITIES)),
]  # fmt: skip


def _fields(value: object) -> object:
    if not isinstance(value, Mapping) or not all(
        isinstance(k, str) and isinstance(v, str) for k, v in value.items()
    ):
        raise expected(_FIELDS)
    unknown = sorted(set(value) - {*QUANTITIES, "safe", "time"})
    if unknown:
        raise expected(
            f"{_FIELDS}, from {', '.join((*QUANTITIES, 'safe', 'time'))}; not {unknown[0]!r}"
        )
    return FrozenDict(value)


class WeatherSource(Section):
    """Something that tells of the weather. All must be fresh and say safe."""

    name: Text = Field(alias="Name", description="What messages call it.")
    kind: Annotated[
        Literal["safety_monitor", "observing_conditions", "file", "url", "simulated"],
        Kind(_SOURCES),
    ] = Field(
        alias="Kind",
        description="safety_monitor and observing_conditions are Alpaca devices; file and url "
        "are a weather station's JSON; simulated is the rehearsal's weather.",
    )
    address: HostPort | None = Field(
        None, alias="Address", description="Host and port of the Alpaca server."
    )
    device_number: Annotated[int, *whole(0, 4_000_000_000)] = Field(
        0, alias="Number", description="Number of the device on its server."
    )
    path: AbsolutePath | None = Field(None, alias="Path", description="File of a weather station.")
    url: DataAddress | None = Field(
        None, alias="URL", description="Address of a weather station's data."
    )
    fields: Annotated[Mapping[str, str], PlainValidator(_fields), Kind(_FIELDS)] = Field(
        FrozenDict(),
        alias="Fields",
        description="Of a file or url: the station's name of each quantity (dots lead into "
        "nested data), of time (when it was measured: ISO 8601 in UTC, or unix time) and of "
        "safe (true or false); by default the quantities' own names.",
    )
    timeout_s: Annotated[float, *number(0.1, 60)] = Field(
        3.0, alias="Timeout (s)", description="How long one reading may take."
    )
    age_limit_s: Annotated[float, *number(1, 3600)] = Field(
        60.0, alias="Age Limit (s)", description="What is older counts as unsafe."
    )

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        needs = {
            "safety_monitor": "address",
            "observing_conditions": "address",
            "file": "path",
            "url": "url",
        }
        name = needs.get(self.kind)
        if name is not None and getattr(self, name) is None:
            key = type(self).model_fields[name].alias
            raise expected(f"{key}: a source of the kind {self.kind} needs it")
        return self


class WeatherLimit(Section):
    """A limit of ours on one quantity."""

    quantity: Quantity = Field(alias="Quantity", description="What is limited.")
    above: Annotated[float | None, *number(-1e6, 1e9)] = Field(
        None, alias="Above", description="Bad above this value, in the quantity's unit."
    )
    below: Annotated[float | None, *number(-1e6, 1e9)] = Field(
        None, alias="Below", description="Bad below this value, in the quantity's unit."
    )
    bad_delay_s: Annotated[float, *number(0, 3600)] = Field(
        0.0, alias="Bad Delay (s)", description="How long it must be bad to count as bad."
    )
    good_delay_s: Annotated[float, *number(0, 86400)] = Field(
        300.0,
        alias="Good Delay (s)",
        description="How long it must be good to be good again.",
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.above is None and self.below is None:
            raise expected("Above or Below: a limit needs one of them, or both")
        return self


def _default_limits() -> tuple[WeatherLimit, ...]:
    return (
        WeatherLimit(quantity="rain_rate", above=0.0, bad_delay_s=0.0, good_delay_s=300.0),
        WeatherLimit(quantity="wind_speed", above=12.0, bad_delay_s=90.0, good_delay_s=600.0),
        WeatherLimit(quantity="wind_gust", above=20.0, bad_delay_s=0.0, good_delay_s=600.0),
        WeatherLimit(quantity="humidity", above=85.0, bad_delay_s=90.0, good_delay_s=300.0),
    )


class Weather(Section):
    """When the weather counts as safe."""

    sources: Annotated[
        tuple[WeatherSource, ...], Listed, Kind("a list of sources with Name and Kind")
    ] = Field(
        (),
        alias="Sources",
        description="All that tell of the weather; without any it is unknown, so unsafe.",
    )
    limits: Annotated[tuple[WeatherLimit, ...], Listed, Kind("a list of limits with Quantity")] = (
        Field(
            default_factory=_default_limits,
            alias="Limits",
            description="Our own limits; each applies to every source that measures the quantity. "
            "One on a quantity that no source measures is told as a warning.",
        )
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if twice := duplicates(source.name for source in self.sources):
            raise expected(f"a name of its own for each source; {twice[0]!r} is there twice")
        return self


class Dome(Section):
    """The dome: what it is, and when it may be open."""

    enclosure: Annotated[
        Literal["dome", "clamshell", "roll-off"], Kind("one of dome, clamshell, roll-off")
    ] = Field(
        "dome",
        alias="Enclosure",
        description="A roll-off roof waits for the telescope to park before it closes.",
    )
    device: Device = Field(default_factory=Device, alias="Device", description="The dome itself.")
    mount: Device = Field(
        default_factory=Device,
        alias="Mount",
        description="The mount, so that the dome's daemon can park it by itself when it closes.",
    )
    park_timeout_s: Annotated[float, *number(1, 600)] = Field(
        60.0,
        alias="Park Timeout (s)",
        description="How long a roll-off roof waits for the telescope to park.",
    )
    on_park_timeout: Annotated[Literal["close", "hold"], Kind("one of close, hold")] = Field(
        "close",
        alias="On Park Timeout",
        description="close: the roof closes over a telescope that did not park; hold: it stays, "
        "the alarm is raised, and parking is tried again without end (a roof that would hit "
        "the telescope).",
    )
    lease_s: Annotated[float, *number(10, 30)] = Field(
        20.0,
        alias="Lease (s)",
        description="The dome closes when the night has not renewed its lease for so long.",
    )
    manual_open_limit_s: Annotated[float, *number(60, 43200)] = Field(
        3600.0,
        alias="Manual Open Limit (s)",
        description="An opening by hand ends after this time.",
    )
    override_limit_s: Annotated[float, *number(10, 3600)] = Field(
        600.0,
        alias="Override Limit (s)",
        description="The longest time for which a person may hold off closing in manual mode.",
    )
    shutter_timeout_s: Annotated[float, *number(1, 1200)] = Field(
        120.0,
        alias="Shutter Timeout (s)",
        description="Travel time of the shutter, with a margin; then closing is repeated and the "
        "alarm raised.",
    )
    turn_timeout_s: Annotated[float, *number(1, 1200)] = Field(
        240.0, alias="Turn Timeout (s)", description="Time of the longest turn, with a margin."
    )
    azimuth_tolerance_deg: Annotated[float, *number(0.1, 45)] = Field(
        3.0,
        alias="Azimuth Tolerance (deg)",
        description="How far the slit may be from the telescope's azimuth.",
    )
    slaved: Flag = Field(
        default=True, alias="Slaved", description="The dome follows the telescope's azimuth."
    )
    open_sun_altitude_deg: Annotated[float, *number(-18, 90)] = Field(
        5.0,
        alias="Open Sun Altitude (deg)",
        description="The dome is open only while the sun is below this altitude; 90 for always. "
        "Without the observatory's place it does not open, unless this is 90.",
    )
    safe_before_opening_s: Annotated[float, *number(0, 7200)] = Field(
        600.0,
        alias="Safe Before Opening (s)",
        description="How long the weather must have been safe before an opening.",
    )
    alarm_interval_s: Annotated[float, *number(10, 86400)] = Field(
        600.0,
        alias="Alarm Interval (s)",
        description="How often an alarm that goes on is mailed again.",
    )
    heartbeat_path: AbsolutePath | None = Field(
        None,
        alias="Heartbeat Path",
        description="A file or device that is written to once a second while the control loop "
        "gets on and the dome is as it should be: for a relay or controller that closes it when "
        "that stops.",
    )
    weather: Weather = Field(
        default_factory=Weather, alias="Weather", description="When the weather counts as safe."
    )
