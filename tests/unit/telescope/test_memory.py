"""What outlasts a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from toros.telescope.memory import Memory


def test_what_is_kept_is_known_after_a_restart(tmp_path: Path):
    path = tmp_path / "memory.json"
    assert Memory(path, 3).kept.automatic
    Memory(path, 3).keep(automatic=False, fault="a fault")
    again = Memory(path, 3).kept
    assert (again.automatic, again.fault) == (False, "a fault")


def test_another_stage_forgets_all_but_the_fault(tmp_path: Path):
    path = tmp_path / "memory.json"
    Memory(path, 3).keep(automatic=False, fault="a fault")
    other = Memory(path, 2).kept
    assert (other.stage, other.automatic, other.fault) == (2, False, "a fault")


@pytest.mark.parametrize("content", ["", "[]", '{"stage": 3, "automatic": "yes"}', "null"])
def test_what_cannot_be_read_leaves_the_night_to_a_person(tmp_path: Path, content: str):
    path = tmp_path / "memory.json"
    path.write_text(content)
    assert Memory(path, 3).kept.automatic is False


def test_a_disk_that_does_not_take_it_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "file").write_text("")
    memory = Memory(tmp_path / "file" / "memory.json", 3)
    memory.keep(fault="a fault")
    assert memory.kept.fault == "a fault"
    assert "would not be known" in caplog.text
