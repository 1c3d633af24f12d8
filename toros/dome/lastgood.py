"""A configuration that is wrong does not keep the dome from being closed.

With each good start the daemon keeps a copy of its configuration. A start with a wrong one
takes the copy, closes the dome and does not open it. A mistake in a section that the dome
can do without for a while (logs, mail, the database) costs that section only.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import yaml

from toros import config
from toros.config import Settings
from toros.config.document import read_document
from toros.errors import ConfigurationError, TorosError
from toros.frontdesk.process import check_users
from toros.store import write_whole

FOLDER = "dome"
_COPY = "last-good.conf.yaml"
_MENDED = "mended.conf.yaml"
_SPARED = ("Logging", "Database", "Admin Emails", "Email Configuration")
"""Sections whose last good values do until the mistake is mended."""
_STATE_FOLDER = re.compile(r"""^["']?State Folder["']?[ \t]*:[ \t]*["']?(/[^"'#\r\n]*)""", re.M)


def keep(settings: Settings) -> None:
    """Keep a copy of the configuration that the daemon has started with.

    Raises
    ------
    StorageFailed, DiskFull
    """
    folder = settings.state_folder / FOLDER
    try:
        content = settings.source.read_bytes()
    except OSError:  # it was moved away since; the copy before stays
        return
    if settings.source.parent != folder:
        old = folder / _COPY
        write_whole(old, content)
        old.chmod(0o600)  # it may hold passwords


def last_good(path: Path, error: ConfigurationError) -> tuple[Settings, bool]:
    """Return what does for a wrong configuration, and whether the dome may open with it.

    Parameters
    ----------
    path : Path
        The configuration file.
    error : ConfigurationError
        What is wrong with it.

    Raises
    ------
    ConfigurationError
        `error` itself: there is no good copy.
    """
    copy = _state_folder(path) / FOLDER / _COPY
    if not os.access(copy, os.R_OK):
        raise error
    try:
        return _load(_mended(path, copy)), True
    except (TorosError, OSError, yaml.YAMLError):
        pass
    try:
        return _load(copy), False
    except ConfigurationError:
        raise error from None


def _load(path: Path) -> Settings:
    settings = config.load(path, "dome")
    check_users(settings)
    return settings


def _mended(path: Path, copy: Path) -> Path:
    """Write the configuration with the last good values of the sections that can be spared."""
    data, good = read_document(path).data, read_document(copy).data
    if not isinstance(data, dict) or not isinstance(good, dict):
        raise ConfigurationError(f"{path}: no sections")
    mended = {key: value for key, value in data.items() if key not in _SPARED}
    mended |= {key: good[key] for key in _SPARED if key in good}
    target = copy.with_name(_MENDED)
    write_whole(target, yaml.safe_dump(mended, allow_unicode=True).encode())
    target.chmod(0o600)
    return target


def _state_folder(path: Path) -> Path:
    """Find the state folder named in a file that cannot be trusted otherwise."""
    named = _named_folder(path)
    if named is None:
        named = os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or None  # by systemd
    return Path(named) if named else Settings().state_folder


def _named_folder(path: Path) -> str | None:
    try:
        data = read_document(path).data
        named = data.get("State Folder") if isinstance(data, dict) else None
        if isinstance(named, str):
            return named
    except ConfigurationError:
        pass  # no YAML: the line may be there all the same
    try:
        found = _STATE_FOLDER.search(path.read_text("utf-8", "replace"))
    except OSError:
        return None
    return found[1].strip() if found else None
