"""``toros config check``: which file it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from toros.cli.toros import main

OPTION = ["--config", "FILE"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "toros.conf.yaml"
    path.write_text("Dome Service Address: {Port: 9001}\n")
    return path


@pytest.mark.parametrize("words", [["FILE"], OPTION, [*OPTION, "--service", "dome"]])
def test_the_file_is_named_as_an_argument_or_as_elsewhere(file: Path, words: list[str]) -> None:
    given = [str(file) if word == "FILE" else word for word in words]
    done = CliRunner().invoke(
        main, ["config", "check", *given], env={"TOROS_CONFIG": "/no/such/file"}
    )
    assert (done.exit_code, done.stdout) == (0, f"{file} is right\n")


def test_the_file_of_the_environment_is_taken_where_none_is_named(file: Path) -> None:
    environment = {"TOROS_CONFIG": str(file)}
    done = CliRunner().invoke(main, ["config", "check"], env=environment)
    assert (done.exit_code, done.stdout) == (0, f"{file} is right\n")
    named = CliRunner().invoke(main, ["config", "check", str(file)], env=environment)
    assert named.exit_code == 0


def test_two_files_are_refused(file: Path) -> None:
    done = CliRunner().invoke(main, ["config", "check", str(file), "--config", str(file)])
    assert done.exit_code == 2
    assert "not both" in done.stderr
