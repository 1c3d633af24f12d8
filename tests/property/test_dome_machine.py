"""Any interleaving of orders, leases, weather, faults and restarts, in steps of simulated time.

The dome is never open while unsafe for longer than the promise, it makes no two motions at
once, and closed is told only when that is known.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.property.dome_steps import (
    STEP_S,
    NoJournal,
    StepCrew,
    StepDome,
    StepMemory,
    StepMount,
)
from tests.unit.dome.devices import Sky, Sun, late
from toros import clock
from toros.config.enclosure import Dome
from toros.dome import report
from toros.dome.controller import Controller, Parts
from toros.dome.ledger import Ledger
from toros.dome.rules import Mode
from toros.errors import TorosError
from toros.workorders.dome import CloseDome, StopDome

COMMANDED_S = 5.0
LEASE_S = 10.0
PARK_S = 8.0
CLOSED_S = 45.0
"""With nothing wrong any more: pauses between commands, travel and margin."""
CALLS = ("shutter", "open_shutter", "close_shutter", "slew_to_azimuth", "park", "azimuth", "abort")
HOLDERS = st.sampled_from(["night", "night", "night", "other"])


class DomeMachine(RuleBasedStateMachine):
    """The control loop, its devices, and the promises."""

    @initialize(enclosure=st.sampled_from(["dome", "roll-off"]))
    def begin(self, enclosure: str) -> None:
        self.moment = [1000.0]
        self.dome = StepDome(self.now)
        self.mount = StepMount(park_s=3.0, now=self.now)
        self.sky, self.sun = Sky(), Sun()
        self.memory = StepMemory()
        self.settings = Dome(
            enclosure=enclosure, lease_s=LEASE_S, shutter_timeout_s=12.0, turn_timeout_s=25.0,
            park_timeout_s=PARK_S, manual_open_limit_s=60.0, override_limit_s=20.0,
        )  # fmt: skip
        self.limit_s = COMMANDED_S + (PARK_S if enclosure == "roll-off" else 0.0)
        self.exposed_s: float | None = None
        self.trouble_s = 0.0
        self.opens = 0
        self.orders: list[tuple[str, float]] = []
        self.start()

    def now(self) -> float:
        return self.moment[0]

    def start(self) -> None:
        self.crew = StepCrew(self.moment)
        parts = Parts(
            dome=self.dome,
            mount=self.mount,
            verdict=lambda: self.sky,
            outside=self.sun.outside,
            clock=clock.REAL,
            ledger=Ledger(NoJournal()),
            memory=self.memory,
            crew=self.crew,
        )
        self.controller = Controller(self.settings, parts)
        self.controller.begin()
        self.started_s = self.now()
        self.orders = []
        self.exposed_s = None

    # What passes

    def pass_time(self, duration_s: float) -> None:
        for _ in range(round(duration_s / STEP_S)):
            self.moment[0] += STEP_S
            self.dome.look()
            self.crew.ask()
            self.controller.step()
            self.crew.work()
            self.keep_promises()

    @rule(duration_s=st.sampled_from([0.2, 0.4, 1.0, 2.0, 4.0, 8.0, 15.0]))
    def wait(self, duration_s: float) -> None:
        self.pass_time(duration_s)

    @rule(holder=HOLDERS, steps=st.integers(1, 4), azimuth=st.sampled_from([None, 30.0, 200.0]))
    def renew_for_a_while(self, holder: str, steps: int, azimuth: float | None) -> None:
        for _ in range(steps):
            with suppress(TorosError):
                self.controller.rights.renew(holder, self.now(), None, 45.0, azimuth)
            self.pass_time(2.0)

    @rule()
    def give_the_lease_back(self) -> None:
        with suppress(TorosError):
            self.controller.rights.renew("night", self.now(), 0.0, None, None)

    @rule(
        weather=st.sampled_from(
            [(True, True, True)] * 4
            + [(True, True, False), (True, False, False), (False, False, False)]
        )
    )
    def turn_weather(self, weather: tuple[bool, bool, bool]) -> None:
        self.sky.known, self.sky.safe, self.sky.may_open = weather
        self.sky.reasons = () if self.sky.may_open else ("weather",)

    @rule(up=st.sampled_from([False, False, True]))
    def move_the_sun(self, up: bool) -> None:
        self.sun.reason = "the sun is up" if up else None

    # Orders

    @rule(holder=HOLDERS, for_lease=st.booleans())
    def order_to_open(self, holder: str, for_lease: bool) -> None:
        hung, sent = self.crew.pending("dome-open"), self.dome.opens_sent
        with suppress(TorosError):
            self.open(holder, for_lease=for_lease)
            assert self.sky.safe
            assert self.sky.known
            assert self.sky.may_open
            assert self.controller.rights.fault is None
        self.crew.work()  # its hand does not wait for the loop
        assert not hung or self.dome.opens_sent == sent, "sent anew while the first one hangs"

    def open(self, holder: str, *, for_lease: bool) -> None:
        self.controller.open(holder, for_lease=for_lease)
        self.opens += 1

    @rule()
    def a_good_night_opens(self) -> None:
        """Fair weather, and all that opening needs: without it most runs never open."""
        self.turn_weather((True, True, True))
        self.move_the_sun(up=False)
        with suppress(TorosError):
            self.controller.rights.acknowledge("eve")
        self.controller.rights.set_mode(Mode.AUTOMATIC, 0.0, "eve", self.now())
        for step in range(4):
            with suppress(TorosError):
                self.controller.rights.renew("night", self.now(), None, 45.0, None)
                if step == 1:
                    self.open("night", for_lease=True)
            self.crew.work()
            self.pass_time(2.0)

    @rule(holder=st.sampled_from([None, "night"]))
    def order_to_close(self, holder: str | None) -> None:
        order = CloseDome(id=f"c{len(self.orders)}", holder=holder)
        self.orders.append((order.id or "", self.now()))
        attempts, hung = self.attempts(), self.hands_hang()
        self.controller.close(order, "eve" if holder is None else "")
        assert self.roof_waits() or self.attempts() > attempts or hung
        if holder is None:
            assert self.controller.rights.mode is Mode.MANUAL
            assert self.memory.kept.mode is Mode.MANUAL

    @rule()
    def order_to_stop(self) -> None:
        self.trouble_s = self.now()
        self.controller.stop_motion(StopDome(id="s"), "eve")

    @rule(mode=st.sampled_from(list(Mode)), override_s=st.sampled_from([0.0, 0.0, 10.0]))
    def choose_mode(self, mode: Mode, override_s: float) -> None:
        with suppress(TorosError):
            self.controller.rights.set_mode(mode, override_s, "eve", self.now())

    @rule()
    def acknowledge(self) -> None:
        self.controller.rights.acknowledge("eve")

    @rule(where=st.sampled_from([10.0, 190.0, "park"]), holder=HOLDERS)
    def order_to_turn(self, where: Any, holder: str) -> None:
        with suppress(TorosError):
            self.controller.turning.begin(where, holder, for_lease=False)

    # Faults

    @rule(call=st.sampled_from(CALLS))
    def a_call_hangs(self, call: str) -> None:
        self.dome.hung.add(call)

    @rule(call=st.sampled_from(CALLS), count=st.integers(1, 5))
    def a_call_fails(self, call: str, count: int) -> None:
        self.dome.fail.setdefault(call, []).extend(late() for _ in range(count))

    @rule(call=st.sampled_from(["open_shutter", "close_shutter", "slew_to_azimuth"]))
    def an_answer_is_lost(self, call: str) -> None:
        self.dome.lost.add(call)

    @rule(what=st.sampled_from(["stuck", "error", "mount", "unparked", "disconnected"]))
    def something_breaks(self, what: str) -> None:
        if what == "stuck":
            self.dome.stuck_at = self.dome.fraction()
        elif what == "error":
            self.dome.error = True
        elif what == "mount":
            self.mount.hung = True
        elif what == "unparked":
            self.mount.unpark()
        else:
            self.dome.is_connected = False

    @rule()
    def all_is_mended(self) -> None:
        self.trouble_s = self.now()
        if self.dome.stuck_at is not None:
            self.dome.from_open, self.dome.moved_s = self.dome.stuck_at, self.now()
            self.dome.stuck_at = None
        self.dome.error = self.mount.hung = False
        self.dome.hung.clear()
        self.dome.lost.clear()
        self.dome.fail.clear()

    @precondition(lambda self: "shutter" not in self.dome.hung)
    @rule()
    def a_person_opens_it_at_the_dome(self) -> None:
        self.trouble_s = self.now()
        self.dome.fail.pop("shutter", None)
        self.dome._move("open")
        self.pass_time(0.6)

    @rule(orderly=st.booleans())
    def restart(self, orderly: bool) -> None:
        if orderly:
            self.controller.go_down()
            for _ in range(100):
                if self.controller.at_rest():
                    break
                self.pass_time(STEP_S)
        self.trouble_s = self.now()
        # What was sent arrives, though nobody waits for it any more.
        self.dome.orphans += self.crew.on_their_way()
        self.start()

    # The promises

    def attempts(self) -> int:
        return sum(hand.begun for hand in self.crew.hands if hand.name.startswith("dome-close"))

    def hands_hang(self) -> bool:
        """Whether a command to close is under way that does not come back."""
        return self.crew.pending("dome-close")

    def roof_waits(self) -> bool:
        return self.settings.enclosure == "roll-off"

    def must_be_closed(self) -> bool:
        """Say whether nobody may have it open, written down without the rules."""
        rights, now_s = self.controller.rights, self.now()
        if rights.mode is Mode.MANUAL and rights.override_s(now_s) > 0:
            return False
        young = now_s - self.started_s <= 3.5
        bad_weather = not self.sky.safe and (self.sky.known or not young)
        held = rights.held(now_s) is not None
        alone = rights.mode is Mode.AUTOMATIC and not held and now_s - self.started_s > LEASE_S
        return bad_weather or self.sun.reason is not None or alone

    def keep_promises(self) -> None:
        assert self.dome.wrongs == []
        assert self.dome.opens_sent <= self.opens, "an order to open was sent twice"
        now_s = self.now()
        truly_open = self.dome.fraction() > 0.0
        faulty = (
            self.dome.hung or self.dome.lost or any(self.dome.fail.values()) or self.dome.error
            or self.dome.stuck_at is not None or self.mount.hung
        )  # fmt: skip
        if faulty:
            self.trouble_s = now_s
        if not (truly_open and self.must_be_closed()):
            self.exposed_s = None
        elif self.exposed_s is None:
            self.exposed_s = now_s
        if self.exposed_s is not None:
            self.keep_the_promise_to_close(now_s, self.exposed_s)
        self.tell_the_truth(now_s)

    def keep_the_promise_to_close(self, now_s: float, exposed_s: float) -> None:
        sent = [hand.begun_s for hand in self.crew.hands if hand.name.startswith("dome-close")]
        commanded = max(sent) >= exposed_s - STEP_S or self.hands_hang()
        closing = self.controller.closing.current
        under_way = closing is not None and closing.sent_s is not None
        assert commanded or under_way or now_s - exposed_s <= self.limit_s + STEP_S
        quiet_s = now_s - max(exposed_s, self.trouble_s)
        assert quiet_s <= CLOSED_S + self.limit_s, "it was told to close, and did not"

    def tell_the_truth(self, now_s: float) -> None:
        told = report.dome_status(self.controller)
        if told["open"] is False:
            assert now_s - self.dome.closed_s <= 3.0 + STEP_S
        waiting = []
        for order_id, sent_s in self.orders:
            found = self.controller.ledger.tell(order_id, None)
            assert found is not None
            if found["status"] == "done":
                assert self.dome.closed_s >= sent_s - STEP_S
            elif found["status"] == "running":
                waiting.append((order_id, sent_s))
        self.orders = waiting


def run(examples: int, steps: int, *, derandomize: bool = True) -> None:
    run_state_machine_as_test(
        DomeMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=derandomize,  # the same examples in each run: a failure is a change's
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        ),
    )


def test_a_sample_of_interleavings_keeps_the_promises() -> None:
    run(examples=25, steps=30)


@pytest.mark.long
def test_five_thousand_steps_keep_the_promises() -> None:
    run(examples=400, steps=50)
