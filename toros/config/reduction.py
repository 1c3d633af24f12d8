"""Settings of the preprocessor: its work, its sources, its steps, a site's header rules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from toros.config.kinds import (
    AbsolutePath,
    Flag,
    FrozenDict,
    GivenKeys,
    HostName,
    Kind,
    Listed,
    Section,
    Text,
    expected,
    freeze,
    number,
    whole,
)

DEFAULT_STEPS = ("stack_bias", "stack_dark", "stack_flat", "correct_light")

_CARD = "a FITS keyword, such as EXPTIME"
_PATTERNS = "a mapping of FITS keywords to patterns, such as {IMAGETYP: 'Light*'}"


def _keyword(value: str) -> str:
    # FITS standard 4.0, section 4.1.2.1, and the HIERARCH convention's longer names.
    if not value.isascii() or not value.isprintable() or "=" in value or not value.strip():
        raise expected(_CARD)
    return value.strip().upper()


def _patterns(value: object) -> object:
    if not isinstance(value, Mapping):
        raise expected(_PATTERNS)
    checked: dict[str, str] = {}
    for key, pattern in value.items():
        if not isinstance(key, str) or not isinstance(pattern, str):
            raise expected(f"{_PATTERNS}; a pattern that looks like a number needs quotes")
        checked[_keyword(key)] = pattern
    return FrozenDict(checked)


Keyword = Annotated[Text, AfterValidator(_keyword), Kind(_CARD)]


class Overrides(Section):
    """Values that a rule sets; null says that the frame has none."""

    # Here a key without a value means something: the value is removed.
    null_means_default: ClassVar[bool] = False

    type: Annotated[
        Literal["bias", "dark", "flat", "light", "unknown"] | None,
        Kind("one of bias, dark, flat, light, unknown"),
    ] = Field(None, description="Type of the frame.")
    filter: Text | None = Field(None, description="Name of the filter.")
    exposure_time_s: Annotated[float | None, *number(0, 1e6, "seconds")] = Field(
        None, description="Exposure time [s]."
    )
    temperature_c: Annotated[float | None, *number(-273.15, 100, "degrees Celsius")] = Field(
        None, description="Temperature of the sensor [C]."
    )
    instrument: Text | None = Field(None, description="Name of the camera.")


class KeywordChoices(Section):
    """Header keywords that a rule reads values from."""

    type: Keyword | None = Field(None, description="Keyword of the type of the frame.")
    filter: Keyword | None = Field(None, description="Keyword of the filter.")
    exposure_time_s: Keyword | None = Field(None, description="Keyword of the exposure time [s].")
    temperature_c: Keyword | None = Field(
        None, description="Keyword of the temperature of the sensor [C]."
    )
    instrument: Keyword | None = Field(None, description="Keyword of the name of the camera.")
    start_utc: Keyword | None = Field(
        None, description="Keyword of the start of the exposure (UTC)."
    )


class HeaderRule(Section):
    """What a site knows about its frames that their headers do not say, or say wrongly.

    The rule applies to a frame whose file name and header both match. Of
    several rules the later wins over the earlier, and each over what the
    preprocessor would read by itself.
    """

    file_name: Text | None = Field(
        None,
        alias="File Name",
        description="Pattern (*, ?, [abc]) of the file's name or of its path in the batch, "
        "in any case of letters; null for every file.",
    )
    header: Annotated[Mapping[str, str], PlainValidator(_patterns), Kind(_PATTERNS)] = Field(
        FrozenDict(),
        alias="Header",
        description="Patterns that the header's values must match; none for every header.",
    )
    set: Annotated[
        Mapping[str, str | float | None], GivenKeys(Overrides), Kind("a mapping of values")
    ] = Field(
        FrozenDict(),
        alias="Set",
        description="Values that are set, whatever the header says; null removes one.",
    )
    keywords: Annotated[
        Mapping[str, str], GivenKeys(KeywordChoices), Kind("a mapping of FITS keywords")
    ] = Field(
        FrozenDict(), alias="Keywords", description="Header keywords that values are read from."
    )

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.set and not self.keywords:
            raise expected("a rule with at least one value under Set or Keywords")
        return self


def _settings(value: object) -> object:
    return freeze(value) if isinstance(value, Mapping) else value


class StepChoice(Section):
    """One step, with settings of its own as further keys.

    The step itself knows and checks them (`toros.config.check`).
    """

    step: Text = Field(alias="Step", description="Name of the step.")
    settings: Annotated[Mapping[str, Any], PlainValidator(_settings)] = FrozenDict()

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: object) -> object:
        if isinstance(data, str):
            raise expected("a key before the step's name, such as - Step: stack_bias")
        if not isinstance(data, dict) or "step" in data:
            return data
        own = {key: value for key, value in data.items() if key != "Step"}
        return {**{key: data[key] for key in ("Step",) if key in data}, "settings": own}


class Sources(Section):
    """Where file batches may come from, and how large they may be."""

    folders: Annotated[tuple[AbsolutePath, ...], Listed, Kind("a list of absolute paths")] = Field(
        (),
        alias="Folders",
        description="Folders below which a url may point; by default incoming in the State Folder.",
    )
    hosts: Annotated[tuple[HostName, ...], Listed, Kind("a list of hosts")] = Field(
        (),
        alias="Hosts",
        description="Hosts that files may be fetched from by http(s); none listed for any "
        "public host.",
    )
    private_addresses: Flag = Field(
        default=False,
        alias="Private Addresses",
        description="Files may be fetched from addresses of private networks and this machine.",
    )
    download_limit_mb: Annotated[float, *number(1, 1e9)] = Field(
        20000.0,
        alias="Download Limit (MB)",
        description="Largest size of what is fetched, and of what an archive unpacks to.",
    )
    members_limit: Annotated[int, *whole(1, 10_000_000)] = Field(
        20000, alias="Members Limit", description="Most files in one archive or listing."
    )
    ratio_limit: Annotated[float, *number(1, 1e6)] = Field(
        200.0,
        alias="Ratio Limit",
        description="Largest ratio of an archive's unpacked to its packed size.",
    )
    timeout_s: Annotated[float, *number(0.1, 86400)] = Field(
        60.0, alias="Timeout (s)", description="Time without any data after which a fetch fails."
    )
    frame_limit_mpixel: Annotated[float, *number(0.001, 1e6)] = Field(
        400.0, alias="Frame Limit (Mpixel)", description="Most pixels of one frame."
    )


class Preprocessor(Section):
    """How the preprocessor works."""

    orders_at_a_time: Annotated[int, *whole(1, 64)] = Field(
        1,
        alias="Orders at a Time",
        description="1: one order after another; more: so many at a time.",
    )
    processes: Annotated[int, *whole(1, 1024)] = Field(
        2, alias="Processes", description="Processes that share the work inside a step."
    )
    memory_limit_mb: Annotated[float, *number(64, 1e7)] = Field(
        1024.0, alias="Memory Limit (MB)", description="Memory for one stack."
    )
    stop_timeout_s: Annotated[float, *number(0, 3600)] = Field(
        30.0,
        alias="Stop Timeout (s)",
        description="Time to finish or checkpoint the running step when the daemon is stopped.",
    )
    free_space_reserve_mb: Annotated[float, *number(0, 1e9)] = Field(
        1000.0,
        alias="Free Space Reserve (MB)",
        description="Disk space kept free; with less no new work is begun.",
    )
    on_step_error: Annotated[Literal["stop", "continue"], Kind("one of stop, continue")] = Field(
        "continue",
        alias="On Step Error",
        description="After an error in a step: continue with the next step, or stop.",
    )
    temperature_tolerance_c: Annotated[float, *number(0, 100)] = Field(
        1.0,
        alias="Temperature Tolerance (C)",
        description="Largest difference of sensor temperatures within a stack, and between "
        "a dark and what it corrects.",
    )
    gain_e_adu: Annotated[float | None, *number(1e-4, 1e4)] = Field(
        None,
        alias="Gain (electron/ADU)",
        description="Gain of the camera; null: measured from the frames, or else the header's.",
    )
    read_noise_e: Annotated[float | None, *number(0, 1e4)] = Field(
        None,
        alias="Read Noise (electron)",
        description="Read noise of the camera, 1 sigma; null: measured from the frames.",
    )
    saturation_adu: Annotated[float | None, *number(1, 1e10)] = Field(
        None,
        alias="Saturation (ADU)",
        description="Level from which on a pixel is masked as saturated; null: the header's, "
        "or the largest value that the file's integers can hold.",
    )
    sources: Sources = Field(
        default_factory=Sources, alias="Sources", description="Where file batches may come from."
    )
    steps: Annotated[
        tuple[StepChoice, ...], Listed, Kind("a list of steps, such as - Step: stack_bias")
    ] = Field(
        tuple(StepChoice(step=name) for name in DEFAULT_STEPS),
        alias="Steps",
        description="The steps, in their order, each with settings of its own as further keys.",
    )
    header_rules: Annotated[
        tuple[HeaderRule, ...], Listed, Kind("a list of rules (File Name, Header, Set, Keywords)")
    ] = Field(
        (),
        alias="Header Rules",
        description="What the site knows better than its headers; the later rule wins.",
    )


def default_folders(state_folder: Path) -> tuple[Path, ...]:
    """Return the folders that file batches may come from unless others are named."""
    return (state_folder / "incoming",)
