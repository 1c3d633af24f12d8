"""What the telescope takes reaches the preprocessor, once, whoever is killed meanwhile."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import warnings
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import func, select

from tests.conftest import PROJECT
from tests.system.conftest import small_night
from tests.unit.telescope.observing import frame, known, prepared
from toros import clock
from toros.database.exposures import TakenExposures
from toros.database.messages import Messages
from toros.database.models import Exposure
from toros.database.observing import TakenExposure
from toros.devices.protocols import RawFrame
from toros.frontdesk.outbox import Outbox, front_desks
from toros.images import read_facts
from toros.images.circumstances import Circumstances
from toros.telescope.exposures import ExposureStore
from toros.telescope.outbox import exposures_taken

PATIENCE_S = 60.0
NIGHT = "2019-03-05"


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not in time"
        time.sleep(0.05)


def delivered(messages, message_id):
    return [told["state"] for told in messages.tell(message_id)] == ["delivered"]


@pytest.fixture
def taken(make_preprocessor):
    """Return a preprocessor that is not running, and the telescope's store on its database."""
    node = make_preprocessor()
    database = prepared(f"sqlite:///{node.state / 'toros.db'}")
    exposures = ExposureStore(node.incoming, TakenExposures(database, clock.REAL), reserve_bytes=0)
    exposures.start()
    yield node, exposures
    exposures.close()
    database.close()


def take(exposures: ExposureStore, folder: Path) -> int:
    """Take the frames of a simulated night as if a camera had read them out."""
    paths = sorted(folder.rglob("*.fits"))
    for number, path in enumerate(paths):
        facts = read_facts(path, path.name, (), 10.0)
        data = np.asarray(fits.getdata(path), dtype=np.uint16)
        exposures.store(
            RawFrame(data, None, None),
            Circumstances(
                exposure_type=facts.frame_type,
                start_utc=facts.start_utc or datetime(2019, 3, 5, tzinfo=UTC) + timedelta(number),
                exposure_time_s=facts.exposure_time_s or 0.0,
                night=date.fromisoformat(NIGHT),
                filter=facts.filter,
                temperature_c=facts.temperature_c,
                gain_e_adu=facts.gain_e_adu,
                instrument=facts.instrument,
                target_name=facts.object_name,
            ),
        )
    return len(paths)


def test_a_night_is_calibrated_without_a_hand_even_if_the_preprocessor_is_down(taken, tmp_path):
    node, exposures = taken
    small_night(tmp_path / "sky")
    count = take(exposures, tmp_path / "sky")
    assert exposures.settle(PATIENCE_S)
    messages = Messages(exposures.taken.database, "telescope", clock.REAL)
    outbox = Outbox(
        messages,
        {"front_desk": front_desks("telescope", lambda _: node.url)},
        first_delay_s=0.2,
        last_delay_s=1.0,
    )
    outbox.start()
    first = exposures_taken(exposures.taken, exposures.folder, NIGHT)
    outbox.post(first)
    wait_for(lambda: messages.tell(first.message_id)[0]["attempts"] > 0, "an attempt")
    node.start()
    wait_for(lambda: delivered(messages, first.message_id), "the message")
    done = node.desk.wait(first.message_id, PATIENCE_S)
    assert done["status"] == "done", done
    # More frames of the same night: told again, the batch is extended, nothing is twice.
    exposures.store(frame(7, (96, 128)), known(night=date.fromisoformat(NIGHT)))
    assert exposures.settle(PATIENCE_S)
    second = exposures_taken(exposures.taken, exposures.folder, NIGHT)
    outbox.post(second)
    wait_for(lambda: delivered(messages, second.message_id), "the second message")
    node.desk.wait(second.message_id, PATIENCE_S)
    outbox.stop()
    with exposures.taken.database.reading() as session:
        paths = session.scalars(select(Exposure.path)).all()
        assert len(paths) == count + 1
        assert all((node.state / "repository" / path).is_file() for path in paths)
        assert session.scalar(select(func.count()).select_from(TakenExposure)) == count + 1


def test_a_telescope_that_is_killed_leaves_whole_files_and_every_one_gets_its_row(tmp_path):
    url, folder = f"sqlite:///{tmp_path / 'toros.db'}", tmp_path / "incoming"
    database = prepared(url)
    dice = random.Random(5)
    for kills in range(1, 5):
        taker = subprocess.Popen(
            [sys.executable, "-m", "tests.system.taker", url, str(folder)], cwd=PROJECT
        )
        wait_for(
            lambda kills=kills, taker=taker: (
                len(list(folder.rglob("*.fits"))) >= 4 * kills or taker.poll() is not None
            ),
            "exposures",
        )
        time.sleep(dice.uniform(0, 0.1))
        assert taker.poll() is None, "the taker ended by itself"
        taker.kill()
        taker.wait(20)
    files = sorted(folder.rglob("*.fits"))
    for path in files:
        with warnings.catch_warnings(), fits.open(path, checksum=True) as hdus:
            warnings.simplefilter("error")
            assert hdus[0].data.shape == (400, 500)
    exposures = ExposureStore(folder, TakenExposures(database, clock.REAL), reserve_bytes=0)
    exposures.start()
    assert exposures.settle(PATIENCE_S)
    rows = exposures.taken.find()
    exposures.close()
    database.close()
    assert [row.name for row in rows] == [path.name for path in files]
    assert [row.sequence for row in rows] == list(range(1, len(files) + 1))


def test_a_sender_that_is_killed_again_and_again_tells_everything_once(taken):
    node, exposures = taken
    exposures.store(frame(1), known(exposure_type="bias", night=date.fromisoformat(NIGHT)))
    node.start()
    url = str(exposures.taken.database.url)
    folder = str(exposures.folder / NIGHT)
    command = [sys.executable, "-m", "tests.system.sender", url, node.url, folder, "12"]
    dice, kills, deadline = random.Random(4), 0, time.monotonic() + PATIENCE_S
    messages = Messages(exposures.taken.database, "telescope", clock.REAL)
    while True:
        sender = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE)
        before = messages.counts()["delivered"]
        wait_for(
            lambda before=before, sender=sender: (
                messages.counts()["delivered"] > before or sender.poll() is not None
            ),
            "progress",
        )
        time.sleep(dice.uniform(0, 0.1))
        if sender.poll() is None and kills < 5:
            sender.kill()
            kills += 1
            sender.communicate(timeout=20)
            continue
        _, errors = sender.communicate(timeout=max(deadline - time.monotonic(), 1))
        assert sender.returncode == 0, errors.decode()
        break
    assert kills >= 3
    assert messages.counts() == {"waiting": 0, "delivered": 12, "refused": 0}
    orders = node.desk.submit("list_orders", page_size=100)["orders"]
    assert sorted(order["id"] for order in orders) == sorted(f"m-{n}" for n in range(12))
