"""Mail against real SMTP servers: what arrives, and what a bad server costs."""

from __future__ import annotations

import logging
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from tests.conftest import missing_part
from toros.notify.mail import MailHandler, MailSettings, send

ADMIN = "admin@example.org"


class Inbox:
    """Takes every mail; refuses the recipients that it is told to refuse."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.encrypted: list[bool] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.refuse = ""

    async def handle_RCPT(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address == self.refuse:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.encrypted.append(session.ssl is not None)
        self.envelopes.append(envelope)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        return "250 OK"

    def login(self, server: Any, session: Any, envelope: Any, kind: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)

    def body(self, number: int = 0) -> str:
        return str(self.mails[number].get_content()).replace("\r\n", "\n")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def smtp_server(inbox: Inbox, port: int | None = None, **options: Any) -> Iterator[MailSettings]:
    port = port or free_port()
    controller = Controller(inbox, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield settings_for(port)
    finally:
        controller.stop()


def settings_for(port: int) -> MailSettings:
    return MailSettings(
        server="127.0.0.1",
        port=port,
        sender="toros@observatory.example",
        recipients=(ADMIN,),
        bundle_s=0.2,
        timeout_s=5,
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        missing_part("openssl", "apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=mail", "-addext"]
    command += ["subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


def wait_until(condition: Callable[[], object], timeout_s: float = 30) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


# --- one mail -------------------------------------------------------------------------------------


def test_a_plain_server_gets_the_mail() -> None:
    inbox = Inbox()
    with smtp_server(inbox) as settings:
        assert send(settings, "Hello", "Grüße,\n.\nMira", [ADMIN]) == ()
    mail = inbox.mails[0]
    assert mail["Subject"] == "Hello"
    assert mail["From"] == "toros@observatory.example"
    assert mail["To"] == ADMIN
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@observatory.example>")
    assert inbox.body() == "Grüße,\n.\nMira\n"


@pytest.mark.parametrize(
    "subject",
    ["a\r\nBcc: thief@example.org", "a\nBcc: thief@example.org", "a\x0bBcc:\x85x\u2028y\x00z"],
)
def test_a_subject_adds_no_header(subject: str) -> None:
    inbox = Inbox()
    with smtp_server(inbox) as settings:
        send(settings, subject, "text", [ADMIN])
    assert inbox.mails[0]["Bcc"] is None
    assert inbox.mails[0]["Subject"].startswith("a Bcc:")
    assert inbox.envelopes[0].rcpt_tos == [ADMIN]


@pytest.mark.parametrize(
    "word", ["=?utf-8?q?=0d=0aBcc:_thief=40example.org?=", "=?utf-8?b?DQoNCkhlbGxv?= =?x?q?=0a?="]
)
def test_an_encoded_word_in_a_subject_is_text(word: str) -> None:
    inbox = Inbox()
    with smtp_server(inbox) as settings:
        send(settings, f"seen: {word} and more", "text", [ADMIN])
    assert inbox.mails[0]["Bcc"] is None
    assert inbox.mails[0]["Subject"] == f"seen: {word} and more".replace("=?", "= ?")
    assert inbox.mails[0].get_content().strip() == "text"


@pytest.mark.parametrize("address", ["a@b.org\r\nRCPT TO:<thief@example.org>", "", "@", "a b@c"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is no mail address"):
        send(settings_for(1), "s", "b", [address])


def test_lone_surrogates_and_long_lines_arrive() -> None:
    inbox = Inbox()
    with smtp_server(inbox) as settings:
        send(settings, "s\udc80", "\udc80" + "x" * 5000, [ADMIN])
    assert inbox.body() == "\\udc80" + "x" * 5000 + "\n"


def test_refused_recipients_are_told() -> None:
    inbox = Inbox()
    inbox.refuse = "gone@example.org"
    with smtp_server(inbox) as settings:
        assert send(settings, "s", "b", [ADMIN, "gone@example.org"]) == ("gone@example.org",)
        with pytest.raises(OSError, match="no such mailbox"):
            send(settings, "s", "b", ["gone@example.org"])


@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")  # the test server's
def test_login() -> None:
    inbox = Inbox()
    options = {"authenticator": inbox.login, "auth_require_tls": False, "auth_required": True}
    with smtp_server(inbox, **options) as settings:
        send(replace(settings, user="mira", password="right"), "s", "b", [ADMIN])
        with pytest.raises(OSError, match="535"):
            send(replace(settings, user="mira", password="wrong"), "s", "b", [ADMIN])
    assert len(inbox.mails) == 1
    assert (b"mira", b"right") in inbox.logins


@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")  # the test server's
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted(
    security: Any, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox()
    context = server_context(certificate)
    options: dict[str, Any] = {"authenticator": inbox.login, "auth_required": True}
    if security == "tls":
        options |= {"ssl_context": context, "auth_require_tls": False}
        server = encrypted_server(inbox, certificate, monkeypatch, **options)
    else:
        server = smtp_server(inbox, tls_context=context, require_starttls=True, **options)
    with server as plain:
        settings = replace(plain, security=security, user="mira", password="right")
        with pytest.raises(ssl.SSLCertVerificationError):
            send(settings, "s", "b", [ADMIN])
        assert inbox.logins == []  # the password never left
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        send(settings, "s", "b", [ADMIN])
    assert len(inbox.mails) == 1
    assert inbox.logins == [(b"mira", b"right")]
    assert security == "tls" or inbox.encrypted == [True]


@contextmanager
def encrypted_server(
    inbox: Inbox, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, **options: Any
) -> Iterator[MailSettings]:
    """Start a server that is encrypted at once; its own probe at the start must trust it."""
    with monkeypatch.context() as trusting:
        trusting.setenv("SSL_CERT_FILE", str(certificate[0]))
        server = smtp_server(inbox, **options)
        settings = server.__enter__()
    try:
        yield settings
    finally:
        server.__exit__(None, None, None)


def test_a_server_without_starttls_gets_no_password() -> None:
    inbox = Inbox()
    with smtp_server(inbox, authenticator=inbox.login, auth_require_tls=False) as plain:
        settings = replace(plain, security="starttls", user="mira", password="right")
        with pytest.raises(OSError, match="STARTTLS"):
            send(settings, "s", "b", [ADMIN])
    assert inbox.logins == []
    assert inbox.mails == []


def test_an_unreachable_server_is_an_os_error() -> None:
    with pytest.raises(OSError, match="refused"):
        send(settings_for(free_port()), "s", "b", [ADMIN])


def test_the_password_is_not_in_the_repr() -> None:
    assert "right" not in repr(replace(settings_for(25), password="right"))


# --- errors in bundles ----------------------------------------------------------------------------


@contextmanager
def mailing(settings: MailSettings) -> Iterator[logging.Logger]:
    """Give a logger whose errors are mailed."""
    logger = logging.Logger("toros.test")  # noqa: LOG001  (its own, without the root's handlers)
    handler = MailHandler(settings, "preprocessor")
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        handler.close()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_storm_is_one_mail() -> None:
    inbox = Inbox()
    with smtp_server(inbox) as settings, mailing(replace(settings, bundle_s=1)) as logger:
        for number in range(5000):
            logger.error("disk %d is on fire", number % 3, extra={"order": "order-7"})
        wait_until(lambda: inbox.mails)
    assert len(inbox.mails) == 1
    subject = inbox.mails[0]["Subject"]
    host = socket.gethostname()
    assert subject == f"[TOROS] preprocessor on {host}: 5000 errors: disk 0 is on fire"
    assert inbox.body().count("is on fire") == 3
    assert "1667 times" in inbox.body()


def test_a_storm_of_different_errors_is_bounded() -> None:
    inbox = Inbox()
    with smtp_server(inbox) as settings, mailing(replace(settings, bundle_s=1)) as logger:
        for number in range(3000):
            logger.error("%d %s", number, "long " * 2000)
    assert len(inbox.mails) == 1
    assert "2950 more are in the log" in inbox.body()
    assert len(inbox.body()) < 150_000


def test_warnings_and_what_mail_itself_logs_are_not_mailed() -> None:
    inbox = Inbox()
    with smtp_server(inbox) as settings, mailing(settings) as logger:
        logger.warning("not bad enough")
        for name in ("toros.notify", "toros.notify.mail"):
            record = logging.LogRecord(name, logging.ERROR, "f", 1, "no mail", (), None)
            logger.handle(record)
    assert inbox.mails == []


def test_closing_sends_what_waits() -> None:
    inbox = Inbox()
    with smtp_server(inbox) as settings, mailing(replace(settings, bundle_s=3600)) as logger:
        logger.error("last words")
    assert "last words" in inbox.body()


def test_a_bad_log_call_is_mailed_too() -> None:
    inbox = Inbox()
    with smtp_server(inbox) as settings, mailing(settings) as logger:
        logger.error("%d apples", "three")
    assert "%d apples" in inbox.body()


def test_an_unreachable_server_costs_one_line_and_the_errors_arrive_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inbox, port = Inbox(), free_port()
    with mailing(settings_for(port)) as logger:
        logger.error("first")
        wait_until(lambda: warnings_of(caplog))
        logger.error("second")
        time.sleep(0.5)  # a second attempt fails, too
        with smtp_server(inbox, port):
            wait_until(lambda: inbox.mails)
    (warning,) = warnings_of(caplog)
    assert "errors (1) could not be mailed by 127.0.0.1" in warning
    assert "refused" in warning
    assert "first" in inbox.body()
    assert "second" in inbox.body()


def test_a_hanging_server_delays_neither_logging_nor_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = replace(settings_for(silent.getsockname()[1]), timeout_s=1)
        with mailing(settings) as logger:
            logger.error("before")
            wait_until(lambda: warnings_of(caplog))  # it has hung and was given up
            for number in range(1000):
                logger.error("%d", number)
        threads = [thread.name for thread in threading.enumerate()]
    assert "mail" not in threads
    (warning,) = warnings_of(caplog)
    assert "timed out" in warning


def test_a_wrong_address_does_not_end_the_mailing(caplog: pytest.LogCaptureFixture) -> None:
    wrong = replace(settings_for(1), recipients=("nobody",))
    with mailing(wrong) as logger:
        logger.error("first")
        wait_until(lambda: warnings_of(caplog))
        logger.error("second")
    (warning,) = warnings_of(caplog)
    assert "'nobody' is no mail address" in warning


@pytest.mark.long
def test_a_hanging_server_does_not_keep_the_process_from_ending() -> None:
    script = (
        "import logging, sys; from toros.notify.mail import *\n"
        "s = MailSettings('127.0.0.1', int(sys.argv[1]), 'a@b.org', ('c@d.org',), timeout_s=3600)\n"
        "logging.basicConfig(handlers=[logging.StreamHandler(), MailHandler(s, 'dome')])\n"
        "logging.error('the shutter is stuck')"
    )
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = str(silent.getsockname()[1])
        command = [sys.executable, "-c", script, port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    stuck, warning = done.stderr.splitlines()
    assert stuck.endswith("the shutter is stuck")
    assert "has not answered within 10 s" in warning
