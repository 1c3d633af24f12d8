"""What becomes of a file batch: again, extended, damaged, resumed, restarted, cancelled."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from ccdproc import CCDData

from tests.system.conftest import small_night
from tests.system.daemons import Preprocessor
from tests.system.provenance import REPORTS, combinations, walk
from toros.errors import (
    DamagedFile,
    NotCancellable,
    NoUsableFrames,
    OrderCancelled,
    SourceUnreachable,
    TorosError,
)

MADE = {"bias_stack": 1, "calibrated_light": 2, "dark_stack": 2, "flat_stack": 1}
TIMEOUT_S = 120.0


class Bench:
    """A running preprocessor and the raw files that the tests hand it, each batch its own."""

    def __init__(self, daemon: Preprocessor, night: Path, broken: Path) -> None:
        self.daemon = daemon
        self.desk = daemon.desk
        self.root = daemon.state / "repository"
        self._night, self._broken = night, broken
        self._orders = 0

    def batch(self, name: str, pattern: str = "*", *, broken: bool = False) -> Path:
        """Lay out a night whose bytes no other batch has."""
        folder = self.daemon.incoming / name
        folder.mkdir(parents=True)
        for path in sorted((self._broken if broken else self._night).glob(pattern)):
            target = folder / path.name
            content = path.read_bytes()
            stamp = f"OBSERVER= '{name[:18]:<18}'".ljust(80).encode("ascii")
            end = content.find(b"END" + b" " * 77)
            if content.startswith(b"SIMPLE") and end >= 0:
                content = content[:end] + stamp + content[end:-80]  # the padding gives way
                assert content[end + 80 :].startswith(b"END")
            target.write_bytes(content)
        return folder

    def send(self, url: str | Path, **keys: object) -> str:
        self._orders += 1
        order = f"o{self._orders}"
        self.desk.submit("calibrate_file_batch", id=order, url=str(url), **keys)
        return order

    def calibrate(self, url: str | Path) -> dict:
        return self.desk.wait(self.send(url), TIMEOUT_S)["result"]

    def again(self, request: str, batch: int) -> dict:
        self._orders += 1
        self.desk.submit(request, id=f"o{self._orders}", file_batch=batch)
        return self.desk.wait(f"o{self._orders}", TIMEOUT_S)["result"]

    def states(self, folder: Path) -> dict[str, tuple[int, int, bytes]]:
        """Return what would change if a file below a folder were written again."""
        return {
            path.relative_to(folder).as_posix(): (
                path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes(),
            )
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }  # fmt: skip

    def raw(self, result: dict, name: str) -> Path:
        return Path(result["folder"]).parent / "raw" / name


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nights")
    small_night(folder / "whole")
    small_night(folder / "broken", broken=True)
    return folder


@pytest.fixture(scope="module")
def bench(nights, tmp_path_factory):
    """One order after another; after an error the next step is tried."""
    rules = [{"File Name": "lamp-*", "Set": {"type": "flat", "filter": "V"}}]
    changes = {"Sources": {"Private Addresses": True}, "Header Rules": rules}
    folder = tmp_path_factory.mktemp("continue")
    with Preprocessor(folder, changes={"Preprocessor": changes}) as daemon:
        yield Bench(daemon, nights / "whole", nights / "broken")


@pytest.fixture(scope="module")
def wide_bench(nights, tmp_path_factory):
    """Three orders at a time; after an error a run stops."""
    changes = {"Orders at a Time": 3, "On Step Error": "stop"}
    folder = tmp_path_factory.mktemp("stop")
    with Preprocessor(folder, changes={"Preprocessor": changes}) as daemon:
        yield Bench(daemon, nights / "whole", nights / "broken")


def failed(what) -> TorosError:
    with pytest.raises(TorosError) as caught:
        what()
    return caught.value


def damage(path: Path) -> bytes:
    """Turn over one byte of a file's pixels; return what it was before."""
    whole = path.read_bytes()
    at = len(whole) - 4000
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    return whole


def kinds(rows: list[dict]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row["kind"]] = found.get(row["kind"], 0) + 1
    return found


def test_the_same_batch_again_is_recognised(bench):
    folder = bench.batch("again")
    first = bench.calibrate(folder)
    assert first["made"] == MADE
    assert "already_calibrated" not in first
    before = bench.states(bench.root)
    for url in (str(folder), f"{folder}/", f"file://{folder}", f"{folder.parent}/./again"):
        assert bench.calibrate(url) == {**first, "already_calibrated": True}
    assert bench.states(bench.root) == before
    assert len(combinations(bench.daemon, first["file_batch"])) == 6
    walk(bench.daemon)


def test_new_files_extend_a_known_folder(bench):
    folder = bench.batch("extended", "*[!2]_bias.fits")
    for path in folder.parent.glob("extended/*"):
        assert "bias" in path.name
    first = bench.calibrate(folder)
    assert (first["run"], first["frames"]) == (1, {"bias": 4})
    before = bench.states(Path(first["folder"]))
    shutil.copytree(bench.batch("extended-more"), folder, dirs_exist_ok=True)
    for path in folder.glob("*_bias.fits"):
        path.unlink()  # what a folder has lost stays in the batch
    second = bench.calibrate(folder)
    assert (second["file_batch"], second["run"]) == (first["file_batch"], 2)
    assert second["made"] == MADE
    assert second["frames"]["bias"] == 4
    assert bench.states(Path(first["folder"])) == before
    rows = combinations(bench.daemon, first["file_batch"])
    assert {(row["run"], row["superseded"]) for row in rows} == {(1, True), (2, False)}
    walk(bench.daemon)


def test_a_damaged_file_fails_its_step_and_a_resume_goes_on_from_there(bench):
    folder = bench.batch("damaged")
    late = folder / "20260314_0016_ngc2997_V_30s.fits"
    kept_back = late.read_bytes()
    late.unlink()
    first = bench.calibrate(folder)
    raw = bench.raw(first, "20260314_0013_flat_V.fits")
    whole = damage(raw)
    late.write_bytes(kept_back)

    error = failed(lambda: bench.calibrate(folder))
    assert isinstance(error, DamagedFile)
    assert raw.name in error.message
    told = error.status["result"]
    assert told["run"] == 2
    assert {s["step"]: s["state"] for s in told["steps"]} == {
        "stack_bias": "done", "stack_dark": "done", "stack_flat": "failed", "correct_light": "done",
    }  # fmt: skip
    assert told["partial"] == 2
    rows = combinations(bench.daemon, first["file_batch"])
    assert not [row for row in rows if row["run"] == 1 and row["superseded"]]
    half = bench.states(Path(told["folder"]))

    raw.write_bytes(whole)
    done = bench.again("resume_file_batch", first["file_batch"])
    assert (done["run"], done["made"], done["partial"]) == (2, MADE, 0)
    after = bench.states(Path(done["folder"]))
    kept = [name for name in half if name.startswith(("bias_stack", "dark_stack"))]
    assert len(kept) == 6
    assert {name: half[name] for name in kept} == {name: after[name] for name in kept}
    rows = combinations(bench.daemon, first["file_batch"])
    assert {row["superseded"] for row in rows if row["run"] == 1} == {True}
    valid = [row for row in rows if not row["superseded"]]
    assert kinds(valid) == MADE, "a light is valid once, not also as it was made without a flat"
    assert not [row for row in valid if row["missing"]]
    assert bench.calibrate(folder) == {**done, "already_calibrated": True}
    walk(bench.daemon)


def test_a_resume_makes_nothing_with_masters_of_a_step_that_had_failed(bench):
    folder = bench.batch("bias-damaged")
    late = folder / "20260314_0002_bias.fits"
    kept_back = late.read_bytes()
    late.unlink()
    first = bench.calibrate(folder)
    raw = bench.raw(first, "20260314_0003_bias.fits")
    whole = damage(raw)
    late.write_bytes(kept_back)
    error = failed(lambda: bench.calibrate(folder))
    assert isinstance(error, DamagedFile)
    raw.write_bytes(whole)
    done = bench.again("resume_file_batch", first["file_batch"])
    assert (done["made"], done["partial"]) == (MADE, 0)
    undisturbed = bench.again("restart_file_batch", first["file_batch"])
    both = [
        {(row["name"], row["sha256"]) for row in combinations(bench.daemon, first["file_batch"])
         if row["run"] == run and not (run == 3 and row["superseded"])}
        for run in (2, 3)
    ]  # fmt: skip
    assert undisturbed["made"] == MADE
    assert both[1] <= both[0]
    walk(bench.daemon)


def test_on_step_error_stop_ends_the_run_there(wide_bench):
    bench = wide_bench
    folder = bench.batch("stopped")
    late = folder / "20260314_0016_ngc2997_V_30s.fits"
    kept_back = late.read_bytes()
    late.unlink()
    first = bench.calibrate(folder)
    raw = bench.raw(first, "20260314_0007_dark_4s.fits")
    whole = damage(raw)
    late.write_bytes(kept_back)
    error = failed(lambda: bench.calibrate(folder))
    assert isinstance(error, DamagedFile)
    told = error.status["result"]
    assert [(s["step"], s["state"]) for s in told["steps"]] == [
        ("stack_bias", "done"), ("stack_dark", "failed"),
    ]  # fmt: skip
    # The other dark stack of the step that failed was made all the same, and is kept.
    assert told["made"] == {"bias_stack": 1, "dark_stack": 1}
    again = failed(lambda: bench.calibrate(folder))
    assert (type(again), again.status["result"]["run"]) == (DamagedFile, 2)
    half = bench.states(Path(told["folder"]))
    raw.write_bytes(whole)
    done = bench.calibrate(folder)
    assert (done["run"], done["made"]) == (2, MADE)
    after = bench.states(Path(done["folder"]))
    assert all(after[name] == half[name] for name in half if name not in REPORTS)
    walk(bench.daemon)


def test_a_restart_makes_everything_anew_and_overwrites_nothing(bench):
    folder = bench.batch("restarted", broken=True)
    first = bench.calibrate(folder)
    before = bench.states(Path(first["folder"]))
    second = bench.again("restart_file_batch", first["file_batch"])
    assert (second["run"], second["made"]) == (2, first["made"])
    assert bench.states(Path(first["folder"])) == before
    after = bench.states(Path(second["folder"]))
    assert {name: state[2] for name, state in after.items()} == {
        name: state[2] for name, state in before.items()
    }
    assert not {state[0] for state in after.values()} & {state[0] for state in before.values()}
    rows = combinations(bench.daemon, first["file_batch"])
    assert {(row["run"], row["superseded"]) for row in rows} == {(1, True), (2, False)}
    assert bench.calibrate(folder)["run"] == 2
    # There is nothing to resume, and so nothing changes.
    assert bench.again("resume_file_batch", first["file_batch"]) == second
    resumed = bench.states(Path(second["folder"]))
    assert all(resumed[name] == after[name] for name in after if name not in REPORTS)
    walk(bench.daemon)


def test_a_product_that_is_lost_is_made_again(bench):
    folder = bench.batch("lost")
    first = bench.calibrate(folder)
    before = bench.states(Path(first["folder"]))
    for name in before:
        if name.startswith("flat_stack"):
            (Path(first["folder"]) / name).unlink()
    assert bench.calibrate(folder) == first
    after = bench.states(Path(first["folder"]))
    for name in before:
        assert after[name][2] == before[name][2]
        assert (after[name] == before[name]) == (
            not name.startswith("flat_stack") and name not in REPORTS
        )
    walk(bench.daemon)


def test_the_same_bytes_twice_are_one_exposure(bench):
    folder = bench.batch("twice")
    (folder / "copies").mkdir()
    for name in ("20260314_0001_bias.fits", "20260314_0015_ngc2997_V_30s.fits"):
        shutil.copy(folder / name, folder / "copies" / name)
    result = bench.calibrate(folder)
    assert result["made"] == MADE
    assert result["frames"] == {"bias": 5, "dark": 6, "flat": 3, "light": 2}
    told = {item["file"]: item["reason"] for item in result["not_taken"]}
    assert set(told) == {
        "copies/20260314_0001_bias.fits", "copies/20260314_0015_ngc2997_V_30s.fits"
    }  # fmt: skip
    assert "20260314_0001_bias.fits" in told["copies/20260314_0001_bias.fits"]
    walk(bench.daemon)


def test_one_name_in_two_folders_is_two_files(bench):
    folder = bench.batch("names/first", "*_bias.fits")
    bench.batch("names/second", "*_bias.fits")
    result = bench.calibrate(folder.parent)
    assert result["frames"] == {"bias": 10}
    assert walk(bench.daemon)


def test_a_file_that_is_replaced_by_another_of_its_name_counts_no_more(bench):
    folder = bench.batch("replaced", "*_bias.fits")
    path = folder / "20260314_0001_bias.fits"
    whole = path.read_bytes()
    path.write_bytes(whole[:5000])  # as it was when it was still being written
    first = bench.calibrate(folder)
    assert [item["file"] for item in first["quarantined"]] == [path.name]
    path.write_bytes(whole)
    second = bench.calibrate(folder)
    assert (second["run"], second["frames"], second["quarantined"]) == (2, {"bias": 5}, [])
    assert bench.raw(first, path.name).read_bytes() == whole[:5000]
    walk(bench.daemon)


@pytest.fixture
def web(tmp_path):
    """Serve a folder, with a listing of it, as web servers do."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_whatever_way_the_files_come_the_products_are_the_same(bench, web):
    folder = bench.batch("ways")
    served, address = web
    shutil.copytree(folder, served / "night")
    packed = bench.daemon.incoming
    with zipfile.ZipFile(packed / "ways.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    with tarfile.open(packed / "ways.tar.gz", "w:gz") as archive:
        archive.add(folder, "")
    shutil.copy(packed / "ways.zip", served)
    products, batches = [], set()
    for url in (
        str(folder), f"file://{packed}/ways.zip", str(packed / "ways.tar.gz"),
        f"{address}/night/", f"{address}/ways.zip",
    ):  # fmt: skip
        result = bench.calibrate(url)
        batches.add(result["file_batch"])
        assert result["made"] == MADE, url
        assert bench.calibrate(url)["already_calibrated"]
        rows = combinations(bench.daemon, result["file_batch"])
        products.append({(row["name"], row["sha256"]) for row in rows})
    assert len(batches) == 5
    assert products == [products[0]] * 5
    walk(bench.daemon)


def test_a_file_has_the_name_and_the_rules_of_its_batch(bench):
    """A rule on folders holds also for a file that came in without its folder before."""
    folder = bench.batch("house/lamp-1", "*_flat_V.fits")
    for path in folder.iterdir():
        with fits.open(path, mode="update") as hdus:
            del hdus[0].header["IMAGETYP"], hdus[0].header["FILTER"]
    alone = failed(lambda: bench.calibrate(folder)).status["result"]
    assert alone["frames"] == {"unknown": 3}
    within = bench.calibrate(folder.parent)
    assert within["frames"] == {"flat": 3}
    assert within["made"] == {"flat_stack": 1}
    assert failed(lambda: bench.calibrate(folder)).status["result"]["run"] == alone["run"]
    assert bench.calibrate(folder.parent)["already_calibrated"]


def test_a_batch_of_nothing_usable_says_why(bench):
    folder = bench.batch("useless", "*_00*[12][0789]_*", broken=True)
    (folder / "notes.txt").write_text("clouds\n")
    for path in folder.glob("*_flat_*"):
        path.unlink()
    for path in folder.glob("*_dark_*"):
        path.unlink()
    for path in folder.glob("*_bias*"):
        path.unlink()
    present = sorted(path.name for path in folder.iterdir())
    error = failed(lambda: bench.calibrate(folder))
    assert isinstance(error, NoUsableFrames)
    told = error.status["result"]
    reasons = {
        item["file"]: item["reason"]
        for key in ("quarantined", "not_taken", "unused")
        for item in told[key]
    }
    assert sorted(reasons) == present
    assert all(reasons.values())
    assert "cut short" in reasons["20260314_0017_ngc2997_truncated.fits"]
    assert told["products"] == 0
    text = Path(told["report"]).read_text()
    assert all(name in text and reason in text for name, reason in reasons.items())
    empty = bench.daemon.incoming / "empty"
    empty.mkdir()
    assert isinstance(failed(lambda: bench.calibrate(empty)), NoUsableFrames)
    assert isinstance(failed(lambda: bench.calibrate(empty / "none")), SourceUnreachable)


def test_a_product_without_a_master_is_partial_and_names_it(bench):
    folder = bench.batch("partial", "*_bias.fits")
    for path in bench.batch("partial-lights", "*_ngc2997_*").iterdir():
        path.rename(folder / path.name)
    result = bench.calibrate(folder)
    assert (result["made"], result["partial"]) == ({"bias_stack": 1, "calibrated_light": 2}, 2)
    report = json.loads(Path(result["report_json"]).read_text())
    for product in report["products"]:
        header = fits.getheader(Path(result["folder"]) / product["file"])
        assert header["PARTIAL"] == product["partial"] == (product["type"] != "bias_stack")
        if product["partial"]:
            missing = ["dark: there is no dark stack in this batch",
                       "flat: there is no flat stack in this batch"]  # fmt: skip
            assert product["missing"] == missing
            assert [header["MISSING1"], header["MISSING2"]] == missing
            assert header["MASTER1"].startswith("bias_stack")
    assert "PARTIAL, missing: dark: there is no dark" in Path(result["report"]).read_text()
    walk(bench.daemon)


def test_other_programs_read_the_products(bench):
    result = bench.calibrate(bench.batch("read"))
    folder = Path(result["folder"])
    products = sorted(folder.glob("*.fits"))
    assert len(products) == 6
    for path in products:
        with fits.open(path) as hdus:
            hdus.verify("exception")
            assert [hdu.name for hdu in hdus] == ["PRIMARY", "UNCERT", "MASK"]
            assert not {"CHECKSUM", "DATE"} & set(hdus[0].header)
        # A flat has no unit: CCDData wants one all the same.
        unit = None if fits.getheader(path).get("BUNIT") else units.dimensionless_unscaled
        ccd = CCDData.read(path, unit=unit, hdu_uncertainty="UNCERT", hdu_mask="MASK")
        assert ccd.shape == ccd.uncertainty.array.shape == ccd.mask.shape == (96, 128)
        good = ~ccd.mask.astype(bool)
        assert good.mean() > 0.9
        assert np.isfinite(ccd.data[good]).all()
        assert (ccd.uncertainty.array[good] > 0).all()
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_the_report_tells_everything(bench):
    result = bench.calibrate(bench.batch("told", broken=True))
    report = json.loads(Path(result["report_json"]).read_text())
    text = Path(result["report"]).read_text()
    rows = {row["name"]: row for row in combinations(bench.daemon, result["file_batch"])}
    assert {p["file"]: p["sha256"] for p in report["products"]} == {
        name: row["sha256"] for name, row in rows.items()
    }
    present = {path.name for path in (bench.daemon.incoming / "told").iterdir()}
    accounted = [item["file"] for key in ("quarantined", "not_taken", "unused")
                 for item in report[key]]  # fmt: skip
    for product in report["products"]:
        rejected = [name for name, _ in product["frames_rejected"]]
        assert product["file"] in text
        assert product["made_of"]
        accounted += product["made_of"]
        assert all(name in text for name in rejected)
        figures = product["figures"]
        unit = "" if product["type"] == "flat_stack" else "_adu"
        before, after = (figures[f"noise_{when}{unit}"] for when in ("before", "after"))
        assert 0 < after < before * (1.1 if len(product["made_of"]) == 1 else 0.8)
    assert sorted(accounted) == sorted(present), "each file is told of once"
    assert [step["state"] for step in report["steps"]] == ["done"] * 4
    flat = next(p for p in report["products"] if p["type"] == "flat_stack")
    assert [name for name, _ in flat["frames_rejected"]] == ["20260314_0023_flat_saturated.fits"]


def test_the_sites_rules_are_applied(bench):
    folder = bench.batch("ruled")
    for path in sorted(folder.glob("*_flat_V.fits")):
        with fits.open(path, mode="update") as hdus:
            hdus[0].header["IMAGETYP"] = "Light Frame"
            hdus[0].header["FILTER"] = "unknown"
        path.rename(path.with_name("Lamp-" + path.name))
    result = bench.calibrate(folder)
    assert (result["made"], result["partial"]) == (MADE, 0)


def test_an_order_is_cancelled_while_its_files_are_fetched(bench):
    """Of a source that has stopped sending nothing is left behind."""
    asked, done = threading.Event(), threading.Event()

    class Stalled(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"PK\x03\x04")
            self.wfile.flush()
            asked.set()
            done.wait(60)

        def log_message(self, *_):
            pass

    before = set(bench.root.glob("batch-*/raw/*"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stalled) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        order = bench.send(f"http://127.0.0.1:{server.server_port}/night.zip")
        assert asked.wait(30)
        bench.desk.cancel(order)
        with pytest.raises(OrderCancelled):
            bench.desk.wait(order, 30)
        done.set()
        server.shutdown()
    assert set(bench.root.glob("batch-*/raw/*")) == before
    walk(bench.daemon)


def started(bench: Bench, order: str) -> str:
    return str(bench.desk.status(order)["started"])


def test_orders_are_run_by_priority_and_cancelled_while_they_wait_or_run(bench):
    folders = [bench.batch(f"queue-{n}", "*_bias.fits") for n in range(4)]
    long = bench.batch("long")
    lights = [path.read_bytes() for path in sorted(long.glob("*_ngc2997_*"))]
    for number in range(240):
        content = lights[number % 2].replace(b"'long  ", f"'{number:06d}".encode(), 1)
        (long / f"more-{number:03d}.fits").write_bytes(content)
    running = bench.send(long)
    while not bench.desk.status(running)["progress_text"].startswith("correct_light"):
        time.sleep(0.02)
    low = bench.send(folders[0], priority=0)
    usual = bench.send(folders[1], priority=1)
    high = bench.send(folders[2], priority=5)
    never = bench.send(folders[3], priority=9)
    assert bench.desk.cancel(never)["status"] == "cancelled"
    bench.desk.cancel(running)
    with pytest.raises(OrderCancelled, match="kept"):
        bench.desk.wait(running, TIMEOUT_S)
    with pytest.raises(OrderCancelled, match="before it began"):
        bench.desk.wait(never, TIMEOUT_S)
    for order in (low, usual, high):
        bench.desk.wait(order, TIMEOUT_S)
    moments = [started(bench, order) for order in (running, high, usual, low)]
    assert moments == sorted(moments)
    assert bench.desk.status(never)["started"] is None
    with pytest.raises(NotCancellable):
        bench.desk.cancel(high)

    batch = next(
        int(folder.name.split("-")[1])
        for folder in bench.root.glob("batch-*")
        if list(folder.glob("raw/more-*"))
    )
    half = bench.states(bench.root / f"batch-{batch:06d}" / "run-001")
    assert 4 * 2 <= len(half) < 2 * (4 + 242)
    done = bench.calibrate(long)
    assert (done["run"], done["made"]["calibrated_light"]) == (1, 242)
    after = bench.states(Path(done["folder"]))
    assert {name: after[name] for name in half} == half
    walk(bench.daemon)


def test_several_orders_at_a_time_on_different_batches_and_on_the_same(wide_bench):
    bench = wide_bench
    folders = [bench.batch(f"different-{n}") for n in range(3)]
    different = [bench.send(folder) for folder in folders]
    for order in different:
        assert bench.desk.wait(order, TIMEOUT_S)["result"]["made"] == MADE
    same = bench.batch("same")
    orders = [bench.send(same) for _ in range(3)]
    results = [bench.desk.wait(order, TIMEOUT_S)["result"] for order in orders]
    assert [bool(result.get("already_calibrated")) for result in results].count(False) == 1
    assert {result["run"] for result in results} == {1}
    rows = combinations(bench.daemon, results[0]["file_batch"])
    assert kinds(rows) == MADE
    moments = [bench.desk.status(order) for order in different]
    assert max(m["started"] for m in moments) < min(m["finished"] for m in moments)
    walk(bench.daemon)


def test_the_same_files_in_three_batches_at_once(wide_bench):
    bench = wide_bench
    folders = [bench.batch("at-once-0")]
    for number in (1, 2):
        folders.append(bench.daemon.incoming / f"at-once-{number}")
        shutil.copytree(folders[0], folders[-1])
    orders = [bench.send(folder) for folder in folders]
    results = [bench.desk.wait(order, TIMEOUT_S)["result"] for order in orders]
    assert [result["made"] for result in results] == [MADE] * 3
    products = [
        {(row["name"], row["sha256"]) for row in combinations(bench.daemon, result["file_batch"])}
        for result in results
    ]
    assert products == [products[0]] * 3
    for folder, result in zip(folders, results, strict=True):
        assert bench.calibrate(folder) == {**result, "already_calibrated": True}
    walk(bench.daemon)


def test_a_setting_that_counts_is_no_same_batch(make_preprocessor, nights):
    daemon = make_preprocessor().start()
    bench = Bench(daemon, nights / "whole", nights / "broken")
    folder = bench.batch("settings")
    first = bench.calibrate(folder)
    daemon.stop()
    daemon.configure({"Preprocessor": {"Processes": 1, "Stop Timeout (s)": 10.0}})
    daemon.start()
    assert bench.calibrate(folder) == {**first, "already_calibrated": True}
    daemon.stop()
    daemon.configure({"Preprocessor": {"Gain (electron/ADU)": 2.5}})
    daemon.start()
    second = bench.calibrate(folder)
    assert (second["run"], second["made"]) == (2, first["made"])
    light = next(Path(second["folder"]).glob("*_calibrated_*.fits"))
    assert (fits.getval(light, "GAIN"), fits.getval(light, "GAINSRC")) == (2.5, "configured")
    walk(daemon)
