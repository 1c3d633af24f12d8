"""The ladder of what is done after an error."""

from __future__ import annotations

from datetime import UTC, datetime

from toros.clock import REAL, SimulatedClock
from toros.errors import DeviceTimeout, DiskFull, ShutterFailed
from toros.telescope.ladder import Ladder, Measure


def test_a_device_is_tried_again_connected_anew_suspended_and_latched_at_last():
    ladder = Ladder(REAL)
    found = [ladder.climb(DeviceTimeout("x")).measure for _ in range(8)]
    assert found == [
        Measure.AGAIN, Measure.CONNECT, Measure.CONNECT,
        *[Measure.SUSPEND] * 4, Measure.LATCH,
    ]  # fmt: skip


def test_each_family_has_a_ladder_of_its_own_and_success_leads_down():
    ladder = Ladder(REAL)
    for _ in range(5):
        ladder.climb(DeviceTimeout("x"))
    assert ladder.climb(ShutterFailed("x")).measure is Measure.AGAIN
    ladder.descend()
    assert ladder.climb(DeviceTimeout("x")).measure is Measure.AGAIN


def test_a_full_disk_never_latches():
    ladder = Ladder(REAL)
    assert Measure.LATCH not in {ladder.climb(DiskFull("x")).measure for _ in range(50)}


def test_pauses_are_shorter_in_a_rehearsal():
    now = datetime.now(UTC)
    slow, fast = Ladder(REAL), Ladder(SimulatedClock(now, now, 300.0))
    assert slow.climb(DeviceTimeout("x")).pause_s == 30 * fast.climb(DeviceTimeout("x")).pause_s
