"""``toros demo-night``: a whole night of a simulated observatory, in two minutes.

Three real daemons, real orders and files; only sky, weather and devices are simulated, and the
time runs fast.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from sqlalchemy import func, select

from toros.cli.night_judged import Figure, judge, record_of
from toros.cli.output import DONE, REFUSED, complain, exits, json_option, tell_json, tell_table
from toros.cli.processes import running
from toros.cli.rehearsal import SERVICES, SITE, Rehearsal, make_rehearsal
from toros.cli.sample_night import SampleNight
from toros.client import FrontDesk
from toros.database.observing import TakenExposure, Target
from toros.database.session import Database
from toros.errors import InternalError, TorosError
from toros.sky.almanac import night_of
from toros.telescope.picture import deed_of, draw

_MIDNIGHT = datetime(2026, 6, 11, 4, 30, tzinfo=UTC)
_READY_S = 8.0
_LOOK_S = 0.25
_ENTER_LIMIT_S = 60.0
_CALIBRATION_LIMIT_S = 300.0


@click.command("demo-night")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where everything is put; a new folder in the system's temporary one by default.",
)
@click.option(
    "--rate",
    type=click.FloatRange(10, 1000),
    default=400.0,
    show_default=True,
    help="Simulated seconds in a real second. Where the machine cannot keep up, the night loses "
    "time, not safety.",
)
@click.option(
    "--targets",
    type=click.IntRange(1, 200),
    default=30,
    show_default=True,
    help="How many targets are ordered.",
)
@click.option("--seed", type=int, default=1, help="Another seed, other targets.")
@json_option
@exits
def demo_night(folder: Path | None, rate: float, targets: int, seed: int, as_json: bool) -> None:
    """Run a simulated observatory through a whole night.

    A cloud closes the dome, an alert's targets come in between, and the frames are calibrated.
    The exit code is 1 when something is not as it should be.
    """
    folder = (folder or Path(tempfile.mkdtemp(prefix="toros-night-"))).resolve()
    if (folder / "toros.conf.yaml").exists():
        raise click.UsageError(f"{folder} holds a rehearsal already: name another --folder")
    began = time.monotonic()
    night = SampleNight.of(night_of(SITE, _MIDNIGHT))
    complain(f"1. A simulated observatory in {folder}, its time {rate:g} times as fast")
    made = make_rehearsal(folder, night.begin, rate, ready_s=_READY_S)
    made.world.set_weather(safe="derived")
    made.world.set_script(night.weather())
    with _terminated(), ExitStack() as stack:
        complain(f"2. The daemons start: {', '.join(SERVICES)}")
        desks = {name: stack.enter_context(_daemon(made, name)) for name in SERVICES}
        complain(f"3. {targets} targets are ordered, and planned")
        database = Database(f"sqlite:///{folder / 'state' / 'toros.db'}")
        plan = _order(desks["telescope"], database, night.targets(targets, seed))
        complain("4. The night opens by itself")
        Show(made, night, desks["telescope"], database).watch()
        complain("5. The preprocessor calibrates what the telescope has told it of")
        _calibrate(desks["preprocessor"])
        figures, picture = _figures(made, night, database, plan)
    _tell(figures, folder, picture, time.monotonic() - began, as_json=as_json)


@contextmanager
def _terminated() -> Iterator[None]:
    """End the daemons when this command is told to end."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _daemon(made: Rehearsal, name: str) -> Iterator[FrontDesk]:
    errors = made.folder / "log" / f"{name}.stderr"
    with running(name, made.configuration, made.url(name), errors) as desk:
        yield desk


def _order(
    desk: FrontDesk, database: Database, orders: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Order the targets, and return the plan for them."""
    sent = [desk.send(order) for order in orders]
    deadline = time.monotonic() + _ENTER_LIMIT_S
    while True:
        with database.reading() as session:
            entered = session.scalar(select(func.count(Target.id))) or 0
        if entered >= len(sent):
            break
        if time.monotonic() > deadline:
            raise InternalError(f"only {entered} of {len(sent)} targets are on the book")
        time.sleep(_LOOK_S)
    desk.send({"request": "schedule_night", "id": "demo-plan", "user": "demo"})
    done = desk.wait("demo-plan", 60.0, order_user="demo")
    plan: dict[str, Any] = done["result"]
    entries = plan["entries"]
    if entries:
        first, last = entries[0]["start"][11:16], entries[-1]["end"][11:16]
        complain(f"   {len(entries)} of them fit into the night, from {first} to {last} UTC")
    for left in plan["left_out"]:
        complain(f"   {left['name']} is left out: {left['reason']}")
    return plan


@dataclass(frozen=True)
class Look:
    """What the night is at, at one moment."""

    state: str
    message: str
    dome: str
    safe: bool
    target: str
    frames: int

    def line(self, moment: datetime) -> str:
        """Return it as a line."""
        weather = "clear" if self.safe else "bad weather"
        return (
            f"   {moment:%H:%M}  {self.state:<11} dome {self.dome:<8} {weather:<12}"
            f"{self.frames:>4} frames  {self.target}"
        ).rstrip()


class Show:
    """Shows a night as it goes: a live line on a terminal, otherwise a line for each change.

    Parameters
    ----------
    made : Rehearsal
    night : SampleNight
    telescope : FrontDesk
    database : Database
    """

    def __init__(
        self, made: Rehearsal, night: SampleNight, telescope: FrontDesk, database: Database
    ) -> None:
        self._made = made
        self._night = night
        self._telescope = telescope
        self._database = database
        self._is_live = sys.stderr.isatty()
        self._said: list[tuple[datetime, str]] = [
            (night.cloud, "a cloud comes up"),
            (night.clear, "the cloud is gone"),
        ]
        length_s = (night.night.end - night.begin).total_seconds()
        self._deadline = time.monotonic() + 60.0 + 1.5 * length_s / made.clock.rate

    def watch(self) -> None:
        """Follow the night until it has closed, or ended in an error, and send the alert.

        Raises
        ------
        InternalError
            It did not end.
        """
        shown: Look | None = None
        has_begun, is_sent = False, False
        while time.monotonic() < self._deadline:
            now, look = self._made.clock.now(), self._look()
            if not is_sent and now >= self._night.alert:
                self._telescope.send(self._night.alert_targets())
                is_sent = True
                self._say(now, "an alert's three targets are sent")
            while self._said and now >= self._said[0][0]:
                self._say(*self._said.pop(0))
            self._show(now, look, shown)
            shown = look
            has_begun = has_begun or look.state not in ("closed", "?")
            if look.state == "error" or (has_begun and look.state == "closed"):
                self._clear()
                return
            time.sleep(_LOOK_S)
        raise InternalError(f"the night did not end in time; see {self._made.folder / 'log'}")

    def _look(self) -> Look:
        try:
            told = self._telescope.status()
            with self._database.reading() as session:
                frames = session.scalar(select(func.count(TakenExposure.exposure_id))) or 0
                name = session.scalar(select(Target.name).where(Target.state == "observing"))
        except TorosError as error:
            return Look("?", error.message, "?", safe=False, target="", frames=0)
        return Look(
            str(told["state"]), str(told["message"]), str(told["dome"]),
            bool(told["weather_safe"]), name or "", frames,
        )  # fmt: skip

    def _show(self, now: datetime, look: Look, before: Look | None) -> None:
        if before is None or look.state != before.state:
            self._say(now, f"{look.state}: {look.message}")
        if self._is_live:
            click.echo(f"\r\x1b[2K{look.line(now)[:100]}", err=True, nl=False)
        elif before is None or (look.dome, look.target, look.safe) != (
            before.dome, before.target, before.safe,
        ):  # fmt: skip
            complain(look.line(now))

    def _say(self, moment: datetime, what: str) -> None:
        self._clear()
        complain(f"   {moment:%H:%M}  {what}")

    def _clear(self) -> None:
        if self._is_live:
            click.echo("\r\x1b[2K", err=True, nl=False)


def _calibrate(desk: FrontDesk) -> None:
    """Wait until the preprocessor is done with what it was told of, by itself.

    What it made is judged by its products, and so is the case that it was told of nothing.
    """
    deadline = time.monotonic() + _CALIBRATION_LIMIT_S
    patience = time.monotonic() + 20.0
    while time.monotonic() < deadline:
        orders = desk.submit("list_orders")["orders"]
        if any(order["status"] in ("queued", "running") for order in orders):
            time.sleep(0.3)
        elif orders or time.monotonic() > patience:
            return
        else:
            time.sleep(0.3)


def _figures(
    made: Rehearsal, night: SampleNight, database: Database, plan: Mapping[str, Any]
) -> tuple[list[Figure], Path]:
    """Judge the night, and draw it."""
    deed = deed_of(database, night.night.date.isoformat())
    lost, opened = made.lost(), made.opened()
    broken = made.broken_promises()
    figures = judge(
        deed, record_of(database, deed), plan=plan, window=(night.dark, night.dawn),
        opened=opened, lost=lost, broken=broken, dark_lights=made.dark_lights(),
    )  # fmt: skip
    for one in broken:
        complain(f"   broken: {one}")
    picture = made.folder / "night.png"
    picture.write_bytes(draw(deed, plan=plan, opened=opened))
    return figures, picture


def _tell(
    figures: list[Figure], folder: Path, picture: Path, took_s: float, *, as_json: bool
) -> None:
    good = all(figure.good for figure in figures)
    if as_json:
        tell_json(
            {
                "figures": [figure._asdict() for figure in figures],
                "good": good,
                "took_s": round(took_s, 1),
                "folder": str(folder),
                "picture": str(picture),
            }
        )
    else:
        click.echo()
        rows = [(f.name, f.value, f.wanted, "good" if f.good else "NOT GOOD") for f in figures]
        tell_table(("figure", "value", "wanted", "verdict"), rows)
        click.echo(f"\nPlan against deed  {picture}")
        click.echo(f"Frames             {folder / 'state' / 'incoming'}")
        click.echo(f"Products           {folder / 'state' / 'repository'}")
        click.echo(f"Logs               {folder / 'log'}")
        click.echo(f"\nAll this took {took_s:.0f} s. When you have seen enough: rm -r {folder}")
    sys.exit(DONE if good else REFUSED)
