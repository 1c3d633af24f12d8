"""A real daemon under nonsense: it stays up, and every answer is one that it means to give."""

from __future__ import annotations

import collections
import re
import sys
import threading
import time
import xmlrpc.client
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.inputs import REQUESTS, inputs
from tests.fuzz.sender import Answer, Sender
from tests.system.daemons import Preprocessor
from toros.client import FrontDesk
from toros.errors import InternalError, InvalidField, TorosError, error_classes, from_code

SENDERS = 3
RECEIPT = {"id", "request", "status", "message", "warnings"}
LIMIT_MB = 50.0
# What the front desk may say while nothing is wrong with the machine.
CODES = {cls.code for cls in error_classes() if cls.code < InternalError.code}
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ preprocessor \[[^\n]+\] [\w.]+: ")


@dataclass
class Tally:
    """What was sent and what came back."""

    answers: collections.Counter[tuple[str, str, int]] = field(default_factory=collections.Counter)
    parsed: int = 0
    accepted: int = 0
    receipts: int = 0
    ids: set[str] = field(default_factory=set)

    @property
    def sent(self) -> int:
        return self.answers.total()

    def accept(self, value: Any) -> None:
        assert isinstance(value, dict)
        self.accepted += 1
        if set(value) == RECEIPT:
            assert value["status"] == "queued"
            self.receipts += 1
            self.ids.add(value["id"])

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.answers + other.answers,
            self.parsed + other.parsed,
            self.accepted + other.accepted,
            self.receipts + other.receipts,
            self.ids | other.ids,
        )

    def report(self) -> str:
        by_code = collections.Counter[str]()
        for (_, kind, code), count in self.answers.items():
            by_code[f"{kind} {type(from_code(code, '')).__name__} {code}" if code else kind] += (
                count
            )
        answers = ", ".join(f"{count} {what}" for what, count in by_code.most_common())
        return (
            f"{self.sent} inputs: {self.parsed} passed the XML parser, {self.accepted} were "
            f"accepted, {self.receipts} of them with a receipt for {len(self.ids)} ids\n{answers}"
        )


class Memory:
    """The resident memory of a process, looked at ten times a second [MB]."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self.first = self.last = self.most = self.now()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def now(self) -> float:
        (line,) = re.findall(r"VmRSS:\s+(\d+) kB", self._status.read_text("ascii"))
        return int(line) / 1024

    def _watch(self) -> None:
        while not self._end.wait(0.1):
            self.last = self.now()
            self.most = max(self.most, self.last)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


# -- bytes -----------------------------------------------------------------------------


def send_bytes(daemon: Preprocessor, seed: int, count: int) -> Tally:
    """Send raw inputs over several connections at once."""
    shares = [count // SENDERS + (n < count % SENDERS) for n in range(SENDERS)]
    with ThreadPoolExecutor(SENDERS) as pool:
        tallies = pool.map(
            lambda n: _send_bytes(daemon, SENDERS * seed + n, shares[n]), range(SENDERS)
        )
        return sum(tallies, Tally())


def _send_bytes(daemon: Preprocessor, seed: int, count: int) -> Tally:
    tally = Tally()
    sender = Sender(("127.0.0.1", daemon.port))
    # An allowed folder that is not there: an order for it is taken, and fails at once.
    for made in inputs(seed, count, str(daemon.incoming / "nothing")):
        answer = sender.send(made)
        _check(answer, made)
        tally.answers[made.kind, answer.kind, answer.code] += 1
        tally.parsed += answer.parsed
        if answer.kind == "result":
            tally.accept(answer.value)
    sender.close()
    return tally


def _check(answer: Answer, made: Any) -> None:
    assert answer.kind in ("result", "fault", "http"), (answer, made)
    assert answer.kind != "http" or made.raw[:4] in (b"GET ", b"PUT "), (answer, made)
    assert answer.kind != "fault" or answer.code in CODES, (answer, made)


# -- values ----------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
KEYS = (
    st.sampled_from(
        "id datetime user priority order order_user state page page_size url file_batch".split()
    )
    | st.text()
)
ORDERS = st.builds(
    lambda order, request: {**order, "request": request},
    st.dictionaries(KEYS, VALUES, max_size=5),
    st.sampled_from(REQUESTS) | VALUES,
)


def send_values(daemon: Preprocessor, count: int) -> Tally:
    """Send any dictionaries (and some that are none) through both Python clients."""
    tally = Tally()
    stock = xmlrpc.client.ServerProxy(daemon.url, allow_none=True)

    @settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(ORDERS | VALUES, st.booleans())
    def send(order: Any, ours: bool) -> None:
        kind, code = "result", 0
        try:
            value = _by_client(daemon.desk, order) if ours else stock.front_desk(order)
            tally.accept(value)
            tally.parsed += 1
        except TorosError as error:
            kind, code = "fault", error.code
        except xmlrpc.client.Fault as fault:
            kind, code = "fault", fault.faultCode
        except (OverflowError, TypeError, UnicodeEncodeError):
            assert not ours
            kind = "unsendable"  # says the standard library itself
        assert kind != "fault" or code in CODES, order
        tally.parsed += kind == "fault" and not 220 <= code <= 224
        tally.answers["values", kind, code] += 1

    send()
    return tally


def _by_client(desk: FrontDesk, order: Any) -> dict[str, Any]:
    if not isinstance(order, dict):
        raise InvalidField("toros.client sends dictionaries only")
    return desk.send(order)


# -- the daemon afterwards -------------------------------------------------------------


def listed(daemon: Preprocessor) -> list[dict[str, Any]]:
    first = daemon.desk.submit("list_orders", page_size=500)
    pages = range(2, first["pages"] + 1)
    more = [daemon.desk.submit("list_orders", page=page, page_size=500)["orders"] for page in pages]
    return sum(more, first["orders"])


def drain(daemon: Preprocessor, timeout_s: float) -> None:
    """Wait until no order waits or runs."""
    deadline = time.monotonic() + timeout_s
    while any(
        daemon.desk.submit("list_orders", state=state, page_size=1)["total"]
        for state in ("queued", "running")
    ):
        assert time.monotonic() < deadline, daemon.desk.status()["queue"]
        time.sleep(0.5)


def check_log(daemon: Preprocessor) -> int:
    """Check every line of the log; return its size [bytes]."""
    with daemon.log.open(encoding="utf-8") as lines:
        for line in lines:
            assert LINE.match(line), line
            assert line[:-1].isprintable(), line
            assert " CRITICAL " not in line, line
            assert "internal error" not in line, line
    return daemon.log.stat().st_size


def fuzz(daemon: Preprocessor, warm_up: int, raw: int, values: int) -> str:
    """Send, check everything that is promised, and return a report."""
    assert daemon.process is not None
    pid = daemon.desk.status()["pid"]
    first = send_bytes(daemon, 1, warm_up) + send_values(daemon, max(100, values // 20))
    began = time.monotonic()
    with Memory(pid) as memory:
        tally = send_bytes(daemon, 2, raw)
        rate = raw / (time.monotonic() - began)
        tally += send_values(daemon, values)
        sent_s = time.monotonic() - began
        drain(daemon, 60.0 + raw / 200)
        drained_s = time.monotonic() - began
    assert daemon.process.poll() is None
    assert daemon.desk.status()["pid"] == pid
    orders = listed(daemon)
    assert len({(order["user"], order["id"]) for order in orders}) == len(orders)
    assert {order["id"] for order in orders} == first.ids | tally.ids
    states = collections.Counter(order["status"] for order in orders)
    log_bytes = check_log(daemon)
    lines = (
        tally.report(),
        f"{rate:.0f} raw inputs/s, all sent after {sent_s:.0f} s, the queue empty after "
        f"{drained_s:.0f} s; {len(orders)} orders recorded: {dict(states)}",
        f"resident memory {memory.first:.1f} MB after {first.sent} inputs, at the end "
        f"{memory.last - memory.first:+.1f} MB, at the most {memory.most - memory.first:+.1f} MB",
        f"log at DEBUG {log_bytes / 1e6:.1f} MB, {log_bytes / (first.sent + tally.sent):.0f} bytes "
        "per input",
    )
    report = "\n".join(lines)
    assert tally.sent >= raw + values, report
    assert set(states) <= {"failed", "cancelled"}, report
    assert tally.parsed > tally.sent / 3, report
    assert tally.receipts > tally.sent / 10, report
    assert memory.most - memory.first < LIMIT_MB, report
    assert log_bytes < 1000 * (first.sent + tally.sent), report
    return report


@pytest.fixture
def daemon(make_preprocessor):
    return make_preprocessor(changes={"Front Desk": {"Queue Limit": 1_000_000}}).start()


def test_three_thousand_inputs(daemon, capsys):
    report = fuzz(daemon, warm_up=500, raw=3000, values=300)
    with capsys.disabled():
        print(f"\n{report}", file=sys.stderr)  # which the processes of pytest-xdist pass on


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_inputs(daemon, capsys):
    report = fuzz(daemon, warm_up=5000, raw=96_000, values=4000)
    with capsys.disabled():
        print(f"\n{report}", file=sys.stderr)  # which the processes of pytest-xdist pass on
