"""What the telescope tells others has the same id whenever it is made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.telescope.observing import NIGHT, frame, known, prepared
from toros import clock
from toros.database.exposures import TakenExposures
from toros.errors import InvalidField, NoUsableFrames, SourceForbidden, SourceUnreachable
from toros.telescope.exposures import ExposureStore
from toros.telescope.outbox import exposures_taken, frames_by_hand, night_told
from toros.workorders import parse


def test_a_nights_exposures_are_told_once_until_there_are_more(tmp_path):
    database = prepared(f"sqlite:///{tmp_path / 'toros.db'}")
    taken = TakenExposures(database, clock.REAL)
    assert exposures_taken(taken, tmp_path, NIGHT) is None
    exposures = ExposureStore(tmp_path, taken, reserve_bytes=0)
    exposures.start()
    exposures.store(frame(1), known())
    assert exposures.settle(20)
    first = exposures_taken(taken, tmp_path, NIGHT)
    assert first == exposures_taken(taken, tmp_path, NIGHT)
    exposures.store(frame(2), known())
    assert exposures.settle(20)
    second = exposures_taken(taken, tmp_path, NIGHT)
    exposures.close()
    database.close()
    assert (first.message_id, second.message_id) == (
        f"exposures-{NIGHT}-00001", f"exposures-{NIGHT}-00002",
    )  # fmt: skip
    assert first.content == {"url": str(tmp_path / NIGHT)}
    parse({"request": first.request, "id": first.message_id, **first.content}, "preprocessor")


class TestByHand:
    @pytest.fixture
    def folder(self, tmp_path):
        folder = tmp_path / "incoming" / "2019-03-05"
        folder.mkdir(parents=True)
        (folder / "a.fits").write_bytes(b"frame")
        return folder

    def test_the_same_frames_are_told_once(self, folder):
        first = frames_by_hand(folder, [folder.parent])
        assert first == frames_by_hand(folder, [folder.parent])
        assert (first.recipient, first.content) == ("preprocessor", {"url": str(folder)})
        parse({"request": first.request, "id": first.message_id, **first.content}, "preprocessor")
        (folder / ".hidden").write_bytes(b"x")
        assert frames_by_hand(folder, [folder.parent]) == first
        (folder / "b.fits").write_bytes(b"another")
        assert frames_by_hand(folder, [folder.parent]).message_id != first.message_id

    def test_a_folder_must_be_where_the_preprocessor_may_read(self, folder, tmp_path):
        with pytest.raises(SourceForbidden, match="Preprocessor / Sources / Folders"):
            frames_by_hand(folder, [tmp_path / "elsewhere"])
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "link").symlink_to(folder)
        with pytest.raises(SourceForbidden):
            frames_by_hand(tmp_path / "elsewhere" / "link", [tmp_path / "elsewhere"])

    @pytest.mark.parametrize(
        ("name", "error"),
        [
            ("2019-03-06", SourceUnreachable),
            ("2019-03-05/a.fits", SourceForbidden),
            ("empty", NoUsableFrames),
        ],
    )
    def test_what_is_no_folder_of_frames_is_refused(self, folder, name, error):
        (folder.parent / "empty" / ".hidden").mkdir(parents=True)
        with pytest.raises(error):
            frames_by_hand(folder.parent / name, [folder.parent])

    def test_a_path_is_absolute(self):
        with pytest.raises(InvalidField):
            frames_by_hand(Path("incoming"), [Path("/")])

    def test_odd_names_are_no_trouble(self, folder):
        Path(os.fsdecode(bytes(folder) + b"/\xff.fits")).write_bytes(b"x")
        frames_by_hand(folder, [folder.parent])


def test_web_addresses_are_told_of_a_night():
    messages = night_told(["http://a/", "http://b/"], NIGHT, 4, {"state": "closed"})
    assert [m.recipient for m in messages] == ["http://a/", "http://b/"]
    assert {m.message_id for m in messages} == {f"night-{NIGHT}-4"}
    assert messages[0].content == {"night": NIGHT, "state": "closed"}
