"""Sending archived notices again, for rehearsals: read them, and one sender for each way in."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from toros import store
from toros.client import FrontDesk
from toros.errors import (
    InvalidField,
    NoticeRefused,
    ServiceUnreachable,
    StorageFailed,
)
from toros.lvcgcn.reception.archive import Kept

_KAFKA_S = 20.0
_MESSAGE_BYTES = 8_000_000


@dataclass(frozen=True)
class Archived:
    """A notice that is to be sent again."""

    path: Path
    raw: bytes
    received: datetime | None
    """When it came the first time; None where the file's name does not tell."""


def read_archived(paths: Sequence[Path]) -> list[Archived]:
    """Read notices, in the order given.

    Raises
    ------
    StorageFailed
        A file cannot be read.
    NoticeRefused
        A file is empty.
    """
    found = []
    for path in paths:
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise StorageFailed(f"{path}: {error.strerror}") from error
        if not raw:
            raise NoticeRefused(f"{path} is empty; expected a notice, in XML or JSON")
        kept = Kept.from_path(path)
        found.append(Archived(path, raw, None if kept is None else kept.received))
    return found


def pauses_as_archived(notices: Sequence[Archived]) -> list[float]:
    """Return the pause before each notice, as they came the first time [s]; 0 before the first.

    Raises
    ------
    InvalidField
        A file's name does not tell when it came, or they are not in the order of receipt.
    """
    times = []
    for notice in notices:
        if notice.received is None:
            raise InvalidField(
                f"{notice.path.name}: its name does not tell when it came, since the archive did "
                "not give it; use --pace"
            )
        times.append(notice.received)
    pauses = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)]
    if any(pause < 0 for pause in pauses):
        raise InvalidField("the files are not in the order of receipt; name them in it")
    return [0.0, *pauses][: len(times)]


class Sender(Protocol):
    """One way in."""

    place: str
    """Where the notices go, for a person."""

    def __enter__(self) -> Self:
        """Make ready to send."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""

    def pause(self, seconds: float) -> None:
        """Wait before the next notice."""

    def send(self, notice: Archived) -> str:
        """Send a notice; return what has become of it, in a few words."""


class _Plain:
    """What senders have in common that hold nothing open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def pause(self, seconds: float) -> None:
        """Wait before the next notice."""
        time.sleep(seconds)


class FolderSender(_Plain):
    """Puts notices into a watched folder, each whole.

    Raises
    ------
    StorageFailed
        There is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise StorageFailed(f"{folder}: no such folder; expected one that the robot watches")
        self._folder = folder
        self.place = str(folder)

    def send(self, notice: Archived) -> str:
        """Write a notice beside and rename it; one of its name that still waits is kept."""
        path, number = self._folder / notice.path.name, 1
        while path.exists():
            number += 1
            path = self._folder / f"{notice.path.stem}-{number}{notice.path.suffix}"
        store.write_whole(path, notice.raw)
        return f"put there as {path.name}"


class DeskSender(_Plain):
    """Sends `process_alert` orders to the robot's front desk."""

    def __init__(self, url: str, user: str | None = None, password: str | None = None) -> None:
        self._desk = FrontDesk(url, user, password)
        self.place = url.rpartition("@")[2]

    def send(self, notice: Archived) -> str:
        """Send a notice's text as an order."""
        try:
            text = notice.raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise NoticeRefused(
                f"{notice.path} is no UTF-8 text, which an order needs: {error.reason} at byte "
                f"{error.start}; send it by --kafka or --folder"
            ) from None
        receipt = self._desk.submit("process_alert", text=text)
        return f"order {receipt.get('id')} is {receipt.get('status')}"


class KafkaSender(_Plain):
    """Produces notices to a topic of a broker that wants no login."""

    def __init__(self, address: str, topic: str) -> None:
        # Slow to import: not for those who send otherwise.
        from confluent_kafka import Producer

        self._address, self._topic = address, topic
        self.place = f"{address}, topic {topic}"
        self._failures: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": address,
                "message.max.bytes": _MESSAGE_BYTES,
                "message.timeout.ms": int(_KAFKA_S * 1000),
                "log_level": 0,
            }
        )

    def __enter__(self) -> Self:
        from confluent_kafka import KafkaException

        try:
            self._producer.list_topics(timeout=_KAFKA_S / 2)
        except KafkaException as error:
            raise ServiceUnreachable(
                f"{self._address}: no Kafka broker answers: {error.args[0].str()}"
            ) from error
        return self

    def send(self, notice: Archived) -> str:
        """Send a notice and wait until the broker has it."""
        from confluent_kafka import KafkaException

        answers: list[Any] = []
        try:
            self._producer.produce(
                self._topic, notice.raw, on_delivery=lambda *answer: answers.append(answer)
            )
        except KafkaException as error:
            raise NoticeRefused(f"{notice.path}: {error.args[0].str()}") from error
        self._producer.flush(_KAFKA_S + 1)
        if not answers or answers[0][0] is not None:
            reason = answers[0][0].str() if answers else "no answer in time"
            raise ServiceUnreachable(f"{self._address}: the broker did not take it: {reason}")
        return f"produced, offset {answers[0][1].offset()}"
