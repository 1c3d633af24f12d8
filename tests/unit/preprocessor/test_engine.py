"""The pool of processes: what a lost process costs, and whom."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from toros.preprocessor.engine import Engine, beat


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def end_if_bad(what: str, folder: Path) -> str:
    if what == "bad":
        until(lambda: any(folder.iterdir()))  # the other one has begun
        time.sleep(0.2)
        os._exit(9)
    (folder / what).touch()
    time.sleep(0.5)
    return what


def test_work_that_ends_its_process_takes_no_other_with_it(tmp_path):
    with Engine(2) as engine:
        arguments = [("one", tmp_path), ("bad", tmp_path), ("two", tmp_path)]
        outcome = {
            arguments[number][0]: future.exception() or future.result()
            for number, future in engine.map(end_if_bad, arguments, lambda: False)
        }
    assert isinstance(outcome.pop("bad"), BrokenProcessPool)
    assert outcome == {"one": "one", "two": "two"}


class Pool(Executor):
    """Keeps its futures until a test ends them."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []
        self.is_shut = False

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        self.futures.append(Future())
        return self.futures[-1]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.is_shut = True
        is_broken = any(future.done() for future in self.futures)
        for future in self.futures:
            if cancel_futures and not is_broken:
                future.cancel()


def test_two_orders_that_lose_a_pool_make_one_new_one():
    pools: list[Pool] = []

    def make() -> Pool:
        pools.append(Pool())
        return pools[-1]

    engine = Engine(1, make_executor=make)
    results: list[str] = []

    def order() -> None:
        results.extend(f.result() for _, f in engine.map(end_if_bad, [("x",)], lambda: False))

    threads = [threading.Thread(target=order, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: bool(pools) and len(pools[0].futures) == 2)
    for number, future in enumerate(pools[0].futures, start=1):
        future.set_exception(BrokenProcessPool())
        until(lambda n=number: sum(len(pool.futures) for pool in pools[1:]) == n)
    first, *others = pools
    assert first.is_shut
    assert [pool.is_shut for pool in others] == [False]
    for future in others[0].futures:
        future.set_result("done")
    for thread in threads:
        thread.join(20)
    assert results == ["done", "done"]


def work_long(seconds: float) -> None:
    for _ in range(int(seconds / 0.1)):
        time.sleep(0.1)
        beat()


def test_a_job_that_gets_on_shows_it_before_it_ends():
    shown: list[float] = []
    with Engine(1) as engine:
        for _ in engine.map(
            work_long, [(3.0,)], lambda: False, lambda: shown.append(time.monotonic())
        ):
            ended = time.monotonic()
    assert len([moment for moment in shown if moment < ended - 0.3]) >= 3
