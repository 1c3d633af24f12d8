"""A daemon's life: configuration, lock, logs, database, server, worker, stop."""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

import toros
from toros import clock, config, logs, store
from toros.config import Settings
from toros.database import schema
from toros.database.orders import Orders
from toros.database.session import Database
from toros.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    DiskFull,
    SchemaMismatch,
    StorageFailed,
    TorosError,
)
from toros.frontdesk import common, detach, readiness
from toros.frontdesk.access import Access
from toros.frontdesk.desk import FrontDesk
from toros.frontdesk.page import front_page
from toros.frontdesk.registry import Registry
from toros.frontdesk.resources import Resources
from toros.frontdesk.server import FrontDeskServer, ServerLimits
from toros.frontdesk.single import Lock, hold_lock
from toros.frontdesk.worker import Worker
from toros.workorders import COMMON, REQUESTS, SERVICES

log = logging.getLogger(__name__)

DEFAULT_CONFIGURATION = Path("/etc/toros/toros.conf.yaml")
SILENCE_LIMIT_S = 900.0
"""Work that shows no progress for so long is hung: the watchdog is not fed any more [s]."""
UNFIT = 2
"""Exit code of a daemon that cannot run as it is configured; to start it again is no use."""
_TICK_S = 0.5
_OWNER_CHARS = 200


@dataclass(frozen=True)
class Terms:
    """What a daemon takes from the configuration for its worker and its desk."""

    orders_at_a_time: int
    stop_timeout_s: float
    reserve_bytes: int
    resources: Callable[[logs.LogHandle, Database], AbstractContextManager[Resources]]
    """Opens what the handlers need, before the server listens; it is closed at the end."""
    silence_limit_s: float = SILENCE_LIMIT_S
    """After how long without a sign of life `Resources.silent_s` counts as hung [s]."""


@dataclass(frozen=True)
class Daemon:
    """What makes one daemon differ from another."""

    registry: Registry
    terms: Callable[[Settings], Terms]
    """Checks the daemon's own settings; raises ConfigurationError."""
    independent: bool = False
    """Whether it starts, and serves its immediate requests, whatever the state of the
    database, its schema, the log file, the disk and its port."""
    fall_back: Callable[[Path, ConfigurationError], Settings] | None = None
    """What is taken for a configuration that is wrong; raises the error if there is nothing."""


def command(daemon: Daemon) -> click.Command:
    """Make the command line of a daemon."""
    service = daemon.registry.service

    @click.command(name=f"toros-{service}", help=f"Run the {service} daemon of TOROS.")
    @click.option(
        "--config",
        "configuration",
        type=click.Path(path_type=Path, dir_okay=False),
        default=DEFAULT_CONFIGURATION,
        envvar="TOROS_CONFIG",
        show_default=True,
        help="The configuration file.",
    )
    @click.option(
        "--detach",
        "detached",
        is_flag=True,
        help="Go to the background (without systemd), once it answers.",
    )
    @click.option(
        "--pid-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Where the process id is written.  [default: STATE FOLDER/toros-SERVICE.pid]",
    )
    @click.version_option(toros.__version__)
    def run(configuration: Path, detached: bool, pid_file: Path | None) -> None:
        try:
            settings, terms = _configure(daemon, configuration.absolute())
            lock_path = pid_file or settings.state_folder / f"toros-{service}.pid"
            if detached:
                store.make_folder(lock_path.parent)
                _detach(daemon, settings, terms, hold_lock(lock_path))
            else:
                with ExitStack() as stack:
                    _hold(stack, lock_path, daemon)
                    live(daemon, settings, terms, foreground=True)
        except TorosError as error:
            click.echo(f"toros-{service}: {error.message}", err=True)
            sys.exit(_exit_code(error))

    return run


def _exit_code(error: Exception) -> int:
    return UNFIT if isinstance(error, ConfigurationError | SchemaMismatch) else 1


def _configure(daemon: Daemon, path: Path) -> tuple[Settings, Terms]:
    try:
        settings = config.load(path, daemon.registry.service)
        check_users(settings)
        return settings, daemon.terms(settings)
    except ConfigurationError as error:
        if daemon.fall_back is None:
            raise
        settings = daemon.fall_back(path, error)
        return settings, daemon.terms(settings)


def _hold(stack: ExitStack, path: Path, daemon: Daemon) -> None:
    """Hold a lock; an independent daemon runs without one that the disk does not give."""
    try:
        stack.enter_context(hold_lock(path))
    except (StorageFailed, DiskFull) as error:
        if not daemon.independent:
            raise
        click.echo(f"toros-{daemon.registry.service}: runs without a lock: {error}", err=True)


def check_users(settings: Settings) -> None:
    """Refuse permissions for requests that no daemon knows.

    Raises
    ------
    ConfigurationError
    """
    known = {cls.request for service in SERVICES for cls in (*COMMON, *REQUESTS[service])}
    for number, user in enumerate(settings.front_desk.users):
        strangers = set() if user.requests == "all" else set(user.requests) - known
        if strangers:
            place = settings.where("Front Desk", "Users", number, "Requests")
            raise ConfigurationError(
                f"{place}: no daemon knows {', '.join(map(repr, sorted(strangers)))}; expected "
                f"all, or some of {', '.join(sorted(known))}"
            )


def _detach(daemon: Daemon, settings: Settings, terms: Terms, lock: Lock) -> None:
    if os.environ.get("NOTIFY_SOCKET"):
        raise ConfigurationError("--detach is not for systemd: its units run in the foreground")
    # What is wrong with the log file is better told while there is a terminal.
    logs.configure(daemon.registry.service, settings, foreground=True).close()
    outcome = detach.start(
        lock,
        lambda word: live(daemon, settings, terms, foreground=False, tell=word.say),
        _exit_code,
    )
    if outcome is not None:
        if outcome.text:
            click.echo(f"toros-{daemon.registry.service}: {outcome.text}", err=True)
        sys.exit(outcome.code)


def _nobody(_outcome: detach.Outcome) -> None:
    return None


def live(
    daemon: Daemon,
    settings: Settings,
    terms: Terms,
    *,
    foreground: bool,
    tell: Callable[[detach.Outcome], None] = _nobody,
) -> None:
    """Run a daemon until SIGTERM or SIGINT.

    Parameters
    ----------
    daemon : Daemon
    settings : Settings
    terms : Terms
    foreground : bool
        Whether there is a stderr that somebody reads.
    tell : callable, optional
        Is called once the daemon answers, or works without being able to.

    Raises
    ------
    ConfigurationError, SchemaMismatch
        The daemon cannot run as it is configured.
    """
    service = daemon.registry.service
    faulthandler.enable()  # the watchdog's SIGABRT leaves the tracebacks of all threads
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        # Whatever the pid file is: two daemons on one state folder would take each other's orders.
        _hold(stack, settings.state_folder / f"toros-{service}.lock", daemon)
        handle = logs.configure(
            service, settings, foreground=foreground, needs_file=not daemon.independent
        )
        stack.callback(handle.close)
        stack.enter_context(_logging_why())
        for warning in settings.warnings:
            log.warning("configuration: %s", warning)
        database = Database(settings.database_url())
        stack.callback(database.close)
        # The same after a restart; the end tells more, where the column is too short for all.
        owner = f"{socket.gethostname()}:{settings.source}"[-_OWNER_CHARS:]
        orders = Orders(database, service, owner, clock.REAL)
        resources = stack.enter_context(terms.resources(handle, database))
        worker = Worker(daemon.registry, settings, orders, resources, terms.orders_at_a_time)
        access = Access(settings.front_desk.users)
        desk = FrontDesk(
            daemon.registry,
            common.registry,
            settings,
            orders,
            access,
            clock.REAL,
            worker.wake,
            terms.reserve_bytes,
        )
        desk.worker_state = worker.state
        desk.resources = resources
        server = _server(desk, settings, access)
        # Before the worker: another instance's orders are not for this one to take up.
        _bind(server, stop, daemon, tell)
        stack.callback(server.stop, 2.0)
        if stop.is_set():
            return
        preparing = _Preparing(database, worker, resources, daemon)
        desk.database_is_ready = not daemon.independent and preparing.done()
        # The libraries' objects stay for ever: to look through them for garbage again and again
        # would stop all threads for a quarter of a second each time.
        gc.collect()
        gc.freeze()
        server.start()
        log.info("version %s listens on %s port %d", toros.__version__, *server.address[:2])
        readiness.notify_ready()
        readiness.notify_status(f"listens on {server.address[0]} port {server.address[1]}")
        watchdog = readiness.Watchdog(
            lambda: (
                worker.silent_s() < SILENCE_LIMIT_S and resources.silent_s() < terms.silence_limit_s
            )
        )
        watchdog.start()
        stack.callback(watchdog.stop)
        tell(detach.Outcome(0))
        while not stop.wait(_TICK_S):
            desk.database_is_ready = desk.database_is_ready or preparing.done()
        _stop(desk, worker, terms.stop_timeout_s)


@contextmanager
def _logging_why() -> Iterator[None]:
    """Log what ends the daemon."""
    try:
        yield
    except TorosError as error:
        # Whatever is started again and again must not send a mail each time.
        level = logging.ERROR if _exit_code(error) == UNFIT else logging.WARNING
        log.log(level, "it cannot run: %s", error.message)
        raise
    except Exception:
        log.exception("a defect ends it")
        raise


def _bind(
    server: FrontDeskServer,
    stop: threading.Event,
    daemon: Daemon,
    tell: Callable[[detach.Outcome], None],
) -> None:
    """Take the port; an independent daemon works on without it, and tries again."""
    told = False
    while True:
        try:
            server.bind()
        except TorosError as error:
            if not daemon.independent:
                raise
            if not told:
                text = f"it works, but nobody can reach it: {error.message}"
                log.error("%s", text)
                tell(detach.Outcome(0, text))
            told = True
            if stop.wait(_TICK_S):
                return
        else:
            return


class _Preparing:
    """Makes the database ready and begins to work on orders, as soon as that can be."""

    def __init__(
        self, database: Database, worker: Worker, resources: Resources, daemon: Daemon
    ) -> None:
        self._database = database
        self._worker = worker
        self._resources = resources
        self._independent = daemon.independent
        self._told = ""
        self._resources_know = False

    def done(self) -> bool:
        """Try; False while the database is away."""
        try:
            schema.prepare(self._database)
            if not self._resources_know:  # the worker may meet a database that is away again
                self._resources.database_is_ready()
                self._resources_know = True
            self._worker.start()
        except (DatabaseUnavailable, DiskFull) as error:
            log.debug("waiting for the database: %s", error.message)
            return False
        except SchemaMismatch as error:
            if not self._independent:
                raise
            if self._told != error.message:
                log.error("no order can be queued: %s", error.message)
                self._told = error.message
            return False
        return True


def _server(desk: FrontDesk, settings: Settings, access: Access) -> FrontDeskServer:
    address = settings.service(desk.service)
    section = settings.front_desk
    hosts = {address.ip, urlsplit(address.http).hostname or address.ip}
    return FrontDeskServer(
        (address.ip, address.port),
        desk.front_desk,
        lambda: front_page(desk.service, desk.handlers),
        access,
        ServerLimits(
            body_bytes=int(section.body_limit_mb * 1_000_000),
            connections=section.connections,
            read_timeout_s=section.read_timeout_s,
            allowed_hosts=frozenset(hosts),
        ),
        _tls(section.tls_certificate, section.tls_key),
    )


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"Front Desk / TLS Certificate: {certificate} with key {key}: {error}; "
            "give a certificate and its private key in PEM form"
        ) from error
    return context


def _stop(desk: FrontDesk, worker: Worker, timeout_s: float) -> None:
    log.info("stopping: the running step has %g s to end or reach its checkpoint", timeout_s)
    readiness.notify_stopping()
    desk.stopping.set()
    if not worker.stop(timeout_s):
        log.warning("a step did not end in time; its order goes on at the next start")
