"""The Kafka receiver without a broker, or with one that refuses it. Brokers: tests/system."""

from __future__ import annotations

import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.conftest import free_port
from tests.system.brokers import wait_until
from toros import clock
from toros.config.alerts import Kafka
from toros.lvcgcn.reception.kafka import KafkaReceiver
from toros.lvcgcn.reception.kafka_client import is_any_broker_up


def receive(settings: dict, **options) -> KafkaReceiver:
    made = KafkaReceiver(
        Kafka.model_validate(settings), lambda *_: None, clock.REAL, options=options
    )
    made.start()
    return made


class Refusing(BaseHTTPRequestHandler):
    """A place of tokens that knows nobody."""

    def do_POST(self) -> None:
        body = b'{"error": "invalid_client"}'
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_login_that_is_refused_is_an_error_that_says_what_to_check(caplog):
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/token"
        receiver = receive(
            {"Client Id": "me", "Client Secret": "quite secret"},
            **{
                "bootstrap.servers": f"127.0.0.1:{free_port()}",
                "security.protocol": "sasl_plaintext",
                "sasl.oauthbearer.token.endpoint.url": address,
            },
        )
        try:
            wait_until(lambda: "login" in receiver.state()["trouble"], "it is told")
        finally:
            receiver.stop()
            server.shutdown()
    [error] = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert "Client Id and Client Secret" in error
    assert "quite secret" not in caplog.text


def test_a_place_of_tokens_that_is_away_is_no_refused_login():
    receiver = receive(
        {"Client Id": "me", "Client Secret": "secret"},
        **{
            "bootstrap.servers": f"127.0.0.1:{free_port()}",
            "security.protocol": "sasl_plaintext",
            "sasl.oauthbearer.token.endpoint.url": f"http://127.0.0.1:{free_port()}/token",
        },
    )
    try:
        trouble = wait_until(lambda: receiver.state()["trouble"], "it is told")
    finally:
        receiver.stop()
    assert "connect" in trouble
    assert "refuses" not in trouble


def test_a_broker_that_is_away_is_told_once_and_then_its_silence(caplog):
    address = f"127.0.0.1:{free_port()}"
    receiver = receive({"Servers": [address], "Silence (s)": 1})
    try:
        wait_until(lambda: "is silent" in caplog.text, "silence is told")
        state = receiver.state()
    finally:
        receiver.stop()
    assert state["connected"] is False
    assert state["last_message"] is None
    assert address in state["trouble"]
    levels = [r.levelname for r in caplog.records]
    assert levels == ["WARNING", "ERROR"]
    assert address in caplog.records[0].getMessage()


def test_options_that_librdkafka_does_not_take_are_told(caplog):
    receiver = receive({"Servers": ["127.0.0.1:1"]}, **{"no.such.option": 1})
    try:
        wait_until(lambda: "no.such.option" in receiver.state()["trouble"], "it is told")
    finally:
        receiver.stop()
    assert caplog.records[0].levelno == logging.ERROR


@pytest.mark.parametrize(
    ("text", "up"),
    [
        ('{"brokers": {"a": {"state": "UP"}, "b": {"state": "INIT"}}}', True),
        ('{"brokers": {"a": {"state": "TRY_CONNECT"}}}', False),
        ("{}", False),
    ],
)
def test_statistics(text, up):
    assert is_any_broker_up(text) is up
