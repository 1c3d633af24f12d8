"""What the weather's tests share: clocks to be set by hand, sources, a server of stations."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from toros.devices.protocols import Reading
from toros.dome.weather.observation import Observation

START = datetime(2026, 6, 10, 22, 0, tzinfo=UTC)


class HandClock:
    """A clock that a test sets: real time, monotonic time, and a wall clock that may jump."""

    def __init__(self, rate: float = 1.0) -> None:
        self.rate = rate
        self.real_s = 1000.0
        self.clock_s = 5000.0
        self.wall = START

    def pass_s(self, seconds: float) -> None:
        """Let seconds of the clock pass."""
        self.real_s += seconds / self.rate
        self.clock_s += seconds
        self.wall += timedelta(seconds=seconds)

    def suspend_s(self, seconds: float) -> None:
        """Sleep: the boot's time and the wall clock go on, the monotonic one does not."""
        self.real_s += seconds
        self.wall += timedelta(seconds=seconds)

    def step_s(self, seconds: float) -> None:
        """Set the wall clock, and nothing else."""
        self.wall += timedelta(seconds=seconds)

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.clock_s

    def real(self) -> float:
        return self.real_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


def observe(**values: float) -> Observation:
    """Make an observation of fresh values."""
    return Observation({name: Reading(float(value), 0.0) for name, value in values.items()})


class ScriptedSource:
    """Tells what a test has put into it."""

    def __init__(self, name: str = "station", age_limit_s: float = 60.0) -> None:
        self.name = name
        self.age_limit_s = age_limit_s
        self.period_s = 0.01
        self.answer: Observation | BaseException | Callable[[], Observation] = observe(safe=1)
        self.reads = 0

    def read(self) -> Observation:
        self.reads += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer() if callable(self.answer) else self.answer


def until(true: Callable[[], bool], timeout_s: float = 5.0) -> float:
    """Wait for something, at most `timeout_s` real seconds; return how long it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < timeout_s, "it did not come true in time"
        time.sleep(0.005)
    return time.monotonic() - began


@contextmanager
def station(
    reply: Callable[[BaseHTTPRequestHandler], None],
) -> Iterator[tuple[str, list[BaseHTTPRequestHandler]]]:
    """Run an HTTP server that answers every GET by `reply`; yield its address and requests."""
    seen: list[BaseHTTPRequestHandler] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self)
            reply(self)

        def log_message(self, *_args: object) -> None:
            """Be silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    """Answer with a body of the stated length."""
    handler.send_response(status)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)
