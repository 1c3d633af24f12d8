"""What a night survives of the network between its daemons, and of the database.

Whatever is gone, rain closes the dome in time: measured from the weather's change to the
command at the hardware, by the truth.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PostgresServer
from tests.system.faults import hanging
from tests.system.night import (
    CLOSED_S,
    FEW_FRAMES,
    LEASE_S,
    MID_NIGHT,
    Observatory,
    observatory,
)
from tests.system.relays import Relayed
from toros.clock import REAL
from toros.database.messages import Messages
from toros.simulation.observatory import WorldSettings

RATE = 30.0
HARDWARE = WorldSettings(shape=(64, 64), faintest_v_mag=14.0, cooling_s=5.0)
SEEN_S = 12.0
"""By when the telescope tells of it: a call's timeout and a look at the status, with a margin."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture
def relayed(tmp_path: Path) -> Iterator[Relayed]:
    laid_out = observatory(tmp_path, MID_NIGHT, RATE, changes=FEW_FRAMES, hardware=HARDWARE)
    with laid_out as site, Relayed(site) as made:
        yield made


def test_a_network_cut_stopped_or_slow_between_the_daemons(relayed: Relayed) -> None:
    site, relay = relayed.site, relayed.dome
    relayed.start()
    site.order(2, exposure_time=100.0, number_of_exposures=1)

    until_exposing(site)
    relay.kill()
    site.close_in_rain("the cable to the dome is cut")
    assert "the dome's daemon" in suspended_and_parked(site)
    relay.start()
    site.dry()

    until_exposing(site)
    relay.pause()
    site.close_in_rain("the network to the dome swallows everything")
    assert "the dome's daemon" in suspended_and_parked(site)
    relay.resume()
    site.dry()

    until_exposing(site)
    relay.fault("late_reply", "*", delay_s=2.0)
    time.sleep(4.0)
    assert site.status()["state"] == "observing", "slow is not gone: the lease is renewed"
    site.close_in_rain("the network to the dome is slow")
    assert "unsafe" in suspended_and_parked(site)
    relay.clear()
    site.dry()

    until_exposing(site)
    stopped = time.monotonic()
    relay.pause()  # and no rain: the lease lapses
    closed = site.until(lambda: site.told_after("dome", "close_shutter", stopped), "a close", 30.0)
    took_s = closed[0].real_s - stopped
    print(f"MEASURED a lease lapses behind a silent network: {took_s:.2f} s")
    assert LEASE_S - 2.0 < took_s < LEASE_S + CLOSED_S
    relay.resume()
    site.until_done(2, 120.0)
    site.none_twice_none_lost()
    handed_over_once(relayed)
    assert site.made.broken_promises() == []


def suspended_and_parked(site: Observatory) -> str:
    """Wait until the telescope has ended its exposure and parked; return why, as it tells."""
    site.until(lambda: site.status().get("state") == "suspended", "the suspended night", SEEN_S)
    site.until(lambda: site.world.mount_file.read().parked, "the mount's park", SEEN_S)
    return str(site.status()["message"])


def until_exposing(site: Observatory) -> None:
    site.until_state("observing")
    site.until(site.exposing, "an exposure")


def handed_over_once(relayed: Relayed) -> None:
    """The night ends though nobody can be told; told twice under one id, it is one order."""
    site, relay = relayed.site, relayed.preprocessor
    relay.kill()
    site.desk("telescope").submit("close_night")
    site.until_state("closed")
    assert site.orders("preprocessor") == []
    relay.start()
    lost = relay.fault("lost_reply", "*", count=1)
    site.until(
        lambda: site.orders("preprocessor") == [("telescope", "done")], "one order for the night"
    )
    (struck,) = [fault for fault in relay.faults() if fault["id"] == lost]
    assert struck["hits"] == 1
    messages = Messages(site.database, "telescope", REAL)
    site.until(lambda: messages.counts()["waiting"] == 0, "the message to count as delivered")
    assert len(relay.calls()) >= 2, "it was told again"
    assert site.orders("preprocessor") == [("telescope", "done")]


def test_a_database_that_hangs_or_is_killed(tmp_path: Path, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with observatory(
        tmp_path, MID_NIGHT, RATE, changes=FEW_FRAMES, hardware=HARDWARE, database_url=url
    ) as site:
        site.start("dome", "telescope")
        site.order(4, exposure_time=60.0, number_of_exposures=2)
        site.until(site.exposing, "an exposure")
        with hanging(postgres):
            before = len(site.events("camera", "download"))
            site.until(
                lambda: len(site.events("camera", "download")) > before,
                "a frame without an answer of the database",
            )
            site.close_in_rain("PostgreSQL is stopped")
            site.until(lambda: site.world.mount_file.read().parked, "the mount's park", 15.0)
        site.dry()

        until_exposing(site)
        kill_postgres(postgres)
        try:
            before = len(site.events("camera", "download"))
            site.until(
                lambda: len(site.events("camera", "download")) >= before + 4,
                "four frames without the database",
            )
            slews = {event.values["ra_deg"] for event in site.events("mount", "slew_to")}
            assert len(slews) >= 2, "another target, too"
            site.until(site.exposing, "an exposure")
            site.close_in_rain("PostgreSQL is killed")
            site.until(lambda: site.world.mount_file.read().parked, "the mount's park", 15.0)
        finally:
            postgres.start()
        site.dry()
        site.until_done(4)
        site.until(lambda: site.status()["waiting_records"] == 0, "all to be recorded")
        site.none_twice_none_lost()
        assert site.made.broken_promises() == []


def kill_postgres(server: PostgresServer) -> None:
    """Kill the server and all that it has started with -9."""
    master = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{master}/task/{master}/children").read_text("ascii").split()
    for pid in (master, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20.0
    while any(Path(f"/proc/{pid}").exists() for pid in (master, *children)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
