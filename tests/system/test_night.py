"""A night from closed to closed, by real daemons on simulated devices in accelerated time."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.system.night import EAGER, SAMPLE, Observatory, observatory
from toros.cli.night_judged import open_share, record_of
from toros.database.models import Exposure
from toros.database.observing import Night, TakenExposure
from toros.simulation.observatory import verdicts
from toros.telescope.picture import draw
from toros.telescope.states import TABLE, State

SHORT_NIGHT = {
    **EAGER,
    "Telescope": {"Calibration": {"Biases": 2, "Darks": 2, "Flats": 2, "Flat Light": "lamp"}},
}
FIELDS, GALAXIES = 6, 2


def passed(site: Observatory, moment: datetime, timeout_s: float = 60.0) -> None:
    site.until(lambda: site.clock.now() >= moment, f"{moment:%H:%M}", timeout_s)


def run_short_night(site: Observatory) -> None:
    """Let a night pass: targets, a cloud, an alert, dawn; the preprocessor is left to itself."""
    cloud = SAMPLE.dawn - timedelta(minutes=130)
    site.world.set_script(
        [(cloud, {"humidity": 95.0}), (cloud + timedelta(minutes=20), {"humidity": 35.0})]
    )
    site.start("dome", "preprocessor", "telescope")
    site.order(FIELDS)
    passed(site, cloud)
    site.until_state("suspended")
    site.until_state("open", "observing")
    site.alert(count=GALAXIES)
    site.until_state("closed", timeout_s=90.0)
    site.until(
        lambda: site.orders("preprocessor") == [("telescope", "done")],
        "the preprocessor to be told and to calibrate",
    )


@pytest.mark.timeout(180)
def test_a_short_night_from_closed_to_closed(tmp_path: Path) -> None:
    start = SAMPLE.dawn - timedelta(minutes=160)
    with observatory(tmp_path, start, 300.0, changes=SHORT_NIGHT) as site:
        run_short_night(site)
        what_the_hardware_did(site)
        what_was_recorded(site)
        what_was_made_of_it(site)


def what_the_hardware_did(site: Observatory) -> None:
    end_s = site.clock.monotonic()
    events = site.world.truth()
    assert site.made.broken_promises() == []
    assert site.made.dark_lights() == 0
    opened = verdicts.open_intervals(events, end_s)
    assert len(opened) == 2, "open, closed by the cloud, open again"
    assert opened[-1].end_s < end_s, "closed at the end"
    assert site.world.mount_file.read().parked
    unsafe = verdicts.unsafe_intervals(events, end_s)
    assert len(unsafe) == 1


def what_was_recorded(site: Observatory) -> None:
    deed = site.deed()
    state = State.CLOSED
    for _, before, then, reason in deed.changes:
        assert before == state, f"a change is missing before {before} -> {then}: {reason}"
        state = State(then)
    assert state is State.CLOSED
    ways = {(State(b), State(t)) for _, b, t, _ in deed.changes}
    assert ways <= {(before, then) for (before, _), then in TABLE.items()}
    assert [t for _, _, t, _ in deed.changes].count("suspended") == 1

    rows = site.targets()
    assert [(row.state, row.exposures_done) for row in rows] == [("done", 2)] * FIELDS + [
        ("done", 1)
    ] * GALAXIES
    taken = Counter(shot.target for shot in deed.shots if shot.target is not None)
    assert taken == {row.id: row.number_of_exposures for row in rows}, "none twice, none lost"
    kinds = Counter(shot.exposure_type for shot in deed.shots)
    kinds.pop("unknown", None)  # trial exposures for the flats
    assert kinds == {"bias": 2, "dark": 2, "flat": 4, "light": 2 * FIELDS + GALAXIES}
    with site.database.reading() as session:
        for row in session.scalars(select(Exposure).join(TakenExposure)):
            data = (site.folder / "state" / "incoming" / deed.date / row.name).read_bytes()
            assert hashlib.sha256(data).hexdigest() == row.sha256
        night = session.get(Night, deed.date)
        assert night is not None
        assert night.handed_over
        assert night.plan
    assert draw(deed, opened=site.made.opened()).startswith(b"\x89PNG")


def what_was_made_of_it(site: Observatory) -> None:
    record = record_of(site.database, site.deed())
    assert (record.calibrated, record.uncalibrated) == (2 * FIELDS + GALAXIES, 0)


@pytest.mark.long
def test_a_night_of_thirty_targets_with_a_cloud_and_an_alert(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "toros.cli.toros", "demo-night", "--json"]
    command += ["--folder", str(tmp_path / "night"), "--rate", "300"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    told = json.loads(done.stdout)
    wrong = [figure for figure in told["figures"] if not figure["good"]]
    assert (wrong, done.returncode) == ([], 0), done.stderr
    assert Path(told["picture"]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_a_safe_night_is_not_passed_by_closing(tmp_path: Path) -> None:
    """The dome is open nearly all the permitted time, and nearly all of the plan is done."""
    start = SAMPLE.dawn - timedelta(hours=4)
    with observatory(tmp_path, start, 200.0, changes=SHORT_NIGHT) as site:
        site.start("dome", "telescope")
        site.order(20)
        site.until_state("observing")
        site.until_state("closed", timeout_s=150.0)
        assert site.made.broken_promises() == []
        share = open_share((start, SAMPLE.dawn), site.made.opened(), [])
        assert share >= 0.9
        assert len(site.targets("done")) >= 0.95 * 20
