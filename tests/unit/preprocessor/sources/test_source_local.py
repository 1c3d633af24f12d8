from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from tests.unit.preprocessor.sources.source_site import FITS, contents, rules_for
from toros.errors import (
    SourceForbidden,
    SourceIncomplete,
    SourceUnreachable,
    Stopping,
    StorageFailed,
)
from toros.preprocessor.sources import (
    Fetched,
    SourceFile,
    check,
    copy_source,
    digest_source,
    fetch,
    read_source,
)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    folder = tmp_path / "incoming" / "my night"
    (folder / "flats").mkdir(parents=True)
    (folder / "b.fits").write_bytes(FITS)
    (folder / "a.fits").write_bytes(FITS * 2)
    (folder / "flats" / "f.fits").write_bytes(FITS)
    return folder


def bring(url: str | Path, tmp_path: Path, **changes: object) -> Fetched:
    return fetch(str(url), rules_for(tmp_path / "incoming", **changes), tmp_path / "staging")


def names(fetched: Fetched) -> list[str]:
    return [file.name for file in fetched.files]


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}", "FILE:{}", "{}/"])
def test_a_folder_is_listed_where_it_is(night: Path, tmp_path: Path, form: str) -> None:
    path = str(night) if form.startswith("{") else str(night).replace(" ", "%20")
    fetched = bring(form.format(path), tmp_path)
    assert fetched.in_place
    assert names(fetched) == ["a.fits", "b.fits", "flats/f.fits"]
    assert fetched.files[0].path == night / "a.fits"
    assert fetched.files[0].size == 2 * len(FITS)
    assert contents(tmp_path / "staging") == {}


def test_what_does_not_count_is_left_out_with_its_reason(night: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.fits"
    outside.write_bytes(FITS)
    for name in (".hidden.fits", ".partial-1-a.fits", "a.fits~", "c.TMP"):
        (night / name).write_bytes(FITS)
    (night / ".git").mkdir()
    (night / ".git" / "x.fits").write_bytes(FITS)
    (night / "out.fits").symlink_to(outside)
    (night / "up").symlink_to(tmp_path)
    (night / "loop.fits").symlink_to("loop.fits")
    (night / "gone.fits").symlink_to(night / "nothing")
    (night / "same.fits").symlink_to("a.fits")
    (night / "again").symlink_to("flats")
    os.mkfifo(night / "pipe.fits")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(night / "socket.fits"))
    (Path(os.fsdecode(os.fsencode(night) + b"/\xff.fits"))).write_bytes(FITS)
    (night / "red\x1b[31m\u202e.fits").write_bytes(FITS)
    fetched = bring(night, tmp_path)
    assert names(fetched) == [
        "a.fits", "b.fits", "flats/f.fits", "red_[31m_.fits", "same.fits"
    ]  # fmt: skip
    assert fetched.files[-1].path == night / "a.fits"
    reasons = dict(fetched.left_out)
    assert reasons["out.fits"] == reasons["up"] == "a link that leads out of the allowed folders"
    assert reasons["again"] == "a link to a folder"
    assert reasons["gone.fits"] == "a link that leads nowhere"
    assert reasons["pipe.fits"] == reasons["socket.fits"] == "no regular file"
    assert reasons["_.fits"] == "it is not UTF-8"
    assert reasons[".git"] == "hidden"
    assert {".hidden.fits", "a.fits~", "c.TMP", "loop.fits"} <= reasons.keys()


@pytest.mark.parametrize("url", ["/etc/passwd", "{}/../../secret.fits", "{}/link", "/", "{}/up/x"])
def test_outside_the_folders_is_refused(night: Path, tmp_path: Path, url: str) -> None:
    (tmp_path / "secret.fits").write_bytes(FITS)
    (night / "link").symlink_to(tmp_path / "secret.fits")
    (night / "up").symlink_to(tmp_path)
    with pytest.raises(SourceForbidden, match="Sources / Folders"):
        bring(url.format(night), tmp_path)
    with pytest.raises(SourceForbidden):
        check(url.format(night), rules_for(tmp_path / "incoming"))


def test_without_folders_no_path_is_allowed(night: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceForbidden, match="none"):
        fetch(str(night), rules_for(), tmp_path / "staging")


def test_a_folder_with_the_same_beginning_is_outside(night: Path, tmp_path: Path) -> None:
    (tmp_path / "incoming2").mkdir()
    with pytest.raises(SourceForbidden):
        bring(tmp_path / "incoming2", tmp_path)


def test_what_is_not_there_may_come_later(tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir()
    with pytest.raises(SourceUnreachable, match="not there"):
        bring(tmp_path / "incoming" / "night", tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_single_frame_is_a_batch_of_one(night: Path, tmp_path: Path, packed: bool) -> None:
    import gzip

    path = night / ("a.fits.gz" if packed else "a.fits")
    if packed:
        path.write_bytes(gzip.compress(FITS))
    fetched = bring(path, tmp_path)
    assert fetched.in_place
    assert [(f.name, f.path) for f in fetched.files] == [(path.name, path)]


def test_a_fifo_or_device_is_never_opened(night: Path, tmp_path: Path) -> None:
    os.mkfifo(night / "pipe")
    with pytest.raises(SourceForbidden, match="no regular file"):
        bring(night / "pipe", tmp_path)
    with pytest.raises(SourceForbidden, match="no regular file"):
        fetch("/dev/zero", rules_for(Path("/dev")), tmp_path / "staging2")


def test_another_archive_is_refused_by_name(night: Path, tmp_path: Path) -> None:
    from toros.errors import UnsafeArchive

    (night / "n.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(100))
    with pytest.raises(UnsafeArchive, match="7z"):
        bring(night / "n.7z", tmp_path)


def test_too_many_files_are_refused(night: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceForbidden, match="Members Limit"):
        bring(night, tmp_path, members_limit=3)


def test_stopping_is_heeded(night: Path, tmp_path: Path) -> None:
    with pytest.raises(Stopping):
        fetch(str(night), rules_for(night), tmp_path / "s", should_stop=lambda: True)


def test_a_staging_folder_in_use_is_a_mistake_and_stays(night: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not empty"):
        fetch(str(night), rules_for(night), night)
    assert len(contents(night)) == 3


def test_a_copy_is_whole_and_named_by_its_checksum(night: Path, tmp_path: Path) -> None:
    file = bring(night, tmp_path).files[0]
    rules = rules_for(tmp_path / "incoming")
    digest = copy_source(file, rules, tmp_path / "copy")
    assert digest == digest_source(file, rules) == hashlib.sha256(FITS * 2).hexdigest()
    assert (tmp_path / "copy").read_bytes() == FITS * 2


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_file_that_changes_is_incomplete(night: Path, tmp_path: Path, when: str) -> None:
    file = bring(night, tmp_path).files[0]
    rules = rules_for(tmp_path / "incoming")

    def append() -> bool:
        with file.path.open("ab") as writer:
            writer.write(b"more")
        return False

    if when == "before":
        append()
    with pytest.raises(SourceIncomplete, match="changed while it was read"):
        copy_source(file, rules, tmp_path / "copy", should_stop=append)
    assert contents(tmp_path).keys() & {"copy"} == set()


def test_a_link_put_into_the_way_after_listing_is_not_followed(night: Path, tmp_path: Path) -> None:
    files = {file.name: file for file in bring(night, tmp_path).files}
    rules = rules_for(tmp_path / "incoming")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "f.fits").write_bytes(FITS)
    (night / "flats").rename(tmp_path / "moved")
    (night / "flats").symlink_to(secret)
    (night / "a.fits").unlink()
    (night / "a.fits").symlink_to(secret / "f.fits")
    for name in ("flats/f.fits", "a.fits"):
        with pytest.raises(SourceForbidden, match="a link"):
            digest_source(files[name], rules)
    with pytest.raises(SourceForbidden):
        list(read_source(SourceFile("x", secret / "f.fits", len(FITS)), rules))


def test_a_target_that_cannot_be_made_is_a_storage_error(night: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed):
        fetch(str(night), rules_for(night), tmp_path / "file" / "staging")


def test_a_name_too_long_for_the_disk_is_a_plain_error(night: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="too long"):
        bring(night / ("n" * 300), tmp_path)
    unreadable = str(night).replace("my night", "%FF")
    with pytest.raises(SourceUnreachable):
        bring("file://" + unreadable, tmp_path)
