"""Target lists: what they hold is observable as they say, and what they lack is not."""

from __future__ import annotations

import itertools
import warnings
from datetime import UTC, datetime, timedelta

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body
from astropy.time import Time
from astropy.utils import iers

from tests.unit.lvcgcn.targets.parts import (
    CALAR,
    HAWAII,
    MACON,
    MARCH,
    SITES,
    SOUTH_POLE,
    TROMSO,
    ranking_of,
    spread,
    whole_sky,
)
from toros.lvcgcn.ranking import Ranking
from toros.lvcgcn.skymaps.reading import read_sky_map
from toros.lvcgcn.skymaps.sky_map import SkyMap
from toros.lvcgcn.targets import Limits, TargetList, make_list
from toros.lvcgcn.targets.visibility import Visibility
from toros.simulation.sky_maps import make_sky_map
from toros.sky.almanac import coming_darkness
from toros.sky.observability import LocalSky, airmass
from toros.sky.site import Site

WITHIN_DEG = 0.02
LIMITS = Limits()


@pytest.fixture(autouse=True)
def _no_download():
    with iers.conf.set_temp("auto_download", False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory) -> tuple[SkyMap, Ranking]:
    """Two thousand galaxies all over the sky."""
    sky_map = whole_sky()
    return sky_map, ranking_of(tmp_path_factory.mktemp("all"), sky_map, *spread(2000))


def listed(site: Site, known, now=MARCH, limits=LIMITS, count=30) -> TargetList:
    sky_map, ranking = known
    return make_list(
        site, "obs", limits, now, count=count, event="S1", sky_map=sky_map, ranking=ranking
    )


# ---- what is listed can be observed, as astropy has it ------------------------------------------


def check_with_astropy(made: TargetList) -> None:
    """Compare every stated value with astropy's, at the stated time."""
    targets, limits, site = made.targets, made.limits, made.site
    place = EarthLocation.from_geodetic(
        site.longitude_deg * u.deg, site.latitude_deg * u.deg, site.height_m * u.m
    )
    times = Time([target.best_time for target in targets])
    frame = AltAz(obstime=times, location=place)
    ra, dec, altitude, sun_altitude, distance, lit = (
        np.array([getattr(target, name) for target in targets])
        for name in (
            "ra_deg", "dec_deg", "altitude_deg", "sun_altitude_deg", "moon_distance_deg",
            "moon_illumination",
        )
    )  # fmt: skip
    seen = SkyCoord(ra, dec, unit="deg").transform_to(frame)
    moon, sun = (get_body(body, times, place).transform_to(frame) for body in ("moon", "sun"))
    assert np.abs(altitude - seen.alt.deg).max() < WITHIN_DEG
    assert np.abs(sun_altitude - sun.alt.deg).max() < WITHIN_DEG
    assert np.abs(distance - moon.separation(seen).deg).max() < WITHIN_DEG
    assert seen.alt.deg.min() > limits.altitude_min_deg - WITHIN_DEG
    assert airmass(seen.alt.deg + WITHIN_DEG).max() <= limits.airmass_max
    assert sun.alt.deg.max() < limits.sun_altitude_max_deg + WITHIN_DEG
    up = moon.alt.deg > WITHIN_DEG
    assert (distance[up] > limits.moon_distance_min_deg - WITHIN_DEG).all()
    elongation = get_body("sun", times).separation(get_body("moon", times)).deg
    assert lit == pytest.approx((1 - np.cos(np.radians(elongation))) / 2, abs=0.01)
    assert [t.airmass for t in targets] == pytest.approx(airmass(altitude))


def places_and_dates() -> list[tuple[Site, datetime]]:
    """Every longitude, both hemispheres, the poles, all seasons and phases of the moon."""
    random = np.random.default_rng(7)
    some = [(site, MARCH + timedelta(days=37 * n, hours=5 * n)) for n, site in enumerate(SITES)]
    for longitude in range(-180, 180, 24):
        latitude = float(np.degrees(np.arcsin(random.uniform(-1, 1))))
        start = datetime(2024, 1, 1, tzinfo=UTC)
        when = start + timedelta(hours=float(random.uniform(0, 4 * 8766)))
        some.append((Site(float(longitude), latitude, float(random.uniform(0, 5000))), when))
    return some


@pytest.mark.parametrize(("site", "now"), places_and_dates(), ids=lambda value: str(value)[:48])
def test_every_target_is_within_the_limits_as_astropy_has_it(site, now, everywhere):
    made = listed(site, everywhere, now)
    if made.night.dark_from is None:
        assert not made.targets
        return
    assert len(made.targets) == 30
    check_with_astropy(made)
    for target in made.targets:
        assert made.night.dark_from >= now
        assert made.night.dark_from <= target.observable_from <= target.best_time
        assert target.best_time <= target.observable_until <= made.night.dark_until


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_anywhere_at_any_time(seed, everywhere):
    random = np.random.default_rng(seed)
    nights = 0
    while nights < 10:
        latitude = float(np.degrees(np.arcsin(random.uniform(-1, 1))))
        site = Site(float(random.uniform(-180, 180)), latitude, float(random.uniform(0, 5000)))
        now = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=float(random.uniform(0, 60000)))
        limits = Limits(
            float(random.uniform(10, 50)), float(random.uniform(1.3, 4)),
            float(random.uniform(-18, -6)), float(random.uniform(0, 90)),
        )  # fmt: skip
        made = listed(site, everywhere, now, limits)
        if made.targets:
            nights += 1
            check_with_astropy(made)


@pytest.mark.parametrize("site", [MACON, TROMSO, HAWAII], ids=str)
def test_the_best_time_is_the_best_and_what_is_left_out_has_none(site, everywhere):
    # Against every ten seconds of the darkness, with nothing of the lists' own arithmetic.
    now = MARCH + timedelta(days=11)  # with a bright moon
    made = listed(site, everywhere, now, count=60)
    night, dark = coming_darkness(site, now, LIMITS.sun_altitude_max_deg)
    assert made.night.date == night.date
    sky = LocalSky(site, np.arange(dark[0].timestamp(), dark[1].timestamp(), 10.0))
    moon_is_up = sky.moon_altitude > 0.0

    def allowed(ra, dec):
        places = sky.place(ra, dec)
        height = sky.altitude(places)
        good = (height >= 30.0) & (airmass(height) <= 2.0)
        return good & ((sky.moon_distance(places) >= 30.0) | ~moon_is_up), height

    good, height = allowed([t.ra_deg for t in made.targets], [t.dec_deg for t in made.targets])
    for target, when, heights in zip(made.targets, good, height, strict=True):
        # A window's end is at most a minute, a quarter of a degree, from the true one.
        assert heights[when].max() - target.altitude_deg < 0.26
        first = last = int(np.abs(sky.unix_s - target.best_time.timestamp()).argmin())
        while first > 0 and when[first - 1]:
            first -= 1
        while last < when.size - 1 and when[last + 1]:
            last += 1
        assert 0 <= target.observable_from.timestamp() - sky.unix_s[first] + 10 < 80
        assert 0 <= sky.unix_s[last] - target.observable_until.timestamp() + 10 < 80
    good, _ = allowed([t.ra_deg for t in made.left_out], [t.dec_deg for t in made.left_out])
    assert (good.sum(axis=1) * 10.0 <= 300.0).all()


def test_summit_is_found_between_the_samples(everywhere):
    made = listed(MACON, everywhere, count=60)
    risen = [
        t
        for t in made.targets
        if t.observable_from < t.best_time - timedelta(minutes=3)
        and t.best_time + timedelta(minutes=3) < t.observable_until
    ]
    assert len(risen) > 5
    for target in risen:
        at = target.best_time.timestamp()
        sky = LocalSky(MACON, at + np.arange(-60.0, 61.0))
        height = sky.altitude(sky.place(target.ra_deg, target.dec_deg))[0]
        assert abs(int(height.argmax()) - 60) <= 2


# ---- order, number, sites -----------------------------------------------------------------------


def test_targets_come_by_probability_and_add_up(everywhere):
    made = listed(MACON, everywhere)
    probability = [target.probability for target in made.targets]
    assert probability == sorted(probability, reverse=True)
    assert [t.cumulative_probability for t in made.targets] == pytest.approx(np.cumsum(probability))
    assert [target.rank for target in made.targets] == list(range(1, 31))
    assert {target.kind for target in made.targets} == {"galaxy"}
    assert made.listed_probability == made.targets[-1].cumulative_probability


def test_who_ranks_before_the_last_is_listed_or_left_out(everywhere):
    made = listed(MACON, everywhere)
    best = everywhere[1].best(200)
    names = best.name[: best.name.index(made.targets[-1].name) + 1]
    assert {t.name for t in made.targets} | {t.name for t in made.left_out} == set(names)
    assert len(names) == len(made.targets) + len(made.left_out)


def test_facts_of_a_galaxy_travel_and_unknown_ones_are_none(everywhere):
    target = listed(MACON, everywhere).targets[0]
    best = everywhere[1].best(100)
    row = best.name.index(target.name)
    assert target.distance_mpc == pytest.approx(best.distance_mpc[row])
    assert target.b_magnitude == pytest.approx(14.0)
    assert target.absolute_magnitude == pytest.approx(best.b_absolute[row])
    assert target.k_magnitude is None


def test_lists_of_a_northern_a_southern_and_a_polar_site_differ(everywhere):
    names = {
        site: {t.name for t in listed(site, everywhere, count=60).targets}
        for site in (MACON, CALAR, TROMSO)
    }
    for one, other in itertools.combinations(names, 2):
        assert len(names[one]) == 60
        assert len(names[one] & names[other]) < 50
    declinations = {
        site: [t.dec_deg for t in listed(site, everywhere, count=60).targets] for site in names
    }
    assert min(declinations[TROMSO]) > 69.65 - 60.0
    assert max(declinations[MACON]) < -24.63 + 60.0
    # A third of the southern list never rises above 30 deg in the north.
    assert np.mean([dec < 37.2 - 60.0 for dec in declinations[MACON]]) > 0.33


def test_fewer_than_asked_for_where_no_more_can_be_seen(tmp_path):
    sky_map = whole_sky()
    known = sky_map, ranking_of(tmp_path, sky_map, [200.0, 201.0, 20.0], [-30.0, 80.0, -30.0])
    made = listed(MACON, known)
    assert [target.name for target in made.targets] == ["G0"]
    assert {left.name for left in made.left_out} == {"G1", "G2"}


# ---- the night ----------------------------------------------------------------------------------


def test_a_running_night_is_cut_at_the_moment(everywhere):
    full = listed(MACON, everywhere)
    middle = full.night.dark_from + timedelta(hours=5)
    late = listed(MACON, everywhere, middle)
    assert late.night.date == full.night.date
    assert late.night.dark_from == middle
    assert all(target.best_time >= middle for target in late.targets)
    assert {t.name for t in late.targets} != {t.name for t in full.targets}


def test_after_dawn_the_list_is_for_the_next_night(everywhere):
    full = listed(MACON, everywhere)
    dawn = full.night.dark_until + timedelta(seconds=2)
    assert listed(MACON, everywhere, dawn).night.date == full.night.date + timedelta(days=1)


def test_the_last_minutes_of_a_night_make_a_list_while_they_are_enough_to_observe(everywhere):
    full = listed(MACON, everywhere)
    made = listed(MACON, everywhere, full.night.dark_until - timedelta(minutes=6))
    assert made.night.date == full.night.date
    assert len(made.targets) == 30
    check_with_astropy(made)
    late = listed(MACON, everywhere, full.night.dark_until - timedelta(minutes=4))
    assert late.night.date == full.night.date + timedelta(days=1)
    assert len(late.targets) == 30


def test_no_galaxy_is_listed_that_can_be_observed_for_less_than_five_minutes(everywhere):
    made = listed(MACON, everywhere, count=2000)
    shortest = min(t.observable_until - t.observable_from for t in made.targets)
    assert timedelta(minutes=5) <= shortest < timedelta(minutes=10)
    assert "observable for less than five minutes" in _reasons_of_all(everywhere, made)


def _reasons_of_all(known: tuple[SkyMap, Ranking], made: TargetList) -> set[str]:
    """Return why each galaxy that is not listed is not; `left_out` has only fifty of them."""
    best = known[1].best(2000)
    lost = ~np.isin(best.name, [target.name for target in made.targets])
    visibility = Visibility(made.site, made.limits, (made.night.dark_from, made.night.dark_until))
    return set(visibility.why_not(best.ra_deg[lost], best.dec_deg[lost]))


def test_an_empty_list_says_why(tmp_path):
    sky_map = whole_sky()
    known = sky_map, ranking_of(tmp_path, sky_map, [200.0, 201.0, 20.0], [80.0, 81.0, 40.0])
    made = listed(MACON, known)
    assert made.reason == (
        "none of the 3 most probable can be observed: never rises (2), never above 30 deg at this "
        "site (1)"
    )
    assert listed(MACON, known, count=0).reason == ""


def test_a_polar_day_has_an_empty_list_with_its_reason(everywhere):
    made = listed(SOUTH_POLE, everywhere, datetime(2026, 12, 21, tzinfo=UTC))
    assert made.targets == made.left_out == ()
    assert made.night.dark_from is None
    assert "the sun below -15 deg never happens" in made.night.reason
    assert made.reachable_probability == 0.0


def test_the_polar_night_lasts_a_day(everywhere):
    made = listed(SOUTH_POLE, everywhere, datetime(2026, 6, 21, tzinfo=UTC))
    assert made.night.dark_until - made.night.dark_from == timedelta(days=1)
    assert made.reachable_probability == pytest.approx(0.25, abs=0.12)  # less by the moon's part
    check_with_astropy(made)


# ---- why not ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hour_angle_h", "dec", "limits", "horizon", "reason"),
    [
        (0.0, 80.0, Limits(), (), "never rises"),
        (0.0, 40.0, Limits(), (), "never above 30 deg at this site (at most 25."),
        (10.0, -20.0, Limits(), (), "sets too early: never above 30 deg in the dark"),
        (-10.0, -20.0, Limits(), (), "rises too late: never above 30 deg in the dark"),
        (0.0, 25.0, Limits(airmass_max=1.2), (), "never below airmass 1.2 in the dark"),
        (0.0, 20.0, Limits(), ((0.0, 60.0), (180.0, 20.0)), "below the horizon mask"),
    ],
)  # fmt: skip
def test_the_reason_names_the_limit(hour_angle_h, dec, limits, horizon, reason, tmp_path):
    site = Site(MACON.longitude_deg, MACON.latitude_deg, MACON.height_m, horizon)
    _, dark = coming_darkness(site, MARCH, -15.0)
    middle = LocalSky(site, dark[0] + (dark[1] - dark[0]) / 2)
    ra = (np.degrees(middle.earth.rotation[0]) - 15.0 * hour_angle_h) % 360.0
    sky_map = whole_sky()
    made = listed(site, (sky_map, ranking_of(tmp_path, sky_map, [ra], [dec])), limits=limits)
    assert made.targets == ()
    assert made.left_out[0].reason.startswith(reason), made.left_out[0].reason


def test_the_moon_is_a_reason_while_it_is_up(tmp_path):
    now = datetime(2026, 4, 1, 20, tzinfo=UTC)  # a day before full moon
    sky = LocalSky(MACON, now + timedelta(hours=8))
    moon = sky.earth.moon[0]
    ra, dec = np.degrees(np.arctan2(moon[1], moon[0])) % 360.0, np.degrees(np.arcsin(moon[2]))
    sky_map = whole_sky()
    known = sky_map, ranking_of(tmp_path, sky_map, [ra], [dec - 5.0])
    made = listed(MACON, known, now)
    assert made.targets == ()
    assert made.left_out[0].reason.startswith("within 30 deg of the moon whenever it is high")
    near = listed(MACON, known, now, Limits(moon_distance_min_deg=3.0))
    assert [target.name for target in near.targets] == ["G0"]


def test_no_more_than_fifty_are_told_as_left_out(tmp_path):
    random = np.random.default_rng(3)
    sky_map = whole_sky()
    north = ranking_of(tmp_path, sky_map, random.uniform(0, 360, 90), random.uniform(70, 89, 90))
    made = listed(MACON, (sky_map, north))
    assert made.targets == ()
    assert [left.name for left in made.left_out] == north.best(50).name


# ---- how far a ranking is looked through --------------------------------------------------------


class Counted:
    """A ranking that remembers how much of it was asked for."""

    def __init__(self, ranking: Ranking) -> None:
        self._ranking, self.considered, self.most = ranking, ranking.considered, 0

    def best(self, count: int):
        self.most = max(self.most, count)
        return self._ranking.best(count)


def test_only_as_much_of_a_ranking_is_asked_for_as_it_takes(everywhere):
    counted = Counted(everywhere[1])
    made = listed(MACON, (everywhere[0], counted), count=10)
    assert len(made.targets) == 10
    assert counted.most <= 256


def test_a_site_that_sees_nothing_of_a_map_gives_up_early(tmp_path):
    sky_map = read_sky_map(make_sky_map(30.0, 75.0, 40.0, 100.0, seed=1, shape="ellipse"))
    random = np.random.default_rng(3)
    ra, dec = random.uniform(0, 360, 3000), random.uniform(60, 90, 3000)
    counted = Counted(ranking_of(tmp_path, sky_map, ra, dec))
    assert counted.considered > 1200
    made = listed(MACON, (sky_map, counted))
    assert made.targets == ()
    assert made.reachable_probability == 0.0
    assert counted.most <= 1000
    assert len(made.left_out) == 50


# ---- how much of the sky map can be reached -----------------------------------------------------


@pytest.mark.parametrize("area_deg2", [20.0, 500.0, 8000.0])
def test_reachable_probability_is_right_within_a_hundredth(area_deg2):
    for seed, site in enumerate((MACON, HAWAII, CALAR)):
        # At the border of what the site reaches, where it is hardest to tell.
        _, dark = coming_darkness(site, MARCH, -15.0)
        dec = site.latitude_deg + (60.0 if site.latitude_deg < 0 else -60.0)
        sky = LocalSky(site, dark[0] + (dark[1] - dark[0]) / 2)
        ra = float(np.degrees(sky.earth.rotation[0])) % 360.0
        sky_map = read_sky_map(make_sky_map(ra, dec, None, area_deg2, seed=seed))
        made = make_list(site, "obs", LIMITS, MARCH, count=5, event="S1", sky_map=sky_map)
        assert abs(made.reachable_probability - brute_force(site, sky_map, dark)) < 0.01
        assert 0.0 < made.reachable_probability < 1.0


def brute_force(site: Site, sky_map: SkyMap, dark) -> float:
    """Sum the probability of all tiles that are ever within the limits, by 4 minutes."""
    from toros.lvcgcn.skymaps.places import centres_of

    finer = np.maximum(6 - sky_map.order.astype(int), 0)
    parts = 4**finer
    index = np.repeat(sky_map.index << (2 * finer), parts)
    index += np.arange(index.size) - np.repeat(np.cumsum(parts) - parts, parts)
    share = np.repeat(sky_map.probability / parts, parts)
    likely = share > 1e-7
    ra, dec = centres_of(np.repeat(sky_map.order + finer, parts)[likely], index[likely])
    sky = LocalSky(site, np.arange(dark[0].timestamp(), dark[1].timestamp(), 240.0))
    up = sky.moon_altitude > 0.0
    total = 0.0
    for k in range(0, ra.size, 5000):
        places = sky.place(ra[k : k + 5000], dec[k : k + 5000])
        good = (places @ sky.earth.up.T >= np.sin(np.radians(LIMITS.lowest_deg))) & (
            (places @ sky.earth.moon.T <= np.cos(np.radians(30.0))) | ~up
        )
        total += share[likely][k : k + 5000][good.any(axis=1)].sum()
    return total / sky_map.probability.sum()


# ---- limits -------------------------------------------------------------------------------------


def test_the_lower_of_altitude_and_airmass_counts():
    assert Limits(altitude_min_deg=40.0, airmass_max=2.0).lowest_deg == 40.0
    lowest = Limits(altitude_min_deg=10.0, airmass_max=1.5).lowest_deg
    assert airmass(lowest) <= 1.5 < airmass(lowest - 1e-5)


def test_a_horizon_mask_is_kept(everywhere):
    horizon = ((0.0, 30.0), (90.0, 55.0), (91.0, 10.0), (180.0, 60.0), (270.0, 0.0))
    site = Site(MACON.longitude_deg, MACON.latitude_deg, MACON.height_m, horizon)
    made = listed(site, everywhere, count=60)
    assert len(made.targets) == 60
    for target in made.targets:
        sky = LocalSky(site, target.best_time)
        place = sky.place(target.ra_deg, target.dec_deg)
        lowest = site.horizon_altitude(sky.azimuth(place))[0, 0]
        assert sky.altitude(place)[0, 0] >= lowest - 0.02
    assert {t.name for t in made.targets} != {
        t.name for t in listed(MACON, everywhere, count=60).targets
    }


def test_a_place_is_reachable_if_it_has_a_best_time():
    _, dark = coming_darkness(HAWAII, MARCH, -15.0)
    whole = tuple(moment.replace(microsecond=0) for moment in dark)
    visibility = Visibility(HAWAII, LIMITS, whole)
    ra, dec = spread(500, seed=9)
    seen = visibility.reachable(ra, dec)
    assert 50 < seen.sum() < 450
    lasting = visibility.lasting(ra, dec)
    assert not (lasting & ~seen).any()
    assert lasting.sum() > 0.95 * seen.sum()
    best = visibility.best(ra[lasting], dec[lasting])
    assert (best.altitude_deg >= LIMITS.lowest_deg - 1e-3).all()
    assert len(visibility.why_not(ra[~seen], dec[~seen])) == (~seen).sum()
    assert visibility.why_not([], []) == []
