"""The dome as a daemon: ``toros-dome``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from toros.clock import Clock, of_rehearsal
from toros.config import Settings
from toros.database.session import Database
from toros.devices.protocols import Dome, Mount
from toros.dome import lastgood
from toros.dome.aside import logging_aside
from toros.dome.controller import Controller, Parts
from toros.dome.heartbeat import Heartbeat
from toros.dome.journal import Journal, Scribe
from toros.dome.ledger import Copying, Ledger
from toros.dome.memory import Memory
from toros.dome.requests import Resources, registry
from toros.dome.rules import Verdict
from toros.dome.weather import Judge, make_sources
from toros.dome.window import OpenWindow
from toros.errors import ConfigurationError
from toros.frontdesk.process import Daemon, Terms, command
from toros.logs import LogHandle
from toros.simulation.hardware import open_device

log = logging.getLogger(__name__)

_ORDERS_AT_A_TIME = 4
"""A second motion is refused at once, instead of waiting for the end of the first."""
_SILENCE_LIMIT_S = 5.0
_RESERVE_BYTES = 1_000_000


class Configuration:
    """What the daemon does about its configuration; it remembers whether that is wrong."""

    def __init__(self) -> None:
        self._wrong: str | None = None
        self._may_open = True

    def fall_back(self, path: Path, error: ConfigurationError) -> Settings:
        """Take the last good configuration instead of a wrong one.

        Raises
        ------
        ConfigurationError
            There is none.
        """
        settings, self._may_open = lastgood.last_good(path, error)
        self._wrong = error.message
        return settings

    def terms(self, settings: Settings) -> Terms:
        """Check the dome's settings and say what its worker needs.

        Raises
        ------
        ConfigurationError
        """
        if settings.dome.device.driver == "none":
            raise ConfigurationError(
                f"{settings.where('Dome', 'Device', 'Driver')}: got none; expected alpaca or "
                "simulated, since there is no dome's daemon without a dome"
            )
        beat = settings.dome.heartbeat_path
        if beat is not None and beat.parts[:2] == ("/", "dev") and "watchdog" in beat.name:
            raise ConfigurationError(
                f"{settings.where('Dome', 'Heartbeat Path')}: got {beat}; expected a file, or the "
                "line to a relay or PLC that closes the dome: a watchdog of the computer would "
                "start it again whenever the weather is unknown"
            )
        make_sources(settings, _clock(settings))  # asks none of them
        return Terms(
            orders_at_a_time=_ORDERS_AT_A_TIME,
            stop_timeout_s=5.0,
            reserve_bytes=_RESERVE_BYTES,
            resources=lambda handle, database: self._resources(settings, handle, database),
            silence_limit_s=_SILENCE_LIMIT_S,
        )

    @contextmanager
    def _resources(
        self, settings: Settings, _handle: LogHandle, database: Database
    ) -> Iterator[Resources]:
        with ExitStack() as stack:
            stack.enter_context(logging_aside())
            forbidden = None
            if self._wrong is not None:
                log.error(
                    "the configuration is wrong; the last good one is taken%s:\n%s",
                    "" if self._may_open else ", and the dome does not open",
                    self._wrong,
                )
                if not self._may_open:
                    forbidden = f"the configuration is wrong: {self._wrong}"
            yield stack.enter_context(running(settings, database, forbidden))


@contextmanager
def running(
    settings: Settings, database: Database, forbidden: str | None = None
) -> Iterator[Resources]:
    """Run the control loop, and close the dome at the end.

    Parameters
    ----------
    settings : Settings
    database : Database
        Where orders to close are copied to when it is there.
    forbidden : str or None
        Why the dome is not opened before a restart.
    """
    section, clock = settings.dome, _clock(settings)
    if section.enclosure == "roll-off" and section.mount.driver == "none":
        log.warning(
            "%s: none: the roof closes at once, wherever the telescope stands; give the mount, so "
            "that the roof waits for its park",
            settings.where("Dome", "Mount", "Driver"),
        )
    folder = settings.state_folder / lastgood.FOLDER
    scribe = Scribe()
    ledger = Ledger(Journal(folder / "journal.jsonl", scribe))
    with ExitStack() as stack:
        judge = Judge(
            section.weather,
            section.safe_before_opening_s,
            make_sources(settings, clock),
            clock,
        )
        stack.callback(judge.stop)
        dome, mount = _devices(settings, clock)
        window = OpenWindow(settings.observatory, section.open_sun_altitude_deg)
        parts = Parts(
            dome=dome,
            mount=mount,
            verdict=_verdict_of(judge),
            outside=lambda: window.state(clock.now()).reason or None,
            clock=clock,
            ledger=ledger,
            memory=Memory(folder / "mode.json", scribe),
        )
        controller = Controller(section, parts, forbidden)
        controller.start()
        stack.callback(controller.stop)
        if section.heartbeat_path is not None:
            heartbeat = Heartbeat(section.heartbeat_path, controller.is_well)
            heartbeat.start()
            stack.callback(heartbeat.stop)
        copying = Copying(ledger, database)
        copying.start()
        stack.callback(copying.stop)
        scribe.begin(ledger.recall)
        if forbidden is None:
            scribe.begin(lambda: lastgood.keep(settings))
        yield Resources(controller)


def _clock(settings: Settings) -> Clock:
    section = settings.rehearsal
    return of_rehearsal(section.anchor, section.start, section.rate)


def _devices(settings: Settings, clock: Clock) -> tuple[Dome, Mount | None]:
    dome = open_device("dome", settings.dome.device, settings, clock)
    mount = open_device("mount", settings.dome.mount, settings, clock)
    return dome, mount  # type: ignore[return-value]


def _verdict_of(judge: Judge) -> Callable[[], Verdict]:
    def verdict() -> Verdict:
        judge.sample()  # returns at once; sees to it that all sources are being read
        return judge.verdict()

    return verdict


_configuration = Configuration()
main = command(
    Daemon(
        registry,
        _configuration.terms,
        independent=True,
        fall_back=_configuration.fall_back,
    )
)

if __name__ == "__main__":
    main()
