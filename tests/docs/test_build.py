"""The documentation builds without a warning, and nothing that users meet is missing from it."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.conftest import PROJECT
from tests.docs.test_blocks import PROGRAMS
from toros import clock
from toros.config import describe
from toros.database import schema
from toros.database.models import Base
from toros.database.orders import NewOrder, Orders
from toros.database.session import Database
from toros.errors import error_classes
from toros.preprocessor.steps import STEPS
from toros.workorders import COMMON, REQUESTS


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    done = subprocess.run(
        [*command, "-d", folder / "doctrees", PROJECT / "docs", folder / "html"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def text_of(built: Path, page: str) -> str:
    raw = (built / f"{page}.html").read_text("utf-8")
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", raw)).split())


def test_every_setting_is_documented(built: Path) -> None:
    text = text_of(built, "reference/settings")
    for setting in describe():
        assert setting.section in text
        assert setting.key in text
        assert setting.description, f"{setting.section} / {setting.key} has no description"
        assert " ".join(setting.description.split()) in text


def test_every_status_code_is_documented(built: Path) -> None:
    text = text_of(built, "reference/status-codes")
    for cls in error_classes():
        assert f"{cls.code} {cls.__name__} {cls.description}" in text


def test_every_request_is_documented(built: Path) -> None:
    text = text_of(built, "reference/requests")
    for cls in [*COMMON, *(cls for classes in REQUESTS.values() for cls in classes)]:
        assert cls.__doc__, f"{cls.request} has no docstring"
        assert cls.request in text
        for field, info in cls.model_fields.items():
            assert field in text
            assert info.description, f"{cls.request}.{field} has no description"
            assert " ".join(info.description.split()) in text


def test_every_step_is_documented(built: Path) -> None:
    text = text_of(built, "reference/steps")
    for name, step in STEPS.items():
        assert name in text
        for key, field in step.settings.model_fields.items():
            assert field.description, f"{name}.{key} has no description"
            assert f"{field.alias} {' '.join(field.description.split())}" in text


def test_every_table_is_documented(built: Path) -> None:
    text = text_of(built, "reference/database")
    for table in Base.metadata.sorted_tables:
        assert table.name in text
        for column in table.columns:
            assert column.name in text


def leaves(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for below, sub in command.commands.items():
            yield from leaves(f"{name} {below}", sub)


def test_every_command_is_documented(built: Path) -> None:
    text = text_of(built, "reference/commands")
    for program, main in PROGRAMS.items():
        for name, command in leaves(program, main):
            assert name.rpartition(" ")[2] in text
            assert command.help, f"{name} has no help"
            for parameter in command.params:
                if isinstance(parameter, click.Option) and parameter.name != "help":
                    assert parameter.opts[0] in text, f"{name} {parameter.opts[0]}"
                    assert parameter.help, f"{name} {parameter.opts[0]} has no help"


def test_every_page_is_reachable(built: Path) -> None:
    index = text_of(built, "index")
    assert "The first night" in index
    sources = {
        p.relative_to(PROJECT / "docs").with_suffix("") for p in PROJECT.glob("docs/**/*.md")
    }
    for page in sources:
        assert (built / f"{page}.html").exists(), page


def test_every_key_of_a_status_is_documented(built: Path, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'toros.db'}")
    schema.prepare(database)
    orders = Orders(database, "preprocessor", "here", clock.REAL)
    orders.record(NewOrder("", "1", "calibrate_file_batch", {}, "", {}, 0.0), queue_limit=1)
    text = text_of(built, "reference/requests")
    for key in [*orders.tell("1", None), *orders.page(None, 1, 1)]:
        assert key in text
    database.close()
