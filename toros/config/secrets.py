"""Secrets: where they come from besides the file, and how they stay out of what is shown.

A password comes from the environment, or else from a systemd credential
(``LoadCredential=`` in the unit, systemd.exec(5)), or else from the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from toros.errors import ConfigurationError

HIDDEN = "***"
CREDENTIAL_LIMIT_BYTES = 4096


class Secret(NamedTuple):
    """A password that need not stand in the file; `setting` leads to it from the top."""

    setting: tuple[str, ...]
    variable: str
    credential: str


SECRETS = (
    Secret(("database", "password"), "TOROS_DATABASE_PASSWORD", "database-password"),
    Secret(("email", "password"), "TOROS_EMAIL_PASSWORD", "email-password"),
    Secret(("lvcgcn", "kafka", "client_secret"), "TOROS_KAFKA_SECRET", "kafka-secret"),
)


def outside_secrets(environ: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Collect the passwords that the environment and systemd give.

    Parameters
    ----------
    environ : mapping
        The environment's variables. An empty one counts as not given.

    Returns
    -------
    dict
        From the setting to its password.

    Raises
    ------
    ConfigurationError
        A credential is there and cannot be used.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY")
    found: dict[tuple[str, ...], str] = {}
    for secret in SECRETS:
        value = environ.get(secret.variable)
        if not value and folder:
            value = _credential(Path(folder) / secret.credential)
        if value:
            found[secret.setting] = value
    return found


def _credential(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            content = file.read(CREDENTIAL_LIMIT_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"{path}: the credential cannot be read: {error.strerror}; "
            "expected a file that this process may read"
        ) from None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = "\0"
    text = text.removesuffix("\n").removesuffix("\r")
    if len(content) > CREDENTIAL_LIMIT_BYTES or not text.isprintable():
        raise ConfigurationError(
            f"{path}: not a usable credential; expected one line of UTF-8 text, "
            f"at most {CREDENTIAL_LIMIT_BYTES} bytes"
        )
    return text or None


def hide_url(url: str, *, with_user: bool = False) -> str:
    """Put ``***`` for what is secret in a url, well-formed or not.

    Parameters
    ----------
    url : str
        Any text that should be a url.
    with_user : bool
        Hide the user's name too: in a url with a mistake nobody knows where
        the name ends and the password begins.
    """
    scheme, slashes, rest = url.partition("://") if "://" in url else ("", "", url)
    # A password may hold raw / ? # @, so that only the last @ ends it for certain.
    userinfo, at, place = rest.rpartition("@")
    main, mark, query = place.partition("?")
    if at and ":" in userinfo and not with_user:
        main = f"{userinfo.partition(':')[0]}:{HIDDEN}@{main}"
    elif at:  # without a colon it may be a token
        main = f"{HIDDEN}@{main}"
    elif with_user and ":" in main and not re.fullmatch(r"[^:]*:\d+(/.*)?|\[.*", main):
        main = HIDDEN  # what follows the colon is no port, but may be a password without its @
    query = re.sub(
        r"(?i)(^|&)([^=&]*(?:pass|secret|token|key)[^=&]*)=[^&#]*", rf"\1\2={HIDDEN}", query
    )
    return f"{scheme}{slashes}{main}{mark}{query}"
