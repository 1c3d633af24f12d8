"""Where the pixels are worked on: a pool of processes behind `concurrent.futures.Executor`."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Self, TypeVar

from toros.errors import TorosError

T = TypeVar("T")

log = logging.getLogger(__name__)

_NICENESS = 10  # the front desk answers first
_PATIENCE_S = 0.5
_POOL_LOSSES = 3


class Engine:
    """Runs functions in other processes, a bounded number of them at a time.

    The pool is a `concurrent.futures.Executor` of new, low-priority processes that
    end with this one. An executor for several machines can take its place: work
    is handed over as paths, and doing it twice does no harm.

    Parameters
    ----------
    processes : int
        How many at once.
    initializer, initargs : callable and tuple, optional
        Called in each new process, to set its log up.
    make_executor : callable, optional
        Makes another executor than the pool, such as a distributed engine's.
    """

    def __init__(
        self,
        processes: int,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        make_executor: Callable[[], Executor] | None = None,
    ) -> None:
        self.processes = processes
        self._context = multiprocessing.get_context("spawn")
        self._pulse = self._context.Value("d", 0.0, lock=False)
        self._initargs = (self._pulse, initializer, initargs)
        self._make = make_executor or self._make_pool
        self._executor: Executor | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the pool, whatever it is doing: what it works on is resumed later."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()

    def map(
        self,
        function: Callable[..., T],
        arguments: Sequence[tuple[Any, ...]],
        should_stop: Callable[[], bool],
        alive: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[int, Future[T]]]:
        """Call a function once for each tuple of arguments, in other processes.

        Futures are handed back as they end, each with its position in
        `arguments`. Once `should_stop` says so, what has not begun is dropped and
        what runs is still handed back. `alive` is called whenever the work has got on
        (`beat`). A pool that breaks (a process was killed, for instance for its
        memory) is made anew and what it lost is tried again; work that loses its
        pool again and again ends with BrokenProcessPool in its future.
        """
        todo = list(range(len(arguments)))[::-1]
        losses = dict.fromkeys(todo, 0)
        running: dict[Future[T], tuple[int, Executor]] = {}
        last_beat = self._pulse.value
        while todo or running:
            if self._pulse.value != last_beat:
                last_beat = self._pulse.value
                alive()
            while todo and len(running) < self.processes and not should_stop():
                # What was lost once is tried alone, lest it takes others with it again.
                if running and any(
                    losses[n] for n in (todo[-1], *(n for n, _ in running.values()))
                ):
                    break
                number = todo.pop()
                future, executor = self._submit(function, arguments[number])
                running[future] = number, executor
            if not running:
                return
            ended, _ = wait(running, timeout=_PATIENCE_S, return_when=FIRST_COMPLETED)
            for future in ended:
                number, executor = running.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    self._renew(executor)
                    losses[number] += 1
                    if losses[number] < _POOL_LOSSES:
                        todo.append(number)
                        continue
                yield number, future

    def _submit(
        self, function: Callable[..., T], arguments: tuple[Any, ...]
    ) -> tuple[Future[T], Executor]:
        for _ in range(_POOL_LOSSES):
            with self._lock:
                if self._executor is None:
                    self._executor = self._make()
                executor = self._executor
            try:
                return executor.submit(function, *arguments), executor
            except BrokenProcessPool:
                self._renew(executor)
        raise BrokenProcessPool("the pool of processes breaks at once, again and again")

    def _make_pool(self) -> Executor:
        return ProcessPoolExecutor(
            self.processes,
            mp_context=self._context,
            initializer=_begin_worker,
            initargs=self._initargs,
        )

    def _renew(self, broken: Executor) -> None:
        with self._lock:
            if self._executor is not broken:
                return  # another order's thread has seen it first
            self._executor = None
        log.warning("a process of the pool was lost; the pool is made anew")
        broken.shutdown(wait=False, cancel_futures=True)


class _Pulse:
    """Where a pool process shows that it gets on; shared with its daemon."""

    value: Any = None


def beat() -> None:
    """Show, from inside a pool process, that the work gets on."""
    if _Pulse.value is not None:
        _Pulse.value.value = time.monotonic()


def _begin_worker(
    pulse: Any, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
) -> None:
    """Make a pool process polite, and mortal when its daemon is."""
    _Pulse.value = pulse
    os.nice(_NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the daemon, which ends its pool
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    if initializer is not None:
        try:
            initializer(*initargs)
        except TorosError as error:  # a pool without a log is better than none
            log.warning("a process of the pool works without a log: %s", error.message)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    time.sleep(0.1)
    os._exit(1)
