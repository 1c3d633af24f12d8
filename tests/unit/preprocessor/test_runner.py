"""The runner: what stays in the database when a step does not come to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from toros import clock
from toros.config import Section
from toros.database import schema
from toros.database.batches import Batches
from toros.database.session import Database
from toros.errors import InternalError, OrderCancelled
from toros.frontdesk.worker import PartlyDone
from toros.preprocessor.engine import Engine
from toros.preprocessor.repository import Repository
from toros.preprocessor.runner import Runner
from toros.preprocessor.site import DefaultSite
from toros.preprocessor.stepping import StepSettings
from toros.preprocessor.steps import STEPS


class Errand:
    """What the runner needs of a task; it is cancelled if so wished."""

    row = None
    order_id = "1"

    def __init__(self, *, cancelled: bool = False) -> None:
        self.cancelled = cancelled

    def patiently(self, work: Callable[[], Any]) -> Any:
        return work()

    def alive(self) -> None:
        """Show nothing."""

    def progress(self, _fraction: float, _text: str) -> None:
        self.check()

    def should_stop(self) -> bool:
        return self.cancelled

    def check(self) -> None:
        if self.cancelled:
            raise OrderCancelled("cancelled on request")


@pytest.fixture
def batches(tmp_path) -> Iterator[Batches]:
    database = Database(f"sqlite:///{tmp_path / 'toros.db'}")
    schema.prepare(database)
    yield Batches(database, clock.REAL)
    database.close()


def run(batches: Batches, tmp_path, step: StepSettings, errand: Errand) -> tuple[Any, ...]:
    """Run one step over an empty batch; return the error, the step's row, the batch's code."""
    batch = batches.of_url("/one")
    batch = batches.start_run(batch.id, 0, "digest")
    with Engine(1) as engine:
        runner = Runner(
            [step], batches, Repository(tmp_path), engine, DefaultSite(), 100.0, stop_at_error=True
        )
        with pytest.raises((PartlyDone, OrderCancelled)) as raised:
            runner.run(batch, errand)  # type: ignore[arg-type]
    (row,) = batches.steps(batch.id, batch.run)
    return raised.value, row, batches.get(batch.id).status_code


def test_a_defect_in_a_step_is_recorded_as_its_failure(batches, tmp_path, caplog):
    error, step, code = run(batches, tmp_path, StepSettings("no such step", Section()), Errand())
    assert isinstance(error.error, InternalError)
    assert (step["state"], step["status_code"]) == ("failed", InternalError.code)
    assert code == InternalError.code
    assert "KeyError" in caplog.text  # the log has the traceback


def test_a_cancelled_orders_step_does_not_run_for_ever(batches, tmp_path):
    step = StepSettings("stack_bias", STEPS["stack_bias"].settings())
    error, row, code = run(batches, tmp_path, step, Errand(cancelled=True))
    assert isinstance(error, OrderCancelled)
    assert (row["state"], row["status_code"]) == ("failed", OrderCancelled.code)
    assert code is None
