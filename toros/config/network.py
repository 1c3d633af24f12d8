"""Settings of what listens, answers and sends: addresses, front desk, mail, database, logs."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from toros.config.kinds import (
    HTTP,
    IP,
    AbsolutePath,
    Flag,
    HostName,
    Kind,
    Listed,
    Mail,
    Port,
    Secret,
    Section,
    Text,
    expected,
    number,
    whole,
)

_PORT = "Port that the daemon listens on."

_ARGON2 = re.compile(
    r"\$argon2(id|i|d)\$v=\d{1,3}\$m=\d{1,9},t=\d{1,6},p=\d{1,4}\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,}"
)
_HASH = "an argon2 hash in quotes, such as '$argon2id$v=19$m=65536,t=3,p=4$…$…'"
_DATABASE = "sqlite:////absolute/path.db or postgresql://host[:port]/database"
_USER = "text without a colon and control characters"
_REQUESTS = "all, or a list of requests such as [status, calibrate_file_batch]"


def _password_hash(value: str) -> str:
    if not _ARGON2.fullmatch(value):
        raise expected(_HASH)
    return value


def _user_name(value: str) -> str:
    if ":" in value:  # RFC 7617, section 2: HTTP Basic ends the name at the first colon
        raise expected(_USER)
    return value


def _requests(value: object) -> object:
    if value == "all":
        return value
    if not isinstance(value, (list, tuple)):
        raise expected(_REQUESTS)
    for name in value:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise expected(_REQUESTS)
    return tuple(value)


def _database_url(value: str) -> str:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        raise expected(_DATABASE) from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        # A relative path would depend on where a daemon was started; one in memory is lost.
        good = (url.database or "").startswith("/") and not url.host
    else:
        good = url.drivername in ("postgresql", "postgresql+psycopg") and bool(url.database)
        good = good and 0 < (url.port or 5432) < 65536 and "@" not in (url.host or "")
    if not good or not value.isprintable():
        raise expected(_DATABASE)
    return value


class ServiceAddress(Section):
    """Where a daemon listens, and how its clients reach it."""

    ip: IP = Field(
        "127.0.0.1",
        alias="IP",
        description="IP address that the daemon listens on. Any but a loopback address "
        "needs users (Front Desk / Users).",
    )
    port: Port = Field(8080, alias="Port", description=_PORT)
    http: HTTP = Field(
        "",
        alias="HTTP",
        description="Full address that clients use; by default http://IP:Port "
        "(https with a TLS Certificate).",
    )
    behind_proxy: Flag = Field(
        default=False,
        alias="Behind Proxy",
        description="A proxy stands between, so that HTTP may differ from IP and Port.",
    )

    @model_validator(mode="after")
    def _fill(self) -> Self:
        self._derive("http", self.default_http("http"))
        return self

    def default_http(self, scheme: str) -> str:
        """Return the address that follows from IP and Port.

        Parameters
        ----------
        scheme : str
            "http" or "https".
        """
        host = ipaddress.ip_address(self.ip)
        if host.is_unspecified:  # every address of this machine, which is no address to call
            host = ipaddress.ip_address("127.0.0.1" if host.version == 4 else "::1")
        return f"{scheme}://{f'[{host}]' if host.version == 6 else host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the daemon."""
        return ipaddress.ip_address(self.ip).is_loopback

    def contradiction(self) -> str | None:
        """Say what in HTTP contradicts IP and Port without a proxy, or None."""
        if self.behind_proxy:
            return None
        parts = urlsplit(self.http)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        if port != self.port:
            return f"has port {port}, but Port is {self.port}"
        host = parts.hostname or ""
        own = ipaddress.ip_address(self.ip)
        try:
            same = own.is_unspecified or ipaddress.ip_address(host) == own
        except ValueError:
            # A name: what it stands for is the network's affair, except for loopback.
            same = own.is_unspecified or own.is_loopback == (host == "localhost")
        return None if same else f"names the host {host}, but IP is {self.ip}"


class PreprocessorAddress(ServiceAddress):
    """Where the preprocessor listens, and how its clients reach it."""


class TelescopeAddress(ServiceAddress):
    """Where the telescope's daemon listens, and how its clients reach it."""

    port: Port = Field(8081, alias="Port", description=_PORT)


class DomeAddress(ServiceAddress):
    """Where the dome's daemon listens, and how its clients reach it."""

    port: Port = Field(8082, alias="Port", description=_PORT)


class LvcgcnAddress(ServiceAddress):
    """Where the alert robot listens, and how its clients reach it."""

    port: Port = Field(8083, alias="Port", description=_PORT)


class User(Section):
    """Somebody who may send orders."""

    name: Annotated[Text, AfterValidator(_user_name), Kind(_USER)] = Field(
        alias="Name", description="Name to log in with."
    )
    password_hash: Annotated[str, AfterValidator(_password_hash), Kind(_HASH, secret=True)] = Field(
        alias="Password Hash", description="The password's argon2 hash.", repr=False
    )
    requests: Annotated[
        Literal["all"] | tuple[str, ...], BeforeValidator(_requests), Kind(_REQUESTS)
    ] = Field(alias="Requests", description="Requests that the user may send: all, or a list.")


class FrontDesk(Section):
    """Who may send orders to the daemons of this file, how large, how fast, how many."""

    users: Annotated[tuple[User, ...], Listed, Kind("a list of users")] = Field(
        (),
        alias="Users",
        description="Users and what each may request. Without users everybody on this machine "
        "may send everything, and only loopback addresses are allowed.",
    )
    tls_certificate: AbsolutePath | None = Field(
        None,
        alias="TLS Certificate",
        description="PEM file with the certificate chain; null for plain HTTP.",
    )
    tls_key: AbsolutePath | None = Field(
        None, alias="TLS Key", description="PEM file with the certificate's private key."
    )
    body_limit_mb: Annotated[float, *number(0.001, 1024)] = Field(
        4.0, alias="Body Limit (MB)", description="Largest order that is read."
    )
    connections: Annotated[int, *whole(1, 4096)] = Field(
        64, alias="Connections", description="Connections served at once; more are refused."
    )
    read_timeout_s: Annotated[float, *number(0.1, 3600)] = Field(
        10.0, alias="Read Timeout (s)", description="Time in which a whole order must arrive."
    )
    queue_limit: Annotated[int, *whole(1, 1_000_000)] = Field(
        1000, alias="Queue Limit", description='Orders that may wait; one more is answered "busy".'
    )


class Logging(Section):
    """Where and how much the daemons log."""

    file: AbsolutePath = Field(
        Path("/var/log/toros/toros.log"),
        alias="File",
        description="Name that each daemon's log file is made of: "
        "toros.log gives toros-preprocessor.log and so on in the same folder.",
    )
    level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Kind("one of DEBUG, INFO, WARNING, ERROR")
    ] = Field("INFO", alias="Log Level", description="Least severe message that is logged.")
    days_kept: Annotated[int, *whole(1, 36500)] = Field(
        30, alias="Days Kept", description="Days of old logs that are kept; a new one each UTC day."
    )


class Database(Section):
    """Where the database is, and who logs in to it."""

    url: Annotated[str, AfterValidator(_database_url), Kind(_DATABASE, url=True)] = Field(
        "",
        alias="URL",
        description="sqlite:////absolute/path.db or postgresql://host[:port]/database; "
        "by default toros.db in the State Folder.",
        repr=False,
    )
    user: Text | None = Field(None, alias="User", description="User of a PostgreSQL database.")
    password: Secret | None = Field(
        None,
        alias="Password",
        description="Password of a PostgreSQL database; better in TOROS_DATABASE_PASSWORD "
        "or the systemd credential database-password.",
    )


class Email(Section):
    """How mail is sent to the admins."""

    server: HostName | None = Field(
        None, alias="Server", description="Mail (SMTP) server; null sends no mail."
    )
    security: Annotated[Literal["none", "starttls", "tls"], Kind("one of none, starttls, tls")] = (
        Field("starttls", alias="Security", description="Encryption of the connection.")
    )
    port: Port = Field(
        587,
        alias="Port",
        description="Port of the mail server; by default 25 for none, 587 for starttls, "
        "465 for tls.",
    )
    user: Text | None = Field(None, alias="User", description="User to log in as; null for none.")
    password: Secret | None = Field(
        None,
        alias="Password",
        description="Password to log in with; better in TOROS_EMAIL_PASSWORD "
        "or the systemd credential email-password.",
    )
    sender: Mail = Field("toros@localhost", alias="From", description="Sender of the mails.")
    bundle_s: Annotated[float, *number(0, 86400)] = Field(
        60.0,
        alias="Bundle (s)",
        description="Time over which errors are gathered into one mail.",
    )

    @model_validator(mode="after")
    def _fill(self) -> Self:
        self._derive("port", {"none": 25, "starttls": 587, "tls": 465}[self.security])
        return self
