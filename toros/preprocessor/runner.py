"""Runs the configured steps over a file batch: plan, work, record; resumable at every product."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toros import store
from toros.database.batches import Batches, BatchRow, CombinationRow
from toros.errors import (
    DatabaseUnavailable,
    DiskFull,
    InternalError,
    NoUsableFrames,
    OrderCancelled,
    StackingFailed,
    Stopping,
    TorosError,
)
from toros.frontdesk.worker import PartlyDone, Task
from toros.preprocessor import report
from toros.preprocessor.association import Master
from toros.preprocessor.engine import Engine
from toros.preprocessor.frames import frames
from toros.preprocessor.grouping import Frame
from toros.preprocessor.jobs import Product
from toros.preprocessor.planning import Job, Plan, of_unknown_type, plan
from toros.preprocessor.repository import Repository
from toros.preprocessor.site import Site
from toros.preprocessor.stepping import StepSettings
from toros.preprocessor.steps import STEPS
from toros.preprocessor.work import verified_run

log = logging.getLogger(__name__)

_PASSED_ON = (Stopping, OrderCancelled, DatabaseUnavailable, DiskFull)
"""What ends the work for now instead of failing a step: it goes on later."""


@dataclass(frozen=True)
class Runner:
    """Runs steps over batches.

    Parameters
    ----------
    steps : sequence of StepSettings
        Which steps, in which order, with which settings.
    batches : Batches
    repository : Repository
    engine : Engine
    site : Site
        What the configuration says of the cameras.
    memory_limit_mb : float
        What the stacks under way may take together [MB].
    stop_at_error : bool
        Whether a step that failed ends the run; else the next step is tried.
    reserve_bytes : int
        What a step's products must leave free on the repository's disk.
    """

    steps: Sequence[StepSettings]
    batches: Batches
    repository: Repository
    engine: Engine
    site: Site
    memory_limit_mb: float
    stop_at_error: bool
    reserve_bytes: int = 0

    def run(self, batch: BatchRow, task: Task) -> dict[str, Any]:
        """Bring the batch's current run to its end.

        Products that are already there, whole and made of the same inputs, are kept.

        Returns
        -------
        dict
            What was made, for the order's result.

        Raises
        ------
        PartlyDone
            A step failed, or no frame could be used; with what was made all the same.
        OrderCancelled, Stopping
            At a checkpoint; everything made so far is recorded.
        """
        folder = self.repository.run(batch.folder, batch.run)
        store.make_folder(folder)
        store.clear_partial(folder)
        exposures = task.patiently(lambda: self.batches.exposures(batch.id))
        planes = frames(exposures, self.repository)
        failure: TorosError | None = None
        left_out = {"every step": of_unknown_type(planes)}
        for number, step in enumerate(self.steps):
            try:
                left_out[step.name] = self._step(batch, number, step, planes, task)
            except _PASSED_ON:
                raise
            except TorosError as error:
                log.error("file batch %d, step %s: %s", batch.id, step.name, error.message)
                failure = failure or error
                if self.stop_at_error:
                    break
        products = task.patiently(lambda: self.batches.products(batch.id, batch.run))
        if failure is None and not products:
            failure = NoUsableFrames(
                f"file batch {batch.id}: none of its {len(exposures)} files is a frame that a step "
                "could use; `toros inspect` tells why for each"
            )
        steps = task.patiently(lambda: self.batches.steps(batch.id, batch.run))
        contents = report.contents(batch, exposures, products, steps, left_out, failure)
        paths = report.write(folder, contents)
        result = report.summary(contents, self.repository, folder, paths)
        code, message = (failure.code, failure.message) if failure else (0, "")
        task.patiently(lambda: self.batches.finish_run(batch.id, batch.run, code, message, result))
        if failure is not None:
            raise PartlyDone(failure, result)
        return result

    def _step(
        self, batch: BatchRow, number: int, step: StepSettings, planes: Sequence[Frame], task: Task
    ) -> list[tuple[str, str]]:
        """Run one step; record its outcome, and raise it if it is an error."""
        row = task.patiently(
            lambda: self.batches.start_step(batch.id, batch.run, step.name, task.row)
        )
        try:
            done = {
                product.name: product
                for product in task.patiently(lambda: self.batches.products(batch.id, batch.run))
            }
            masters = [self._master(product) for product in done.values()]
            planned = plan(step.name, planes, masters, step.settings, self.site)
            self._supersede(batch, step, planned, done.values(), task)
            jobs = [job for job in planned.jobs if not self._is_made(job, done.get(job.name))]
            store.check_free_space(self.repository.root, sum(map(_size, jobs)), self.reserve_bytes)
            self._work(batch, row, number, step, jobs, task)
        except OrderCancelled as cancelled:
            self._fail(row, cancelled, task)  # nobody goes on with it
            raise
        except _PASSED_ON:
            raise
        except TorosError as error:
            self._fail(row, error, task)
            raise
        except Exception as defect:
            failed = _internal(step.name, defect)
            self._fail(row, failed, task)
            raise failed from defect
        task.patiently(lambda: self.batches.finish_step(row, 0, ""))
        kept = len(planned.jobs) - len(jobs)
        log.info("file batch %d, step %s: %d made, %d kept", batch.id, step.name, len(jobs), kept)
        return list(planned.left_out)

    def _fail(self, step_row: int, error: TorosError, task: Task) -> None:
        task.patiently(lambda: self.batches.finish_step(step_row, error.code, error.message))

    def _supersede(
        self,
        batch: BatchRow,
        step: StepSettings,
        planned: Plan,
        done: Iterable[CombinationRow],
        task: Task,
    ) -> None:
        """Set aside what the step once made of other inputs, when one of them was missing."""
        wanted = {job.name for job in planned.jobs}
        made = STEPS[step.name].makes
        stale = [
            one.name for one in done if one.combination_type == made and one.name not in wanted
        ]
        if stale:
            log.info("%s: others take the place of %s", step.name, ", ".join(stale))
            task.patiently(lambda: self.batches.supersede(batch.id, batch.run, stale))

    def _work(
        self,
        batch: BatchRow,
        step_row: int,
        number: int,
        step: StepSettings,
        jobs: Sequence[Job],
        task: Task,
    ) -> None:
        """Do a step's jobs in other processes; record each product as it comes."""
        folder = self.repository.run(batch.folder, batch.run)
        share = self.memory_limit_mb / self.engine.processes
        arguments = [(job, str(folder), share, task.order_id) for job in jobs]
        failures: list[TorosError] = []
        full: DiskFull | None = None

        def ends() -> bool:
            return full is not None or task.should_stop()

        def tell(done: int) -> None:
            fraction = (number + (done / len(jobs) if jobs else 1.0)) / len(self.steps)
            # What runs in the pool is awaited and recorded all the same; then `check` ends it.
            with suppress(OrderCancelled, Stopping):
                task.progress(fraction, f"{step.name}: {done} of {len(jobs)}")

        tell(0)
        for done, (index, future) in enumerate(
            self.engine.map(verified_run, arguments, ends, task.alive), start=1
        ):
            try:
                product = _outcome(future, jobs[index])
            except DiskFull as error:
                full = full or error
            except TorosError as error:
                log.warning("%s: %s: %s", step.name, jobs[index].name, error.message)
                failures.append(error)
            else:
                found = self._row(jobs[index], product)
                task.patiently(
                    lambda row=found: self.batches.record(batch.id, batch.run, step_row, row)
                )
            tell(done)
        task.check()
        if full is not None:
            raise full
        if failures:
            raise failures[0]

    def _is_made(self, job: Job, product: CombinationRow | None) -> bool:
        """Whether a job's product is there, whole, and made of the job's inputs."""
        if product is None:
            return False
        path = self.repository.absolute(product.path)
        return (
            set(product.exposure_sha256s) == {frame.sha256 for frame in job.frames}
            and set(product.input_names) == {master.name for master in job.masters}
            and path.is_file()
            and store.sha256_of(path) == product.sha256
            and (
                product.preview_path is None
                or self.repository.absolute(product.preview_path).is_file()
            )
        )

    def _master(self, product: CombinationRow) -> Master:
        return Master(
            path=str(self.repository.absolute(product.path)),
            name=product.name,
            sha256=product.sha256,
            kind=product.combination_type,
            key=dict(product.key),
            scalars=dict(product.scalars),
            missing=tuple(product.missing),
        )

    def _row(self, job: Job, product: Product) -> CombinationRow:
        return CombinationRow(
            name=job.name,
            combination_type=product.kind,
            path=self.repository.relative(Path(product.path)),
            sha256=product.sha256,
            preview_path=self.repository.relative(Path(product.preview_path)),
            key=product.key,
            scalars={k: v for k, v in product.scalars.items() if math.isfinite(v)},
            missing=product.missing,
            frames_rejected=[list(item) for item in product.frames_rejected],
            exposure_sha256s=[frame.sha256 for frame in job.frames],
            input_names=[master.name for master in job.masters],
        )


def _size(job: Job) -> int:
    """Return how large a job's product becomes: data, uncertainty, mask [bytes]."""
    ny, nx = job.frames[0].facts.shape
    return 9 * ny * nx


def _outcome(future: Future[Product], job: Job) -> Product:
    """Return what a job made, or raise why it could not, as an error of ours."""
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, TorosError):
        raise error
    if isinstance(error, BrokenProcessPool):
        raise StackingFailed(
            f"{job.name}: the process that worked on it was killed again and again; is the "
            "machine's memory full? Preprocessor / Memory Limit (MB) or Processes can be lowered"
        ) from error
    raise _internal(job.name, error)


def _internal(what: str, defect: BaseException) -> InternalError:
    """Log a defect under a new tag; return the error that names the tag only."""
    tag = secrets.token_hex(4)
    log.error("%s met a defect [%s]", what, tag, exc_info=defect)
    return InternalError(f"{what}: internal error [{tag}]; the log has more under this tag")
