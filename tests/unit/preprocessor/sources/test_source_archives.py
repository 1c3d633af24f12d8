from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import random
import stat
import struct
import subprocess
import tarfile
import tempfile
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.preprocessor.sources.source_site import FITS, contents, rules_for, small_disk
from toros.errors import (
    DiskFull,
    SourceIncomplete,
    Stopping,
    TorosError,
    UnsafeArchive,
)
from toros.preprocessor.sources import Fetched, fetch

__all__ = ["small_disk"]
NOISE = random.Random(1).randbytes(200_000)
NIGHT = {"night/bias 1.fits": FITS, "night/flats/f.fits": FITS * 3, "l.fits": FITS + NOISE}
PACK: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress
}  # fmt: skip


def tar(entries: dict[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:  # noqa: A002
    return tar_of(
        [(tar_entry(name, size=len(content)), content) for name, content in entries.items()], format
    )


def tar_entry(name: str, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def tar_of(
    members: list[tuple[tarfile.TarInfo, bytes]],
    format: int = tarfile.PAX_FORMAT,  # noqa: A002
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as writer:
        for info, content in members:
            writer.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(entries: dict[str, bytes] | list[tuple[object, bytes]], **options: int) -> bytes:
    buffer = io.BytesIO()
    pairs = entries.items() if isinstance(entries, dict) else entries
    with zipfile.ZipFile(buffer, "w", **{"compression": zipfile.ZIP_DEFLATED, **options}) as writer:  # type: ignore[call-overload]
        for name, content in pairs:
            writer.writestr(name, content)
    return buffer.getvalue()


def make(kind: str, entries: dict[str, bytes]) -> bytes:
    return zip_of(entries) if kind == "zip" else PACK[kind](tar(entries))


def bring(content: bytes, folder: Path, **changes: object) -> Fetched:
    """Unpack an archive of this machine; nothing may remain on failure, nor appear elsewhere."""
    incoming = folder / "incoming"
    incoming.mkdir(exist_ok=True)
    (incoming / "night.dat").write_bytes(content)
    try:
        return fetch(
            str(incoming / "night.dat"), rules_for(incoming, **changes), folder / "staging"
        )
    except TorosError as error:
        assert contents(folder / "staging") == {}
        assert list((folder / "staging").iterdir()) == []
        assert error.message.isprintable()
        assert "night.dat" in error.message
        raise
    finally:
        assert {path.name for path in folder.iterdir()} == {"incoming", "staging"}
        assert [path.name for path in incoming.iterdir()] == ["night.dat"]


@pytest.mark.parametrize("kind", ["zip", *PACK])
def test_an_archive_is_unpacked_whatever_its_name(tmp_path: Path, kind: str) -> None:
    fetched = bring(make(kind, NIGHT), tmp_path)
    assert contents(tmp_path / "staging") == NIGHT
    assert not fetched.in_place
    assert [f.name for f in fetched.files] == sorted(NIGHT)
    assert {f.name: f.path.read_bytes() for f in fetched.files} == NIGHT
    assert [f.size for f in fetched.files] == [len(NIGHT[f.name]) for f in fetched.files]


@pytest.mark.parametrize("program", [["tar", "-c"], ["tar", "-cz"], ["tar", "-c", "-H", "v7"]])
def test_what_gnu_tar_makes_is_unpacked(tmp_path: Path, program: list[str]) -> None:
    folder = tmp_path / "made" / ("n" * 90 if "v7" not in program else "n")
    folder.mkdir(parents=True)
    (folder / ("m" * 120 + ".fits" if "v7" not in program else "m.fits")).write_bytes(FITS)
    content = subprocess.run(
        [*program, "-C", str(tmp_path / "made"), "."], capture_output=True, check=True
    ).stdout
    (tmp_path / "room").mkdir()
    bring(content, tmp_path / "room")
    assert contents(tmp_path / "room" / "staging") == contents(tmp_path / "made")


@settings(max_examples=60, deadline=None)
@given(
    names=st.sets(
        st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=70),
        max_size=5,
    ),
    format=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    content=st.binary(max_size=1500),
)
def test_the_tar_reader_agrees_with_pythons(
    names: set[str],
    format: int,  # noqa: A002
    content: bytes,
) -> None:
    entries = {f"folder/{name}.fits": content + name.encode() for name in names}
    with contextlib.suppress(ValueError):  # a name too long for ustar
        made = tar(entries, format)
        with tempfile.TemporaryDirectory() as folder:
            bring(gzip.compress(made), Path(folder))
            assert contents(Path(folder) / "staging") == entries


def test_archives_inside_stay_as_they_are_and_hidden_files_do_not_count(tmp_path: Path) -> None:
    inner = tar(NIGHT)
    entries = {"inner.tar": inner, "f.fits.gz": gzip.compress(FITS), "._f.fits": b"x", "a/b~": b"y"}
    for kind in ("zip", "tar.gz"):
        room = tmp_path / kind
        room.mkdir()
        fetched = bring(make(kind, entries), room)
        assert contents(room / "staging").keys() == {"inner.tar", "f.fits.gz"}
        assert [name for name, _ in fetched.left_out] == ["._f.fits", "a/b~"]


HOSTILE_NAMES = {
    "../evil": "..", "a/../../evil": "..", "/etc/evil": "absolute", "//evil": "absolute",
    "C:/evil": "drive", "c:evil": "drive", "..\\evil": "backslash", "\\\\host\\evil": "backslash",
    "a/" + "n" * 256: "255", "/".join("d" * 40): "deep", "/".join(["d" * 200] * 8): "1024",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_member_with_a_hostile_name_is_refused(tmp_path: Path, kind: str, name: str) -> None:
    with pytest.raises(UnsafeArchive, match=HOSTILE_NAMES[name]):
        bring(make(kind, {"good.fits": FITS, name: FITS}), tmp_path)


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeArchive, match="not UTF-8"):
        bring(tar({"caf\udce9.fits": FITS}, tarfile.GNU_FORMAT), tmp_path)


def test_a_nul_in_a_zips_name_is_refused(tmp_path: Path) -> None:
    content = zip_of({"a.fits_x": FITS}).replace(b"a.fits_x", b"a.fits\0x")
    with pytest.raises(UnsafeArchive, match="NUL"):
        bring(content, tmp_path)


LINK = tarfile.SYMTYPE
SPECIAL = {
    "symbolic link": [(tar_entry("s", type=LINK, linkname="/etc"), b""), (tar_entry("s/x"), b"")],
    "hard link": [(tar_entry("h", type=tarfile.LNKTYPE, linkname="../../x"), b"")],
    "device": [(tar_entry("d", type=tarfile.CHRTYPE, devmajor=1, devminor=5), b"")],
    "a device": [(tar_entry("d", type=tarfile.BLKTYPE), b"")],
    "FIFO": [(tar_entry("p", type=tarfile.FIFOTYPE), b"")],
    "sparse": [(tar_entry("p", type=tarfile.GNUTYPE_SPARSE), b"")],
    "unknown type": [(tar_entry("p", type=b"Z"), b"")],
    "appears twice": [(tar_entry("a.fits"), b""), (tar_entry("./a.fits"), b"")],
    "below a file": [(tar_entry("a"), b""), (tar_entry("a/b.fits"), b"")],
    "a folder's name": [(tar_entry("a/b.fits"), b""), (tar_entry("a"), b"")],
    "sparse files": [(tar_entry("p", pax_headers={"GNU.sparse.major": "1"}), b"")],
}


@pytest.mark.parametrize("reason", SPECIAL)
def test_links_devices_and_doubles_are_refused(tmp_path: Path, reason: str) -> None:
    with pytest.raises(UnsafeArchive, match=reason):
        bring(tar_of([(tar_entry("good.fits"), b""), *SPECIAL[reason]]), tmp_path)


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    """With it, Python's own reader goes round in circles (CVE-2025-8194)."""
    with pytest.raises(UnsafeArchive, match="negative size"):
        bring(tar_entry("p", size=-512).tobuf(tarfile.GNU_FORMAT) + bytes(1024), tmp_path)


def zip_entry(name: str, mode: int = 0, **fields: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_links_devices_and_doubles_of_a_zip_are_refused(tmp_path: Path) -> None:
    cases: list[tuple[list[tuple[object, bytes]], str]] = [
        ([(zip_entry("l", stat.S_IFLNK | 0o777), b"/etc")], "link"),
        ([(zip_entry("d", stat.S_IFCHR | 0o777), b"")], "device"),
        ([("a.fits", b"1"), ("a.fits", b"2")], "twice"),
        ([(zip_entry("b", compress_type=zipfile.ZIP_LZMA), b"x" * 100)], "compression"),
    ]
    for number, (entries, reason) in enumerate(cases):
        room = tmp_path / str(number)
        room.mkdir()
        with pytest.raises(UnsafeArchive, match=reason):
            bring(zip_of(entries), room)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_of({"a.fits": FITS}))
    content[6] |= 1  # the flag in the local header
    content[content.rindex(b"PK\1\2") + 8] |= 1  # and in the directory
    with pytest.raises(UnsafeArchive, match="encrypted"):
        bring(bytes(content), tmp_path)


def overlapping_zip() -> bytes:
    """Several members that share one body, as in Fifield's "A better zip bomb" (2019)."""
    one = zip_of({"a.fits": bytes(1_000_000)})
    start = one.rindex(b"PK\1\2")
    entry, end = one[start : one.rindex(b"PK\5\6")], bytearray(one[-22:])
    entries = b"".join(entry.replace(b"a.fits", b"%c.fits" % (97 + n)) for n in range(20))
    struct.pack_into("<HHI", end, 8, 20, 20, len(entries))
    return one[:start] + entries + bytes(end)


def test_a_zips_member_without_a_name_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_of({"a": b""}, compression=zipfile.ZIP_STORED))
    at = content.index(b"PK\1\2")
    content[26] = content[at + 28] = 0  # the lengths of the name
    del content[at + 46], content[30]
    struct.pack_into("<II", content, len(content) - 10, 46, at - 1)
    with pytest.raises(UnsafeArchive, match="empty"):
        bring(bytes(content), tmp_path)


def test_a_wrong_checksum_in_a_packing_is_damage_and_no_fault_of_the_disk(tmp_path: Path) -> None:
    content = bytearray(make("tar.gz", {"a.fits": NOISE}))
    content[-8] ^= 1
    with pytest.raises(SourceIncomplete, match="CRC"):
        bring(bytes(content), tmp_path)


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeArchive, match="overlaps"):
        bring(overlapping_zip(), tmp_path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_bomb_is_stopped_by_what_really_comes(tmp_path: Path, kind: str) -> None:
    bomb = make(kind, {f"{n}.fits": bytes(6_000_000) for n in range(5)})
    with pytest.raises(UnsafeArchive, match="Ratio Limit"):
        bring(bomb, tmp_path, ratio_limit=20)
    with pytest.raises(UnsafeArchive, match="Download Limit"):
        bring(bomb, tmp_path, ratio_limit=1e9, download_limit_bytes=20_000_000)


def test_a_bomb_in_what_is_left_out_is_stopped_too(tmp_path: Path) -> None:
    bomb = make("tar.gz", {".hidden": bytes(30_000_000)})
    with pytest.raises(UnsafeArchive, match="Ratio Limit"):
        bring(bomb, tmp_path, ratio_limit=20)


def test_a_zip_that_claims_little_gives_no_more(tmp_path: Path) -> None:
    content = bytearray(zip_of({"a.fits": bytes(5_000_000)}))
    at = content.rindex(b"PK\1\2") + 24
    assert struct.unpack_from("<I", content, at) == (5_000_000,)
    struct.pack_into("<I", content, at, 100)
    with pytest.raises(SourceIncomplete):
        bring(bytes(content), tmp_path)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_too_many_members_are_refused(tmp_path: Path, kind: str) -> None:
    entries = (
        {f"{n}/": b"" for n in range(30)} if kind == "zip" else {f"{n}": b"" for n in range(30)}
    )
    with pytest.raises(UnsafeArchive, match="Members Limit"):
        bring(make(kind, entries), tmp_path, members_limit=20)


def test_a_huge_directory_of_a_zip_costs_no_memory(tmp_path: Path) -> None:
    entry = b"PK\1\2" + bytes(42)
    entries = entry * 400_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, len(entries), 0, 0)
    tracemalloc.start()
    with pytest.raises(UnsafeArchive, match="Members Limit"):
        bring(b"PK\3\4" + entries + end, tmp_path, members_limit=1000)
    assert tracemalloc.get_traced_memory()[1] < 60_000_000
    tracemalloc.stop()


def test_a_huge_extended_header_costs_no_memory(tmp_path: Path) -> None:
    header = tar_entry("x", type=tarfile.XHDTYPE, size=1 << 40).tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(UnsafeArchive, match="header"):
        bring(gzip.compress(header + bytes(1 << 20)), tmp_path)
    chain = tar_entry("x", type=tarfile.GNUTYPE_LONGNAME, size=1).tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(UnsafeArchive, match="in a row"):
        bring((chain + b"a".ljust(512, b"\0")) * 30, tmp_path)


def test_an_xz_that_wants_much_memory_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 << 20}]
    packed = lzma.compress(tar({"a.fits": FITS}), filters=filters)
    with pytest.raises(UnsafeArchive, match="memory"):
        bring(packed, tmp_path)


@pytest.mark.parametrize("kind", ["zip", *PACK])
def test_an_archive_cut_anywhere_is_incomplete(tmp_path: Path, kind: str) -> None:
    whole = make(kind, NIGHT)
    # Not in the padding after a plain tar's end mark, nor before it shows what it is.
    last = len(whole) - 1 if kind != "tar" else whole.rindex(NOISE[-512:]) + 512
    for number, cut in enumerate(random.Random(2).sample(range(2000, last), 25)):
        room = tmp_path / str(number)
        room.mkdir()
        with pytest.raises(SourceIncomplete):
            bring(whole[:cut], room)


def test_a_tar_without_its_end_mark_is_incomplete(tmp_path: Path) -> None:
    whole = tar({"a.fits": FITS})
    with pytest.raises(SourceIncomplete, match="end mark"):
        bring(whole[: whole.index(FITS) + 3072], tmp_path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["zip", *PACK]), st.data())
def test_no_damage_is_more_than_a_plain_error(kind: str, data: st.DataObject) -> None:
    whole = bytearray(make(kind, {"a.fits": FITS, "b/c.fits": b"x" * 100}))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(TorosError):
        bring(bytes(whole), Path(folder))


NAME = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=40),
    st.lists(
        st.sampled_from(["..", ".", "", "a", "/", "\\", "C:", "~", "..\\", "%2e%2e", "…", " .."]),
        min_size=1, max_size=6,
    ).map("/".join),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(["zip", "tar", "tar.gz"]), names=st.lists(NAME, min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_name_leads_outside_the_target(kind: str, names: list[str]) -> None:
    pairs: list[tuple[object, bytes]] = [(name, FITS) for name in names]
    try:
        if kind == "zip":
            content = zip_of(pairs)
        else:
            content = PACK[kind](tar_of([(tar_entry(n, size=len(FITS)), FITS) for n in names]))
    except (ValueError, IndexError, struct.error):
        return
    with tempfile.TemporaryDirectory() as outer:
        room = Path(outer) / "a" / "b" / "c"
        room.mkdir(parents=True)
        try:
            fetched = bring(content, room)
        except TorosError:
            return
        finally:
            inside = str(room / "staging") + "/"
            found = [
                str(p) for p in Path(outer).rglob("*") if p.is_file() and p.name != "night.dat"
            ]
            assert all(path.startswith(inside) for path in found)
            assert not any(p.is_symlink() for p in Path(outer).rglob("*"))
        assert {str(file.path) for file in fetched.files} == set(found)
        assert all(file.path == room / "staging" / file.name for file in fetched.files)


def test_an_archive_that_is_still_written_is_incomplete(tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    path = incoming / "n.tar"
    path.write_bytes(tar(NIGHT))

    def grow(fraction: float, text: str) -> None:
        with path.open("ab") as writer:
            writer.write(b"more")

    with pytest.raises(SourceIncomplete, match="changed while it was read"):
        fetch(str(path), rules_for(incoming), tmp_path / "staging", progress=grow)
    assert list((tmp_path / "staging").iterdir()) == []


def test_stopping_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / "n.tar.gz").write_bytes(make("tar.gz", {"a.fits": bytes(50_000_000)}))
    stop = threading.Event()
    with pytest.raises(Stopping):
        fetch(
            str(incoming / "n.tar.gz"), rules_for(incoming, ratio_limit=1e9), tmp_path / "staging",
            should_stop=stop.is_set, progress=lambda fraction, text: stop.set(),
        )  # fmt: skip
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("size", [1_000, 2_096_000, 3_000_000])
def test_a_full_disk_is_said_and_nothing_stays(
    tmp_path: Path, small_disk: Path, kind: str, size: int
) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    path = incoming / "n"
    path.write_bytes(make(kind, {"a.fits": FITS, "b.fits": random.Random(3).randbytes(size)}))
    rules = rules_for(incoming, reserve_bytes=1_990_000 if size == 1_000 else 0)
    if size == 1_000:  # only the reserve is in the way
        (small_disk / "other").write_bytes(bytes(200_000))
    with pytest.raises(DiskFull):
        fetch(str(path), rules, small_disk / "staging")
    assert list((small_disk / "staging").iterdir()) == []


def test_the_operating_systems_own_word_is_heard(tmp_path: Path, small_disk: Path) -> None:
    """No claim of a size lets the check beforehand see it: the disk fills while writing."""
    from toros.preprocessor.sources.staging import Staging
    from toros.preprocessor.sources.watch import Watch

    def fill() -> None:
        with (
            Staging(small_disk / "staging", rules_for(), Watch()) as staging,
            staging.create("a.fits") as writer,
        ):
            for _ in range(30):
                writer.write(bytes(100_000))

    with pytest.raises(DiskFull):
        fill()
    assert list((small_disk / "staging").iterdir()) == []
