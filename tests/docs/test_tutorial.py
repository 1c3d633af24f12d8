"""The tutorial, done word by word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.docs.blocks import blocks


@pytest.mark.long
def test_the_first_night(tmp_path: Path) -> None:
    page = "docs/tutorials/first-night.md"
    texts = [block.text for block in blocks("sh") if block.page == page]
    assert texts[0].startswith("make\n"), "the tutorial begins with the installation"
    night = tmp_path / "first-night"
    script = "\n".join(texts[1:]).replace("/tmp/first-night", str(night))
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("TOROS")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "already_calibrated: yes" in done.stdout
    assert "the same" in done.stdout
    assert "OFF" not in done.stdout
    assert "median" in done.stdout
