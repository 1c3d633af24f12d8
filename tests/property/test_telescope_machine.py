"""Any interleaving of orders, weather, faults and ends of processes, at a telescope and its dome.

Both are real but for the network between them, on the simulated devices at accelerated time.
What really happened is judged by the world's own record, by the database and by the files.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.property import telescope_promises as promises
from tests.property.telescope_steps import (
    HARDWARE,
    LEASE_S,
    ME,
    SAFE_S,
    Scene,
    TelescopeSide,
    quiet_threads,
    template_in,
)
from tests.unit.telescope.night_parts import DARK, SITE
from toros.dome.rules import Mode
from toros.errors import TorosError
from toros.sky.observability import LocalSky
from toros.telescope.states import State

STARTS = {
    "evening": DARK - timedelta(hours=3, minutes=10),
    "night": DARK,
    "morning": DARK + timedelta(hours=7, minutes=40),
}
"""Some minutes before it is dark, in mid-night, some minutes before it dawns."""
NAMES = ["A", "B", "C"]
FAULTS: list[tuple[str, str, dict[str, Any]]] = [
    ("camera", "error", {}),
    ("camera", "stuck", {"times": 1}),
    ("camera", "download_fails", {"times": 2}),
    ("camera", "fails", {"times": 2}),
    ("camera", "hangs", {"times": 1}),
    ("camera", "drops", {"times": 2, "carried_out": True}),
    ("camera", "disconnected", {}),
    ("mount", "stuck", {"times": 1}),
    ("mount", "fails", {"times": 3}),
    ("mount", "drops", {"times": 2, "carried_out": True}),
    ("mount", "park_lies", {"times": 1}),
    ("mount", "disconnected", {}),
    ("filter_wheel", "stuck", {"times": 1}),
    ("filter_wheel", "fails", {"times": 4}),
    ("cover", "stuck", {"times": 1}),
    ("dome", "shutter_stuck", {}),
    ("dome", "shutter_error", {"times": 1}),
    ("dome", "azimuth_stuck", {"times": 1}),
    ("dome", "fails", {"times": 3}),
    ("dome", "drops", {"times": 2, "carried_out": True}),
    ("dome", "hangs", {"times": 1}),
]
DOME_HINDERED = ("shutter_stuck", "shutter_error", "fails", "drops", "hangs", "disconnected")
PAUSES_S = st.sampled_from([0.0, 0.0, 0.02, 0.05, 0.1])
_SETTLED_S = 20.0
_GOODS = 4
"""How often in a run a good night is waited for."""


class Defects(logging.Handler):
    """Keeps what was logged with a traceback: nobody has foreseen it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[0] is not None:
            self.found.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


class TelescopeMachine(RuleBasedStateMachine):
    """The observatory, and the promises."""

    folder: ClassVar[Path]
    template: ClassVar[Path]

    @initialize(start=st.sampled_from(["night", "night", "evening", "morning"]),
                stage=st.sampled_from([3, 3, 2]))  # fmt: skip
    def begin(self, start: str, stage: int) -> None:
        self.place = Path(tempfile.mkdtemp(dir=self.folder))
        self.defects = Defects()
        logging.getLogger("toros").addHandler(self.defects)
        self.deeds = promises.Deeds()
        self.accepted: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        self.revisions = dict.fromkeys(["S1", "S2"], 0)
        self.numbers = self.goods = 0
        self.scene = Scene(self.place, self.template, STARTS[start], stage)
        self.wait(lambda: self.telescope.parts.record.date, 5.0)

    @property
    def telescope(self) -> TelescopeSide:
        assert self.scene.telescope is not None
        return self.scene.telescope

    def alive(self) -> bool:
        return self.scene.telescope is not None

    def wait(self, is_so: Callable[[], object], limit_s: float) -> bool:
        """Wait until something is so; False if it is not in time."""
        deadline = time.monotonic() + limit_s
        while not is_so():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)
        if self.alive():
            self.telescope.begin()

    # ---- orders ---------------------------------------------------------------------------

    def send(self, request: str, **fields: Any) -> dict[str, Any] | None:
        """Send an order; None if it was refused."""
        self.numbers += 1
        order = {"request": request, "id": f"o{self.numbers}", **fields}
        with suppress(TorosError):
            told = self.telescope.desk.front_desk(order, ME)
            if told.get("status") == "queued":
                self.accepted[order["id"]] = (order, told)
            return told
        return None

    def high_ra(self, hours_west: float) -> float:
        sky = LocalSky(SITE, self.scene.clock.now())
        sidereal_h = float(sky.hour_angle(sky.place([0.0], [0.0]))[0, 0])
        return (sidereal_h - hours_west) * 15.0 % 360.0

    @precondition(alive)
    @rule(hours=st.sampled_from([-2.5, -1.5, 1.5, 2.5, 8.0]), dec=st.sampled_from([-50.0, 0.0]),
          number=st.integers(1, 3), exposure_s=st.sampled_from([2.0, 15.0, 60.0]),
          name=st.sampled_from([None, "B"]), hurry=st.booleans(), pause_s=PAUSES_S)  # fmt: skip
    def order_a_target(
        self, hours: float, dec: float, number: int, exposure_s: float, name: str | None,
        hurry: bool, pause_s: float,
    ) -> None:  # fmt: skip
        over = {"not_after": promises.later(self.scene.clock.now(), 240.0)} if hurry else {}
        self.send(
            "observation", ra=self.high_ra(hours), dec=dec, exposure_time=exposure_s,
            number_of_exposures=number, **({} if name is None else {"filter": name}), **over,
        )  # fmt: skip
        self.pause(pause_s)

    @precondition(alive)
    @rule(event=st.sampled_from(["S1", "S2"]), names=st.sets(st.sampled_from(NAMES)),
          old=st.booleans(), hurry=st.booleans(), pause_s=PAUSES_S)  # fmt: skip
    def an_alert(self, event: str, names: set[str], old: bool, hurry: bool, pause_s: float) -> None:
        self.revisions[event] += not old
        where = {"A": -2.0, "B": 1.0, "C": 2.0}
        targets = [{"name": n, "ra": self.high_ra(where[n]), "dec": -45.0} for n in sorted(names)]
        self.send(
            "receive_targets", event=event, revision=self.revisions[event],
            number_of_exposures=2, exposure_time=10.0,
            targets=targets,
            **({"expiry": promises.later(self.scene.clock.now(), 300.0)} if hurry else {}),
        )  # fmt: skip
        self.pause(pause_s)

    @precondition(alive)
    @rule(what=st.sampled_from(["S1", "S2", "target"]), number=st.integers(1, 6))
    def withdraw(self, what: str, number: int) -> None:
        fields: dict[str, Any] = {"target": number} if what == "target" else {"event": what}
        self.send("withdraw_targets", **fields)

    @precondition(alive)
    @rule(number=st.integers(0, 9), cancels=st.booleans())
    def an_order_again(self, number: int, cancels: bool) -> None:
        """Cancel an order, or send it a second time: it is known, and not done twice."""
        if number >= len(self.accepted):
            return
        order_id = sorted(self.accepted)[-1 - number]
        order, receipt = self.accepted[order_id]
        with suppress(TorosError):
            if cancels:
                self.telescope.desk.front_desk({"request": "cancel_order", "order": order_id}, ME)
            else:
                assert self.telescope.desk.front_desk(order, ME) == receipt

    @precondition(alive)
    @rule(request=st.sampled_from([
        "prepare_night", "open_night", "open_night", "close_night", "open_dome", "close_dome",
        "abort", "acknowledge", "schedule_night"]), pause_s=PAUSES_S)  # fmt: skip
    def ask_of_the_night(self, request: str, pause_s: float) -> None:
        self.send(request)
        self.pause(pause_s)

    @precondition(alive)
    @rule(mode=st.sampled_from(["automatic", "automatic", "manual"]))
    def choose_mode(self, mode: str) -> None:
        self.send("set_mode", mode=mode)

    @precondition(alive)
    @rule(hours=st.sampled_from([-2.0, 2.0, 10.0]), pause_s=PAUSES_S)
    def point(self, hours: float, pause_s: float) -> None:
        self.send("point", ra=self.high_ra(hours), dec=-40.0)
        self.pause(pause_s)

    @precondition(alive)
    @rule(kind=st.sampled_from(["light", "bias", "dark", "flat"]), pause_s=PAUSES_S)
    def take(self, kind: str, pause_s: float) -> None:
        if kind == "light":
            self.send("take_images", exposure_time=5.0, number_of_exposures=2, filter="V")
        else:
            exposure = {"exposure_time": 5.0} if kind == "dark" else {}
            light = {"light": "lamp", "filter": "V"} if kind == "flat" else {}
            self.send(
                "take_calibration_frames", type=kind, number_of_exposures=2, **exposure, **light
            )
        self.pause(pause_s)

    # ---- what happens to it ---------------------------------------------------------------

    @rule(pause_s=st.sampled_from([0.05, 0.1, 0.2, 0.3]))
    def time_passes(self, pause_s: float) -> None:
        self.pause(pause_s)

    @rule(how=st.sampled_from(["bad", "bad", "stale"]), stays=st.booleans())
    def the_weather_turns_bad(self, how: str, stays: bool) -> None:
        if how == "bad":
            self.scene.world.set_weather(safe=False)
        else:
            self.scene.world.set_fault("safety_monitor", "stale")
        if stays and not self.dome_is_hindered():
            travel_s = HARDWARE.shutter_s / self.scene.clock.rate
            assert self.wait(self.is_closed, promises.CLOSE_REAL_S + 2 * travel_s), "still open"

    @rule(pause_s=PAUSES_S)
    def the_weather_is_good(self, pause_s: float) -> None:
        self.scene.world.clear_fault("safety_monitor", "stale")
        self.scene.world.set_weather(safe=True)
        self.pause(pause_s)

    @rule(fault=st.sampled_from(FAULTS), pause_s=PAUSES_S)
    def a_device_fails(self, fault: tuple[str, str, dict[str, Any]], pause_s: float) -> None:
        device, name, parameters = fault
        self.scene.world.set_fault(device, name, **parameters)
        self.pause(pause_s)

    @rule(pause_s=PAUSES_S)
    def all_is_mended(self, pause_s: float) -> None:
        self.mend()
        self.pause(pause_s)

    @precondition(lambda self: self.goods < _GOODS)
    @rule()
    def a_good_night(self) -> None:
        """All is well, and the night has time to open: without it most runs observe little."""
        self.all_is_back()
        self.mend()
        self.the_weather_is_good(SAFE_S)
        if not self.alive():
            self.scene.start()
        self.pause(0.1)
        self.send("acknowledge")
        self.send("set_mode", mode="automatic")
        self.order_a_target(1.5, -50.0, 2, 15.0, "R", hurry=False, pause_s=0.0)
        self.wait(lambda: self.telescope.parts.camera.exposing, 1.0)
        self.goods += 1

    @rule(what=st.sampled_from(["database", "link"]), seconds=st.sampled_from([0.05, 0.2]))
    def something_is_away(self, what: str, seconds: float) -> None:
        setattr(self.scene, f"{what}_away", True)
        time.sleep(seconds)

    @rule()
    def all_is_back(self) -> None:
        self.scene.database_away = self.scene.link_away = False
        self.pause(0.0)

    @precondition(alive)
    @rule(
        orderly=st.sampled_from([False, False, True]),
        for_long=st.sampled_from([False] * 5 + [True]),
    )
    def the_telescope_ends(self, orderly: bool, for_long: bool) -> None:
        self.end_telescope(orderly=orderly)
        if for_long and not self.dome_is_hindered():
            limit_s = LEASE_S + promises.CLOSE_REAL_S
            assert self.wait(self.is_closed, limit_s), "open, and nobody is there"

    @precondition(alive)
    @rule()
    def it_is_killed_in_an_exposure(self) -> None:
        if self.wait(lambda: self.telescope.parts.camera.exposing, 0.3):
            self.end_telescope(orderly=False)
            self.scene.start()

    @precondition(lambda self: not self.alive())
    @rule(pause_s=PAUSES_S)
    def the_telescope_starts(self, pause_s: float) -> None:
        self.scene.start()
        self.pause(pause_s)

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.4]))
    def the_dome_is_killed(self, seconds: float) -> None:
        self.scene.dome.kill()
        time.sleep(seconds)
        self.scene.dome.start()

    def end_telescope(self, *, orderly: bool) -> None:
        telescope, self.scene.telescope = self.telescope, None
        if orderly:
            telescope.stop()
        else:
            self.deeds.kills_real_s.append(time.monotonic())
            telescope.kill()

    def mend(self) -> None:
        for device in ("camera", "mount", "filter_wheel", "focuser", "cover", "dome"):
            self.scene.world.clear_faults(device)
        rights = self.scene.dome.controller.rights
        rights.acknowledge("eve")
        rights.set_mode(Mode.AUTOMATIC, 0.0, "eve", self.scene.dome.controller.now())

    def is_closed(self) -> bool:
        return self.scene.world.dome_file.read().shutter.at(self.scene.clock.monotonic()) == 0.0

    def dome_is_hindered(self) -> bool:
        active = self.scene.world.faults.active
        return any(active("dome", name) is not None for name in DOME_HINDERED)

    # ---- the end --------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "scene"):
            return
        try:
            self.settle()
            self.judge()
        finally:
            logging.getLogger("toros").removeHandler(self.defects)
            if self.alive():
                self.telescope.kill()
                self.scene.telescope = None
            self.scene.end()
            shutil.rmtree(self.place, ignore_errors=True)

    def settle(self) -> None:
        """Mend all, end what people asked for by hand, and have all of it recorded."""
        self.mend()
        self.scene.world.clear_faults()
        self.scene.world.set_weather(safe=True)
        self.scene.database_away = self.scene.link_away = False
        if not self.alive():
            self.scene.start()
        assert self.wait(self.has_begun, _SETTLED_S), "it does not take up its work"
        for order_id, (order, _) in self.accepted.items():
            if order["request"] not in ("observation", "receive_targets", "withdraw_targets"):
                with suppress(TorosError):
                    self.telescope.desk.front_desk(
                        {"request": "cancel_order", "order": order_id}, ME
                    )
        assert self.wait(self.by_hand_is_over, _SETTLED_S), f"{self.left_by_hand()} do not end"
        telescope = self.telescope
        telescope.engine.suspend("the end of the test")
        state = telescope.parts.record
        assert self.wait(
            lambda: state.state not in (State.OPEN, State.OBSERVING, State.CALIBRATING), _SETTLED_S
        ), f"it does not stop: {state.state}"
        assert self.wait(telescope.parts.is_settled, _SETTLED_S), "something is not recorded"
        told: list[str] = []

        def fits() -> bool:
            told[:] = promises.order_wrongs(self.scene.reader, self.accepted)
            return not told

        telescope.parts.targets.changed()
        assert self.wait(fits, _SETTLED_S), told

    def has_begun(self) -> bool:
        self.telescope.begin()
        return self.telescope.desk.database_is_ready and self.telescope.engine._recovered

    def left_by_hand(self) -> list[str]:
        left = []
        for order_id, (order, _) in self.accepted.items():
            if order["request"] == "observation":
                continue
            told = self.telescope.desk.front_desk({"request": "status", "order": order_id}, ME)
            if told["status"] in ("queued", "running"):
                left.append(f"{order_id} {order['request']}")
        return left

    def by_hand_is_over(self) -> bool:
        return not self.left_by_hand()

    def judge(self) -> None:
        scene, limits = self.scene, self.scene.settings.telescope.limits
        events = scene.world.truth()
        end_s = scene.clock.monotonic()
        wrongs = [
            *promises.hardware_wrongs(events, end_s, SITE, limits.altitude_deg, HARDWARE.shutter_s),
            *promises.frame_wrongs(
                events,
                scene.world.moment,
                scene.reader,
                self.telescope.parts.store.folder,
                self.deeds,
            ),
            *promises.target_wrongs(scene.reader),
            *promises.telling_wrongs(scene.reader),
            *promises.state_wrongs(scene.reader),
            *self.defects.found,
        ]
        if wrongs:
            for event in events:
                note(f"{event.simulated_s:.1f} {event.device} {event.event} {dict(event.values)}")
        assert not wrongs, "\n".join(wrongs)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("machine")
    undo = quiet_threads()
    yield type("Machine", (TelescopeMachine,), {"folder": folder, "template": template_in(folder)})
    undo()


def run(machine: type[TelescopeMachine], examples: int, steps: int, number: int) -> None:
    # The same examples in each run: a failure is a change's. No shrinking: time is real in part,
    # so that an example that fails may do so only now and then.
    run_state_machine_as_test(
        seeded(number)(type("Seeded", (machine,), {})),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )


def test_a_sample_of_interleavings_keeps_the_promises(machine: type[TelescopeMachine]) -> None:
    run(machine, examples=5, steps=30, number=1)


@pytest.mark.long
@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_five_thousand_steps_keep_the_promises(
    machine: type[TelescopeMachine], number: int
) -> None:
    run(machine, examples=25, steps=50, number=number)
