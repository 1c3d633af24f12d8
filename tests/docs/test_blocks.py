"""Every example in the documentation is right as far as it can be told without running it."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import yaml

from tests.conftest import PROJECT
from tests.docs.blocks import Block, blocks, commands, pages
from toros.cli.submit import main as toros_submit
from toros.cli.toros import main as toros
from toros.config import Settings
from toros.dome.daemon import main as toros_dome
from toros.lvcgcn.daemon import main as toros_lvcgcn
from toros.preprocessor.daemon import main as toros_preprocessor
from toros.preprocessor.steps.base import Band, Setup, Step
from toros.telescope.daemon import main as toros_telescope
from toros.workorders import SERVICES, parse

PROGRAMS: dict[str, click.Command] = {
    "toros": toros,
    "toros-submit": toros_submit,
    "toros-preprocessor": toros_preprocessor,
    "toros-dome": toros_dome,
    "toros-telescope": toros_telescope,
    "toros-lvcgcn": toros_lvcgcn,
}


def name(block: Block) -> str:
    return f"{block.page}:{block.line}"


def resolve(command: click.Command, words: list[str]) -> None:
    """Check subcommands, options and the number of arguments, as click would."""
    while isinstance(command, click.Group):
        context = click.Context(command)
        _, words, _ = command.make_parser(context).parse_args(list(words))
        if not words:
            assert command.invoke_without_command, f"{command.name} needs a subcommand"
            return
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    context = click.Context(command)
    parser = command.make_parser(context)
    _, rest, _ = parser.parse_args(list(words))
    assert not rest, f"too many words: {rest}"


@pytest.mark.parametrize("words", ["devices", "devices --timeout 1 --json", "devices check"])
def test_a_command_that_does_something_by_itself_may_stand_alone(words: str) -> None:
    resolve(toros, words.split())


@pytest.mark.parametrize("words", ["", "database", "devices --no-such", "devices check too many"])
def test_a_command_that_does_not_exist_is_found_out(words: str) -> None:
    with pytest.raises((AssertionError, click.UsageError)):
        resolve(toros, words.split())


def test_there_are_examples() -> None:
    assert len(list(commands())) > 50


@pytest.mark.parametrize(
    ("block", "words"),
    [
        pytest.param(block, words, id=f"{name(block)} {' '.join(words)}"[:100])
        for block, words in commands()
        if words[0] in PROGRAMS
    ],
)
def test_commands_exist(block: Block, words: list[str]) -> None:
    del block
    resolve(PROGRAMS[words[0]], [word for word in words[1:] if word != "&"])


def test_orders_would_be_accepted() -> None:
    for block, words in commands():
        if words[0] != "toros-submit":
            continue
        service = words[1]
        assert service in SERVICES, name(block)
        if "--file" in words:
            continue
        order: dict[str, Any] = {"request": words[2]}
        for word in words[3:]:
            key, equals, text = word.partition("=")
            if equals and not word.startswith("-"):
                try:
                    order[key] = json.loads(text)
                except ValueError:
                    order[key] = text
        parse(order, service)


def test_make_targets_exist() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    for block, words in commands():
        if words[0] == "make":
            for word in words[1:]:
                if "=" not in word:
                    assert re.search(rf"^{word}:", makefile, re.MULTILINE), f"{name(block)} {word}"


def test_units_exist() -> None:
    units = {path.name for path in (PROJECT / "systemd").iterdir()}
    for block, words in commands():
        if words[0] == "systemctl":
            for unit in (word for word in words[2:] if not word.startswith("-")):
                assert {unit, f"{unit}.service"} & units, f"{name(block)} {unit}"


@pytest.mark.parametrize("block", list(blocks("python")), ids=name)
def test_python_compiles(block: Block) -> None:
    compile(block.text, name(block), "exec")


@pytest.mark.parametrize("block", list(blocks("yaml")), ids=name)
def test_settings_are_right(block: Block) -> None:
    data = yaml.safe_load(block.text)
    if isinstance(data, list):
        data = {"Preprocessor": {"Header Rules": data}}
    if "write-a-step" in block.page:
        data["Preprocessor"].pop("Steps")  # one of them is the page's own
    Settings.model_validate(data, by_alias=True, by_name=False)


def test_the_step_of_the_how_to_page_is_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (text,) = (b.text for b in blocks("python") if "write-a-step" in b.page)
    (tmp_path / "subtract_pedestal.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    step: Step = importlib.import_module("subtract_pedestal").STEP
    setup = Setup(settings=step.settings(), names=("a",))
    band = Band(np.full((1, 4, 5), 300.0, np.float32))
    strip = step.reduce(setup, step.survey(setup, band), band)
    assert float(strip.data.mean()) == 200.0


def test_links_of_the_top_pages_lead_somewhere() -> None:
    for path in pages():
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            target = path.parent / link
            assert Path(target).exists(), f"{path.relative_to(PROJECT)}: {link}"


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/install.md"])
def test_the_installation_names_every_command(page: str) -> None:
    scripts = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    text = (PROJECT / page).read_text("utf-8")
    assert [command for command in scripts if f"`{command}`" not in text] == []
    assert ".venv/bin:$PATH" in text


def test_without_systemd_every_daemon_is_started_and_stopped() -> None:
    page = "docs/how-to/operate-without-systemd.md"
    said = [" ".join(words) for block, words in commands() if block.page == page]
    for service in SERVICES:
        assert f"toros-{service} --config /etc/toros/toros.conf.yaml --detach" in said
        assert any(line.startswith("kill ") and f"toros-{service}.pid" in line for line in said)
