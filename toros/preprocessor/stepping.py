"""The configured steps: which, in which order, with which settings."""

from __future__ import annotations

from dataclasses import dataclass

from toros.config import Section, Settings, check
from toros.errors import ConfigurationError
from toros.preprocessor.steps import STEPS


@dataclass(frozen=True)
class StepSettings:
    """A step of the configuration.

    Attributes
    ----------
    name : str
        The step, a key of `toros.preprocessor.steps.STEPS`.
    settings : Section
        Its own settings, checked.
    """

    name: str
    settings: Section


def configured_steps(settings: Settings) -> tuple[StepSettings, ...]:
    """Return the configured steps in their order.

    Raises
    ------
    ConfigurationError
        A step is unknown or named twice, or a setting of its own is wrong.
    """
    chosen: dict[str, StepSettings] = {}
    for number, choice in enumerate(settings.preprocessor.steps):
        place = settings.where("Preprocessor", "Steps", number)
        if choice.step not in STEPS:
            raise ConfigurationError(
                f"{place}: there is no step {choice.step!r}; expected one of {', '.join(STEPS)}"
            )
        if choice.step in chosen:
            raise ConfigurationError(f"{place}: the step {choice.step!r} is named twice")
        model = STEPS[choice.step].settings
        own = check(model, choice.settings, settings, "Preprocessor", "Steps", number)
        chosen[choice.step] = StepSettings(choice.step, own)
    return tuple(chosen.values())
