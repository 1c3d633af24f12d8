"""A whole observatory for the tests: dome, telescope and preprocessor on simulated devices."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from toros.cli.rehearsal import SITE, make_rehearsal
from toros.cli.sample_night import SampleNight
from toros.client import FrontDesk
from toros.clock import SimulatedClock
from toros.database.observing import Target
from toros.database.session import Database
from toros.devices.protocols import ShutterState
from toros.errors import ServiceUnreachable, TorosError
from toros.simulation.observatory import WorldSettings
from toros.simulation.observatory.truth import TruthEvent
from toros.sky.almanac import night_of
from toros.telescope.picture import Deed, deed_of

START_TIMEOUT_S = 60.0
CLOSED_S = 5.0
"""By when closing is commanded in bad weather [s]."""
SAMPLE = SampleNight.of(night_of(SITE, datetime(2026, 6, 11, 4, 30, tzinfo=UTC)))
SMALL = WorldSettings(shape=(64, 64), faintest_v_mag=14.0)
READY_S = 6.0
LEASE_S = 10.0
MID_NIGHT = SAMPLE.dark + timedelta(hours=3)
#: The dome opens as soon as it is asked to, and reopens soon.
EAGER: dict[str, Any] = {
    "Dome": {
        "Safe Before Opening (s)": 0,
        "Weather": {
            "Limits": [{"Quantity": "humidity", "Above": 85, "Bad Delay (s)": 0,
                        "Good Delay (s)": 0}],
        },
    },
}  # fmt: skip
#: So does this one, whose nights end soon.
FEW_FRAMES: dict[str, Any] = {
    "Telescope": {"Calibration": {"Biases": 1, "Darks": 0, "Flats": 0}},
    "Dome": {**EAGER["Dome"], "Lease (s)": LEASE_S},
}


class Observatory:
    """An observatory of its own, with everything in a scratch folder.

    Parameters
    ----------
    folder : Path
    start : datetime
        The simulated time when the daemons are up, aware.
    rate : float
        Simulated seconds in a real second.
    changes : dict, optional
        Settings by section, over those of a rehearsal.
    hardware : WorldSettings, optional
    database_url : str, optional
        By default SQLite in the state folder.
    """

    def __init__(
        self,
        folder: Path,
        start: datetime,
        rate: float,
        changes: Mapping[str, Any] | None = None,
        hardware: WorldSettings = SMALL,
        database_url: str | None = None,
    ) -> None:
        own: dict[str, Any] = {**(changes or {})}
        if database_url is not None:
            own["Database"] = {"URL": database_url}
        self.made = make_rehearsal(
            folder, start, rate, hardware, ready_s=READY_S, changes={
                "Preprocessor": {"Free Space Reserve (MB)": 1.0},
                **own,
            },
        )  # fmt: skip
        assert isinstance(self.made.clock, SimulatedClock)
        self.folder, self.world, self.clock = folder, self.made.world, self.made.clock
        self.world.set_weather(safe="derived", cloud_cover=5.0, humidity=35.0)
        self.database = Database(database_url or f"sqlite:///{folder / 'state' / 'toros.db'}")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment: dict[str, str] = {}
        """What daemons find in their environment besides the tests' own."""

    def desk(self, service: str) -> FrontDesk:
        """Return the front desk of a daemon."""
        return FrontDesk(self.made.url(service))

    def start(self, *services: str, configuration: Path | None = None) -> None:
        """Start daemons and wait until they answer."""
        for service in services:
            self.launch(service, configuration or self.made.configuration)
        for service in services:
            self.wait_ready(service)

    def launch(self, service: str, configuration: Path, name: str | None = None) -> None:
        """Start a daemon, under a name of its own if it is a second one."""
        command = [sys.executable, "-m", f"toros.{service}.daemon", "--config", str(configuration)]
        name = name or service
        with self._errors(name).open("ab") as errors:
            self.processes[name] = subprocess.Popen(
                command, stderr=errors, stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, **self.environment},
            )  # fmt: skip

    def wait_ready(self, service: str) -> None:
        """Wait until a daemon answers."""

        def answers() -> bool:
            code = self.processes[service].poll()
            assert code is None, f"the {service} ended with {code}: {self.said(service)}"
            try:
                self.desk(service).status()
            except ServiceUnreachable:
                return False
            return True

        self.until(answers, f"an answer of the {service}", START_TIMEOUT_S)

    def until(self, happens: Callable[[], object], what: str, timeout_s: float = 60.0) -> Any:
        """Wait for what is bound to come; return it."""
        deadline = time.monotonic() + timeout_s
        while not (come := happens()):
            assert time.monotonic() < deadline, f"waited in vain for {what}; {self.tell()}"
            time.sleep(0.1)
        return come

    def until_state(self, *states: str, timeout_s: float = 60.0) -> str:
        """Wait until the night is in one of some states; return it."""

        def is_there() -> str:
            state = str(self.status().get("state"))
            assert state != "error" or "error" in states, self.tell()
            return state if state in states else ""

        return str(self.until(is_there, f"the night to be {' or '.join(states)}", timeout_s))

    def status(self) -> dict[str, Any]:
        """Return what the telescope tells, or nothing while it is away."""
        try:
            return self.desk("telescope").status()
        except TorosError:
            return {}

    def order(self, count: int, seed: int = 1, first: int = 0, **changes: Any) -> None:
        """Order targets that are past the meridian: the sooner they are observed, the better."""
        meridian = SAMPLE.meridian_deg(self.clock.now())
        for n in range(first, first + count):
            order = {
                "request": "observation", "id": f"field-{n}", "target": f"field {n}",
                "ra": (meridian - 4.0 - 2.5 * n - seed) % 360.0, "dec": -20.0 - n % 3,
                "filter": ("V", "R")[n % 2], "exposure_time": 60.0, "number_of_exposures": 2,
            }  # fmt: skip
            self.desk("telescope").send({**order, **changes})

    def alert(self, event: str = "S260611a", count: int = 2, **changes: Any) -> list[float]:
        """Send an alert's targets that can be observed now; return their right ascensions."""
        meridian = SAMPLE.meridian_deg(self.clock.now())
        targets = [
            {"name": f"galaxy {n}", "rank": n, "ra": (meridian - 6.0 - 3.0 * n) % 360, "dec": -30.0}
            for n in range(1, count + 1)
        ]
        order = {
            "request": "receive_targets", "event": event, "revision": 1, "targets": targets,
            "number_of_exposures": 1, "exposure_time": 60.0, "filter": "R",
        }  # fmt: skip
        self.desk("telescope").send({**order, **changes})
        return [float(str(target["ra"])) for target in targets]

    def targets(self, state: str | None = None) -> list[Target]:
        """Return the targets that the database knows, of one state or all."""
        with self.database.reading() as session:
            rows = session.query(Target).order_by(Target.id).all()
            return [row for row in rows if state in (None, row.state)]

    def orders(self, service: str) -> list[tuple[str, str]]:
        """Return user and status of each order of a daemon."""
        orders = self.desk(service).submit("list_orders")["orders"]
        return [(order["user"], order["status"]) for order in orders]

    def until_done(self, count: int, timeout_s: float = 90.0) -> None:
        """Wait until so many targets are done."""
        self.until(lambda: len(self.targets("done")) == count, f"{count} targets", timeout_s)

    def taken(self) -> Counter[int | None]:
        """Count the lights that the database knows, by target."""
        return Counter(shot.target for shot in self.deed().shots if shot.exposure_type == "light")

    def none_twice_none_lost(self) -> None:
        """Hold that every frame has its row, and every target its exposures, no more, no less."""
        files = sorted(path.name for path in (self.folder / "state/incoming").rglob("*.fits"))
        assert len(files) == len(set(files))
        # A row follows its file: the night does not wait for the database.
        self.until(lambda: len(self.deed().shots) == len(files), "a row for each file", 20.0)
        rows = self.targets()
        assert {row.id: row.exposures_done for row in rows} == self.taken()
        assert all(row.exposures_done == row.number_of_exposures for row in rows)

    def deed(self) -> Deed:
        """Return what the night has come to."""
        return deed_of(self.database, SAMPLE.night.date.isoformat())

    def events(self, device: str, *names: str) -> list[TruthEvent]:
        """Return what the hardware was really told, without what it refused."""
        return [
            event
            for event in self.world.truth()
            if event.device == device and event.event in names and event.refused is None
        ]

    def exposing(self) -> bool:
        """Whether a light is being exposed just now, in truth, and goes on for a while."""
        lights = [e for e in self.events("camera", "start_exposure") if e.values.get("light")]
        if not lights or lights[-1].motion is None:
            return False
        return lights[-1].motion.until_s - self.clock.monotonic() > 0.5 * self.clock.rate

    def rain(self) -> float:
        """Let it rain; return when, by the real monotonic time [s]."""
        began = time.monotonic()
        self.world.set_weather(rain_rate=3.0)
        return began

    def dry(self) -> None:
        """Let the rain end."""
        self.world.set_weather(rain_rate=0.0)

    def close_in_rain(self, during: str) -> float:
        """Let it rain; hold the dome to its promise, in truth; return what it took [s], real."""
        rain = self.rain()
        taken = self.until(lambda: self.told_after("dome", "close_shutter", rain), "a close", 15.0)
        took_s = float(taken[0].real_s - rain)
        print(f"MEASURED {during}: {took_s:.2f} s from rain to close commanded")
        assert took_s <= CLOSED_S, during
        return took_s

    def is_closed(self) -> bool:
        """Whether the shutter is really closed."""
        state = self.world.dome_file.read().shutter_state(self.clock.monotonic())
        return state is ShutterState.CLOSED

    def told_after(self, device: str, event: str, after: float) -> list[TruthEvent]:
        """Return what the hardware was told after a moment of the real monotonic time [s]."""
        return [one for one in self.events(device, event) if one.real_s >= after]

    def signal(self, name: str, number: int) -> None:
        """Send a daemon a signal."""
        self.processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        """Kill a daemon with -9, as a power cut would."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)

    def stop(self, name: str, timeout_s: float = 60.0) -> int:
        """End a daemon by SIGTERM; return its exit code."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
            raise

    def said(self, name: str) -> str:
        """Return the end of what a daemon has written to stderr."""
        path = self._errors(name)
        return path.read_text("utf-8", "replace")[-3000:] if path.exists() else ""

    def tell(self) -> str:
        """Tell where things are, for a test that failed."""
        told = {key: value for key, value in self.status().items() if key != "messages"}
        return f"telescope: {told}; {self.said('telescope')}"

    def close(self) -> None:
        """End whatever is left."""
        for name in list(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.processes[name].pid, signal.SIGCONT)
            self.kill(name)
        self.database.engine.dispose()

    def _errors(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.stderr"


@contextlib.contextmanager
def observatory(
    folder: Path, start: datetime, rate: float, **options: Any
) -> Iterator[Observatory]:
    """Lay out an observatory; whatever it has started ends with the block."""
    site = Observatory(folder, start, rate, **options)
    try:
        yield site
    finally:
        site.close()
