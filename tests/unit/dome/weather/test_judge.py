"""The judge and its readers: real threads, real time, sources that fail in every way."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.unit.dome.weather.parts import (
    HandClock,
    ScriptedSource,
    observe,
    send,
    station,
    until,
)
from toros.clock import REAL, Clock, from_iso
from toros.config import Settings
from toros.config.enclosure import Dome, Weather, WeatherLimit, WeatherSource
from toros.devices.protocols import Reading
from toros.dome.weather import Judge, make_sources
from toros.dome.weather.observation import Observation
from toros.errors import DeviceFault, DeviceNotConnected, DeviceTimeout

WIND = WeatherLimit(quantity="wind_speed", above=12.0, bad_delay_s=0.0, good_delay_s=0.0)


class Judges:
    """Makes judges and stops them at the end."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(
        self,
        *sources: ScriptedSource,
        limits: tuple[WeatherLimit, ...] = (WIND,),
        before_s: float = 0.0,
        clock: Clock = REAL,
    ) -> Judge:
        return self._stack.enter_context(Judge(Weather(limits=limits), before_s, sources, clock))


@pytest.fixture
def judges() -> Iterator[Judges]:
    with ExitStack() as stack:
        yield Judges(stack)


def test_without_sources_the_weather_is_unknown(judges: Judges) -> None:
    verdict = judges().verdict()
    assert (verdict.safe, verdict.may_open, verdict.known) == (False, False, False)
    assert "no source is configured" in verdict.reasons[0]


def test_before_the_first_reading_it_is_unknown(judges: Judges) -> None:
    source = ScriptedSource()
    hold = threading.Event()
    source.answer = lambda: observe(safe=1) if hold.wait(5) else observe()
    judge = judges(source)
    assert not judge.verdict().known
    hold.set()
    until(lambda: judge.verdict().may_open)


def test_what_turns_bad_is_in_the_verdict_at_once(judges: Judges) -> None:
    source = ScriptedSource()
    judge = judges(source)
    until(lambda: judge.verdict().safe)
    source.answer = observe(safe=0)
    assert until(lambda: not judge.verdict().safe) < 2
    source.answer = observe(safe=1, wind_speed=13)
    until(lambda: "wind_speed" in "".join(judge.verdict().reasons))


def test_a_hung_source_delays_nobody_and_its_data_age(judges: Judges) -> None:
    hold = threading.Event()
    hung, well = ScriptedSource("hung", age_limit_s=1.0), ScriptedSource("well")
    judge = judges(hung, well)
    until(lambda: judge.verdict().safe)
    hung.answer = lambda: observe(safe=1) if hold.wait(20) else observe()
    began = time.monotonic()
    reads = well.reads
    until(lambda: not judge.verdict().safe)
    assert 0.8 < time.monotonic() - began < 3
    assert well.reads > reads + 10
    assert "hung: its last reading is 1 s old" in judge.verdict().reasons[0]
    hold.set()
    until(lambda: judge.verdict().safe)


def test_a_source_that_does_not_answer_is_unsafe_at_its_age_limit(judges: Judges) -> None:
    source = ScriptedSource(age_limit_s=1.0)
    judge = judges(source)
    until(lambda: judge.verdict().safe)
    source.answer = DeviceTimeout("station: no answer within 3 s")
    began = time.monotonic()
    until(lambda: not judge.verdict().safe)
    assert 0.8 < time.monotonic() - began < 3
    assert "no answer within 3 s" in judge.verdict().reasons[0]


@pytest.mark.parametrize(
    "error", [DeviceNotConnected("let go"), DeviceFault("broken"), ZeroDivisionError("a defect")]
)
def test_a_source_that_is_unknown_is_unsafe_at_once(judges: Judges, error: Exception) -> None:
    source = ScriptedSource()
    judge = judges(source)
    until(lambda: judge.verdict().safe)
    source.answer = error
    assert until(lambda: not judge.verdict().safe) < 2
    assert str(error) in judge.verdict().reasons[0]
    source.answer = observe(safe=1)
    until(lambda: judge.verdict().safe)


def test_one_odd_answer_is_asked_about_before_it_is_believed(judges: Judges) -> None:
    source = ScriptedSource()
    odd = iter(
        [DeviceFault("a hiccup"), Observation({"safe": Reading(1.0, 0.0)}, {"humidity": "?"})]
    )
    limits = (WeatherLimit(quantity="humidity", above=85.0, good_delay_s=0.0),)
    judge = judges(source, limits=limits)
    source.answer = observe(safe=1, humidity=40)
    until(lambda: judge.verdict().safe)

    def answer() -> Observation:
        told = next(odd, None)
        if isinstance(told, Exception):
            raise told
        return told or observe(safe=1, humidity=40)

    source.answer = answer
    began = source.reads
    while source.reads < began + 10:
        assert judge.verdict().safe
        time.sleep(0.002)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_that_dies_is_unknown_and_is_started_anew(judges: Judges) -> None:
    source = ScriptedSource()
    judge = judges(source, before_s=0.0)
    until(lambda: judge.verdict().safe)
    source.answer = SystemExit()
    until(lambda: not judge.verdict().safe)
    assert "the thread that reads it has ended" in judge.verdict().reasons[0]
    source.answer = observe(safe=1)
    time.sleep(0.1)
    assert not judge.verdict().safe
    judge.sample()
    until(lambda: judge.verdict().safe)


def test_after_the_stop_nothing_is_known(judges: Judges) -> None:
    judge = judges(ScriptedSource())
    until(lambda: judge.verdict().safe)
    judge.stop()
    judge.sample()
    time.sleep(0.05)
    assert "not read any more" in judge.verdict().reasons[0]


def test_many_threads_may_ask_and_each_source_is_read_by_one() -> None:
    source = ScriptedSource("asked by many")
    judge = Judge(Weather(), 0.0, [source], REAL)
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait(5)
        judge.sample()
        judge.verdict()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert sum(t.name == "weather: asked by many" for t in threading.enumerate()) == 1
    judge.stop()


def test_stopping_does_not_wait_for_a_hung_source() -> None:
    hold = threading.Event()
    source = ScriptedSource()
    source.answer = lambda: observe(safe=1) if hold.wait(20) else observe()
    judge = Judge(Weather(), 0.0, [source], REAL)
    judge.sample()
    until(lambda: source.reads == 1)
    began = time.monotonic()
    judge.stop(0.2)
    assert time.monotonic() - began < 1
    hold.set()
    time.sleep(0.1)
    assert not judge.verdict().known  # what came after the stop does not count


def test_verdicts_come_at_once_though_all_hang(judges: Judges) -> None:
    hold = threading.Event()
    sources = [ScriptedSource(f"station {n}") for n in range(5)]
    for source in sources:
        source.answer = lambda: observe(safe=1) if hold.wait(20) else observe()
    judge = judges(*sources)
    began = time.monotonic()
    for _ in range(100):
        judge.sample()
        judge.verdict()
    assert time.monotonic() - began < 1
    hold.set()


def test_delays_are_those_of_the_simulated_clock(judges: Judges) -> None:
    clock = HandClock()
    source = ScriptedSource()
    judge = judges(source, before_s=600.0, clock=clock)
    until(lambda: judge.verdict().safe)
    assert not judge.verdict().may_open
    clock.pass_s(600)
    verdict = judge.verdict()
    assert verdict.may_open
    assert (clock.now() - verdict.since).total_seconds() == pytest.approx(600)


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_setting_the_wall_clock_changes_nothing(judges: Judges, step_s: float) -> None:
    clock = HandClock()
    judge = judges(ScriptedSource(), before_s=600.0, clock=clock)
    until(lambda: judge.verdict().safe)
    clock.pass_s(599)
    clock.step_s(step_s)
    verdict = judge.verdict()
    assert verdict.safe
    assert not verdict.may_open
    assert verdict.safe_for_s == pytest.approx(599)
    clock.pass_s(1)
    assert judge.verdict().may_open


def test_since_tells_when_it_turned(judges: Judges) -> None:
    clock = HandClock()
    source = ScriptedSource()
    judge = judges(source, clock=clock)
    until(lambda: judge.verdict().safe)
    source.answer = observe(safe=0)
    until(lambda: not judge.verdict().safe)
    clock.pass_s(40)
    assert (clock.now() - judge.verdict().since).total_seconds() == pytest.approx(40)


def test_a_limit_without_effect_is_told_once(
    judges: Judges, caplog: pytest.LogCaptureFixture
) -> None:
    rain = WeatherLimit(quantity="rain_rate", above=0.0)
    source = ScriptedSource()
    source.answer = observe(wind_speed=3)
    judge = judges(source, limits=(WIND, rain))
    until(lambda: judge.verdict().safe)
    for _ in range(3):
        judge.sample()
    assert judge.verdict().notes == ("the limit on rain_rate has no effect: no source measures it",)
    assert [r.getMessage() for r in caplog.records if "no effect" in r.getMessage()] == [
        "weather: the limit on rain_rate has no effect: no source measures it"
    ]


def test_trouble_is_logged_when_it_begins_and_when_it_ends(
    judges: Judges, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    source = ScriptedSource()
    judge = judges(source)
    until(lambda: judge.verdict().safe)
    source.answer = DeviceTimeout("no answer")
    reads = source.reads
    until(lambda: source.reads > reads + 5)
    source.answer = observe(safe=1)
    reads = source.reads
    until(lambda: source.reads > reads + 2)
    texts = [r.getMessage() for r in caplog.records if r.name.endswith("weather.reader")]
    assert texts == [
        "weather: station does not answer: no answer",
        "weather: station is well again",
    ]


def test_a_verdict_travels_as_plain_values(judges: Judges) -> None:
    source = ScriptedSource()
    source.answer = observe(safe=1, wind_speed=3.5)
    judge = judges(source)
    until(lambda: judge.verdict().safe)
    plain = judge.verdict().plain()
    assert plain["safe"] is True
    assert from_iso(str(plain["since"])) <= REAL.now()
    assert plain["sources"][0]["safe"] is True  # type: ignore[index]
    wind = plain["sources"][0]["values"]["wind_speed"]  # type: ignore[index]
    assert (wind["value"], wind["unit"]) == (3.5, "m/s")


def test_real_stations_a_mute_one_and_one_that_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "weather.json"
    path.write_text('{"wind_speed": 3}')
    with (
        station(lambda h: send(h, b'{"safe": true}')) as (url, _),
        socket.create_server(("127.0.0.1", 0)) as mute,
    ):
        sources = (
            WeatherSource(name="file", kind="file", path=path),
            WeatherSource(name="net", kind="url", url=url),
            WeatherSource(
                name="mute", kind="url", url=f"http://127.0.0.1:{mute.getsockname()[1]}/",
                timeout_s=0.5,
            ),
        )  # fmt: skip

        def judge_of(count: int) -> Judge:
            weather = Weather(sources=sources[:count], limits=(WIND,))
            made = make_sources(Settings(dome=Dome(weather=weather)), REAL, lambda *_: None)
            return Judge(weather, 0.0, made, REAL)

        with judge_of(3) as judge:
            until(lambda: len(judge.verdict().reasons) == 1)
            until(lambda: "no full answer within 0.5 s" in judge.verdict().reasons[0])
        with judge_of(2) as judge:
            until(lambda: judge.verdict().may_open)
            path.write_text('{"wind_speed": 30}')
            assert until(lambda: not judge.verdict().safe) < 3
            path.write_text('{"wind_speed": 3}')
            until(lambda: judge.verdict().safe)
            path.write_text('{"wind_speed": ')
            assert until(lambda: not judge.verdict().safe) < 3
