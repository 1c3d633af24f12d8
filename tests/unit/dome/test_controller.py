"""The control loop over devices in memory: it closes whatever else goes wrong."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from tests.unit.dome.conftest import Bench, until
from tests.unit.dome.devices import MemoryDome, MemoryMount, late
from toros.clock import boot_time
from toros.devices.protocols import ShutterState
from toros.dome import report
from toros.dome.rules import Mode
from toros.errors import (
    DeviceUnreachable,
    DomeBusy,
    FaultLatched,
    LeaseHeld,
    OrderCancelled,
    OutsideWindow,
    ShutterFailed,
    TurnFailed,
    UnsafeWeather,
    WrongMode,
)
from toros.workorders.dome import CloseDome, StopDome


def close(controller, order_id="c", user="eve"):
    return controller.close(CloseDome(id=order_id), user)


def set_mode(controller, mode, override_s=0.0):
    return controller.rights.set_mode(mode, override_s, "eve", boot_time())


def commands_to_close_after(bench: Bench, moment: float) -> list[float]:
    return [sent - moment for sent in bench.dome.times("close_shutter") if sent >= moment]


# Closing by itself


def test_bad_weather_closes_within_a_second_and_parks_beside(bench):
    bench.mount = MemoryMount()
    bench.opened()
    bad = bench.sky.turn_bad()
    bench.until_closed()
    assert commands_to_close_after(bench, bad)[0] < 1.0
    until(bench.dome.at_park)
    until(bench.mount.at_park)


@pytest.mark.parametrize("what", ["unknown weather", "sun", "lease"])
def test_what_entitles_no_more_closes(bench, what):
    bench.change(lease_s=1.0)
    controller = bench.opened()
    if what == "unknown weather":
        bench.sky.known = False
        bench.sky.turn_bad("the station is stale")
    elif what == "sun":
        bench.sun.reason = "the sun is at 6 deg"
    began = time.monotonic()
    bench.until_closed()
    assert commands_to_close_after(bench, began)[0] < 2.5
    until(lambda: controller.situation(boot_time()).grant is None)


def test_a_renewed_lease_keeps_it_open(bench):
    bench.change(lease_s=1.0)
    bench.opened()
    for _ in range(10):
        bench.renew()
        time.sleep(0.25)
    assert bench.dome.shutter() is ShutterState.OPEN
    assert bench.dome.times("close_shutter") == []


@pytest.mark.parametrize("hung", ["azimuth", "slewing", "slew_to_azimuth", "park", "open_shutter"])
def test_a_hung_call_of_another_kind_delays_no_closing(bench, hung):
    bench.opened()
    bench.dome.hang[hung] = threading.Event()
    if hung == "slew_to_azimuth":
        bench.renew(azimuth_deg=200.0)
        until(lambda: bench.dome.times("slew_to_azimuth"))
    time.sleep(0.5)
    bad = bench.sky.turn_bad()
    bench.until_closed()
    assert commands_to_close_after(bench, bad)[0] < 1.0


def test_a_hung_close_command_is_sent_again_by_another_way(bench):
    bench.opened()
    bench.dome.hang["close_shutter"] = threading.Event()
    bad = bench.sky.turn_bad()
    until(lambda: len(commands_to_close_after(bench, bad)) >= 3, 15.0)
    sent = commands_to_close_after(bench, bad)
    assert sent[0] < 1.0
    assert sent[2] < 8.0
    bench.dome.hang.pop("close_shutter").set()
    bench.until_closed()


@pytest.mark.long
def test_a_shutter_that_does_not_answer_for_long_is_closed(bench):
    bench.change(lease_s=60.0)
    controller = bench.opened()
    bench.dome.hang["shutter"] = threading.Event()
    until(lambda: bench.dome.times("close_shutter"), 25.0)
    assert controller.watch.shutter_now() is None
    bench.dome.hang.pop("shutter").set()
    until(lambda: controller.closing.current is None)


def test_a_command_that_fails_is_sent_again_without_end(bench):
    bench.opened()
    bench.dome.fail["close_shutter"] = [late() for _ in range(3)]
    bad = bench.sky.turn_bad()
    bench.until_closed(20.0)
    assert len(commands_to_close_after(bench, bad)) == 4


def test_a_device_that_lost_its_connection_is_connected_to_close(bench):
    bench.opened()
    bench.dome.is_connected = False
    bench.sky.turn_bad()
    until(lambda: bench.dome.moves_to == "closed")


def test_a_command_that_moves_nothing_is_sent_again_then_alarm_and_latch(bench, caplog):
    bench.change(shutter_timeout_s=4.0)
    controller = bench.opened()
    bench.dome.stuck_at = 1.0
    bad = bench.sky.turn_bad()
    until(lambda: controller.rights.fault, 10.0)
    assert time.monotonic() - bad < 6.0
    assert [r for r in caplog.records if r.levelno == logging.ERROR and "not closed" in r.message]
    assert controller.closing.current is not None
    bench.dome.stuck_at = None
    bench.until_closed()
    until(lambda: controller.closing.current is None)
    with pytest.raises(FaultLatched):
        controller.open("night", for_lease=True)
    assert controller.rights.acknowledge("eve")
    assert controller.rights.fault is None


def test_a_shutter_error_latches_and_closes(bench):
    controller = bench.opened()
    bench.dome.error = True
    until(lambda: bench.dome.times("close_shutter"))
    until(lambda: controller.rights.fault)
    bench.dome.error = False
    until(lambda: controller.closing.current is None)
    bench.sky.safe = True
    with pytest.raises(FaultLatched):
        controller.open("night", for_lease=True)


def test_a_defect_of_the_loop_closes(bench, caplog):
    controller = bench.opened()

    def broken():
        raise RuntimeError("the judge is broken")

    controller._verdict = broken
    bench.until_closed()
    assert "the judge is broken" in caplog.text
    assert controller.silent_s() > 0.2


def test_a_log_that_hangs_delays_no_closing(bench):
    """With logging aside, as the daemon has it."""
    from toros.dome.aside import logging_aside

    hangs = threading.Event()

    class Hung(logging.Handler):
        def emit(self, record):
            hangs.wait(20.0)

    root, handler = logging.getLogger(), Hung()
    root.addHandler(handler)
    try:
        with logging_aside():
            bench.opened()
            bad = bench.sky.turn_bad()
            bench.until_closed()
            hangs.set()
    finally:
        root.removeHandler(handler)
    assert commands_to_close_after(bench, bad)[0] < 1.0


# Starts


def test_a_start_with_an_open_dome_waits_for_a_lease_and_closes(bench):
    bench.change(lease_s=1.5)
    bench.dome = MemoryDome(opened=True)
    bench.start()
    bench.until_closed()
    after = bench.dome.times("close_shutter")[0] - bench.started_s
    assert 1.2 < after < 3.0


def test_a_start_with_an_open_dome_and_a_lease_in_time_leaves_it_open(bench):
    bench.change(lease_s=1.5)
    bench.dome = MemoryDome(opened=True)
    bench.start()
    for _ in range(8):
        bench.renew()
        time.sleep(0.3)
    assert bench.dome.times("close_shutter") == []
    assert bench.dome.shutter() is ShutterState.OPEN


@pytest.mark.parametrize("why", ["weather", "manual", "fault", "sun"])
def test_a_start_with_an_open_dome_and_a_reason_closes_at_once(bench, why):
    if why in ("manual", "fault"):
        controller = bench.start()
        if why == "manual":
            set_mode(controller, Mode.MANUAL)
        else:
            controller._latch("the shutter hit a bird")
        until((bench.folder / "mode.json").is_file)
        bench.crash()
    bench.dome = MemoryDome(opened=True)
    if why == "weather":
        bench.sky.turn_bad()
    elif why == "sun":
        bench.sun.reason = "the sun is up"
    bench.start()
    bench.until_closed()
    assert bench.dome.times("close_shutter")[0] - bench.started_s < 1.5


def test_weather_not_read_yet_is_waited_for_only_a_moment(bench):
    bench.dome = MemoryDome(opened=True)
    bench.sky.known = False
    bench.sky.turn_bad("not read yet")
    bench.start()
    bench.until_closed()
    after = bench.dome.times("close_shutter")[0] - bench.started_s
    assert 2.5 < after < 4.5


def test_mode_and_error_outlast_a_restart(bench):
    controller = bench.start()
    set_mode(controller, Mode.MANUAL)
    controller._latch("the shutter hit a bird")
    until(lambda: b"bird" in _content(bench.folder / "mode.json"))
    bench.crash()
    again = bench.start()
    assert again.rights.mode is Mode.MANUAL
    assert again.rights.fault == "the shutter hit a bird"


def _content(path):
    return path.read_bytes() if path.is_file() else b""


def test_a_memory_that_cannot_be_read_means_manual(bench):
    (bench.folder / "mode.json").write_text("{half")
    assert bench.start().rights.mode is Mode.MANUAL


def test_a_wrong_configuration_closes_and_never_opens(bench):
    bench.dome = MemoryDome(opened=True)
    bench.forbidden = "the configuration is wrong: Dome / Lease (s)"
    controller = bench.start()
    bench.until_closed()
    bench.renew()
    with pytest.raises(FaultLatched, match="configuration is wrong"):
        controller.open("night", for_lease=True)
    with pytest.raises(FaultLatched, match="start the daemon again"):
        controller.rights.acknowledge("eve")


def test_the_end_of_the_daemon_closes(bench):
    controller = bench.opened()
    assert controller.stop()
    assert bench.is_closed()


# Closing by order


def test_close_acts_each_time_and_tells_the_live_word(bench):
    bench.dome.travel_s = 1.5
    controller = bench.opened()
    first = close(controller)
    assert first["status"] == "running"
    again = close(controller)
    assert again["id"] == first["id"]
    until(lambda: controller.ledger.tell("c", None)["status"] == "done")
    assert controller.ledger.tell("c", None)["result"] == {"value": True}
    assert bench.is_closed()
    before = len(bench.dome.times("close_shutter"))
    assert close(controller)["status"] == "done"  # of the closed dome, by its live word
    assert len(bench.dome.times("close_shutter")) == before + 1


def test_close_preempts_an_opening_and_a_turn(bench):
    bench.dome.travel_s = 1.0
    controller = bench.start()
    bench.renew()
    opening = controller.open("night", for_lease=True)
    time.sleep(0.3)
    close(controller)
    assert opening.done.wait(1.0)
    assert isinstance(opening.error, OrderCancelled)
    bench.until_closed()
    until(lambda: controller.closing.current is None)
    assert bench.is_closed()


def test_an_open_command_that_comes_late_is_closed_again(bench):
    """The driver's call hangs and moves the shutter after the close has been done."""
    controller = bench.start()
    bench.renew()
    bench.dome.hang["open_shutter"] = threading.Event()
    opening = controller.open("night", for_lease=True)
    until(lambda: bench.dome.times("open_shutter"))
    close(controller)
    assert isinstance(opening.error, OrderCancelled)
    time.sleep(1.0)
    assert controller.closing.current is not None  # not done while it may still open
    bench.dome.hang.pop("open_shutter").set()
    until(lambda: "open" in bench.dome.moved_to)
    until(lambda: bench.dome.moves_to == "closed", 5.0)
    bench.until_closed()


def test_close_needs_no_disk(bench):
    controller = bench.opened()
    blocker = bench.folder / "journal.jsonl"
    blocker.unlink(missing_ok=True)
    blocker.mkdir()
    record = close(controller)
    assert controller.ledger.write(record).wait(2.0) is not None
    bench.until_closed()


# Opening


def refusal(bench, controller, error, *, holder="night", for_lease=True):
    with pytest.raises(error):
        controller.open(holder, for_lease=for_lease)
    assert bench.dome.times("open_shutter") == []


def test_opening_is_refused_unless_all_is_well(bench):
    controller = bench.start()
    refusal(bench, controller, WrongMode)  # nobody holds a lease
    bench.renew()
    bench.sky.may_open = False
    refusal(bench, controller, UnsafeWeather)
    bench.sky.may_open, bench.sky.known = True, False
    refusal(bench, controller, UnsafeWeather)
    bench.sky.known = True
    refusal(bench, controller, LeaseHeld, holder="another")
    bench.sun.reason = "the sun is up"
    until(lambda: controller.situation(boot_time()).outside)
    refusal(bench, controller, OutsideWindow)
    bench.sun.reason = None
    until(lambda: controller.situation(boot_time()).outside is None)
    set_mode(controller, Mode.MANUAL)
    refusal(bench, controller, WrongMode)
    set_mode(controller, Mode.AUTOMATIC)
    controller._latch("an error")
    refusal(bench, controller, FaultLatched)


def test_an_unknown_shutter_is_not_opened(bench):
    bench.dome.fail["shutter"] = [late() for _ in range(100)]
    bench.dome.hang["shutter"] = threading.Event()
    controller = bench.start()
    bench.renew()
    refusal(bench, controller, DeviceUnreachable)


def test_an_opening_by_hand_needs_no_lease_and_ends(bench):
    bench.change(manual_open_limit_s=1.5)
    controller = bench.start()
    set_mode(controller, Mode.MANUAL)
    opening = controller.open("eve", for_lease=False)
    assert opening.done.wait(5.0)
    assert opening.error is None
    opened = time.monotonic()
    bench.until_closed()
    assert commands_to_close_after(bench, opened)[0] < 2.5


def test_weather_closes_what_was_opened_by_hand_unless_overridden(bench):
    controller = bench.start()
    set_mode(controller, Mode.MANUAL)
    assert controller.open("eve", for_lease=False).done.wait(5.0)
    set_mode(controller, Mode.MANUAL, 2.0)
    bad = bench.sky.turn_bad()
    time.sleep(1.0)
    assert bench.dome.times("close_shutter") == []
    bench.until_closed()
    assert 1.5 < commands_to_close_after(bench, bad)[0] < 3.5


def test_no_override_holds_an_order_to_close_off(bench):
    controller = bench.start()
    set_mode(controller, Mode.MANUAL)
    assert controller.open("eve", for_lease=False).done.wait(5.0)
    set_mode(controller, Mode.MANUAL, 60.0)
    close(controller)
    bench.until_closed()
    assert controller.rights.override_s(boot_time()) == 0.0


def test_there_is_no_override_in_automatic_mode(bench):
    with pytest.raises(WrongMode):
        set_mode(bench.start(), Mode.AUTOMATIC, 5.0)


def test_the_mode_hands_an_open_dome_over(bench):
    controller = bench.opened()
    set_mode(controller, Mode.MANUAL)
    time.sleep(0.6)
    assert bench.dome.times("close_shutter") == []
    set_mode(controller, Mode.AUTOMATIC)
    time.sleep(0.6)
    assert bench.dome.times("close_shutter") == []
    set_mode(controller, Mode.MANUAL)
    controller.rights.renew("night", boot_time(), 0.0, None, None)
    set_mode(controller, Mode.AUTOMATIC)
    bench.until_closed()


def test_a_shutter_that_does_not_open_in_time_latches_and_closes(bench):
    bench.change(shutter_timeout_s=1.0)
    bench.dome.travel_s = 60.0
    controller = bench.start()
    bench.renew()
    opening = controller.open("night", for_lease=True)
    assert opening.done.wait(5.0)
    assert isinstance(opening.error, ShutterFailed)
    until(lambda: bench.dome.times("close_shutter"))
    assert controller.rights.fault


def test_a_cancelled_opening_closes(bench):
    bench.dome.travel_s = 2.0
    controller = bench.start()
    bench.renew()
    opening = controller.open("night", for_lease=True)
    time.sleep(0.4)
    controller.abandon(opening)
    bench.until_closed()


def test_one_opening_at_a_time(bench):
    bench.dome.travel_s = 1.0
    controller = bench.start()
    bench.renew()
    controller.open("night", for_lease=True)
    with pytest.raises(DomeBusy):
        controller.open("night", for_lease=True)
    with pytest.raises(DomeBusy):
        controller.turning.begin(50.0, "night", for_lease=True)


# Turning


def test_a_turn_reaches_its_azimuth_and_a_second_is_refused(bench):
    bench.dome.speed = 100.0
    controller = bench.start()
    turn = controller.turning.begin(90.0, "", for_lease=False)
    with pytest.raises(DomeBusy):
        controller.turning.begin(120.0, "", for_lease=False)
    assert turn.done.wait(5.0)
    assert turn.error is None
    assert bench.dome.azimuth() == 90.0


def test_a_park_that_lies_fails(bench):
    controller = bench.start()
    bench.dome.lies_at_park = True
    turn = controller.turning.begin("park", "", for_lease=False)
    assert turn.done.wait(8.0)
    assert isinstance(turn.error, TurnFailed)


def test_the_dome_follows_the_telescope_without_hunting(bench):
    controller = bench.opened()
    for azimuth in (200.0, 200.5, 201.0, 201.5, 202.0, 202.9):
        bench.renew(azimuth_deg=azimuth)
        time.sleep(0.4)
    assert len(bench.dome.times("slew_to_azimuth")) == 1
    bench.renew(azimuth_deg=208.0)
    until(lambda: len(bench.dome.times("slew_to_azimuth")) == 2)
    with pytest.raises(WrongMode):
        controller.turning.check("night", for_lease=True)


def test_it_follows_across_north(bench):
    bench.opened()
    bench.renew(azimuth_deg=359.0)
    until(lambda: bench.dome.azimuth() == 359.0)
    bench.renew(azimuth_deg=1.0)
    time.sleep(1.0)
    assert len(bench.dome.times("slew_to_azimuth")) == 1


def test_it_follows_nobody_when_closed_or_in_manual_mode(bench):
    controller = bench.start()
    bench.renew(azimuth_deg=100.0)
    time.sleep(0.6)
    assert bench.dome.times("slew_to_azimuth") == []
    assert controller.open("night", for_lease=True).done.wait(5.0)
    until(lambda: bench.dome.times("slew_to_azimuth"))
    set_mode(controller, Mode.MANUAL)
    bench.renew(azimuth_deg=300.0)
    time.sleep(0.8)
    assert len(bench.dome.times("slew_to_azimuth")) == 1


# Stop


def test_stop_stops_and_a_due_closing_goes_on(bench):
    bench.dome.travel_s = 2.0
    controller = bench.opened()
    bad = bench.sky.turn_bad()
    until(lambda: bench.dome.times("close_shutter"))
    time.sleep(0.3)
    record = controller.stop_motion(StopDome(id="s"), "eve")
    assert record["status"] == "done"
    assert bench.dome.moves_to == "stopped"
    stopped = time.monotonic()
    controller.stop_motion(StopDome(id="s2"), "eve")  # nobody keeps it open by stopping
    until(lambda: commands_to_close_after(bench, stopped), 6.0)
    assert commands_to_close_after(bench, bad)[-1] < 5.0
    bench.until_closed()


def test_a_word_from_before_the_command_to_open_lets_nobody_send_it_again(bench):
    bench.dome.travel_s = 3.0
    controller = bench.start()
    bench.renew()
    opening = controller.open("night", for_lease=True)
    bench.dome.hang["shutter"] = threading.Event()
    until(opening.call.done.is_set)
    before = controller.watch.shutter.reading
    controller.watch.shutter.reading = before._replace(
        value=ShutterState.CLOSED, began_s=opening.call.began_s - 0.1
    )
    bench.dome.fail["abort"] = [late()]
    controller.stop_motion(StopDome(id="s"), "eve")
    bench.renew()
    with pytest.raises(DomeBusy):
        controller.open("night", for_lease=True)
    assert len(bench.dome.times("open_shutter")) == 1


def test_stop_ends_an_order_to_close(bench):
    bench.dome.travel_s = 2.0
    controller = bench.opened()
    close(controller)
    controller.stop_motion(StopDome(id="s"), "eve")
    assert controller.ledger.tell("c", None)["status"] == "cancelled"


# Roll-off


def test_a_roll_off_roof_waits_for_the_mount(bench):
    bench.change(enclosure="roll-off")
    bench.mount = MemoryMount(park_s=1.0)
    bench.opened()
    bad = bench.sky.turn_bad()
    bench.until_closed()
    assert 1.0 <= commands_to_close_after(bench, bad)[0] < 2.5


@pytest.mark.parametrize("then", ["close", "hold"])
def test_a_mount_that_does_not_park_is_waited_for_only_so_long(bench, then):
    bench.change(enclosure="roll-off", park_timeout_s=1.5, on_park_timeout=then)
    bench.mount = MemoryMount(park_s=None)
    controller = bench.opened()
    bad = bench.sky.turn_bad()
    if then == "close":
        bench.until_closed()
        assert 1.4 <= commands_to_close_after(bench, bad)[0] < 3.0
    else:
        until(lambda: controller.rights.fault)
        assert "did not park" in controller.rights.fault
        assert bench.dome.times("close_shutter") == []
        bench.mount.park_s = 0.1
        bench.until_closed(15.0)


# What is told


def test_the_heartbeat_is_well_only_as_requested(bench):
    controller = bench.opened()
    until(controller.is_well)
    bench.sky.known = False
    time.sleep(1.2)
    assert not controller.is_well()


def test_the_lease_is_held_by_one(bench):
    controller = bench.start()
    bench.renew("a")
    with pytest.raises(LeaseHeld):
        bench.renew("b")
    controller.rights.renew("a", boot_time(), 0.0, None, None)
    bench.renew("b")


# What hid from the eye


def test_a_mount_that_a_person_unparks_under_a_closed_dome_is_left_alone(bench):
    bench.mount = MemoryMount()
    bench.opened()
    bench.sky.turn_bad()
    bench.until_closed()
    until(bench.mount.at_park)
    time.sleep(0.8)
    told = len(bench.mount.calls)
    bench.mount.unpark()
    time.sleep(1.2)
    assert len(bench.mount.calls) == told


def test_an_open_command_whose_answer_and_status_are_lost_is_closed(bench):
    """The last word was closed, from before the command: it counts for nothing."""
    controller = bench.start()
    bench.renew()
    until(lambda: controller.watch.shutter_now() is ShutterState.CLOSED)
    bench.dome.hang["shutter"] = threading.Event()
    really_open = bench.dome.open_shutter

    def lost():
        really_open()
        raise late()

    bench.dome.open_shutter = lost
    opening = controller.open("night", for_lease=True)
    until(lambda: bench.dome.times("close_shutter"), 3.0)
    assert opening.error is not None
    assert controller.closing.current is not None  # until a word that is younger


@pytest.mark.parametrize("method", ["pursue", "begin"])
def test_a_defect_in_the_closing_lane_ends_no_loop_and_closes_past_it(bench, method):
    bench.mount = MemoryMount()
    controller = bench.opened()

    def bad(*_args, **_options):
        raise RuntimeError("a defect")

    setattr(controller.closing, method, bad)
    bench.sky.turn_bad()
    bench.until_closed()
    assert controller._thread.is_alive()
    assert controller.rights.grant is None
    until(bench.mount.at_park)
    time.sleep(0.5)
    sent = len(bench.dome.times("close_shutter"))
    time.sleep(0.5)
    assert len(bench.dome.times("close_shutter")) == sent  # closed is closed


def test_a_defect_closes_over_nobody_s_head(bench):
    controller = bench.start()
    set_mode(controller, Mode.MANUAL)
    assert controller.open("eve", for_lease=False).done.wait(5.0)
    set_mode(controller, Mode.MANUAL, 1.5)

    def broken():
        raise RuntimeError("the judge is broken")

    began = time.monotonic()
    controller._verdict = broken
    bench.until_closed()
    assert 1.0 < commands_to_close_after(bench, began)[0] < 3.0


def test_an_unknown_sun_opens_nothing_in_the_first_seconds(bench):
    hang = threading.Event()
    bench.sun.outside = lambda: hang.wait(20) and None
    controller = bench.start()
    bench.renew()
    until(lambda: controller.watch.shutter_now() is ShutterState.CLOSED)
    refusal(bench, controller, OutsideWindow)
    hang.set()


def test_stop_leaves_the_mount(bench):
    bench.mount = MemoryMount(park_s=None)
    controller = bench.opened()
    bench.sky.turn_bad()
    bench.until_closed()
    until(lambda: controller.closing.current is None)
    controller.stop_motion(StopDome(id="s"), "eve")
    told = len(bench.mount.calls)
    time.sleep(5.6)
    assert len(bench.mount.calls) == told


def test_a_stop_does_not_let_a_roof_wait_for_its_park_once_more(bench):
    bench.change(enclosure="roll-off", park_timeout_s=4.0)
    bench.mount = MemoryMount(park_s=None)
    controller = bench.opened()
    bad = bench.sky.turn_bad()
    time.sleep(2.5)
    assert controller.closing.current is not None
    controller.stop_motion(StopDome(id="s"), "eve")
    until(lambda: commands_to_close_after(bench, bad), 10.0)
    # The pause after a stop ends later than the wait for the park would have.
    assert 4.0 < commands_to_close_after(bench, bad)[0] < 7.0


def test_a_roof_that_waits_for_the_park_is_not_late(bench):
    bench.change(enclosure="roll-off", shutter_timeout_s=1.0)
    bench.mount = MemoryMount(park_s=2.0)
    controller = bench.opened()
    bench.sky.turn_bad()
    bench.until_closed()
    time.sleep(0.3)
    assert controller.rights.fault is None


def test_a_person_s_order_to_close_ends_the_automatic_mode(bench):
    controller = bench.opened()
    close(controller)
    assert controller.rights.mode is Mode.MANUAL
    bench.until_closed()
    until(lambda: controller.closing.current is None)
    bench.renew()
    refused = len(bench.dome.times("open_shutter"))
    with pytest.raises(WrongMode):
        controller.open("night", for_lease=True)
    assert len(bench.dome.times("open_shutter")) == refused
    until(lambda: b"manual" in _content(bench.folder / "mode.json"))


@pytest.mark.parametrize("given_back", [False, True])
def test_the_night_s_own_order_to_close_leaves_the_mode(bench, given_back):
    controller = bench.opened()
    if given_back:
        controller.rights.renew("night", boot_time(), 0.0, None, None)
    controller.close(CloseDome(id="c", holder="night"), "")
    assert controller.rights.mode is Mode.AUTOMATIC


def test_another_s_holder_is_not_the_night(bench):
    controller = bench.opened()
    controller.close(CloseDome(id="c", holder="another"), "")
    assert controller.rights.mode is Mode.MANUAL


def test_the_reasons_tell_the_weather_and_not_that_nobody_has_ordered(bench):
    controller = bench.opened()
    bench.dome.travel_s = 1.0
    bench.sky.turn_bad("rain")
    until(lambda: controller.closing.current)
    assert report.state(controller)["not_open_because"] == ["rain"]
    bench.until_closed()
    until(lambda: report.state(controller)["shutter"] == "closed")
    bench.sky.safe, bench.sky.reasons = True, ()
    assert report.state(controller)["not_open_because"] == []


def test_two_orders_to_close_at_once_are_one_closing(bench):
    controller = bench.opened()
    threads = [
        threading.Thread(target=close, args=(controller, f"c{number}")) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)
    until(lambda: controller.closing.current is None)
    told = {controller.ledger.tell(f"c{number}", None)["status"] for number in range(8)}
    assert told == {"done"}
