"""From frames and masters to jobs: what a step has to make, of what, and what is missing."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from toros.config.kinds import Section
from toros.preprocessor.association import Choice, Master, choose_bias, choose_dark, choose_flat
from toros.preprocessor.grouping import Frame, Key, frame_order, group, key_of, same_exposure
from toros.preprocessor.site import DefaultSite, Site, camera_noise
from toros.preprocessor.steps import STEPS, Step
from toros.preprocessor.steps.base import BIAS_STACK, DARK_STACK, FLAT_STACK, CameraNoise

_NAME_LENGTH = 80
_CALIBRATED, _HALF_CALIBRATED, _RAW = 2, 1, 0


@dataclass(frozen=True)
class Job:
    """One product that is to be made: everything that its bytes depend on.

    Attributes
    ----------
    step : str
        Name of the step.
    name : str
        File name of the product: the same for the same recipe, different for any other.
    kind : str
        combination_type of the product.
    key : dict
        What the product is for, as `toros.preprocessor.association.key_of` makes it.
    frames : tuple of Frame
        By (mid-exposure, name).
    masters : tuple of Master
        Bias, darks, flat.
    missing : tuple of str
        What the product lacks, for a person.
    settings : dict
        The step's own settings.
    dark_of : tuple of (str or None)
        Name of the dark stack that each frame is corrected by.
    dark_scale : tuple of float
        Exposure time of each frame in units of its dark's.
    noise : CameraNoise
        Gain and read noise, and whence.
    saturation_adu : float or None
        As configured [ADU]; None for what the file says.
    """

    step: str
    name: str
    kind: str
    key: Key
    frames: tuple[Frame, ...]
    masters: tuple[Master, ...] = ()
    missing: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    dark_of: tuple[str | None, ...] = ()
    dark_scale: tuple[float, ...] = ()
    noise: CameraNoise = field(default_factory=CameraNoise)
    saturation_adu: float | None = None


@dataclass(frozen=True)
class Plan:
    """The jobs of a step, and the frames of its type that are in none, with the reason."""

    jobs: list[Job]
    left_out: list[tuple[str, str]]


def plan(
    step: str,
    frames: Sequence[Frame],
    masters: Sequence[Master],
    settings: Section | None = None,
    site: Site | None = None,
) -> Plan:
    """Plan what a step makes of a batch.

    Parameters
    ----------
    step : str
        A key of `toros.preprocessor.steps.STEPS`.
    frames : sequence of Frame
        All frames of the batch, in any order.
    masters : sequence of Master
        All products so far, in any order; those that are no masters are passed over.
    settings : Section, optional
        The step's own settings.
    site : Site, optional
        What the configuration says of the cameras.

    Returns
    -------
    Plan
        The same for the same input in any order.
    """
    declared, site = STEPS[step], site or DefaultSite()
    own = (settings or declared.settings()).model_dump()
    mine = [frame for frame in frames if frame.facts.frame_type == declared.consumes]
    # Only what is made before this step, so that a plan is the same when a batch is resumed.
    masters = [one for one in masters if one.kind in (*declared.needs, *declared.welcomes)]
    usable, left_out = _sort_out(declared, mine)
    if declared.combines:
        groups = group(usable, declared.group_by, site.temperature_tolerance_c)
    else:
        groups = [[frame] for frame in usable]
    jobs = []
    for frames_of_one in groups:
        job, others = _job(declared, frames_of_one, masters, own, site)
        jobs.append(job)
        left_out += others
    return Plan(jobs, left_out)


def of_unknown_type(frames: Iterable[Frame]) -> list[tuple[str, str]]:
    """List the frames that no step takes, with the reason."""
    return [
        (frame.name, "of unknown type: neither its header nor a site rule says what it is")
        for frame in sorted(frames, key=frame_order)
        if frame.facts.frame_type == "unknown"
    ]


def _sort_out(step: Step, frames: Iterable[Frame]) -> tuple[list[Frame], list[tuple[str, str]]]:
    """Leave out second copies, and darks that correct nothing."""
    usable: list[Frame] = []
    left_out: list[tuple[str, str]] = []
    seen: dict[tuple[str, int], str] = {}
    for frame in sorted(frames, key=frame_order):
        first = seen.setdefault((frame.sha256, frame.hdu), frame.name)
        time_s = frame.facts.exposure_time_s
        if first != frame.name:
            left_out.append((frame.name, f"the same file as {first}"))
        elif "exposure_time_s" in step.group_by and time_s is None:
            left_out.append((frame.name, f"a {step.consumes} without an exposure time"))
        elif "exposure_time_s" in step.group_by and time_s is not None and time_s <= 0:
            left_out.append((frame.name, f"a {step.consumes} of {time_s:g} s"))
        else:
            usable.append(frame)
    return usable, left_out


@dataclass(frozen=True)
class _Fit:
    """What a frame is corrected by."""

    bias: Choice
    dark: Choice
    flat: Choice
    scale: float

    def masters(self) -> list[Master]:
        return [
            choice.master
            for choice in (self.bias, self.dark, self.flat)
            if choice.master is not None
        ]

    @property
    def rank(self) -> int:
        if self.dark.master is not None:
            return _CALIBRATED
        return _HALF_CALIBRATED if self.bias.master is not None else _RAW


def _job(
    step: Step, frames: Sequence[Frame], masters: Sequence[Master], own: dict[str, Any], site: Site
) -> tuple[Job, list[tuple[str, str]]]:
    fits = [_fit(frame, masters, step, site.temperature_tolerance_c) for frame in frames]
    left_out: list[tuple[str, str]] = []
    if DARK_STACK in step.needs:
        # One stack holds no frames of which some still have their bias.
        best = max(fit.rank for fit in fits)
        left_out = [
            (frame.name, f"the others of its group are better calibrated; {fit.dark.reason}")
            for frame, fit in zip(frames, fits, strict=True)
            if fit.rank < best
        ]
        kept = [pair for pair in zip(frames, fits, strict=True) if pair[1].rank == best]
        frames, fits = [frame for frame, _ in kept], [fit for _, fit in kept]
    # A stack has one bias, the first frame's; the others' could differ only in time.
    used = {master.name: master for fit in fits for master in fit.masters()}
    bias = fits[0].bias.master
    inputs = tuple(
        master
        for master in sorted(used.values(), key=lambda one: (one.kind, one.name))
        if master.kind != BIAS_STACK or (bias is not None and master.name == bias.name)
    )
    job = Job(
        step=step.name,
        name="",
        kind=step.makes,
        key=_key(step, frames),
        frames=tuple(frames),
        masters=inputs,
        missing=_missing(step, fits, inputs),
        settings=own,
        dark_of=tuple(fit.dark.master.name if fit.dark.master else None for fit in fits),
        dark_scale=tuple(fit.scale for fit in fits),
        noise=camera_noise(site, frames[0], fits[0].masters(), masters),
        saturation_adu=site.saturation_adu,
    )
    return _named(job), left_out


def _key(step: Step, frames: Sequence[Frame]) -> Key:
    fields = step.group_by if step.combines else ("exposure_time_s", "filter")
    key = key_of(frames, fields)
    if not step.combines:
        key["object_name"] = frames[0].facts.object_name
    return key


def _fit(
    frame: Frame, masters: Sequence[Master], step: Step, temperature_tolerance_c: float
) -> _Fit:
    none, wanted = Choice(None), (*step.needs, *step.welcomes)
    bias = choose_bias(frame, masters, temperature_tolerance_c) if BIAS_STACK in wanted else none
    dark = (
        choose_dark(frame, masters, temperature_tolerance_c, scalable=bias.master is not None)
        if DARK_STACK in wanted
        else none
    )
    flat = choose_flat(frame, masters) if FLAT_STACK in wanted else none
    if flat.master is not None and bias.master is None and dark.master is None:
        # Divided by the flat, the bias would become a pattern that nothing takes off again.
        flat = Choice(
            None, f"flat: {flat.master.name} fits, but cannot be applied to what still has its bias"
        )
    scale = 1.0
    if dark.master is not None:
        dark_s, light_s = dark.master.key["exposure_time_s"], frame.facts.exposure_time_s
        if isinstance(dark_s, (int, float)) and light_s is not None:
            scale = 1.0 if same_exposure(light_s, dark_s) else light_s / dark_s
    return _Fit(bias, dark, flat, scale)


def _missing(step: Step, fits: Sequence[_Fit], inputs: Sequence[Master]) -> tuple[str, ...]:
    """Name what a product lacks; a dark of the same exposure time makes up for a bias."""
    found: list[str] = []
    first = fits[0]
    needs_bias = any(fit.dark.master is None or fit.scale != 1.0 for fit in fits)
    if BIAS_STACK in step.needs and first.bias.master is None and needs_bias:
        found.append(first.bias.reason)
    if DARK_STACK in step.needs:
        found += [fit.dark.reason for fit in fits if fit.dark.master is None]
    if FLAT_STACK in step.needs and first.flat.master is None:
        found.append(first.flat.reason)
    found += [
        f"{master.name} is partial itself: {reason}"
        for master in inputs
        for reason in master.missing
    ]
    return tuple(dict.fromkeys(found))


def _named(job: Job) -> Job:
    """Name a product after what it is, and after a hash of its whole recipe."""
    recipe = {
        "step": job.step,
        "frames": [(frame.name, frame.sha256, frame.hdu) for frame in job.frames],
        "masters": [(master.name, master.sha256) for master in job.masters],
        "missing": job.missing,
        "settings": job.settings,
        "key": job.key,
        "dark_of": job.dark_of,
        "dark_scale": job.dark_scale,
        "noise": repr(job.noise),
        "saturation_adu": job.saturation_adu,
    }
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:10]
    values = {**job.__dict__, "name": f"{_label(job)}_{digest}.fits"}
    return Job(**values)


def _label(job: Job) -> str:
    if not STEPS[job.step].combines:
        stem = PurePosixPath(job.frames[0].name).name
        stem = re.sub(r"(\.(fits?|fts|gz|fz))+$", "", stem, flags=re.IGNORECASE)
        plane = f"-{job.frames[0].hdu}" if len(job.frames[0].facts.hdus) > 1 else ""
        return f"{_slug(stem)}{plane}_calibrated"
    parts = [job.kind]
    time_s, temperature_c = job.key.get("exposure_time_s"), job.key.get("temperature_c")
    if isinstance(time_s, float):
        parts.append(f"{time_s:g}s")
    parts.append(_slug(str(job.key.get("filter") or "")))
    if isinstance(temperature_c, float):
        parts.append(f"{temperature_c:.0f}C")
    return "_".join(part for part in parts if part)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", text).strip("-.")[:_NAME_LENGTH]
