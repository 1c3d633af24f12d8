"""The dome's daemon, a real process: it closes whatever else is gone.

Times are from the fault to the command at the hardware, as the simulated observatory's record
of the truth or the fault proxy's list of calls has them.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import argon2
import pytest

from tests.conftest import free_port
from tests.system.domes import CLOSED_S, DomeDaemon, SimulatedSite, wait_for
from tests.system.faults import Disk, hanging
from toros.client import FrontDesk
from toros.errors import (
    DatabaseUnavailable,
    FaultLatched,
    LeaseHeld,
    NotSupported,
    OrderCancelled,
    OrderConflict,
    TorosError,
    UnsafeWeather,
    WrongMode,
)
from toros.simulation.observatory.settings import WorldSettings

START_S = 6.0
"""What Python's start may take on a busy machine."""
RENEW = """
import sys, time
from toros.client import FrontDesk
desk = FrontDesk(sys.argv[1])
while True:
    desk.submit("lease", holder="night")
    print("renewed", flush=True)
    time.sleep(0.5)
"""


@pytest.fixture
def site(tmp_path) -> SimulatedSite:
    return SimulatedSite(tmp_path)


@pytest.fixture
def make_dome(tmp_path) -> Iterator[Callable[..., DomeDaemon]]:
    made: list[DomeDaemon] = []

    def make(**options: Any) -> DomeDaemon:
        made.append(DomeDaemon(tmp_path, **options))
        return made[-1]

    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture
def dome(make_dome, site) -> DomeDaemon:
    return make_dome().start()


class Renewing:
    """The night: a process that renews the lease as long as it runs."""

    def __init__(self, dome: DomeDaemon) -> None:
        command = [sys.executable, "-c", RENEW, f"http://127.0.0.1:{dome.port}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "renewed\n"

    def __enter__(self) -> Renewing:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(10)


def assert_closed_in_time(site: SimulatedSite, after: float, limit_s: float = CLOSED_S) -> float:
    site.until_closed()
    took_s = site.closes(after)[0]
    assert took_s <= limit_s, f"told to close after {took_s:.1f} s"
    print(f"MEASURED {os.environ.get('PYTEST_CURRENT_TEST', '')}: {took_s:.2f} s")
    return took_s


def test_the_answers_have_the_documents_shape(dome, site):
    told = wait_for(
        lambda: (told := dome.desk.submit("DomeStatus"))["connected"] and told, "a connection"
    )
    assert set(told) == {"azim", "open", "park", "connected", "time", "version"}
    assert (told["azim"], told["open"], told["park"]) == (0.0, False, True)
    assert abs(told["time"] - time.time()) < 5.0
    assert told["version"].startswith("v")
    assert dome.desk.submit("dome_status")["open"] is False
    receipt = wait_for(lambda: _sent(dome, "SetAzim", azim=90.0), "a database")
    assert set(receipt) >= {"id", "request", "status", "message", "warnings"}
    assert dome.desk.wait(receipt["id"], 20)["result"] == {"value": True}
    assert dome.desk.submit("DomeStatus")["azim"] == pytest.approx(90.0, abs=3.0)
    done = dome.desk.wait(dome.desk.submit("park_position")["id"], 20)
    assert done["result"] == {"value": True}
    turned = dome.desk.wait(dome.desk.submit("SetCoordinates", alt=60.0, az=45.0)["id"], 20)
    assert turned["result"] == {"value": True}
    with pytest.raises(NotSupported):
        dome.desk.submit("SyncAzim", azim=10.0)
    with pytest.raises(WrongMode):
        dome.desk.submit("OpenDome")
    site.rain()
    wait_for(lambda: not dome.renew()["safe"], "the rain to be seen")
    with pytest.raises(UnsafeWeather, match="rain_rate"):
        dome.desk.submit("OpenDome", holder="night")
    with pytest.raises(LeaseHeld):
        dome.desk.submit("lease", holder="another")


def _sent(dome: DomeDaemon, request: str, **fields: Any) -> dict[str, Any] | None:
    try:
        return dome.desk.submit(request, **fields)
    except DatabaseUnavailable:  # it is being set up
        return None


@pytest.mark.long
def test_a_cloud_closes_it_and_parks_beside(make_dome, site):
    dome = make_dome(changes={"Dome": {"Mount": {"Driver": "simulated"}}}).start()
    dome.open()
    mount = site.world.mount()
    mount.connect()
    mount.unpark()
    dome.renew(az=200.0)
    wait_for(lambda: dome.desk.submit("DomeStatus")["azim"] == 200.0, "the dome to follow")
    assert_closed_in_time(site, site.rain())
    wait_for(lambda: dome.desk.submit("DomeStatus")["park"], "the dome's park")
    wait_for(mount.at_park, "the mount's park")


@pytest.mark.parametrize("how", [pytest.param("killed", marks=pytest.mark.long), "stopped"])
def test_the_end_of_the_night_s_process_closes_it(dome, site, how):
    """Also with SIGSTOP: nothing beside the night renews its lease."""
    dome.open()
    with Renewing(dome) as night:
        time.sleep(2.0)
        night.process.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        ended = time.monotonic()
        took_s = assert_closed_in_time(site, ended, limit_s=10.0 + 1.0)
        assert took_s > 8.0  # it had the rest of its lease


# With other things gone


@pytest.mark.long
def test_it_closes_with_postgresql_hanging_or_gone(make_dome, site, postgres):
    url = postgres.new_database()
    dome = make_dome(changes={"Database": {"URL": url}}).start()
    dome.open()
    with hanging(postgres):
        assert_closed_in_time(site, site.rain())
        _order_to_close(dome, site)
    wait_for(lambda: _copied(dome, "c-1"), "the order in the database", 60.0)


def _order_to_close(dome: DomeDaemon, site: SimulatedSite) -> None:
    """Twice, under the same id: it acts each time, and is told without a database."""
    for _ in range(2):
        sent = time.monotonic()
        told = dome.desk.submit("CloseDome", id="c-1")
        assert site.closes(sent)[0] < 1.0
        assert told["status"] in ("running", "done")
        assert dome.desk.wait("c-1", 20)["result"] == {"value": True}


def _copied(dome: DomeDaemon, order_id: str) -> bool:
    try:
        orders = dome.desk.submit("list_orders")["orders"]
    except TorosError:
        return False
    return any(order["id"] == order_id and order["status"] == "done" for order in orders)


@pytest.mark.parametrize(
    "trouble",
    [
        "wrong schema",
        pytest.param("away", marks=pytest.mark.long),
        pytest.param("locked", marks=pytest.mark.long),
        pytest.param("no such server", marks=pytest.mark.long),
    ],
)
def test_it_starts_and_closes_without_a_database(make_dome, site, tmp_path, trouble):
    database = tmp_path / "toros.db"
    url = f"sqlite:///{database}"
    with ExitStack() as stack:
        if trouble == "away":
            url = f"sqlite:///{tmp_path / 'not mounted' / 'x' / 'toros.db'}"
            (tmp_path / "not mounted").write_text("a file in the folder's place")
        elif trouble == "no such server":
            url = f"postgresql://127.0.0.1:{free_port()}/toros"
        else:
            connection = stack.enter_context(closing(sqlite3.connect(database)))
            connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
            connection.execute("INSERT INTO alembic_version VALUES ('9999')")
            connection.commit()
            if trouble == "locked":
                connection.execute("BEGIN EXCLUSIVE")
        site.open_by_force()
        dome = make_dome(changes={"Database": {"URL": url}}).start()
        dome.renew()
        time.sleep(1.0)
        assert site.is_open()
        assert_closed_in_time(site, site.rain())
        _order_to_close(dome, site)
        assert dome.desk.submit("DomeStatus")["open"] is False
        with pytest.raises(TorosError):  # refused: there is nowhere to queue it
            dome.desk.submit("SetAzim", azim=90.0)
        assert dome.process is not None
        assert dome.process.poll() is None


@pytest.mark.long
def test_it_closes_with_a_full_disk_and_starts_on_one(make_dome, site, tmp_path):
    disk = Disk(tmp_path / "disk", 4000)
    try:
        log = {"Logging": {"File": str(disk.folder / "toros.log"), "Log Level": "DEBUG"}}
        dome = make_dome(changes=log, state=disk.folder / "state").start()
        dome.open()
        disk.leave_kb(0)
        assert_closed_in_time(site, site.rain())
        # The last block of the journal has some room yet.
        told = [dome.desk.submit("CloseDome", id=f"c-{n}") for n in range(20)][-1]
        assert told["warnings"]
        assert "No space" in told["journalled"]
        assert dome.desk.wait("c-19", 20)["result"] == {"value": True}
        dome.kill()
        site.world.set_weather(safe=True, rain_rate=0.0)
        site.open_by_force()
        dome.start()
        dome.renew()
        time.sleep(0.5)
        assert_closed_in_time(site, site.rain())
    finally:
        disk.unmount()


@pytest.mark.long
def test_it_closes_on_a_read_only_disk(make_dome, site, tmp_path):
    disk = Disk(tmp_path / "disk", 4000)
    try:
        dome = make_dome(state=disk.folder / "state")
        (disk.folder / "state").mkdir()
        disk.read_only()
        site.open_by_force()
        dome.start()
        dome.renew()
        time.sleep(0.5)
        assert_closed_in_time(site, site.rain())
        assert "Read-only" in dome.desk.submit("CloseDome")["journalled"]
    finally:
        disk.unmount()


@pytest.mark.long
@pytest.mark.parametrize("call", ["azimuth", "park", "open_shutter", "connected"])
def test_a_hung_call_of_another_kind_delays_no_closing(dome, site, call):
    dome.open()
    site.world.set_fault("dome", "hangs", calls=[call], seconds=60.0)
    time.sleep(1.0)
    assert_closed_in_time(site, site.rain())


@pytest.mark.long
def test_a_close_command_that_hangs_is_sent_again_meanwhile(dome, site):
    dome.open()
    site.world.set_fault("dome", "hangs", calls=["close_shutter"], seconds=60.0)
    rain = site.rain()
    assert_closed_in_time(site, rain)


@pytest.mark.long
def test_a_stuck_shutter_raises_the_alarm_and_is_told_without_end(make_dome, site):
    dome = make_dome(changes={"Dome": {"Shutter Timeout (s)": 5}}).start()
    dome.open()
    site.world.set_fault("dome", "shutter_stuck")
    rain = site.rain()
    error = wait_for(lambda: dome.told()["error"], "the alarm")
    assert "was not closed" in error
    assert site.closes(rain)[0] < CLOSED_S
    site.world.clear_faults()
    site.until_closed(20.0)
    site.world.set_weather(safe=True, rain_rate=0.0)
    wait_for(lambda: dome.told()["closing"] is None, "the end of the closing")
    dome.renew()
    with pytest.raises(FaultLatched):
        dome.desk.submit("OpenDome", holder="night")
    assert dome.desk.submit("acknowledge")["cleared"]
    dome.open()


def test_a_weather_source_that_hangs_closes_it_at_its_age_limit(make_dome, site):
    """A station that takes the question and does not answer any more."""
    station = Station()
    try:
        sources = [{"Name": "station", "Kind": "url", "URL": station.url, "Age Limit (s)": 4,
                    "Timeout (s)": 2}]  # fmt: skip
        dome = make_dome(changes={"Dome": {"Weather": {"Sources": sources}}}).start()
        dome.open()
        station.hangs.set()
        time.sleep(0.01)
        limit_s = station.answered_s + 4.0
        took_s = assert_closed_in_time(site, limit_s - 1.0, 1.0 + CLOSED_S)
        assert took_s > 0.5
    finally:
        station.close()


class Station:
    """A weather station on the net."""

    def __init__(self) -> None:
        self.hangs = threading.Event()
        self.answered_s = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/weather"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        kept = []
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.recv(4096)
            if self.hangs.is_set():
                kept.append(connection)
                continue
            body = b'{"rain_rate": 0.0, "safe": true, "time": %.1f}' % time.time()
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            self.answered_s = time.monotonic()
            connection.close()

    def close(self) -> None:
        self._listener.close()


# Orders


def test_any_user_may_close_and_only_some_may_open(make_dome, site):
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1)
    users = [
        {"Name": "night", "Password Hash": hasher.hash("n"), "Requests": "all"},
        {"Name": "guest", "Password Hash": hasher.hash("g"), "Requests": ["status"]},
    ]
    dome = make_dome(changes={"Front Desk": {"Users": users}})
    dome.desk = FrontDesk(f"http://127.0.0.1:{dome.port}", "night", "n")
    dome.start()
    dome.open()
    guest = FrontDesk(f"http://127.0.0.1:{dome.port}", "guest", "g")
    with pytest.raises(TorosError, match="may not send OpenDome"):
        guest.submit("OpenDome")
    sent = time.monotonic()
    told = guest.send({"request": "CloseDome", "id": "g-1", "priority": "very high"})
    assert told["user"] == "guest"
    assert told["mode"] == "manual"  # what a person closes the night does not open at once
    assert "set_mode automatic" in told["warnings"][0]
    assert_closed_in_time(site, sent, 1.0)
    assert guest.wait("g-1", 20)["result"] == {"value": True}
    assert guest.submit("stop")["status"] == "done"


@pytest.mark.long
def test_by_hand_it_opens_without_a_lease_and_weather_closes_it(dome, site):
    wait_for(lambda: dome.told()["weather"]["may_open"], "weather to open in")
    dome.desk.submit("set_mode", mode="manual")
    receipt = wait_for(lambda: _sent(dome, "OpenDome"), "a database")
    assert dome.desk.wait(receipt["id"], 20)["result"] == {"value": True}
    with pytest.raises(OrderConflict):
        dome.desk.submit("SetAzim", id=receipt["id"], azim=3.0)
    assert dome.desk.submit("OpenDome", id=receipt["id"]) == receipt  # the stored one
    assert dome.desk.submit("set_mode", mode="manual", override=4.0)["override_s"] == 4.0
    rain = site.rain()
    took_s = assert_closed_in_time(site, rain, 4.0 + CLOSED_S)
    assert took_s > 3.0


@pytest.mark.long
def test_a_cancelled_opening_closes(make_dome, tmp_path):
    site = SimulatedSite(tmp_path, WorldSettings(shutter_s=8.0))
    dome = make_dome().start()
    wait_for(lambda: dome.renew()["may_open"], "weather to open in")
    receipt = wait_for(lambda: _sent(dome, "OpenDome", holder="night"), "a database")
    wait_for(lambda: dome.told()["shutter"] == "opening", "the shutter to open")
    dome.desk.cancel(receipt["id"])
    with pytest.raises(OrderCancelled):
        dome.desk.wait(receipt["id"], 20)
    site.until_closed()


# Starts and ends


@pytest.mark.long
def test_kill_9_with_an_open_shutter_then_a_start_closes(dome, site):
    dome.open()
    dome.kill()
    assert site.is_open()
    dome.start(wait=False)
    began = time.monotonic()
    took_s = assert_closed_in_time(site, began, START_S + 10.0 + 1.0)
    assert took_s > 5.0  # it has waited for a lease


def test_kill_9_then_a_start_in_rain_closes_at_once(dome, site):
    dome.open()
    dome.kill()
    site.rain()
    began = time.monotonic()
    dome.start(wait=False)
    assert_closed_in_time(site, began, START_S + CLOSED_S)


@pytest.mark.long
def test_kill_9_then_a_start_with_a_lease_in_time_stays_open(dome, site):
    dome.open()
    dome.kill()
    began = time.monotonic()
    dome.start()
    with Renewing(dome):
        time.sleep(12.0)
        assert site.closes(began) == []
    assert_closed_in_time(site, time.monotonic(), 11.0)


@pytest.mark.long
def test_a_wrong_dome_section_at_a_start_closes_and_does_not_open(dome, site):
    dome.open()
    wait_for((dome.state / "dome" / "last-good.conf.yaml").is_file, "the copy")
    dome.kill()
    dome.configure({"Dome": {"Shuter Timeout (s)": 20}})
    began = time.monotonic()
    dome.start()
    assert_closed_in_time(site, began, START_S + CLOSED_S)
    dome.renew()
    with pytest.raises(FaultLatched, match="Shuter"):
        wait_for(lambda: _sent(dome, "OpenDome", holder="night"), "a database")
    with pytest.raises(FaultLatched):
        dome.desk.submit("acknowledge")
    assert "ERROR" in (dome.folder / "toros-dome.log").read_text()
    assert dome.stop() == 0
    del dome.settings["Dome"]["Shuter Timeout (s)"]
    dome.configure({})
    dome.start()
    dome.open()


def test_a_wrong_configuration_without_a_good_copy_ends_with_2(make_dome, site):
    dome = make_dome(changes={"Dome": {"Shuter Timeout (s)": 20}}).start(wait=False)
    assert dome.process is not None
    assert dome.process.wait(30) == 2
    assert "Shuter" in dome.stderr()


@pytest.mark.long
def test_a_mistake_in_another_section_does_not_matter(dome, site):
    dome.open()
    wait_for((dome.state / "dome" / "last-good.conf.yaml").is_file, "the copy")
    assert dome.stop() == 0
    assert site.is_closed()  # an orderly end closes
    dome.configure({"Database": {"URL": "oracle://x"}, "Preprocessor": {"Stepz": []}})
    dome.start()
    dome.open()


@pytest.mark.long
def test_a_second_daemon_on_the_same_state_folder_is_refused(dome, make_dome):
    second = make_dome(changes={"Dome Service Address": {"Port": free_port()}})
    second.start(wait=False)
    assert second.process is not None
    assert second.process.wait(30) == 1


@pytest.mark.long
def test_the_mode_outlasts_a_restart(dome):
    dome.desk.submit("set_mode", mode="manual")
    dome.kill()
    dome.start()
    assert dome.told()["mode"] == "manual"


@pytest.mark.long
def test_the_heartbeat_beats_while_it_is_as_it_should_be(make_dome, site, tmp_path):
    beat = tmp_path / "beat"
    dome = make_dome(changes={"Dome": {"Heartbeat Path": str(beat)}}).start()
    wait_for(lambda: beat.exists() and int(beat.read_text()) > 1, "a heartbeat")
    dome.signal(signal.SIGSTOP)
    time.sleep(0.5)
    count = beat.read_text()
    time.sleep(2.5)
    assert beat.read_text() == count
    dome.signal(signal.SIGCONT)


@pytest.mark.long
def test_systemd_s_watchdog_is_fed_by_the_control_loop(make_dome, site, tmp_path, monkeypatch):
    path = tmp_path / "notify"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(20.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "3000000")
        make_dome().start(wait=False)
        said: set[bytes] = set()
        while b"WATCHDOG=1" not in said:
            said.add(systemd.recv(4096))
        assert b"READY=1" in said
