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
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click
import daemon as python_daemon

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
    TorosError,
)
from toros.frontdesk import common, readiness
from toros.frontdesk.access import Access
from toros.frontdesk.desk import FrontDesk
from toros.frontdesk.page import front_page
from toros.frontdesk.registry import Registry
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
    resources: Callable[[logs.LogHandle], AbstractContextManager[object]]
    """Opens what the handlers need, before the worker starts; it is closed at the end."""


@dataclass(frozen=True)
class Daemon:
    """What makes one daemon differ from another."""

    registry: Registry
    terms: Callable[[Settings], Terms]
    """Checks the daemon's own settings; raises ConfigurationError."""


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
    @click.option("--detach", is_flag=True, help="Go to the background (without systemd).")
    @click.option(
        "--pid-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Where the process id is written.  [default: STATE FOLDER/toros-SERVICE.pid]",
    )
    @click.version_option(toros.__version__)
    def run(configuration: Path, detach: bool, pid_file: Path | None) -> None:
        try:
            settings = config.load(configuration.absolute(), service)
            check_users(settings)
            terms = daemon.terms(settings)
            lock_path = pid_file or settings.state_folder / f"toros-{service}.pid"
            store.make_folder(lock_path.parent)
            lock = hold_lock(lock_path)
            if detach:
                _detach(daemon, settings, terms, lock)
            else:
                with lock:
                    live(daemon, settings, terms, foreground=True)
        except (ConfigurationError, SchemaMismatch) as error:
            click.echo(f"toros-{service}: {error.message}", err=True)
            sys.exit(UNFIT)
        except TorosError as error:
            click.echo(f"toros-{service}: {error.message}", err=True)
            sys.exit(1)

    return run


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
    context = python_daemon.DaemonContext(
        pidfile=lock, files_preserve=[lock], umask=0o027, working_directory="/"
    )
    with context:
        try:
            live(daemon, settings, terms, foreground=False)
        except TorosError:
            log.exception("the daemon could not start")
            raise


def live(daemon: Daemon, settings: Settings, terms: Terms, *, foreground: bool) -> None:
    """Run a daemon until SIGTERM or SIGINT.

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
        stack.enter_context(hold_lock(settings.state_folder / f"toros-{service}.lock"))
        handle = logs.configure(service, settings, foreground=foreground)
        stack.callback(handle.close)
        for warning in settings.warnings:
            log.warning("configuration: %s", warning)
        database = Database(settings.database_url())
        stack.callback(database.close)
        # The same after a restart; the end tells more, where the column is too short for all.
        owner = f"{socket.gethostname()}:{settings.source}"[-_OWNER_CHARS:]
        orders = Orders(database, service, owner, clock.REAL)
        worker = Worker(
            daemon.registry,
            settings,
            orders,
            stack.enter_context(terms.resources(handle)),
            terms.orders_at_a_time,
        )
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
        server = _server(desk, settings, access)
        # Before the worker: another instance's orders are not for this one to take up.
        server.bind()
        stack.callback(server.stop, 2.0)
        desk.database_is_ready = _prepare(database, worker)
        # The libraries' objects stay for ever: to look through them for garbage again and again
        # would stop all threads for a quarter of a second each time.
        gc.collect()
        gc.freeze()
        server.start()
        log.info("version %s listens on %s port %d", toros.__version__, *server.address[:2])
        readiness.notify_ready()
        readiness.notify_status(f"listens on {server.address[0]} port {server.address[1]}")
        watchdog = readiness.Watchdog(lambda: worker.silent_s() < SILENCE_LIMIT_S)
        watchdog.start()
        stack.callback(watchdog.stop)
        while not stop.wait(_TICK_S):
            desk.database_is_ready = desk.database_is_ready or _prepare(database, worker)
        _stop(desk, worker, terms.stop_timeout_s)


def _prepare(database: Database, worker: Worker) -> bool:
    """Make the database ready and begin to work; False while the database is away."""
    try:
        schema.prepare(database)
        worker.start()
    except (DatabaseUnavailable, DiskFull) as error:
        log.debug("waiting for the database: %s", error.message)
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
