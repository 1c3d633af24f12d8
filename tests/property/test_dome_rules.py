"""The dome's rules for every situation: open only by right, in known and safe weather, in time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import assume, given
from hypothesis import strategies as st

from toros.devices.protocols import ShutterState
from toros.dome import rules
from toros.dome.rules import Grant, Mode, Situation
from toros.errors import FaultLatched, LeaseHeld, OutsideWindow, UnsafeWeather, WrongMode


@dataclass(frozen=True)
class Weather:
    known: bool
    safe: bool
    may_open: bool
    reasons: tuple[str, ...] = ()

    def plain(self) -> dict[str, object]:
        return {}


def weathers() -> st.SearchStrategy[Weather]:
    """What a judge can say: what is unknown is not safe, what is unsafe may not be opened in."""
    said = [
        Weather(known=True, safe=True, may_open=True),
        Weather(known=True, safe=True, may_open=False, reasons=("safe for 3 s only",)),
        Weather(known=True, safe=False, may_open=False, reasons=("rain",)),
        Weather(known=False, safe=False, may_open=False, reasons=("stale",)),
        Weather(known=False, safe=False, may_open=False),
    ]
    return st.sampled_from(said)


holders = st.none() | st.sampled_from(["night", "other"])
grants = st.none() | st.builds(
    Grant,
    by=st.sampled_from(["lease", "hand", "restart"]),
    holder=st.sampled_from(["night", "other"]),
    until_s=st.sampled_from([50.0, 100.0, 150.0]),
)
shutters = st.none() | st.sampled_from(list(ShutterState))


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    shutter = draw(shutters)
    return Situation(
        now_s=100.0,
        shutter=shutter,
        # It was told to open since then, or has not answered for a while.
        believed=draw(st.sampled_from([shutter, ShutterState.OPENING]))
        if shutter is not None
        else draw(shutters),
        unheard_s=draw(st.sampled_from([0.1, 4.0, 20.0])),
        closing=draw(st.booleans()),
        opening=draw(st.booleans()),
        mode=draw(st.sampled_from(list(Mode))),
        grant=draw(grants),
        holder=draw(holders),
        override_s=draw(st.sampled_from([0.0, 0.0, 30.0])),
        fault=draw(st.sampled_from([None, None, "the shutter reports an error"])),
        weather=draw(weathers()),
        outside=draw(st.sampled_from([None, None, "the sun is up"])),
        outside_known=draw(st.booleans()),
        starting=draw(st.booleans()),
        stopping=draw(st.booleans()),
        paused=draw(st.booleans()),
    )


def entitled(s: Situation) -> bool:
    """The promise, written down a second time: by what right a dome is open."""
    if s.grant is None:
        return False
    if s.grant.by == "hand":
        return s.mode is Mode.MANUAL and s.now_s < s.grant.until_s
    if s.mode is not Mode.AUTOMATIC:
        return False
    if s.grant.by == "restart":
        return s.now_s < s.grant.until_s
    return s.holder == s.grant.holder


def good(s: Situation) -> bool:
    weather = s.weather.safe or (s.starting and not s.weather.known)
    heard = s.unheard_s <= rules.SILENT_S
    sun = s.outside is None or (s.starting and not s.outside_known)
    return weather and heard and sun and s.fault is None and not s.stopping


def held_off(s: Situation) -> bool:
    return s.mode is Mode.MANUAL and s.override_s > 0


@given(situations())
def test_what_may_be_open_without_right_or_in_bad_weather_closes(s):
    decision = rules.decide(s)
    due = rules.may_be_open(s) and not (entitled(s) and good(s))
    if held_off(s) or s.paused or s.closing:
        assert decision.close == ()
    else:
        assert bool(decision.close) == due


@given(situations())
def test_only_an_override_in_manual_mode_holds_a_closing_off(s):
    assert rules.decide(s).hold == (held_off(s) and s.closing)


@given(situations())
def test_unless_it_is_known_to_be_closed_it_counts_as_open(s):
    if not rules.may_be_open(s):
        said_closed = s.believed is ShutterState.CLOSED
        just_started = s.believed is None and s.unheard_s <= rules.NEVER_TOLD_S
        assert said_closed or just_started
        assert not s.opening


@given(situations(), st.sampled_from(["night", "other", "eve", ""]), st.booleans())
def test_what_may_be_opened_would_not_be_closed_at_once(s, who, for_lease):
    if rules.refuse_opening(s, who, for_lease=for_lease) is not None:
        return
    assert s.weather.known
    assert s.weather.safe
    assert s.weather.may_open
    assert s.outside is None
    assert s.outside_known
    assert s.fault is None
    assert not s.stopping
    assert s.shutter not in (None, ShutterState.OPENING, ShutterState.CLOSING)
    assert s.believed not in (ShutterState.OPENING, ShutterState.CLOSING)
    by_lease = s.mode is Mode.AUTOMATIC
    assert who == s.holder if by_lease else not for_lease
    until_s = s.now_s + 60.0
    opened = replace(s, grant=Grant("lease" if by_lease else "hand", who, until_s), opening=True)
    assume(s.unheard_s <= rules.SILENT_S)
    assert rules.decide(opened).close == ()


@given(situations(), st.booleans(), st.booleans())
def test_a_latched_error_forbids_all_motion_but_closing(s, slaved, moving):
    latched = replace(s, fault="the shutter reports an error", stopping=False)
    assert isinstance(rules.refuse_opening(latched, "night", for_lease=True), FaultLatched)
    refusal = rules.refuse_turning(latched, "night", for_lease=True, slaved=slaved, moving=moving)
    assert isinstance(refusal, FaultLatched)


@given(situations())
def test_refusals_name_what_is_wrong(s):
    fit = replace(
        s, fault=None, stopping=False, closing=False, opening=False, shutter=ShutterState.CLOSED,
        believed=ShutterState.CLOSED,
        mode=Mode.AUTOMATIC, holder="night", outside=None, outside_known=True,
        weather=Weather(True, True, True),
    )  # fmt: skip
    assert rules.refuse_opening(fit, "night", for_lease=True) is None

    def refusal(**changes):
        return rules.refuse_opening(replace(fit, **changes), "night", for_lease=True)

    assert isinstance(refusal(holder="other"), LeaseHeld)
    assert isinstance(refusal(holder=None), WrongMode)
    assert isinstance(refusal(mode=Mode.MANUAL), WrongMode)
    assert isinstance(refusal(outside="the sun is up"), OutsideWindow)
    rain = refusal(weather=Weather(True, False, False, ("rain",)))
    assert isinstance(rain, UnsafeWeather)
    assert "rain" in rain.message


@given(situations())
def test_every_reason_is_told(s):
    reasons = rules.reasons_to_close(s)
    assert bool(reasons) != (entitled(s) and good(s))
    assert all(reasons)
