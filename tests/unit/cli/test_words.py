"""What the commands say to a person."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from toros.cli.output import tell_mapping
from toros.cli.submit import main as submit
from toros.cli.toros import main as toros


def test_lists_of_dictionaries_are_written_as_lines(capsys):
    tell_mapping({"quarantined": [{"file": "a.fits", "reason": "it is empty"}], "plain": ["x"]})
    assert capsys.readouterr().out == "quarantined:\n  - a.fits: it is empty\nplain:\n  - x\n"


def test_a_screen_without_a_height_shows_the_bar():
    ours, theirs = pty.openpty()  # as a serial console: no rows, no columns
    program = (
        "from toros.cli.output import progress_bar\n"
        "with progress_bar(total=1.0, bar_format='{percentage:3.0f}%') as bar:\n"
        "    bar.n = 0.5; bar.refresh()"
    )
    subprocess.run([sys.executable, "-c", program], stderr=theirs, check=True, timeout=60)
    os.close(theirs)
    assert b"50%" in os.read(ours, 10_000)
    os.close(ours)


def test_a_request_that_is_not_named_is_helped_with():
    done = CliRunner().invoke(submit, ["preprocessor"])
    assert done.exit_code == 2
    assert "calibrate_file_batch" in done.output


def test_the_demonstration_refuses_a_folder_in_use(tmp_path):
    (tmp_path / "incoming" / "night").mkdir(parents=True)
    done = CliRunner().invoke(toros, ["demo", "--folder", str(tmp_path)])
    assert done.exit_code == 2
    assert "name another --folder" in done.output


def test_daemons_that_are_not_there_are_told_in_two_words(tmp_path):
    configuration = tmp_path / "toros.conf.yaml"
    addresses = {
        f"{name} Service Address": {"Port": port}
        for port, name in enumerate(("Preprocessor", "Telescope", "Dome", "Lvcgcn"), start=1)
    }
    configuration.write_text(yaml.safe_dump(addresses))
    done = CliRunner().invoke(toros, ["status", "--config", str(configuration)])
    assert done.exit_code == 3
    assert done.output.count("not running") == 4
    assert "Errno" not in done.output


@pytest.mark.parametrize(
    ("content", "right"),
    [
        ("Observatory:\n\tName: x\n", "blanks, not tabs"),
        ("Observatory:\n  Name: Site: North\n", "quotes around"),
        ("Preprocessor:\n  Steps:\n    - stack_bias\n", "- Step: stack_bias"),
    ],
)
def test_usual_mistakes_are_explained(tmp_path, content, right):
    configuration = tmp_path / "toros.conf.yaml"
    configuration.write_text(content)
    done = CliRunner().invoke(toros, ["config", "check", str(configuration)])
    assert done.exit_code == 1
    assert right in done.output
