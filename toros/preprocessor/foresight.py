"""What a run would make of frames, before anything is run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from toros.preprocessor.association import Master
from toros.preprocessor.grouping import Frame
from toros.preprocessor.planning import Plan, of_unknown_type, plan
from toros.preprocessor.site import Site
from toros.preprocessor.stepping import StepSettings

_RECIPE = re.compile(r"_[0-9a-f]{10}\.fits$")


def foresee(
    frames: Sequence[Frame], steps: Sequence[StepSettings], site: Site
) -> list[tuple[str, Plan]]:
    """Plan every step as if each before it made all that it plans.

    What a step finds out only from the pixels (a saturated flat, say) is not foreseen.

    Parameters
    ----------
    frames : sequence of Frame
    steps : sequence of StepSettings
        In their order.
    site : Site
        What the configuration says of the cameras.
    """
    masters: list[Master] = []
    plans = []
    for step in steps:
        planned = plan(step.name, frames, masters, step.settings, site)
        plans.append((step.name, planned))
        masters += [
            Master(
                path="", name=job.name, sha256="", kind=job.kind, key=job.key, missing=job.missing
            )
            for job in planned.jobs
        ]
    return plans


def describe(plans: Sequence[tuple[str, Plan]], frames: Sequence[Frame]) -> Iterator[str]:
    """Write plans for a person, a line for each product and each frame that is left out."""
    for step, planned in plans:
        yield f"{step}: {len(planned.jobs)} to make"
        for job in planned.jobs:
            # The recipe's hash at the end of the name holds those of masters not made yet.
            name = _RECIPE.sub("", job.name)
            of = job.frames[0].name if len(job.frames) == 1 else f"{len(job.frames)} frames"
            yield f"  {name} of {of}"
            yield from (f"      PARTIAL, missing: {missing}" for missing in job.missing)
        for name, reason in planned.left_out:
            yield f"  not {name}: {reason}"
    unknown = of_unknown_type(frames)
    if unknown:
        yield f"used by no step: {len(unknown)}"
        for reason in sorted({reason for _, reason in unknown}):
            yield f"  {reason}:"
            yield from (f"    {name}" for name, found in unknown if found == reason)
