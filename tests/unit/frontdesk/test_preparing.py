"""A daemon whose database comes, goes, and comes back while it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from toros.database.session import Database
from toros.errors import DatabaseUnavailable
from toros.frontdesk.process import Daemon, _Preparing
from toros.frontdesk.registry import Registry
from toros.frontdesk.resources import Resources


class Counting(Resources):
    """Resources that can be told only once, as those that start threads."""

    told = 0

    def database_is_ready(self) -> None:
        self.told += 1


class Worker:
    """A worker that does not find the database at its first start."""

    starts = 0

    def start(self) -> None:
        self.starts += 1
        if self.starts == 1:
            raise DatabaseUnavailable("it went away again")


def test_resources_hear_of_the_database_once_though_the_worker_starts_twice(tmp_path: Path) -> None:
    resources, worker = Counting(), Worker()
    database = Database(f"sqlite:///{tmp_path / 'toros.db'}")
    daemon = Daemon(Registry("dome"), cast(Any, None))
    preparing = _Preparing(database, cast(Any, worker), resources, daemon)
    assert not preparing.done()
    assert preparing.done()
    assert (resources.told, worker.starts) == (1, 2)
    database.close()
