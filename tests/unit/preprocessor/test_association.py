"""The truth table of which frames are stacked together and which master fits what."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from tests.unit.preprocessor.batch import START, frame, master
from toros.preprocessor.association import choose_bias, choose_dark, choose_flat
from toros.preprocessor.grouping import frame_order, group, key_of
from toros.preprocessor.planning import DefaultSite, of_unknown_type, plan
from toros.preprocessor.site import camera_noise

EARLIER, LATER = (START - timedelta(hours=1)).isoformat(), (START + timedelta(hours=2)).isoformat()


def names(groups: list) -> list[list[str]]:
    return [[one.name for one in part] for part in groups]


CAMERAS = {
    "instrument": {"instrument": "Other"},
    "instrument unknown": {"instrument": None},
    "telescope": {"telescope": "East"},
    "shape": {"shape": (64, 50)},
    "transposed": {"shape": (48, 64)},
    "binning": {"binning": "2x2"},
    "gain setting": {"gain_setting": "100"},
    "bayer": {"bayer": "RGGB"},
}


@pytest.mark.parametrize("other", CAMERAS)
def test_no_stack_mixes_cameras(other: str) -> None:
    frames = [frame("a", "bias"), frame("b", "bias", **CAMERAS[other])]
    assert names(group(frames, (), 1.0)) == [["a"], ["b"]]


def test_planes_of_one_file_are_cameras_of_their_own() -> None:
    frames = [frame("a", "bias", hdus=(1, 2), hdu=hdu) for hdu in (1, 2)]
    jobs = plan("stack_bias", frames, []).jobs
    assert [job.key["hdu"] for job in jobs] == [1.0, 2.0]
    assert len({job.name for job in jobs}) == 2


@pytest.mark.parametrize(
    ("temperatures", "groups"),
    [
        ((-10.0, -9.5, -9.0), [[0, 1, 2]]),
        ((-10.0, -9.5, -8.99), [[0, 1], [2]]),
        ((-10.0, -9.9, -5.0, -4.9), [[0, 1], [2, 3]]),
        ((-10.0, None, -10.0), [[0, 2], [1]]),
        ((None, None), [[0, 1]]),
        ((0.1, 0.2, 1.1), [[0, 1, 2]]),  # 1.1 - 0.1 is a hair more than 1 in binary
    ],
)
def test_temperatures_cluster_within_the_tolerance(temperatures, groups) -> None:
    frames = [frame(str(i), "bias", temperature_c=t) for i, t in enumerate(temperatures)]
    for _ in range(4):
        random.Random(len(groups)).shuffle(frames)
        assert names(group(frames, (), 1.0)) == [[str(i) for i in part] for part in groups]


@pytest.mark.parametrize(
    ("times", "count"), [((60.0, 60.05), 1), ((60.0, 60.07), 2), ((60.0, 61.0, 300.0), 3)]
)
def test_exposure_times_cluster_within_a_thousandth(times: tuple[float, ...], count: int) -> None:
    frames = [frame(str(t), "dark", exposure_time_s=t) for t in times]
    assert len(group(frames, ("exposure_time_s",), 1.0)) == count


def test_darks_are_grouped_by_filter_if_there_is_one() -> None:
    frames = [frame("a", "dark"), frame("b", "dark", filter="R"), frame("c", "dark", filter="R")]
    jobs = plan("stack_dark", frames, []).jobs
    assert [[one.name for one in job.frames] for job in jobs] == [["a"], ["b", "c"]]


def test_frames_are_ordered_by_mid_exposure_then_name_and_without_time_last() -> None:
    frames = [
        frame("z"),
        frame("a", start_utc=None),
        frame("b", start_utc=START + timedelta(seconds=20), exposure_time_s=10.0),
        frame("c", exposure_time_s=40.0),
        frame("d", exposure_time_s=40.0),
    ]
    assert [one.name for one in sorted(frames, key=frame_order)] == ["c", "d", "b", "z", "a"]


def test_a_key_holds_means() -> None:
    frames = [frame("a", temperature_c=-10.0), frame("b", temperature_c=-9.5)]
    key = key_of(frames, ("exposure_time_s", "filter"))
    assert key["temperature_c"] == -9.75
    assert key["exposure_time_s"] == 60.0
    assert key["start_utc"] == START.isoformat()


# --- which master ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("master_c", "fits"), [(-10.0, True), (-9.0, True), (-11.0, True), (-8.9, False), (None, False)]
)
def test_temperature_of_a_bias(master_c: float | None, fits: bool) -> None:
    choice = choose_bias(frame("a"), [master("m", "bias_stack", temperature_c=master_c)], 1.0)
    assert (choice.master is not None) is fits
    if not fits:
        assert "the nearest, m: temperature" in choice.reason


def test_what_nobody_knows_is_equal() -> None:
    choice = choose_bias(
        frame("a", temperature_c=None), [master("m", "bias_stack", temperature_c=None)], 1.0
    )
    assert choice.master is not None


@pytest.mark.parametrize("other", CAMERAS)
def test_a_master_of_another_camera_does_not_fit_and_the_reason_says_why(other: str) -> None:
    light = frame("a", **CAMERAS[other])
    choice = choose_bias(light, [master("m", "bias_stack")], 1.0)
    assert choice.master is None
    word = {"instrument unknown": "instrument", "transposed": "shape"}.get(other, other)
    assert f"the nearest, m: {word}" in choice.reason
    assert " instead of " in choice.reason


def test_of_equals_the_nearest_in_time_then_the_first_name() -> None:
    masters = [
        master("late", "bias_stack", start_utc=LATER),
        master("b", "bias_stack", start_utc=EARLIER),
        master("a", "bias_stack", start_utc=EARLIER),
        master("timeless", "bias_stack", start_utc=None),
    ]
    for seed in range(4):
        random.Random(seed).shuffle(masters)
        choice = choose_bias(frame("x"), masters, 1.0)
        assert choice.master is not None
        assert choice.master.name == "a"


DARKS = [
    master("d30", "dark_stack", exposure_time_s=30.0),
    master("d60", "dark_stack", exposure_time_s=60.0),
    master("d300", "dark_stack", exposure_time_s=300.0),
    master("d600", "dark_stack", exposure_time_s=600.0),
]


@pytest.mark.parametrize(
    ("light_s", "scalable", "chosen"),
    [
        (60.0, True, "d60"),
        (60.05, True, "d60"),
        (60.07, True, "d300"),  # no longer equal: the next longer one
        (100.0, True, "d300"),
        (1200.0, True, "d600"),  # none is longer: the longest
        (60.0, False, "d60"),
        (60.05, False, "d60"),
        (60.07, False, None),
        (100.0, False, None),
        (None, True, None),
    ],
)
def test_exposure_time_of_a_dark(light_s: float | None, scalable: bool, chosen: str | None) -> None:
    choice = choose_dark(frame("a", exposure_time_s=light_s), DARKS, 1.0, scalable)
    assert (choice.master.name if choice.master else None) == chosen
    if chosen is None:
        assert choice.reason.startswith("dark: none fits; the nearest, d")
        assert "exposure time" in choice.reason


def test_the_nearest_dark_that_does_not_fit_is_named() -> None:
    choice = choose_dark(frame("a", exposure_time_s=240.0), DARKS, 1.0, scalable=False)
    assert choice.reason == (
        "dark: none fits; the nearest, d300: exposure time 300 s instead of 240 s, "
        "and no bias to scale it by"
    )


def test_a_dark_of_the_same_filter_is_preferred_but_not_needed() -> None:
    masters = [
        master("a", "dark_stack", filter="V"),
        master("b", "dark_stack", filter="R"),
        master("c", "dark_stack", filter="R", exposure_time_s=120.0),
    ]
    light = frame("x", filter="R")
    assert choose_dark(light, masters, 1.0, True).master is masters[1]
    assert choose_dark(light, masters[:1], 1.0, True).master is masters[0]
    # An equal exposure time counts more than the filter.
    assert choose_dark(light, [masters[0], masters[2]], 1.0, True).master is masters[0]


def test_a_flat_is_of_the_same_filter_at_any_temperature() -> None:
    masters = [
        master("v", "flat_stack", filter="V"),
        master("warm", "flat_stack", filter="R", temperature_c=5.0),
        master("cold", "flat_stack", filter="R", temperature_c=-20.0),
    ]
    assert choose_flat(frame("x", filter="R"), masters).master is masters[2]
    assert choose_flat(frame("x", filter="R"), masters[:2]).master is masters[1]
    reason = choose_flat(frame("x", filter="B"), masters[:1]).reason
    assert reason == "flat: none fits; the nearest, v: filter V instead of B"
    assert choose_flat(frame("x"), []).reason == "flat: there is no flat stack in this batch"


def test_the_nearest_is_the_one_with_the_fewest_failures() -> None:
    masters = [
        master("a", "bias_stack", binning="2x2", temperature_c=5.0),
        master("b", "bias_stack", temperature_c=5.0),
    ]
    reason = choose_bias(frame("x"), masters, 1.0).reason
    assert reason == (
        "bias: none fits; the nearest, b: temperature 5.0 C instead of -10.0 C, more than 1 C away"
    )


# --- plans ----------------------------------------------------------------------------------


def test_a_light_with_everything_misses_nothing() -> None:
    masters = [master("b", "bias_stack"), *DARKS, master("f", "flat_stack", filter="R")]
    (job,) = plan("correct_light", [frame("x", filter="R", exposure_time_s=150.0)], masters).jobs
    assert [one.name for one in job.masters] == ["b", "d300", "f"]
    assert job.missing == ()
    assert job.dark_of == ("d300",)
    assert job.dark_scale == (0.5,)


@pytest.mark.parametrize(
    ("there", "exposure_s", "missing"),
    [
        ("bdf", 60.0, ()),
        ("df", 60.0, ()),  # an equal dark holds the bias too
        ("df", 90.0, ("bias", "dark", "flat")),  # and is of no use to another exposure time
        ("bf", 60.0, ("dark",)),
        ("bd", 60.0, ("flat",)),
        ("b", 60.0, ("dark", "flat")),
        ("d", 60.0, ("flat",)),
        ("f", 60.0, ("bias", "dark", "flat")),  # no flat while the bias is in it
        ("", 60.0, ("bias", "dark", "flat")),
    ],
)
def test_what_a_light_misses(there: str, exposure_s: float, missing: tuple[str, ...]) -> None:
    kinds = {"b": "bias_stack", "d": "dark_stack", "f": "flat_stack"}
    masters = [master(letter, kinds[letter]) for letter in there]
    (job,) = plan("correct_light", [frame("x", exposure_time_s=exposure_s)], masters).jobs
    assert tuple(reason.split(":")[0] for reason in job.missing) == missing


def test_what_a_master_lacks_the_light_lacks() -> None:
    masters = [
        master("b", "bias_stack"),
        master("d", "dark_stack"),
        master("f", "flat_stack", missing=("dark: there is no dark stack in this batch",)),
    ]
    (job,) = plan("correct_light", [frame("x")], masters).jobs
    assert job.missing == ("f is partial itself: dark: there is no dark stack in this batch",)


def test_flats_that_keep_their_bias_are_not_mixed_with_others() -> None:
    frames = [
        frame("a", "flat", exposure_time_s=60.0),
        frame("b", "flat", exposure_time_s=5.0),
        frame("c", "flat", exposure_time_s=60.0),
    ]
    planned = plan("stack_flat", frames, [master("d60", "dark_stack")])
    (job,) = planned.jobs
    assert [one.name for one in job.frames] == ["a", "c"]
    assert job.missing == ()
    ((name, reason),) = planned.left_out
    assert name == "b"
    assert "exposure time 60 s instead of 5 s" in reason


def test_flats_with_nothing_to_subtract_are_partial() -> None:
    (job,) = plan("stack_flat", [frame("a", "flat"), frame("b", "flat")], []).jobs
    assert len(job.frames) == 2
    assert [reason.split(":")[0] for reason in job.missing] == ["bias", "dark"]


def test_frames_that_are_left_out_have_a_reason() -> None:
    original = frame("a", "dark")
    frames = [
        original,
        type(original)("/raw/copy", "copy", original.sha256, 0, original.facts),
        frame("timeless", "dark", exposure_time_s=None),
        frame("zero", "dark", exposure_time_s=0.0),
        frame("what", "unknown"),
    ]
    planned = plan("stack_dark", frames, [])
    assert [[one.name for one in job.frames] for job in planned.jobs] == [["a"]]
    assert dict(planned.left_out) == {
        "copy": "the same file as a",
        "timeless": "a dark without an exposure time",
        "zero": "a dark of 0 s",
    }
    assert [name for name, _ in of_unknown_type(frames)] == ["what"]


def test_a_plan_is_the_same_for_any_order() -> None:
    frames = [
        frame(f"{i}", "dark", exposure_time_s=float(t), temperature_c=c, filter=f)
        for i, (t, c, f) in enumerate(
            (t, c, f) for t in (10, 60) for c in (-10.2, -10.0, -5.0) for f in ("R", None)
        )
    ]
    expected = plan("stack_dark", frames, [])
    assert len(expected.jobs) == 8
    for seed in range(5):
        random.Random(seed).shuffle(frames)
        assert plan("stack_dark", frames, []) == expected


def test_names_change_with_the_recipe_and_with_nothing_else() -> None:
    frames = [frame("a", "bias"), frame("b", "bias")]
    (job,) = plan("stack_bias", frames, []).jobs
    assert job.name == plan("stack_bias", frames[::-1], []).jobs[0].name
    assert job.name.startswith("bias_stack_-10C_")
    more = plan("stack_bias", [*frames, frame("c", "bias")], []).jobs[0]
    other = plan("stack_bias", frames, [], site=DefaultSite(saturation_adu=4095.0)).jobs[0]
    assert len({job.name, more.name, other.name}) == 3


def test_an_ugly_name_makes_a_usable_one() -> None:
    (job,) = plan("correct_light", [frame("../M 31/é lum*.FITS.gz", "light")], []).jobs
    assert job.name.startswith("lum_calibrated_")
    assert "/" not in job.name


# --- the camera's noise ---------------------------------------------------------------------


def measured(name: str, kind: str, **scalars: float):  # type: ignore[no-untyped-def]
    made = master(name, kind)
    return type(made)(made.path, name, made.sha256, kind, made.key, scalars)


FLAT = measured("f", "flat_stack", gain_e_adu=1.5)
BIAS = measured("b", "bias_stack", read_noise_adu=4.0)
DARK = measured("d", "dark_stack", read_noise_adu=5.0)


@pytest.mark.parametrize(
    ("site", "header", "masters", "gain", "read_noise"),
    [
        ({}, 2.0, [FLAT, BIAS, DARK], (1.5, "f"), (4.0, "b")),
        ({}, 2.0, [DARK], (2.0, "header"), (5.0, "d")),
        ({}, None, [], (None, "unknown"), (None, "unknown")),
        ({"gain_e_adu": 3.0}, 2.0, [FLAT, BIAS], (3.0, "configured"), (4.0, "b")),
        ({"read_noise_e": 3.0}, 2.0, [FLAT, BIAS], (1.5, "f"), (2.0, "configured")),
        ({"read_noise_e": 3.0}, None, [BIAS], (None, "unknown"), (4.0, "b")),
    ],
)
def test_whence_gain_and_read_noise(site, header, masters, gain, read_noise) -> None:
    light = frame("x", gain_e_adu=header)
    noise = camera_noise(DefaultSite(**site), light, masters, masters)
    assert (noise.gain_e_adu, noise.gain_source) == gain
    assert (noise.read_noise_adu, noise.read_noise_source) == read_noise


def test_the_gain_of_another_filter_s_flat_will_do_but_not_another_camera_s() -> None:
    light = frame("x", filter="B")
    assert camera_noise(DefaultSite(), light, [], [FLAT]).gain_e_adu == 1.5
    other = frame("x", filter="B", binning="2x2")
    assert camera_noise(DefaultSite(), other, [], [FLAT]).gain_e_adu is None
