"""A configuration file of a test's own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toros.config import Settings, load
from toros.errors import ConfigurationError

Loader = Callable[..., Settings]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "toros.conf.yaml"


@pytest.fixture
def load_text(file: Path) -> Loader:
    """Load a text as the configuration, without this process's environment."""

    def load_it(
        text: str, service: str | None = None, environ: dict[str, str] | None = None
    ) -> Settings:
        file.write_text(text)
        file.chmod(0o600)
        return load(file, service, environ=environ or {})

    return load_it


@pytest.fixture
def problems(load_text: Loader, file: Path) -> Callable[..., list[str]]:
    """Load a text that must be refused; list the problems without the file's name."""

    def refused(text: str, service: str | None = None) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            load_text(text, service)
        return caught.value.message.replace(f"{file}:", "").splitlines()

    return refused


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """Be a user to whom permissions apply, with a folder of its own; root becomes nobody."""
    nobody = 65534
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() != 0:
            yield folder
            return
        os.chown(folder, nobody, nobody)
        os.seteuid(nobody)
        try:
            yield folder
        finally:
            os.seteuid(0)
