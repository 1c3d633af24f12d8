"""``toros plan`` and ``toros explain`` against a front desk of their own."""

from __future__ import annotations

import json

import pytest
import yaml
from click.testing import CliRunner

from tests.conftest import free_port
from toros.cli.toros import main
from toros.frontdesk.access import Access
from toros.frontdesk.server import FrontDeskServer, ServerLimits

EXPLAINED = {
    "target": 3, "name": "M 83", "state": "waiting", "message": "", "lines": ["class science"],
}  # fmt: skip
ANSWERS = {
    ("get_plan", "text"): {"format": "text", "text": "Plan of two targets\n"},
    ("get_plan", "csv"): {"format": "csv", "text": "start,end\n"},
    ("get_plan", "data"): {"entries": []},
    ("explain", 3): EXPLAINED,
    ("explain", "M 83"): EXPLAINED,
}


@pytest.fixture
def configuration(tmp_path):
    """Run a front desk that knows one plan, at the telescope's address."""

    def answer(order, _caller):
        return ANSWERS[
            order["request"], order.get("format", order.get("target", order.get("name")))
        ]

    port = free_port()
    limits = ServerLimits(1_000_000, 4, 5.0, frozenset({"127.0.0.1"}))
    server = FrontDeskServer(("127.0.0.1", port), answer, lambda: "", Access(()), limits, None)
    server.bind()
    server.start()
    path = tmp_path / "toros.conf.yaml"
    path.write_text(
        yaml.safe_dump(
            {"Telescope Service Address": {"Port": port}, "State Folder": str(tmp_path / "state")}
        )
    )
    yield path
    server.stop(2.0)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["plan"], "Plan of two targets\n"),
        (["plan", "--format", "csv"], "start,end\n"),
        (["explain", "3"], "target 3 M 83: waiting\n  class science\n"),
        (["explain", "M 83"], "target 3 M 83: waiting\n  class science\n"),
    ],
)
def test_what_the_telescope_tells_is_shown(configuration, words, shown):
    done = CliRunner().invoke(main, [*words, "--config", str(configuration)])
    assert (done.exit_code, done.output) == (0, shown)


def test_programs_get_json(configuration):
    done = CliRunner().invoke(main, ["plan", "--json", "--config", str(configuration)])
    assert json.loads(done.output) == {"entries": []}


def test_a_telescope_that_is_not_there_is_unreachable(tmp_path):
    path = tmp_path / "toros.conf.yaml"
    path.write_text(yaml.safe_dump({"Telescope Service Address": {"Port": free_port()}}))
    done = CliRunner().invoke(main, ["plan", "--config", str(path)])
    assert done.exit_code == 3
