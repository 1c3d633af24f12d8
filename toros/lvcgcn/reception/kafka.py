"""Notices by Kafka: from GCN, or from any broker that speaks in plain text.

The offset of a message is committed once the message is archived, and those of one partition
in their order; whatever ends before that comes again. There are two threads: one polls, the
other archives, so that a slow disk costs neither a heartbeat nor the membership in the group.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from toros.clock import Clock
from toros.config.alerts import Kafka
from toros.lvcgcn.reception.kafka_client import (
    is_about_login,
    is_any_broker_up,
    make_consumer,
    topic_problem,
)
from toros.lvcgcn.reception.keeping import Keep, Keeper
from toros.lvcgcn.reception.vital_signs import VitalSigns

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

log = logging.getLogger(__name__)

_POLL_S = 0.1
_FIRST_DELAY_S, _LAST_DELAY_S = 2.0, 60.0

Place = tuple[str, int]
"""A topic and the number of its partition."""


class KafkaReceiver:
    """Reads the topics of the settings, and archives before it commits.

    Messages of the heartbeat's topic are signs of life and are not archived; only new ones are
    read. Where there is no such topic, a connection to a broker is the sign of life.

    Parameters
    ----------
    settings : Kafka
    keep : callable
        Archives; a message that it raises for is tried again, and not committed before.
    clock : Clock
    options : mapping, optional
        Options of librdkafka over those made here.
    keeper_options : mapping, optional
        Of `Keeper`.
    """

    name = "Kafka"

    def __init__(
        self,
        settings: Kafka,
        keep: Keep,
        clock: Clock,
        *,
        options: Mapping[str, Any] | None = None,
        keeper_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.settings = settings
        self._heartbeat = settings.heartbeat_topic
        self._options = dict(options or {})
        self._signs = VitalSigns(self.name, settings.silence_s, clock, log)
        self._keeper = Keeper(self._signs, keep, **(keeper_options or {}))
        self._archived: dict[Place, int] = {}
        self._lock = threading.Lock()
        self._assigned: set[Place] = set()
        self._is_paused = False
        self._stop_timeout_s = 5.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka", daemon=True)

    def start(self) -> None:
        """Begin to read; what a broker that is away has, is read when it is back."""
        self._keeper.start()
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Read no more; archive and commit what has come, as far as there is time.

        The rest comes again after the next start.
        """
        self._stop_timeout_s = timeout_s / 2
        self._stopping.set()
        self._thread.join(timeout_s)

    def state(self) -> dict[str, object]:
        """Return what the status shows."""
        return {
            **self._signs.state(),
            "to_archive": self._keeper.waiting,
            "topics": sorted({topic for topic, _ in self._assigned.copy()}),
        }

    def _run(self) -> None:
        delay_s = _FIRST_DELAY_S
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                self._serve()
            except Exception as error:  # whatever it is, the next consumer may do better
                text = f"{type(error).__name__}: {error}; it is begun anew"
                self._signs.worry("consumer", text, logging.ERROR)
                log.debug("the consumer failed", exc_info=True)
            self._signs.connected = False
            delay_s = _FIRST_DELAY_S if time.monotonic() - begun > _LAST_DELAY_S else delay_s
            self._pause(delay_s)
            delay_s = min(2 * delay_s, _LAST_DELAY_S)

    def _pause(self, delay_s: float) -> None:
        until = time.monotonic() + delay_s
        while time.monotonic() < until and not self._stopping.wait(_POLL_S):
            self._signs.check()

    def _serve(self) -> None:
        """Read with one consumer until the end or until it fails."""
        consumer = make_consumer(
            self.settings, self._options,
            error_cb=self._on_error, stats_cb=self._on_statistics, on_commit=self._on_commit,
        )  # fmt: skip
        try:
            topics = dict.fromkeys((*self.settings.topics, self.settings.heartbeat_topic))
            consumer.subscribe(
                [topic for topic in topics if topic],
                on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost,
            )  # fmt: skip
            while not self._stopping.is_set():
                self._keep_pace(consumer)
                message = consumer.poll(_POLL_S)
                self._commit(consumer)
                self._signs.check()
                if message is not None:
                    self._take(message)
            self._keeper.stop(self._stop_timeout_s)
            self._commit(consumer)
        finally:
            # Its callback of revocation commits; asynchronous commits are sent before it ends.
            consumer.close()

    def _take(self, message: Message) -> None:
        from confluent_kafka import KafkaException

        error, topic = message.error(), message.topic() or ""
        if error is not None:
            if error.fatal():
                raise KafkaException(error)
            problem = topic_problem(error)
            if problem:
                self._signs.worry(f"topic {topic}", problem)
            return
        self._signs.over("connection", "login", "consumer", f"topic {topic}")
        self._signs.connected = True
        if topic == self.settings.heartbeat_topic:
            self._signs.heartbeat()
            return
        self._signs.message()
        partition, offset, raw = message.partition(), message.offset(), message.value()
        assert partition is not None
        assert offset is not None
        if raw:  # an empty one is passed over by the next commit
            place = (topic, partition)
            self._keeper.put(
                bytes(raw), f"kafka-{topic}", partial(self._note_archived, place, offset + 1)
            )

    def _keep_pace(self, consumer: Consumer) -> None:
        """Fetch no further than can be archived; heartbeats go on."""
        if self._keeper.has_room != self._is_paused:
            return
        from confluent_kafka import TopicPartition

        topics = [
            TopicPartition(topic, partition)
            for topic, partition in self._assigned
            if topic != self.settings.heartbeat_topic
        ]
        (consumer.resume if self._is_paused else consumer.pause)(topics)
        self._is_paused = not self._is_paused

    def _note_archived(self, place: Place, following: int) -> None:
        with self._lock:
            self._archived[place] = following

    def _commit(self, consumer: Consumer) -> None:
        """Commit what was archived, of partitions that are still ours."""
        with self._lock:
            archived, self._archived = self._archived, {}
        places = {place: n for place, n in archived.items() if place in self._assigned}
        if not places:
            return
        from confluent_kafka import TopicPartition

        consumer.commit(
            offsets=[TopicPartition(*place, offset) for place, offset in places.items()],
            asynchronous=True,
        )

    def _on_commit(self, error: KafkaError | None, _places: list[TopicPartition]) -> None:
        if error is not None:
            log.info("%s: not committed, so that it comes again: %s", self.name, error.str())

    def _on_assign(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        from confluent_kafka import OFFSET_END

        for place in places:
            if place.topic == self.settings.heartbeat_topic:
                # Old heartbeats tell nothing, and there are some 100,000 of them each day.
                place.offset = OFFSET_END
        self._assigned = {(place.topic, place.partition) for place in places}
        self._is_paused = False
        consumer.assign(places)
        log.info("%s: reads %d partitions", self.name, len(places))

    def _on_revoke(self, consumer: Consumer, _places: list[TopicPartition]) -> None:
        self._commit(consumer)
        self._assigned = set()

    def _on_lost(self, _consumer: Consumer, _places: list[TopicPartition]) -> None:
        self._assigned = set()

    def _on_error(self, error: KafkaError) -> None:
        if is_about_login(error):
            self._signs.worry(
                "login",
                f"the broker refuses the login: {error.str()}; check Lvcgcn / Kafka / Client "
                "Id and Client Secret (GCN disables what was not used for 30 days)",
                logging.ERROR,
            )
        else:
            self._signs.worry("connection", f"{error.str()}; it is tried again")

    def _on_statistics(self, text: str) -> None:
        self._signs.connected = is_any_broker_up(text)
        if self._signs.connected:
            self._signs.over("connection")
            if self.settings.heartbeat_topic is None:
                self._signs.heartbeat()
