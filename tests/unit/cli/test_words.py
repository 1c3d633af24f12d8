"""What the commands say to a person."""

from __future__ import annotations

import json
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
from toros.frontdesk.access import Access
from toros.frontdesk.server import FrontDeskServer, ServerLimits


def test_lists_of_like_dictionaries_are_written_as_tables(capsys):
    rows = [
        {"file": "a.fits", "good": True, "size": None, "tags": ["x", "y"]},
        {"file": "b.fits", "good": False, "tags": [], "size": 0.125},
    ]
    tell_mapping({"quarantined": rows, "plain": ["x"], "none": []})
    assert capsys.readouterr().out == (
        "quarantined:\n"
        "  file    good  size   tags\n"
        "  ------  ----  -----  ----\n"
        "  a.fits  yes   -      x, y\n"
        "  b.fits  no    0.125  -\n"
        "plain:\n  - x\n"
        "none: -\n"
    )


def test_lists_of_unlike_or_nested_dictionaries_are_written_as_blocks(capsys):
    tell_mapping(
        {
            "sources": [{"name": "Kafka", "topics": [{"at": 1}]}, {"name": "hand", "on": True}],
            "notices": [{"kind": "Initial", "facts": {"far": 1e-9, "links": {}}}],
            "text": "two\nlines",
        }
    )
    assert capsys.readouterr().out == (
        "sources:\n"
        "  - name: Kafka\n"
        "    topics:\n"
        "      at\n"
        "      --\n"
        "      1\n"
        "  - name: hand\n"
        "    on: yes\n"
        "notices:\n"
        "  - kind: Initial\n"
        "    facts:\n"
        "      far: 1e-09\n"
        "      links: -\n"
        "text:\n  two\n  lines\n"
    )


class _Answers:
    """A front desk that answers what it is told to."""

    def __init__(self, answer):
        self._server = FrontDeskServer(
            ("127.0.0.1", 0), lambda *_: answer, lambda: "", Access(()), ServerLimits()
        )

    def __enter__(self):
        self._server.start()
        return f"http://127.0.0.1:{self._server.address[1]}"

    def __exit__(self, *_):
        self._server.stop(2.0)


CSV = "rank,name\n1,NGC 4993\n"


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        ({"event": "S1", "revision": 7, "form": "csv", "lists": {"Macon": CSV}}, CSV),
        (
            {"event": "S1", "revision": 7, "form": "csv", "lists": {"Macon": CSV, "North": CSV}},
            f"# Macon\n{CSV}# North\n{CSV}",
        ),
        (
            {"event": "S1", "revision": 7, "form": "voevent", "lists": {"voevent": "<a>\n</a>"}},
            "<a>\n</a>\n",
        ),
        ({"format": "csv", "text": CSV}, CSV),
    ],
)
def test_what_was_asked_for_as_text_is_written_as_it_is(answer, written):
    with _Answers(answer) as url:
        done = CliRunner().invoke(submit, ["lvcgcn", "get_targets", "event=S1", "--url", url])
        as_json = CliRunner().invoke(
            submit, ["lvcgcn", "get_targets", "event=S1", "--url", url, "--json"]
        )
    assert (done.exit_code, done.output) == (0, written)
    assert json.loads(as_json.output) == answer


def test_events_are_a_table():
    event = {
        "event": "S1", "mission": "LVK", "state": "active", "is_test": False, "answered": True,
        "revision": 7, "folder": "/x", "created": "2026", "updated": "2027",
    }  # fmt: skip
    with _Answers({"total": 1, "page": 1, "events": [event]}) as url:
        done = CliRunner().invoke(submit, ["lvcgcn", "list_events", "--url", url])
    assert done.output.splitlines() == [
        "event  mission  state   is_test  answered  revision  updated",
        "-----  -------  ------  -------  --------  --------  -------",
        "S1     LVK      active  no       yes       7         2027",
        "page 1; 1 events",
    ]


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
