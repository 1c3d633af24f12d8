"""The alert robot's settings."""

import pytest

from toros import config
from toros.errors import ConfigurationError


@pytest.mark.parametrize(
    "address",
    [
        "https://good.example.org",  # would allow good.example.org.evil.example.com
        "ftp://good.example.org/",
        "https://user:password@good.example.org/",
        "https://good.example.org/../",
        "good.example.org/",
    ],
)
def test_beginnings_of_addresses_that_allow_too_much_are_refused(load_text, address):
    with pytest.raises(ConfigurationError, match="the beginning of an address"):
        load_text(f'Lvcgcn: {{Sky Maps: {{Addresses: ["{address}"]}}}}')


def test_the_kafka_secret_comes_from_the_environment(tmp_path):
    path = tmp_path / "toros.conf.yaml"
    path.write_text("Lvcgcn: {Kafka: {Client Id: abc}}")
    loaded = config.load(path, environ={"TOROS_KAFKA_SECRET": "hush"})
    secret = loaded.lvcgcn.kafka.client_secret
    assert secret is not None
    assert secret.get_secret_value() == "hush"
    assert "hush" not in repr(loaded)


def test_kafka_is_used_with_credentials_or_servers(load_text):
    assert not load_text("Lvcgcn: {}").lvcgcn.kafka.is_used
    assert load_text('Lvcgcn: {Kafka: {Servers: ["127.0.0.1:9092"]}}').lvcgcn.kafka.is_used
    assert load_text("Lvcgcn: {Kafka: {Client Id: abc}}").lvcgcn.kafka.is_used


def test_heartbeat_none(load_text):
    assert load_text("Lvcgcn: {Kafka: {Heartbeat: none}}").lvcgcn.kafka.heartbeat_topic is None
    assert load_text("Lvcgcn: {}").lvcgcn.kafka.heartbeat_topic == "gcn.heartbeat"


def test_names_of_sources_are_given_once(load_text):
    broker = '{Name: one, Address: "127.0.0.1:8099"}'
    with pytest.raises(ConfigurationError, match="'one' is there twice"):
        load_text(f"Lvcgcn: {{VTP: [{broker}, {broker}]}}")


def test_mail_of_alerts_without_a_server_is_warned_of(load_text):
    text = "Lvcgcn: {Tell: {Mail: [a@example.org]}}"
    assert "no mail is sent" in load_text(text).warnings[0]


def test_a_client_id_without_its_secret_is_told_before_the_broker_is_asked(load_text):
    text = "Lvcgcn: {Kafka: {Client Id: abc}}"
    (warning,) = load_text(text).warnings  # at the daemon's start it may be there
    for word in ("Client Secret", "TOROS_KAFKA_SECRET", "kafka-secret"):
        assert word in warning
    with pytest.raises(ConfigurationError, match="Client Secret: missing.*TOROS_KAFKA_SECRET"):
        load_text(text, "lvcgcn")
    assert load_text(text, "lvcgcn", {"TOROS_KAFKA_SECRET": "hush"}).warnings == ()
    assert load_text(text, "telescope").lvcgcn.kafka.is_used
    own = 'Lvcgcn: {Kafka: {Client Id: abc, Servers: ["127.0.0.1:9092"]}}'
    assert load_text(own, "lvcgcn").warnings == ()
