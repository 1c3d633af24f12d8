"""``toros catalog``: make the galaxy catalogue that the alert robot ranks by, and tell of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from toros import clock
from toros.cli.output import (
    DONE,
    REFUSED,
    complain,
    config_option,
    exits,
    json_option,
    progress_bar,
    tell_json,
    tell_mapping,
)
from toros.config import load
from toros.errors import ConfigurationError
from toros.lvcgcn.galaxies.building import BAD_SHARE, Progress, build
from toros.lvcgcn.galaxies.catalogue import Catalogue
from toros.lvcgcn.galaxies.columns import WEIGHTS
from toros.lvcgcn.galaxies.mapping import read_mapping
from toros.lvcgcn.galaxies.reading import FORMS, HUBBLE

_folder = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the catalogue is; by default where the settings have it.",
)


@click.group(name="catalog")
def catalog_group() -> None:
    """Make the galaxy catalogue of the alert robot, and tell of it."""


@catalog_group.command(name="build")
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    help="What SOURCE is; by default seen by its name, a text by its columns.",
)
@click.option(
    "--mapping",
    "mappings",
    multiple=True,
    metavar="COLUMN=FIELD[:UNIT]",
    help="Which field of a CSV file or VOTable is which column (name, ra, dec, distance, "
    "distance_error, b_magnitude, k_magnitude, stellar_mass), for example distance=VLS:km/s. "
    "Fields with usual names are found without.",
)
@click.option(
    "--hubble",
    type=click.FloatRange(10, 200),
    default=HUBBLE,
    show_default=True,
    help="H0 in km/s/Mpc, for distances that are given as km/s or redshift.",
)
@click.option(
    "--bad-share",
    type=click.FloatRange(0, 1),
    default=BAD_SHARE,
    show_default=True,
    help="Above this share of rows that cannot be used SOURCE is refused.",
)
@_folder
@config_option
@json_option
@exits
def build_command(
    source: Path,
    form: str | None,
    mappings: tuple[str, ...],
    hubble: float,
    bad_share: float,
    folder: Path | None,
    configuration: Path,
    as_json: bool,
) -> None:
    """Make the catalogue of SOURCE.

    SOURCE is GLADE+ or GLADE 2.3 as text, a CSV file or a VOTable. The robot may run: it goes
    on with the old catalogue until the new one is whole.
    """
    with _bars() as progress:
        built = build(
            source,
            folder or _configured(configuration),
            made=clock.REAL.now(),
            form=form,
            mapping=read_mapping(mappings),
            hubble=hubble,
            bad_share=bad_share,
            progress=progress,
        )
    for bad in built.bad:
        complain(f"{source}, line {bad.line}: {bad.reason}; left out")
    if built.bad_count > len(built.bad):
        complain(f"... and {built.bad_count - len(built.bad)} more rows that cannot be used")
    told = _describe(built.catalogue)
    (tell_json if as_json else tell_mapping)(told)


@catalog_group.command()
@click.option("--verify", is_flag=True, help="Compare all files with their checksums, too.")
@_folder
@config_option
@json_option
@exits
def info(verify: bool, folder: Path | None, configuration: Path, as_json: bool) -> None:
    """Tell what the catalogue has.

    The exit code is 1 where there is none, or where a file is not what it was.
    """
    catalogue = Catalogue.open(folder or _configured(configuration))
    told = _describe(catalogue)
    damaged = catalogue.check() if verify else []
    if verify:
        told["damaged"] = damaged
    (tell_json if as_json else tell_mapping)(told)
    if damaged:
        complain(f"{catalogue.version}: damaged: {', '.join(damaged)}; build it again")
    sys.exit(REFUSED if damaged else DONE)


def _configured(configuration: Path) -> Path:
    folder = load(configuration).lvcgcn.galaxies.catalogue
    if folder is None:
        raise ConfigurationError("no folder for the galaxy catalogue; give one with --folder")
    return folder


def _describe(catalogue: Catalogue) -> dict[str, Any]:
    facts = catalogue.facts
    weight, why = catalogue.choose_weight("auto")
    return {
        "folder": str(catalogue.version.parent),
        "source": facts["source"]["name"],
        "format": facts["source"]["form"],
        "built": facts["built"],
        "galaxies": facts["rows"],
        "with distance": facts["with_distance"],
        "known": {name: f"{catalogue.known(name):.1%}" for name in WEIGHTS},
        "weight": f"{weight} ({why})",
        "rows that cannot be used": facts["bad_rows"],
        "left out": facts["left_out"],
        "megabytes": round(sum(c["bytes"] for c in facts["columns"].values()) / 1e6, 1),
    }


@contextmanager
def _bars() -> Iterator[Progress]:
    """Show a progress bar for each stage, one after the other."""
    bar = None
    stage_shown = ""

    def progress(stage: str, done: int, whole: int) -> None:
        nonlocal bar, stage_shown
        if stage != stage_shown:
            if bar is not None:
                bar.close()
            unit = "B" if stage == "reading" else " galaxies"
            bar = progress_bar(desc=stage, total=whole, unit=unit, unit_scale=True)
            stage_shown = stage
        assert bar is not None
        bar.update(done)

    try:
        yield progress
    finally:
        if bar is not None:
            bar.close()
