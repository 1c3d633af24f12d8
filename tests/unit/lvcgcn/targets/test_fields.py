"""Fields cover a region without gap, count nothing twice; small circles are one target."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from tests.unit.lvcgcn.targets.parts import MACON, MARCH, ranking_of, spread, whole_sky
from toros.lvcgcn.notices import Position
from toros.lvcgcn.skymaps.cones import cone_map
from toros.lvcgcn.skymaps.credible import credible_tiles
from toros.lvcgcn.skymaps.places import pixels_of
from toros.lvcgcn.skymaps.reading import read_sky_map
from toros.lvcgcn.skymaps.sky_map import SkyMap
from toros.lvcgcn.targets import Limits, TargetList, make_list
from toros.lvcgcn.targets.candidates import fits
from toros.lvcgcn.targets.fields import Fields, tile_fields
from toros.lvcgcn.targets.projections import TangentPlane
from toros.lvcgcn.targets.regions import sample, split
from toros.simulation.sky_maps import make_sky_map
from toros.sky.almanac import coming_darkness
from toros.sky.observability import LocalSky

HIGH = 200.0, -25.0
"""Near the zenith of Macon in the night of MARCH."""


def made_of(**given) -> TargetList:
    limits = given.pop("limits", Limits())
    count = given.pop("count", 50)
    return make_list(MACON, "obs", limits, MARCH, count=count, event="E1", **given)


def covered(fields: Fields, width: float, height: float, ra, dec) -> np.ndarray:
    """Tell which places lie in some field, by the tangent plane of each."""
    found = np.zeros(len(ra), bool)
    sides = [np.degrees(np.tan(np.radians(side / 2.0))) for side in (width, height)]
    for middle in zip(fields.ra_deg, fields.dec_deg, strict=True):
        x, y = TangentPlane(*middle).project(ra, dec)
        found |= (np.abs(x) <= sides[0] + 1e-9) & (np.abs(y) <= sides[1] + 1e-9)
    return found


# ---- covering -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ra", "dec", "radius", "width", "height"),
    [
        (10.0, 0.0, 8.0, 3.0, 2.0),
        (359.5, 45.0, 6.0, 2.0, 2.0),
        (120.0, -75.0, 8.0, 3.0, 4.0),
        (200.0, 88.0, 6.0, 1.5, 1.5),
        (0.0, -90.0, 5.0, 2.0, 3.0),
        (77.0, 66.0, 20.0, 12.0, 8.0),
    ],
)
def test_every_place_of_the_region_is_in_a_field(ra, dec, radius, width, height):
    sky_map = cone_map(ra, dec, radius, 0.9)
    fields = tile_fields(sky_map, 0.9, width, height)
    inside = np.flatnonzero(credible_tiles(sky_map, 0.9))
    pixels = split(sky_map, min(width, height) / 12.0, 10**6, inside)
    assert pixels.ra_deg.size > 500
    assert covered(fields, width, height, pixels.ra_deg, pixels.dec_deg).all()
    total = fields.probability.sum()
    assert 0.9 <= total <= 1.0 + 1e-9
    assert (np.diff(fields.probability) <= 0.0).all()
    # Not more fields than it takes: overlap, the border, and the curve of the rows.
    area = 2.0 * np.pi * (1.0 - np.cos(np.radians(radius))) * np.degrees(1.0) ** 2
    border = 2.0 * np.pi * radius * max(width, height)
    assert len(fields.ra_deg) < 2.0 * (area + border) / (width * height) + 4


def test_a_region_of_two_arcs_is_covered_too():
    sky_map = read_sky_map(make_sky_map(150.0, 20.0, None, 900.0, seed=3))
    fields = tile_fields(sky_map, 0.9, 4.0, 4.0)
    ra, dec = sample(sky_map, 4000)
    share = covered(fields, 4.0, 4.0, ra, dec).mean()
    assert share >= 0.9
    assert fields.probability.sum() <= share + 0.01


def test_the_probability_of_a_field_is_that_of_the_map_there():
    sky_map = cone_map(*HIGH, 5.0, 0.9)
    fields = tile_fields(sky_map, 0.9, 2.0, 2.0)
    pixels = split(sky_map, 0.1, 10**6, np.arange(len(sky_map)))
    for n in range(5):
        one = Fields(fields.ra_deg[n : n + 1], fields.dec_deg[n : n + 1], fields.dec_deg[:1])
        inside = covered(one, 2.0, 2.0, pixels.ra_deg, pixels.dec_deg)
        whole = pixels.probability[inside].sum()
        # The field's own cell is nineteen twentieths of it either way, or a little less.
        assert 0.8 * whole < fields.probability[n] < whole


def test_a_region_that_fits_is_one_field_at_its_middle():
    fields = tile_fields(cone_map(30.0, -40.0, 0.4, 0.9), 0.9, 1.0, 1.0)
    assert fields.ra_deg == pytest.approx([30.0], abs=0.02)
    assert fields.dec_deg == pytest.approx([-40.0], abs=0.02)
    assert fields.probability[0] >= 0.9


def test_fields_of_all_the_sky_fit_together():
    sky_map = whole_sky(order=4)
    fields = tile_fields(sky_map, 1.0, 15.0, 10.0)
    ra, dec = spread(20000)
    assert covered(fields, 15.0, 10.0, ra, dec).all()
    assert fields.probability.sum() == pytest.approx(1.0, abs=1e-3)


def test_more_fields_than_anybody_lists_are_not_made():
    fields = tile_fields(whole_sky(order=4), 1.0, 0.1, 0.1)
    assert 1000 < len(fields.ra_deg) < 10000


# ---- lists of fields ----------------------------------------------------------------------------


def test_a_large_region_without_galaxies_becomes_fields():
    made = made_of(sky_map=cone_map(*HIGH, 6.0, 0.9), count=100)
    assert {target.kind for target in made.targets} == {"field"}
    assert len({target.name for target in made.targets}) == len(made.targets) == 100
    assert 0.5 < made.listed_probability < 1.0
    assert made.reachable_probability == 1.0
    assert all(target.distance_mpc is None for target in made.targets)


def test_fields_are_left_out_like_galaxies():
    made = made_of(sky_map=cone_map(200.0, 34.0, 6.0, 0.9), count=100)
    assert made.targets
    assert made.left_out
    assert made.listed_probability <= made.reachable_probability + 0.05
    assert all("deg" in left.reason for left in made.left_out)


def test_no_field_is_listed_that_can_be_observed_for_less_than_five_minutes():
    _, dark = coming_darkness(MACON, MARCH, -15.0)
    dusk = np.degrees(LocalSky(MACON, dark[0]).earth.rotation[0])
    setting = (dusk - 67.0) % 360.0, -25.0  # at 30 deg when the darkness begins
    made = made_of(sky_map=cone_map(*setting, 8.0, 0.9), count=1000)
    spans = [target.observable_until - target.observable_from for target in made.targets]
    assert len(spans) > 50
    assert timedelta(minutes=5) <= min(spans) < timedelta(minutes=10)
    assert "observable for less than five minutes" in {left.reason for left in made.left_out}


def test_tiny_fields_of_a_huge_region_are_where_the_site_can_look():
    # Its densest part is out of reach; what is less dense is covered all the same.
    north, south = cone_map(0.0, 89.0, 4.0, 0.9), cone_map(*HIGH, 20.0, 0.9)
    sky_map = joined(north, south)
    made = made_of(sky_map=sky_map, limits=Limits(field_width_deg=0.3, field_height_deg=0.3))
    assert len(made.targets) == 50
    assert all(target.dec_deg < 36.0 for target in made.targets)


def joined(*maps: SkyMap) -> SkyMap:
    """Return the mean of maps, on pixels of order 7."""
    total = np.zeros(12 << 14)
    for one in maps:
        pixels = split(one, 0.46, 10**7, np.arange(len(one)))
        np.add.at(total, pixels_of(pixels.ra_deg, pixels.dec_deg, 7), pixels.probability)
    return SkyMap.from_tiles(np.full(total.size, 7), np.arange(total.size), total / len(maps))


# ---- positions ----------------------------------------------------------------------------------


def test_a_small_error_circle_is_one_target():
    position = Position(*HIGH, 0.05, 0.9)
    made = made_of(position=position, sky_map=cone_map(*HIGH, 0.05, 0.9))
    (target,) = made.targets
    assert (target.name, target.kind) == ("E1", "position")
    assert (target.ra_deg, target.dec_deg) == HIGH
    assert target.probability == pytest.approx(1.0)
    assert made.reachable_probability == 1.0


def test_the_probability_of_a_position_is_what_its_field_holds():
    # A Gaussian with 90 % within 0.5 deg has sigma 0.233: of it 96.8 % is within +-0.5 on an axis.
    made = made_of(position=Position(*HIGH, 0.5, 0.9))
    assert made.targets[0].probability == pytest.approx(0.968**2, abs=0.001)
    assert made_of(position=Position(*HIGH, 0.5)).targets == made.targets
    assert made_of(position=Position(*HIGH)).targets[0].probability == 1.0


def test_a_systematic_error_widens_the_circle():
    """Fermi GBM's fifth part of a degree is one of 3.7 degrees, and no target."""
    assert not fits(Position(*HIGH, 0.2, 0.68, 3.7), Limits())
    assert fits(Position(*HIGH, 0.3, 0.68, 0.4), Limits())
    (one,) = made_of(position=Position(*HIGH, 0.3, 0.68, 0.4)).targets
    (other,) = made_of(position=Position(*HIGH, 0.5, 0.68)).targets
    assert one.probability == pytest.approx(other.probability)


def test_a_large_error_circle_becomes_fields_whatever_galaxies_there_are(tmp_path):
    sky_map = cone_map(*HIGH, 3.0, 0.9)
    ranking = ranking_of(tmp_path, sky_map, [200.0, 201.0], [-25.0, -24.0])
    made = made_of(position=Position(*HIGH, 3.0, 0.9), sky_map=sky_map, ranking=ranking)
    assert {target.kind for target in made.targets} == {"field"}
    small = made_of(position=Position(*HIGH, 0.3, 0.9), sky_map=sky_map, ranking=ranking)
    assert {target.kind for target in small.targets} == {"position"}


def test_a_position_that_cannot_be_observed_is_left_out_with_its_reason():
    made = made_of(position=Position(200.0, 85.0, 0.05))
    assert made.targets == ()
    assert made.left_out[0].reason == "never rises"
    assert made.reason == "it cannot be observed: never rises"
    assert made.reachable_probability == 0.0


def test_nothing_known_makes_an_empty_list():
    made = made_of()
    assert made.targets == made.left_out == ()
    assert made.reason == ""
    assert made.night.dark_from is not None


# ---- bursts: galaxies or fields, whichever holds more -------------------------------------------


def test_a_burst_s_galaxies_are_listed_where_they_hold_more_than_fields(tmp_path):
    sky_map = cone_map(*HIGH, 15.0, 0.9)
    random = np.random.default_rng(1)
    near = random.normal(HIGH[0], 4.0, 40), random.normal(HIGH[1], 4.0, 40)
    ranking = ranking_of(tmp_path, sky_map, *near)
    few = made_of(sky_map=sky_map, ranking=ranking, count=30)
    assert {target.kind for target in few.targets} == {"galaxy"}
    wide = Limits(field_width_deg=6.0, field_height_deg=6.0)
    made = made_of(sky_map=sky_map, ranking=ranking, count=30, limits=wide)
    assert {target.kind for target in made.targets} == {"field"}


def test_a_map_with_distances_is_for_its_galaxies(tmp_path):
    sky_map = whole_sky()
    ranking = ranking_of(tmp_path, sky_map, [HIGH[0]], [HIGH[1]])
    made = made_of(sky_map=sky_map, ranking=ranking)
    assert [target.kind for target in made.targets] == ["galaxy"]
    empty = ranking_of(tmp_path / "none", sky_map, [HIGH[0]], [HIGH[1]], distance=[5000.0])
    if not empty.considered:
        fields = made_of(sky_map=sky_map, ranking=empty, limits=Limits(field_width_deg=5.0))
        assert {target.kind for target in fields.targets} == {"field"}


# ---- the parts ----------------------------------------------------------------------------------


def test_a_sample_shares_the_probability_evenly():
    sky_map = cone_map(*HIGH, 5.0, 0.9)
    ra, dec = sample(sky_map, 2000)
    x, y = TangentPlane(*HIGH).project(ra, dec)
    assert (np.hypot(x, y) < 5.0).mean() == pytest.approx(0.9, abs=0.005)
    assert (x > 0.0).mean() == pytest.approx(0.5, abs=0.01)


def test_a_sample_of_one_large_tile_lies_in_it():
    sky_map = SkyMap.from_tiles([0, 0], [3, 7], [0.0, 1.0])
    ra, dec = sample(sky_map, 500)
    assert len({(round(a, 6), round(d, 6)) for a, d in zip(ra, dec, strict=True)}) == 500
    assert (pixels_of(ra, dec, 0) == 7).all()


def test_splitting_keeps_the_probability_and_the_place():
    sky_map = cone_map(*HIGH, 5.0, 0.9)
    pixels = split(sky_map, 1.0, 10**6, np.arange(len(sky_map)))
    assert pixels.probability.sum() == pytest.approx(sky_map.probability.sum())
    assert (sky_map.tiles_of(pixels_of(pixels.ra_deg, pixels.dec_deg)) == pixels.tile).all()
    assert split(sky_map, 1.0, 100, np.arange(len(sky_map))).ra_deg.size == 100


def test_fields_are_where_the_night_can_see_them():
    _, dark = coming_darkness(MACON, MARCH + timedelta(hours=14), -15.0)
    sky = LocalSky(MACON, dark[0])
    ra = float(np.degrees(sky.earth.rotation[0])) % 360.0
    position = Position(ra, -24.6, 0.1)
    made = make_list(MACON, "obs", Limits(), dark[0], count=5, event="E1", position=position)
    assert made.targets[0].altitude_deg > 89.5
