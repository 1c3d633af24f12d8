"""``toros demo``: a simulated night goes in, a calibrated night comes out, compared with the truth.

A real daemon, a real order, real files; only sky and camera are simulated, so that
what is recovered can be held against what is true.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import click
import yaml

from toros.cli.output import (
    DONE,
    REFUSED,
    complain,
    exits,
    progress_bar,
    tell_json,
    tell_table,
)
from toros.cli.processes import free_port, program, running
from toros.cli.recovery import compare
from toros.errors import InternalError
from toros.simulation import Camera, Night, make_night

_ORDER = "demo"


class Place(NamedTuple):
    """Where the demonstration's things lie."""

    folder: Path
    frames: Path
    configuration: Path
    url: str


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where everything is put; a new folder in the system's temporary one by default.",
)
@click.option("--size", type=click.IntRange(128, 4096), default=768, help="Pixels along an edge.")
@click.option("--seed", type=int, default=1, help="Another seed, another night.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")
@exits
def demo(folder: Path | None, size: int, seed: int, as_json: bool) -> None:
    """Calibrate a simulated night.

    It goes through a real preprocessor, and what comes out is compared with the truth.
    The exit code is 1 when a figure is not recovered as well as it should be.
    """
    place = _prepare((folder or Path(tempfile.mkdtemp(prefix="toros-demo-"))).resolve())
    complain(f"1. A night is simulated: {size} x {size} pixels, three filters, some files broken")
    night = _simulate(place, size, seed)
    complain(f"2. The preprocessor starts at {place.url}")
    errors = place.folder / "log" / "stderr"
    with running("preprocessor", place.configuration, place.url, errors):
        complain("3. toros-submit sends the order calibrate_file_batch and waits")
        command = [program("toros-submit"), "--config", str(place.configuration)]
        command += ["preprocessor", "calibrate_file_batch", f"url={place.frames}"]
        command += [f"id={_ORDER}", "--wait", "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode != DONE:
        raise InternalError(f"the order failed; see {place.folder}: {done.stdout.strip()}")
    result = json.loads(done.stdout)["result"]
    report = json.loads(Path(result["report_json"]).read_text("utf-8"))
    complain("4. What came out is compared with what went in")
    rows = compare(night, report, Path(result["folder"]))
    if as_json:
        tell_json({"figures": [row._asdict() for row in rows], "result": result})
    else:
        _tell(rows, result, place)
    sys.exit(DONE if all(row.good for row in rows) else REFUSED)


def _prepare(folder: Path) -> Place:
    frames = folder / "incoming" / "night"
    try:
        frames.mkdir(parents=True)
    except FileExistsError as error:
        raise click.UsageError(
            f"{folder} holds a demonstration already: remove it, or name another --folder"
        ) from error
    except OSError as error:
        raise click.UsageError(f"--folder: {error.filename}: {error.strerror}") from error
    port = free_port()
    settings = {
        "Observatory": {
            "Name": "Demonstration",
            "Longitude (deg)": -67.33,
            "Latitude (deg)": -24.63,
            "Height (m)": 4637.0,
        },
        "Preprocessor Service Address": {"Port": port},
        "State Folder": str(folder / "state"),
        "Logging": {"File": str(folder / "log" / "toros.log")},
        "Preprocessor": {
            "Free Space Reserve (MB)": 100.0,
            "Sources": {"Folders": [str(folder / "incoming")]},
        },
    }
    (folder / "log").mkdir()
    configuration = folder / "toros.conf.yaml"
    configuration.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
    return Place(folder, frames, configuration, f"http://127.0.0.1:{port}")


def _simulate(place: Place, size: int, seed: int) -> Night:
    camera = Camera(shape=(size, size))
    with progress_bar(unit="file") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        night = make_night(place.frames, seed=seed, camera=camera, progress=show)
    (place.folder / "truth.json").write_text(night.to_json(), "utf-8")
    return night


def _tell(rows: list[Any], result: dict[str, Any], place: Place) -> None:
    click.echo()
    tell_table(
        ("figure", "recovered", "true", "within", "verdict"),
        [(r.figure, r.recovered, r.true, r.limit, "good" if r.good else "OFF") for r in rows],
    )
    rejected = [
        f"{name}, of {product['file']}: {reason}"
        for product in json.loads(Path(result["report_json"]).read_text("utf-8"))["products"]
        for name, reason in product["frames_rejected"]
    ]
    for title, items in (
        (
            "Files quarantined, and why",
            [f"{q['file']}: {q['reason']}" for q in result["quarantined"]],
        ),
        ("Frames left out of a stack, and why", rejected),
        (
            "Files not used by any step, and why",
            [f"{u['file']}: {u['reason']}" for u in result["unused"]],
        ),
    ):
        click.echo(f"\n{title}")
        for item in items or ["none"]:
            click.echo(f"  {item}")
    click.echo(f"\nProducts and previews  {result['folder']}")
    click.echo(f"Report                 {result['report']}")
    click.echo(f"Log                    {place.folder / 'log' / 'toros-preprocessor.log'}")
    click.echo(f"Truth                  {place.folder / 'truth.json'}")
    click.echo(f"\nWhen you have seen enough: rm -r {place.folder}")
