"""Mail: one message at once, and errors of the log in bundles.

`send` sends one message. `MailHandler` is a handler for the `logging` library
that collects errors and mails them to the administrators from a thread of its
own, so that a storm of errors is one mail and a mail server that is away
delays nobody.
"""

from __future__ import annotations

import logging
import os
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING, Literal

from toros.notify.bundle import Bundle, Entry, one_line

if TYPE_CHECKING:
    from toros.config import Settings

Security = Literal["none", "starttls", "tls"]

_log = logging.getLogger(__name__)

_SUBJECT_CHARACTERS = 200
_KEY_CHARACTERS = 1000
#: While errors keep coming, or the server is away, the pause between two mails
#: doubles, up to this multiple of the bundling time.
_SLOWEST_PACE = 16
_SHORTEST_PACE_S = 0.1
#: How often a bundle is offered to the server before it is given up.
_ATTEMPTS = 24
_CLOSE_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class MailSettings:
    """How mail leaves, and who gets the errors.

    Parameters
    ----------
    server : str
        Host name or address of the mail server.
    port : int
        Its TCP port.
    security : {"none", "starttls", "tls"}
        Encryption. The server's certificate is always verified, against the
        machine's certificates (or ``SSL_CERT_FILE``, which OpenSSL reads).
    user, password : str, optional
        For a server that wants a login.
    sender : str
        The address in From.
    recipients : tuple of str
        The administrators' addresses.
    bundle_s : float
        How long errors are collected before they are mailed [s].
    timeout_s : float
        For each exchange with the server [s].
    """

    server: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    security: Security = "none"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    bundle_s: float = 60.0
    timeout_s: float = 20.0


@dataclass(frozen=True)
class Attachment:
    """A file that goes with a mail.

    Parameters
    ----------
    name : str
        What the file is called; letters, digits, ``.``, ``_`` and ``-``.
    media_type : str
        Such as ``image/png``.
    content : bytes
    """

    name: str
    media_type: str
    content: bytes = field(repr=False)


def mail_settings(
    settings: Settings, recipients: Sequence[str] | None = None
) -> MailSettings | None:
    """Take what mail needs from the configuration; None if no mail is to be sent.

    Parameters
    ----------
    settings : Settings
    recipients : sequence of str, optional
        The addresses; by default the administrators'.
    """
    email = settings.email
    chosen = tuple(settings.admin_emails if recipients is None else recipients)
    if email.server is None or not chosen:
        return None
    return MailSettings(
        server=email.server,
        port=email.port,
        sender=email.sender,
        recipients=chosen,
        security=email.security,
        user=email.user,
        password=email.password.get_secret_value() if email.password else None,
        bundle_s=email.bundle_s,
    )


def send(
    settings: MailSettings,
    subject: str,
    body: str,
    recipients: Sequence[str],
    attachments: Sequence[Attachment] = (),
) -> tuple[str, ...]:
    """Send one mail.

    Parameters
    ----------
    settings : MailSettings
        How mail leaves.
    subject : str
        Whatever is no printable character in it becomes a space, so it cannot
        add a header; a long one is cut.
    body : str
        Plain text.
    recipients : sequence of str
        Addresses, each ``name@host``.
    attachments : sequence of Attachment

    Returns
    -------
    tuple of str
        The recipients that the server refused, if it accepted others.

    Raises
    ------
    OSError
        The server cannot be reached, refuses, does not prove who it is or does
        not answer in time (smtplib's and ssl's errors are among them).
    ValueError
        An address is none, or user or password have characters that SMTP
        cannot carry.
    """
    message = _compose(settings, subject, body, recipients)
    for each in attachments:
        main, _, kind = each.media_type.partition("/")
        # Text too as base64: what is attached arrives byte by byte.
        message.add_attachment(each.content, maintype=main, subtype=kind, filename=each.name)
    smtp = _connect(settings)
    try:
        if settings.user is not None:
            smtp.login(settings.user, settings.password or "")
        refused = smtp.send_message(message, to_addrs=list(recipients))
        with suppress(OSError):  # the mail is with the server, whatever becomes of the farewell
            smtp.quit()
    finally:
        smtp.close()
    return tuple(refused)


def _compose(
    settings: MailSettings, subject: str, body: str, recipients: Sequence[str]
) -> EmailMessage:
    sender = _address(settings.sender)
    message = EmailMessage()
    message["From"] = sender
    message["To"] = [_address(recipient) for recipient in recipients]
    # What looks like an encoded word would be decoded here, line breaks and all.
    message["Subject"] = one_line(subject.replace("=?", "= ?"), _SUBJECT_CHARACTERS)
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain=sender.domain or "localhost")
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation replies, please
    carried = body.encode("utf-8", "backslashreplace").decode("utf-8")
    message.set_content(carried, cte="quoted-printable")  # every server takes it, lines stay short
    return message


def _address(text: str) -> Address:
    try:
        return Address(addr_spec=text)
    except (MessageError, IndexError, ValueError) as error:  # each of them has been seen
        raise ValueError(f"{text!r} is no mail address; one is like name@host") from error


def _connect(settings: MailSettings) -> smtplib.SMTP:
    where, timeout_s = (settings.server, settings.port), settings.timeout_s
    if settings.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(*where, timeout=timeout_s, context=context)
    smtp = smtplib.SMTP(*where, timeout=timeout_s)
    if settings.security == "starttls":
        try:
            smtp.starttls(context=ssl.create_default_context())
        except BaseException:
            smtp.close()
            raise
    return smtp


class MailHandler(logging.Handler):
    """Mails errors to the administrators, in bundles.

    The first error waits `MailSettings.bundle_s`, then all that came meanwhile
    go out as one mail: identical ones once, with their number; at most 50
    different ones, each at most 2000 characters long. While errors keep coming
    the pause between mails doubles up to 16 times the bundling time. A mail
    server that cannot be reached costs one WARNING line in the log; the bundle
    is kept, offered again a bounded number of times, and then dropped, its
    number being told in the next mail that gets through. What this package
    itself logs is never mailed.

    Make it after a process has detached: it works only in the process that
    made it, and does nothing in one forked from there.

    Parameters
    ----------
    settings : MailSettings
        How mail leaves, and who gets it.
    service : str
        The name of the daemon, for the subject.
    """

    def __init__(self, settings: MailSettings, service: str) -> None:
        super().__init__(logging.ERROR)
        self._settings = settings
        self._service = service
        self._host = socket.gethostname()
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._bundle = Bundle()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._server_is_away = False
        self._given_up = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record into the bundle; never waits for the network."""
        if os.getpid() != self._process or _is_about_mail(record):
            return
        message = _message_of(record)[:_KEY_CHARACTERS]
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001  (a mistake in a log call must not fail its caller)
            text = message
        key = (record.name, record.levelname, str(getattr(record, "order", "")), message)
        with self._changed:
            if self._closing:
                return
            self._bundle.add(key, Entry(text, record.created, record.created))
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="mail", daemon=True)
                with suppress(RuntimeError):  # no thread can start any more: the log has it
                    thread.start()
                    self._thread = thread
            self._changed.notify_all()

    def close(self) -> None:
        """Send what is waiting now, and give the server at most ten seconds for it."""
        if os.getpid() == self._process:
            self._finish()
        super().close()

    def _finish(self) -> None:
        with self._changed:
            already, self._closing = self._closing, True
            self._changed.notify_all()
        if self._thread is None or already:
            return
        self._thread.join(_CLOSE_TIMEOUT_S)
        if self._thread.is_alive() and not self._server_is_away:
            self._server_is_away = True
            _log.warning(
                "the last errors could not be mailed: %s, port %d, has not answered within %g s; "
                "this log has them",
                self._settings.server,
                self._settings.port,
                _CLOSE_TIMEOUT_S,
            )

    def _work(self) -> None:
        """Collect for a while, deliver, and again, until closed and empty."""
        bundle_s = max(self._settings.bundle_s, _SHORTEST_PACE_S)
        pace_s, last_attempt = bundle_s, -float("inf")
        while True:
            with self._changed:
                while not (self._bundle.total or self._closing):
                    self._changed.wait(3600)
                if not self._bundle.total:
                    return
                if not self._bundle.attempts and time.monotonic() - last_attempt > 2 * pace_s:
                    pace_s = bundle_s  # it has been quiet
                self._changed.wait_for(lambda: self._closing, pace_s)
                bundle, self._bundle = self._bundle, Bundle()
            self._deliver(bundle)
            last_attempt = time.monotonic()
            pace_s = min(2 * pace_s, _SLOWEST_PACE * bundle_s)

    def _deliver(self, bundle: Bundle) -> None:
        try:
            subject, body = bundle.write(self._service, self._host, self._given_up)
            refused = send(self._settings, subject, body, self._settings.recipients)
        except Exception as error:  # noqa: BLE001  (the thread must outlive any failure to mail)
            self._keep(bundle)
            self._report_failure(bundle, error)
            return
        self._given_up = 0
        if self._server_is_away:
            self._server_is_away = False
            _log.info("errors are mailed again")
        if refused:
            _log.warning("the mail server refused the recipients %s", ", ".join(refused))

    def _report_failure(self, bundle: Bundle, error: Exception) -> None:
        if self._server_is_away:
            return  # one line for each time that the server is away
        self._server_is_away = True
        _log.warning(
            "errors (%d) could not be mailed by %s, port %d: %s; this log has them, and the mail "
            "is tried again",
            bundle.total,
            self._settings.server,
            self._settings.port,
            one_line(str(error) or type(error).__name__, 300),
        )

    def _keep(self, bundle: Bundle) -> None:
        """Put a bundle back that could not be sent, or give it up."""
        bundle.attempts += 1
        with self._changed:
            if bundle.attempts >= _ATTEMPTS or self._closing:
                self._given_up += bundle.total
                return
            bundle.absorb(self._bundle)
            self._bundle = bundle


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  (wrong arguments in a log call must not cost the mail)
        return record.msg if isinstance(record.msg, str) else type(record.msg).__name__


def _is_about_mail(record: logging.LogRecord) -> bool:
    package = __name__.rpartition(".")[0]
    return record.name == package or record.name.startswith(f"{package}.")
