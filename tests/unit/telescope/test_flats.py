"""Exposure control of flats, in simulated twilights and before a lamp."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toros.telescope.flats import (
    TWILIGHT_PER_S,
    FlatControl,
    Light,
    Sample,
    Verdict,
    order_filters,
)

BIAS = 1000.0


def control(light: Light, tolerance: float = 0.3) -> FlatControl:
    return FlatControl(light, 25000.0, tolerance, BIAS, 1.0, 60.0, 65000.0)


class Twilight:
    """A sky of its own law: its logarithm bends, and the detector adds noise."""

    def __init__(self, rate: float, grows: float, bend: float, noise: float, seed: int) -> None:
        self.rate, self.grows, self.bend, self.noise = rate, grows, bend, noise
        self.rng = np.random.default_rng(seed)

    def level(self, start: float, exposure: float) -> float:
        t = np.linspace(start, start + exposure, 50)
        light = self.rate * np.exp(self.grows * t + self.bend * (t / 1000) ** 2)
        signal = light.mean() * exposure * (1 + self.noise * self.rng.standard_normal())
        return min(BIAS + signal, 65535.0)


def run(
    flats: FlatControl, sky: Twilight, *, readout_s: float = 10.0, count: int = 12
) -> tuple[list[Sample], str, float]:
    """Follow the advice for an hour and a half at most."""
    now, taken = 0.0, []
    while now < 5400 and len(taken) < count + 3:
        advice = flats.advise(now, taken)
        if advice.verdict is Verdict.END:
            return taken, advice.reason, now
        if advice.verdict is Verdict.WAIT:
            assert 0 < advice.wait_s <= 120
            now += advice.wait_s
            continue
        assert 1 <= advice.exposure_s <= 60
        taken = [*taken, Sample(now, advice.exposure_s, sky.level(now, advice.exposure_s))]
        now += advice.exposure_s + readout_s
    return taken, "", now


@settings(max_examples=150, deadline=None)
@given(
    light=st.sampled_from(["evening", "morning"]),
    first_exposure=st.floats(1.5, 25),
    speed=st.floats(0.5, 1.5),
    bend=st.floats(-0.3, 0.3),
    readout=st.floats(1, 40),
    seed=st.integers(0, 10_000),
)
def test_levels_are_kept_after_the_first_two(
    light: Light, first_exposure: float, speed: float, bend: float, readout: float, seed: int
) -> None:
    flats = control(light)
    grows = flats._expected_growth * speed
    sky = Twilight(24000 / first_exposure, grows, bend, 0.01, seed)
    taken, _, _ = run(flats, sky, readout_s=readout)
    assert len(taken) >= 2
    for sample in taken[2:]:
        assert flats.accepts(sample.level_adu), taken


@settings(max_examples=150, deadline=None)
@given(
    light=st.sampled_from(["evening", "morning"]),
    minutes=st.floats(3, 40),
    speed=st.floats(0.4, 1.9),
    readout=st.floats(1, 40),
    seed=st.integers(0, 10_000),
)
def test_a_start_in_too_much_or_too_little_light_comes_to_flats(
    light: Light, minutes: float, speed: float, readout: float, seed: int
) -> None:
    """At dusk the first look is saturated, at dawn it is dark; some minutes later it is not."""
    flats = control(light)
    grows = flats._expected_growth * speed
    # The light at which the shortest exposure is just too long, or the longest too short.
    edge = 24000 / (1 if light == "evening" else 60)
    sky = Twilight(edge * math.exp(-grows * 60 * minutes), grows, 0, 0.01, seed)
    taken, _, now = run(flats, sky, readout_s=readout, count=60)
    good = [s for s in taken if flats.accepts(s.level_adu)]
    assert good, (taken, now)
    # The light has its range of exposures, 60 to 1, for ln(60) / rate: hardly any is lost.
    assert good[0].start_s < 60 * minutes + 0.25 * math.log(60) / abs(grows) + 2 * (60 + readout)
    before = [s for s in taken if s.start_s < good[0].start_s]
    assert len(before) <= 3 + minutes / 2
    after = [s for s in taken if s.start_s > good[0].start_s][1:-1]
    assert all(flats.accepts(s.level_adu) for s in after), taken


def test_a_saturated_frame_is_followed_by_a_look_as_soon_as_the_light_may_be_there() -> None:
    flats, saturated = control("evening"), [Sample(0.0, 1.0, 65535.0)]
    fades_s = math.log((65535 - BIAS) / 24000) / TWILIGHT_PER_S
    assert flats.advise(0.9 * fades_s, saturated).verdict is Verdict.WAIT
    look = flats.advise(fades_s + 1, saturated)
    assert (look.verdict, look.exposure_s, look.look) == (Verdict.EXPOSE, 1.0, True)
    # And long after: what it is now, nobody knows.
    assert flats.advise(7200.0, saturated).look


def test_a_dark_frame_is_followed_by_the_longest_that_cannot_be_too_long() -> None:
    # At dawn: at most 48 ADU in a second, so at most 2880 in the longest, now.
    dark = [Sample(0.0, 1.0, BIAS - 3)]
    flats = control("morning")
    assert flats.advise(10.0, dark).verdict is Verdict.WAIT
    look = flats.advise(10.0 + math.log(24000 / 2880) / TWILIGHT_PER_S, dark)
    assert (look.verdict, look.look) == (Verdict.EXPOSE, True)
    assert look.exposure_s > 40
    # At dusk, with exposures that reach that far: it is not the end yet.
    reach = FlatControl("evening", 25000.0, 0.3, BIAS, 0.05, 60.0, 65000.0)
    look = reach.advise(10.0, [Sample(0.0, 0.05, BIAS + 3)])
    assert (look.verdict, look.look) == (Verdict.EXPOSE, True)
    assert look.exposure_s == pytest.approx(25, rel=0.1)
    assert reach.advise(60.0, [Sample(10.0, 25.0, BIAS + 3)]).verdict is Verdict.END


def test_what_a_frame_told_long_ago_is_no_reason_to_wait_or_end() -> None:
    too_bright, too_faint = Sample(0.0, 1.0, BIAS + 120000), Sample(0.0, 60.0, BIAS + 4800)
    for light, sample in (("evening", too_bright), ("morning", too_faint)):
        flats = dataclasses.replace(control(light), saturation_adu=1e6)
        assert flats.advise(sample.exposure_s + 299.0, [sample]).verdict is Verdict.WAIT
        # At twice the usual pace it is in reach by now, at a third of it not.
        assert flats.advise(sample.exposure_s + 301.0, [sample]).look
        assert flats.advise(3600.0, [sample]).look
    # After an hour even the slowest dusk is over.
    assert control("evening").advise(3600.0, [too_faint]).verdict is Verdict.END
    assert control("morning").advise(3600.0, [too_bright]).verdict is Verdict.END


@pytest.mark.parametrize("seed", range(5))
def test_in_the_published_twilight_flats_are_near_the_target(seed: int) -> None:
    flats = control("evening")
    taken, reason, _ = run(flats, Twilight(12000, -TWILIGHT_PER_S, 0, 0.005, seed), count=200)
    levels = np.array([s.level_adu for s in taken[2:]])
    assert len(levels) >= 8
    assert np.median(abs(levels - 25000)) < 500
    assert "too faint" in reason


def test_the_exposure_allows_for_the_light_that_fades_meanwhile() -> None:
    flats = control("evening")
    rate, grows = 800.0, -TWILIGHT_PER_S
    first = Sample(0.0, 10.0, BIAS + rate * 10 * math.exp(grows * 5))
    advice = flats.advise(20.0, [first])
    assert advice.verdict is Verdict.EXPOSE
    # Tyson and Gal, by a sum over the exposure.
    t = np.linspace(20, 20 + advice.exposure_s, 20001)
    gathered = np.mean(rate * np.exp(grows * t)) * advice.exposure_s
    assert gathered == pytest.approx(24000, rel=0.002)
    assert advice.exposure_s > 24000 / (rate * math.exp(grows * 20))


def test_too_bright_in_the_evening_is_waited_for() -> None:
    flats = control("evening")
    advice = flats.advise(10.0, [Sample(0.0, 1.0, 65535.0)])
    assert (advice.verdict, "too bright" in advice.reason) == (Verdict.WAIT, True)
    sky = Twilight(400000, -TWILIGHT_PER_S, 0, 0.005, 1)
    taken, _, _ = run(flats, sky, count=30)
    assert flats.accepts(taken[-1].level_adu)
    assert sum(flats.accepts(s.level_adu) for s in taken) > 5


def test_too_bright_in_the_morning_is_the_end() -> None:
    advice = control("morning").advise(10.0, [Sample(0.0, 1.0, 65535.0)])
    assert (advice.verdict, "too bright" in advice.reason) == (Verdict.END, True)


def test_too_faint_in_the_evening_is_the_end() -> None:
    advice = control("evening").advise(10.0, [Sample(0.0, 1.0, BIAS + 5)])
    assert (advice.verdict, "too faint" in advice.reason) == (Verdict.END, True)


def test_too_faint_in_the_morning_is_waited_for() -> None:
    for level in (BIAS - 3, BIAS + 5, BIAS + 100):
        advice = control("morning").advise(10.0, [Sample(0.0, 1.0, level)])
        assert (advice.verdict, "too faint" in advice.reason) == (Verdict.WAIT, True)
    sky = Twilight(30, TWILIGHT_PER_S, 0, 0.005, 1)
    taken, reason, _ = run(control("morning"), sky, count=300)
    assert sum(control("morning").accepts(s.level_adu) for s in taken) > 5
    assert "too bright" in reason


def test_a_saturated_long_one_is_taken_again_short() -> None:
    for light in ("evening", "morning", "lamp"):
        advice = control(light).advise(10.0, [Sample(0.0, 8.0, 65535.0)])
        assert (advice.verdict, advice.exposure_s) == (Verdict.EXPOSE, 1.0)


def test_a_lamp_needs_two() -> None:
    flats = control("lamp", tolerance=0.02)
    taken, _, _ = run(flats, Twilight(3000, 0, 0, 0.001, 1), count=6)
    assert all(flats.accepts(s.level_adu) for s in taken[1:])


@pytest.mark.parametrize(("rate", "what"), [(100.0, "too faint"), (60000.0, "too bright")])
def test_a_lamp_that_does_not_suit_is_the_end(rate: float, what: str) -> None:
    taken, reason, _ = run(control("lamp"), Twilight(rate, 0, 0, 0.001, 1))
    assert len(taken) == 1
    assert what in reason


def test_what_is_accepted() -> None:
    flats = control("evening", 0.25)
    assert flats.accepts(25000 + 5999)
    assert not flats.accepts(25000 + 6001)
    assert not flats.accepts(25000 - 6001)


@pytest.mark.parametrize(
    ("names", "evening"),
    [
        (["Clear", "R", "V", "B", "U"], ["U", "B", "V", "R", "Clear"]),
        (["r'", "g'", "z'", "Halpha"], ["Halpha", "z'", "r'", "g'"]),
        (["SDSS g", "SDSS u"], ["SDSS u", "SDSS g"]),
        ([], []),
    ],
)
def test_filters_by_name(names: list[str], evening: list[str]) -> None:
    assert order_filters(names, "evening") == evening
    assert order_filters(names, "morning") == evening[::-1]
    assert order_filters(names, "lamp") == names


def test_filters_as_measured() -> None:
    measured = {"B": 900.0, "R": 100.0}
    assert order_filters(["B", "R"], "evening", measured) == ["R", "B"]


@pytest.mark.parametrize(
    "numbers", [{"target_adu": 900.0}, {"target_adu": 70000.0}, {"shortest_s": 80.0}]
)
def test_numbers_that_make_no_control(numbers: dict[str, float]) -> None:
    usual = {
        "light": "evening", "target_adu": 25000.0, "tolerance": 0.3, "bias_adu": BIAS,
        "shortest_s": 1.0, "longest_s": 60.0, "saturation_adu": 65000.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="it must be|they must be"):
        FlatControl(**(usual | numbers))
