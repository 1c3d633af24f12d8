"""Loading the configuration: once, whole, and checked before anything starts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from toros.config.checks import USED_SECTIONS, problems_between
from toros.config.document import Document, read_document
from toros.config.kinds import FrozenDict
from toros.config.problems import Problem, got, problems_of
from toros.config.secrets import outside_secrets
from toros.config.sections import SERVICES, Origin, Settings
from toros.config.shape import Place, fields_of, line_of, look_up, where
from toros.errors import ConfigurationError

Model = TypeVar("Model", bound=BaseModel)
AnySection = TypeVar("AnySection", bound=BaseModel)


def load(
    path: Path, service: str | None = None, *, environ: Mapping[str, str] | None = None
) -> Settings:
    """Load the configuration file of a network node.

    Parameters
    ----------
    path : Path
        The file.
    service : str, optional
        The daemon that loads it, one of `SERVICES`. A mistake in a section
        that it does not use is a warning, and the section has its defaults.
        Without it all sections are checked alike.
    environ : mapping, optional
        The environment's variables, for secrets; by default those of this process.

    Returns
    -------
    Settings
        Frozen, with `Settings.source`, `Settings.sha256` and `Settings.warnings`.

    Raises
    ------
    ConfigurationError
        Lists every mistake on a line of its own as
        ``FILE:LINE: Section / Key: what was found; what would be right``.
    """
    if service is not None and service not in SERVICES:
        raise ValueError(f"no service {service!r}; expected one of {', '.join(SERVICES)}")
    document = read_document(path)
    settings, problems = _build(document)
    settings = _with_secrets(settings, os.environ if environ is None else environ)
    broken = {problem.place[0] for problem in problems if problem.place}
    problems += [
        problem
        for problem in problems_between(settings, service)
        if broken.isdisjoint((problem.place[0], *problem.depends))
    ]
    problems += _open_secrets(document)
    fatal = [problem for problem in problems if _is_fatal(problem, service)]
    if fatal:
        raise ConfigurationError("\n".join(_texts(document, fatal)))
    warnings = tuple(_texts(document, (_softened(problem, broken) for problem in problems)))
    settings._origin = Origin(path, document.sha256, warnings, FrozenDict(document.lines))
    return settings


def check(
    model: type[Model], data: Mapping[str, object], settings: Settings, *place: str | int
) -> Model:
    """Check settings that the configuration only keeps, such as those of a step.

    Parameters
    ----------
    model : type
        The model that they must fit.
    data : mapping
        The settings.
    settings : Settings
        Where they come from.
    *place : str or int
        Their place, such as ``"Preprocessor", "Steps", 0``.

    Raises
    ------
    ConfigurationError
        They do not fit; in the words of `load`.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigurationError(
            "\n".join(
                f"{settings.where(*place, *problem.place)}: {problem.text}"
                for problem in problems_of(error, model)
            )
        ) from None


def _build(document: Document) -> tuple[Settings, list[Problem]]:
    """Make settings of what is right, with defaults for the sections that are not."""
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        return Settings(), [Problem((), f"{got(data)}; expected sections (Name: settings)")]
    try:
        return Settings.model_validate(data, by_alias=True, by_name=False), []
    except ValidationError as error:
        problems = problems_of(error, Settings)
        wrong = {detail["loc"][0] for detail in error.errors()}
    right = {key: value for key, value in data.items() if key not in wrong}
    return Settings.model_validate(right, by_alias=True, by_name=False), problems


def _with_secrets(settings: Settings, environ: Mapping[str, str]) -> Settings:
    for setting, password in outside_secrets(environ).items():
        settings = _changed(settings, setting, SecretStr(password))
    return settings


def _changed(section: AnySection, setting: tuple[str, ...], value: object) -> AnySection:
    """Copy a section with one of its settings, however deep, changed."""
    name, *deeper = setting
    if deeper:
        value = _changed(getattr(section, name), tuple(deeper), value)
    return section.model_copy(update={name: value})


def _open_secrets(document: Document) -> Iterable[Problem]:
    """Warn of passwords in a file that everybody on this machine may read."""
    if document.readable_by_all and (place := _first_secret(document.data, ())):
        yield Problem(
            place,
            "given in a file that every user of this machine may read; "
            "expected a file mode such as 0640 (chmod o-r)",
            warning=True,
        )


def _first_secret(data: object, place: Place) -> Place | None:
    if isinstance(data, dict):
        items: Iterable[tuple[str | int, object]] = data.items()
    elif isinstance(data, list):
        items = enumerate(data)
    else:
        kind, _ = look_up(Settings, place)
        in_url = kind and kind.url and "@" in str(data)
        return place if data and kind and (kind.secret or in_url) else None
    found = (_first_secret(value, (*place, key)) for key, value in items)
    return next((secret for secret in found if secret), None)


def _is_fatal(problem: Problem, service: str | None) -> bool:
    if problem.warning:
        return False
    if service is None or not problem.place:
        return True
    if problem.services is not None:
        return service in problem.services
    section = problem.place[0]
    # An unknown section may be one of this daemon's with a mistake in its name.
    return section in USED_SECTIONS[service] or section not in fields_of(Settings)


def _softened(problem: Problem, broken: set[str | int]) -> Problem:
    """Add to a mistake in another daemon's section what was done about it."""
    if problem.place[0] not in broken:
        return problem
    return replace(problem, text=f"{problem.text}; for now the section has its defaults")


def _texts(document: Document, problems: Iterable[Problem]) -> list[str]:
    """Write problems as messages, in the order of their lines."""
    return [
        f"{where(document.source, document.lines, problem.place, problem.name)}: {problem.text}"
        for problem in sorted(
            problems, key=lambda problem: line_of(document.lines, problem.place) or 0
        )
    ]
