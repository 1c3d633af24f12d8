"""The handlers of the preprocessor's requests."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from toros import clock
from toros.config import Settings
from toros.database.batches import Batches, BatchRow
from toros.errors import SUCCESS
from toros.frontdesk import resources
from toros.frontdesk.desk import FrontDesk
from toros.frontdesk.registry import Registry
from toros.frontdesk.worker import Task
from toros.preprocessor import sources
from toros.preprocessor.engine import Engine
from toros.preprocessor.ingest import Ingest, source_rules
from toros.preprocessor.repository import Repository
from toros.preprocessor.runner import Runner
from toros.preprocessor.stepping import StepSettings
from toros.workorders import CalibrateFileBatch, RestartFileBatch, ResumeFileBatch

registry = Registry("preprocessor")

_LOCK_POLL_S = 0.5
_SITE = ("temperature_tolerance_c", "gain_e_adu", "read_noise_e", "saturation_adu")


@dataclass
class Resources(resources.Resources):
    """What the preprocessor's handlers share: the pool, the steps, a lock for each batch."""

    engine: Engine
    steps: tuple[StepSettings, ...]
    locks: defaultdict[int, threading.Lock] = field(
        default_factory=lambda: defaultdict(threading.Lock)
    )


def _may_be_fetched(order: CalibrateFileBatch, desk: FrontDesk) -> None:
    """Refuse a url that no rule of the configuration lets through."""
    sources.check(order.url, source_rules(desk.settings))


def _exists(order: ResumeFileBatch | RestartFileBatch, desk: FrontDesk) -> None:
    """Refuse a file batch that there is not."""
    Batches(desk.orders.database, desk.clock).get(order.file_batch)


@registry.serves(CalibrateFileBatch, check=_may_be_fetched)
def calibrate_file_batch(order: CalibrateFileBatch, task: Task) -> dict[str, Any]:
    """Bring the files in and calibrate them; what is already done is not done again."""
    desk = _Bench(task)
    url = sources.canonical(order.url)
    batch = task.patiently(lambda: desk.batches.of_url(url))
    with desk.alone(batch.id):
        batch = desk.ingest.bring_in(url, task)
        digest = desk.inputs_digest(batch)
        if batch.run == 0 or batch.run_inputs_sha256 != digest:
            batch = task.patiently(lambda: desk.batches.start_run(batch.id, batch.run, digest))
        elif batch.status_code == SUCCESS and batch.run_result is not None and desk.is_whole(batch):
            return {**batch.run_result, "already_calibrated": True}
        return desk.runner.run(batch, task)


@registry.serves(ResumeFileBatch, check=_exists)
def resume_file_batch(order: ResumeFileBatch, task: Task) -> dict[str, Any]:
    """Go on with the batch's last run: what is there and whole is kept.

    After a change of the steps' settings a new run begins.
    """
    desk = _Bench(task)
    with desk.alone(order.file_batch):
        batch = task.patiently(lambda: desk.batches.get(order.file_batch))
        digest = desk.inputs_digest(batch)
        if batch.run == 0 or batch.run_inputs_sha256 != digest:
            # Products of other settings do not go together with what is still to be made.
            batch = task.patiently(lambda: desk.batches.start_run(batch.id, batch.run, digest))
        return desk.runner.run(batch, task)


@registry.serves(RestartFileBatch, check=_exists)
def restart_file_batch(order: RestartFileBatch, task: Task) -> dict[str, Any]:
    """Read all headers again and make every product anew, in a run of its own."""
    desk = _Bench(task)
    with desk.alone(order.file_batch):
        batch = task.patiently(lambda: desk.batches.get(order.file_batch))
        marker = f"restart by order row {task.row}"
        if not desk.begun_by(batch, marker):
            desk.ingest.read_headers(batch, [], [list(i) for i in batch.left_out], task)
            digest = desk.inputs_digest(batch)
            batch = task.patiently(
                lambda: desk.batches.start_run(batch.id, batch.run, digest, marker)
            )
        return desk.runner.run(batch, task)


class _Bench:
    """The tools that the handlers work with, made from a task."""

    def __init__(self, task: Task) -> None:
        resources = task.resources
        assert isinstance(resources, Resources)
        settings: Settings = task.settings
        section = settings.preprocessor
        self.task = task
        self.resources = resources
        self.settings = settings
        self.batches = Batches(task.database, clock.REAL)
        self.repository = Repository(settings.state_folder / "repository")
        self.ingest = Ingest(settings, self.batches, self.repository, resources.engine)
        self.runner = Runner(
            resources.steps,
            self.batches,
            self.repository,
            resources.engine,
            section,
            section.memory_limit_mb,
            section.on_step_error == "stop",
            int(section.free_space_reserve_mb * 1e6),
        )

    @contextmanager
    def alone(self, batch_id: int) -> Iterator[None]:
        """Let one order at a time work on a batch; the next one waits."""
        lock = self.resources.locks[batch_id]
        while not lock.acquire(timeout=_LOCK_POLL_S):
            self.task.progress(0.0, f"waiting for another order on file batch {batch_id}")
        try:
            yield
        finally:
            lock.release()

    def inputs_digest(self, batch: BatchRow) -> str:
        """Sum up what a run depends on: files, what their headers say, settings."""
        rows = self.task.patiently(lambda: self.batches.exposures(batch.id))
        parts = [f"{row.sha256} {row.name} {row.quarantine_reason} {row.facts}" for row in rows]
        parts += [f"{step.name} {step.settings!r}" for step in self.resources.steps]
        site = self.settings.preprocessor
        parts += [f"{name} {getattr(site, name)!r}" for name in _SITE]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def is_whole(self, batch: BatchRow) -> bool:
        """Whether every product of the batch's run is still there."""
        products = self.task.patiently(lambda: self.batches.products(batch.id, batch.run))
        return all(self.repository.absolute(product.path).is_file() for product in products)

    def begun_by(self, batch: BatchRow, marker: str) -> bool:
        """Whether this very order has begun the batch's run already, before an interruption."""
        return batch.run_marker == marker
