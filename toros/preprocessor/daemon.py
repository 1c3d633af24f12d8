"""The preprocessor as a daemon: ``toros-preprocessor``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from toros import store
from toros.config import Settings
from toros.database.session import Database
from toros.frontdesk.process import Daemon, Terms, command
from toros.logs import LogHandle
from toros.preprocessor.engine import Engine
from toros.preprocessor.repository import Repository
from toros.preprocessor.requests import Resources, registry
from toros.preprocessor.stepping import StepSettings, configured_steps


def terms(settings: Settings) -> Terms:
    """Check the preprocessor's settings and say what its worker needs.

    Raises
    ------
    ConfigurationError
    """
    section = settings.preprocessor
    return Terms(
        orders_at_a_time=section.orders_at_a_time,
        stop_timeout_s=section.stop_timeout_s,
        reserve_bytes=int(section.free_space_reserve_mb * 1e6),
        resources=partial(_resources, settings, configured_steps(settings)),
    )


@contextmanager
def _resources(
    settings: Settings, steps: tuple[StepSettings, ...], log: LogHandle, _database: Database
) -> Iterator[Resources]:
    store.make_folder(Repository(settings.state_folder / "repository").root)
    with Engine(settings.preprocessor.processes, *log.worker_initializer) as engine:
        yield Resources(engine, steps)


main = command(Daemon(registry, terms))

if __name__ == "__main__":
    main()
