"""Brokers of the tests' own, on loopback, each in a process of its own: Kafka and VOEvent.

The Kafka broker is librdkafka's mock cluster, with topics, groups and commits; a partition holds
5 MB, and drops the oldest messages beyond. Through its C functions, which the wheel of
confluent-kafka exports, it can be taken down and up again with all it holds, and gives out
partitions without the three seconds that brokers wait for more members.

``python -m tests.system.brokers kafka`` and ``… comet RECEIVE BROADCAST FOLDER ALIVE_S`` run one.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.conftest import PROJECT, free_port, missing_part

TIMEOUT_S = 30.0
_LOOPBACK = "127.0.0.1"
_MESSAGE_BYTES = 8_000_000


def wait_until(
    condition: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S, pause_s: float = 0.02
) -> Any:
    """Wait until `condition` gives something true, and return that; fail when time is over."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(pause_s)
    return value


class _Process:
    """A process of this module, which ends with its user."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.system.brokers", *arguments]
        self.process = subprocess.Popen(
            command, cwd=PROJECT, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def close(self) -> None:
        """Kill it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(TIMEOUT_S)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class KafkaBroker(_Process):
    """A Kafka broker that can be told what to do; `address` is where it listens."""

    def __init__(self) -> None:
        if importlib.util.find_spec("confluent_kafka") is None:
            missing_part("confluent-kafka", "pip install confluent-kafka")
        super().__init__("kafka")
        self.address: str = self._answer()

    def create(self, topic: str, partitions: int = 1) -> None:
        """Make a topic."""
        self._ask("create", topic, partitions)

    def produce(self, topic: str, messages: Sequence[bytes]) -> None:
        """Send messages; all of one call to the same partition, in their order."""
        self._ask("produce", topic, [message.hex() for message in messages])

    def beat(self, topic: str, interval_s: float | None) -> None:
        """Send a heartbeat to `topic` at each interval, or no more."""
        self._ask("beat", topic, interval_s)

    def go_down(self) -> None:
        """Close all connections and refuse new ones; what there is stays."""
        self._ask("down")

    def come_up(self) -> None:
        """Listen again."""
        self._ask("up")

    def committed(self, group: str, topic: str, partition: int = 0) -> int:
        """Return the offset that a group has committed; negative where there is none."""
        import confluent_kafka

        reader = confluent_kafka.Consumer({"bootstrap.servers": self.address, "group.id": group})
        try:
            place = confluent_kafka.TopicPartition(topic, partition)
            return int(reader.committed([place], timeout=10)[0].offset)
        finally:
            reader.close()

    def _ask(self, *question: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()
        assert self._answer() == "done", question

    def _answer(self) -> str:
        assert self.process.stdout is not None
        # Its own deadlines are shorter: each question is answered, or the process ends.
        return self.process.stdout.readline().decode().strip()


class CometBroker(_Process):
    """A comet VOEvent broker with an event database of its own.

    Parameters
    ----------
    folder : Path
        Empty, for the events that it has seen.
    alive_s : float
        How often it sends iamalive [s]; who has not answered by the next one is dropped.
    ports : (int, int), optional
        To receive from authors and to broadcast to subscribers, such as those of an earlier one.
    """

    def __init__(
        self, folder: Path, alive_s: float = 60.0, ports: tuple[int, int] | None = None
    ) -> None:
        if importlib.util.find_spec("comet") is None:
            missing_part("comet", "pip install comet")
        folder.mkdir(exist_ok=True)
        self.ports = ports or (free_port(), free_port())
        self.address = f"{_LOOPBACK}:{self.ports[1]}"
        super().__init__("comet", *map(str, self.ports), str(folder), str(alive_s))
        for port in self.ports:
            wait_until(lambda p=port: can_connect(p), "comet listens")

    def send(self, notice: Path) -> None:
        """Send a VOEvent to the broker, which hands it on to its subscribers."""
        program = str(Path(sys.executable).parent / "comet-sendvo")
        command = [program, "-h", _LOOPBACK, "-p", str(self.ports[0]), "-f", str(notice)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        assert done.returncode == 0, done.stdout + done.stderr


class RawBroker:
    """A VTP broker that sends what a test tells it to, to one subscriber at a time."""

    def __init__(self) -> None:
        self._listener = socket.create_server((_LOOPBACK, 0))
        self._listener.settimeout(TIMEOUT_S)
        self.address = f"{_LOOPBACK}:{self._listener.getsockname()[1]}"
        self._peer: socket.socket | None = None

    def accept(self) -> None:
        """Wait for the next subscriber."""
        if self._peer is not None:
            self._peer.close()
        self._peer = self._listener.accept()[0]
        self._peer.settimeout(TIMEOUT_S)

    def send(self, content: bytes, length: int | None = None) -> None:
        """Send a packet, which may lie about its length."""
        assert self._peer is not None
        self._peer.sendall(struct.pack("!I", len(content) if length is None else length) + content)

    def receive(self, timeout_s: float = TIMEOUT_S) -> bytes | None:
        """Return the subscriber's next packet, b"" at its end, None if none comes."""
        assert self._peer is not None
        self._peer.settimeout(timeout_s)
        try:
            header = self._read(4)
            return header and self._read(struct.unpack("!I", header)[0])
        except TimeoutError:
            return None
        except ConnectionError:
            return b""

    def _read(self, length: int) -> bytes:
        assert self._peer is not None
        content = b""
        while len(content) < length and (piece := self._peer.recv(length - len(content))):
            content += piece
        return content

    def close(self) -> None:
        """Listen no more."""
        if self._peer is not None:
            self._peer.close()
        self._listener.close()

    def __enter__(self) -> RawBroker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def can_connect(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection((_LOOPBACK, port), 1.0):
        return True
    return False


class _MockCluster:
    """librdkafka's mock cluster, of one broker."""

    def __init__(self) -> None:
        import confluent_kafka

        # The library that confluent_kafka has loaded; elsewhere than in the wheel it is a system's.
        wheels = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
        found = [str(path) for path in wheels.glob("librdkafka*")]
        self._library = library = ctypes.CDLL((found or ["librdkafka.so.1"])[0])
        pointer, text, whole = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
        for name, result, arguments in (
            ("conf_new", pointer, []),
            ("new", pointer, [whole, pointer, text, ctypes.c_size_t]),
            ("mock_cluster_new", pointer, [pointer, whole]),
            ("mock_cluster_bootstraps", text, [pointer]),
            ("mock_group_initial_rebalance_delay_ms", None, [pointer, ctypes.c_int32]),
            ("mock_topic_create", whole, [pointer, text, whole, whole]),
            ("mock_broker_set_down", whole, [pointer, ctypes.c_int32]),
            ("mock_broker_set_up", whole, [pointer, ctypes.c_int32]),
        ):
            function = getattr(library, f"rd_kafka_{name}")
            function.restype, function.argtypes = result, arguments
        reason = ctypes.create_string_buffer(512)
        handle = library.rd_kafka_new(0, library.rd_kafka_conf_new(), reason, len(reason))
        assert handle, reason.value
        self._cluster = library.rd_kafka_mock_cluster_new(handle, 1)
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 100)
        self.address: str = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic; one that is there stays as it is."""
        self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1)

    def set_up(self, *, up: bool) -> None:
        """Take the broker down, or up again."""
        verb = self._library.rd_kafka_mock_broker_set_up if up else None
        error = (verb or self._library.rd_kafka_mock_broker_set_down)(self._cluster, 1)
        assert error == 0, error


def serve_kafka() -> None:
    """Be a Kafka broker; do what is asked for, a line of JSON each, until stdin ends."""
    import select

    import confluent_kafka

    cluster = _MockCluster()
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": cluster.address, "message.max.bytes": _MESSAGE_BYTES}
    )
    beats: dict[str, float] = {}
    due = time.monotonic()
    print(cluster.address, flush=True)
    lines = sys.stdin.fileno()
    while True:
        producer.poll(0)
        interval_s = min(beats.values(), default=1.0)
        if beats and time.monotonic() >= due:
            for topic in beats:
                producer.produce(topic, str(time.time()).encode())
            due = time.monotonic() + interval_s
        if not select.select([lines], [], [], min(interval_s, 0.1))[0]:
            continue
        line = sys.stdin.buffer.readline()
        if not line:
            return
        verb, *rest = json.loads(line)
        if verb == "create":
            cluster.create(*rest)
        elif verb == "produce":
            for message in rest[1]:
                producer.produce(rest[0], bytes.fromhex(message), partition=0)
            if producer.flush(20.0):
                sys.exit("not delivered")
        elif verb == "beat":
            beats.pop(rest[0], None)
            beats.update({} if rest[1] is None else {rest[0]: rest[1]})
        else:
            cluster.set_up(up=verb == "up")
        print("done", flush=True)


def serve_comet(receive: str, broadcast: str, folder: str, alive_s: str) -> None:
    """Be comet, as its own command runs it, but on loopback only and with a faster pulse."""
    from comet.protocol.broadcaster import VOEventBroadcasterFactory
    from twisted.application.twist._twist import Twist
    from twisted.internet import reactor

    VOEventBroadcasterFactory.IAMALIVE_INTERVAL = float(alive_s)
    listen = reactor.listenTCP  # type: ignore[attr-defined]
    reactor.listenTCP = lambda port, factory, backlog=50, interface="": listen(  # type: ignore[attr-defined]
        port, factory, backlog, _LOOPBACK
    )
    Twist.main(
        [
            "twist", "comet", "--local-ivo=ivo://org.test/broker", "--receive", "--broadcast",
            f"--receive-port={receive}", f"--broadcast-port={broadcast}",
            "--broadcast-test-interval=0", f"--eventdb={folder}",
            "--author-whitelist=127.0.0.0/8", "--subscriber-whitelist=127.0.0.0/8",
        ]
    )  # fmt: skip


if __name__ == "__main__":
    {"kafka": serve_kafka, "comet": serve_comet}[sys.argv[1]](*sys.argv[2:])
