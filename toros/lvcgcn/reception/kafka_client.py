"""How librdkafka is told what we want, and what its errors mean to us."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toros.config.alerts import Kafka

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError

log = logging.getLogger(__name__)

_STATISTICS_MS = 1000
# librdkafka gives a place of tokens that it cannot reach the code of a refused login: of such
# errors libcurl's words tell the difference.
_UNREACHED = ("resolve host", "Failed to connect", "Could not connect", "timed out", "Timeout was")


class _Library:
    """Takes librdkafka's log lines, dozens of a kind: what matters comes as an error, too."""

    def log(self, level: int, line: str, *values: object) -> None:
        """Write a line of detail."""
        log.debug("librdkafka, level %s: %s", level, line % values if values else line)


def make_consumer(settings: Kafka, options: Mapping[str, Any], **callbacks: Any) -> Consumer:
    """Make the consumer that the settings ask for; it connects by itself, and again.

    Raises
    ------
    KafkaException
        librdkafka does not take the options.
    """
    # Slow to import: not before there is something to connect to.
    from gcn_kafka import Consumer as GcnConsumer

    secret = settings.client_secret
    made: dict[str, Any] = {
        "group.id": settings.group,
        "enable.auto.commit": False,
        # At the first start, and when the broker has forgotten the group after a long absence,
        # old notices come once more; with "latest", those of the absence would be lost.
        "auto.offset.reset": "earliest",
        # After a kill the place in the group is free again so soon; the default is 45 s.
        "session.timeout.ms": 10_000,
        "topic.metadata.refresh.interval.ms": 30_000,
        "queued.max.messages.kbytes": 16_384,
        # The largest message at GCN, so that none needs a second request.
        "fetch.message.max.bytes": 4_194_304,
        "reconnect.backoff.ms": 500,
        "reconnect.backoff.max.ms": 10_000,
        "statistics.interval.ms": _STATISTICS_MS,
        "logger": _Library(),
    }
    if settings.servers:
        made |= {"security.protocol": "plaintext", "bootstrap.servers": ",".join(settings.servers)}
    else:
        made |= {
            "domain": settings.domain,
            "client_id": settings.client_id,
            "client_secret": None if secret is None else secret.get_secret_value(),
        }
    return GcnConsumer({**made, **callbacks, **options})


def is_about_login(error: KafkaError) -> bool:
    """Whether a broker refuses who we are, or what we may do."""
    from confluent_kafka import KafkaError as Code

    if any(words in error.str() for words in _UNREACHED):
        return False
    return error.code() in (
        Code._AUTHENTICATION,
        Code.SASL_AUTHENTICATION_FAILED,
        Code.GROUP_AUTHORIZATION_FAILED,
        Code.CLUSTER_AUTHORIZATION_FAILED,
    )


def topic_problem(error: KafkaError) -> str:
    """Say what is wrong with a topic; empty where nothing is. None of it is for ever."""
    from confluent_kafka import KafkaError as Code

    if error.code() == Code._PARTITION_EOF:
        return ""
    if error.code() == Code.UNKNOWN_TOPIC_OR_PART:
        return f"{error.str()}; it is read as soon as it is there"
    if error.code() == Code.TOPIC_AUTHORIZATION_FAILED:
        return f"{error.str()}; these credentials may not read it: choose it among their topics"
    return error.str()


def is_any_broker_up(statistics: str) -> bool:
    """Whether librdkafka's statistics tell of a broker that is connected."""
    brokers = json.loads(statistics).get("brokers", {})
    return any(broker.get("state") == "UP" for broker in brokers.values())
