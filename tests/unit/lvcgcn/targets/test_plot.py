"""Sky plots: readable files, the same bytes each time, whatever is drawn."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.unit.lvcgcn.targets.parts import CALAR, MACON, MARCH, SOUTH_POLE, spread
from toros.lvcgcn.notices import Position
from toros.lvcgcn.skymaps.cones import cone_map
from toros.lvcgcn.targets import Limits, make_list
from toros.lvcgcn.targets.plot import EVENT_RING, as_png, as_svg, sky_plot
from toros.lvcgcn.targets.projections import TangentPlane, mollweide, mollweide_places


def lists(sky_map, position=None, now=MARCH, limits=None):
    sites = {"Macon": MACON, "Calar $Alto$ <&>": CALAR, "South Pole": SOUTH_POLE}
    return [
        make_list(
            site, name, limits or Limits(2 * n, 3.0), now, count=8, event="E1", sky_map=sky_map,
            position=position,
        )
        for n, (name, site) in enumerate(sites.items())
    ]  # fmt: skip


@pytest.fixture(scope="module")
def cone():
    return cone_map(200.0, 5.0, 4.0, 0.9)


def drawn(plot) -> np.ndarray:
    content = as_png(plot)
    assert content.startswith(b"\x89PNG")
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def test_a_plot_is_the_same_bytes_each_time_and_without_a_date(cone):
    made = lists(cone)
    first, again = (sky_plot(cone, made, MARCH, "E1 $x_ <Initial>\x00\x0b--") for _ in range(2))
    assert as_png(first) == as_png(again)
    svg = as_svg(first)
    assert svg == as_svg(again)
    assert b"<dc:date>" not in svg
    ET.fromstring(svg)


def test_the_region_is_drawn_in_the_picture_of_all_the_sky_and_in_its_part(cone):
    made = lists(cone)
    with_map = drawn(sky_plot(cone, made, MARCH, "E1"))
    without = drawn(sky_plot(None, made, MARCH, "E1"))
    assert with_map.shape[1] > 1200

    def reddish(picture):
        return ((picture[..., 0] > 150) & (picture[..., 1] < 60) & (picture[..., 2] < 60)).sum()

    assert reddish(with_map) > 500
    assert reddish(without) == 0


def test_a_tiny_circle_has_a_ring_in_the_picture_of_all_the_sky():
    tiny = cone_map(200.0, 5.0, 0.05, 0.9)
    plot = sky_plot(tiny, [], MARCH, "E1")
    (ring,) = [line for line in plot.axes[0].lines if line.get_label() == EVENT_RING]
    assert ring.get_xydata()[0] == pytest.approx(np.ravel(mollweide(200.0, 5.0)), abs=0.01)
    words = [text.get_text() for text in plot.axes[2].get_legend().get_texts()]
    assert EVENT_RING in words


@pytest.mark.parametrize("case", ["no map, no target", "position", "wide", "pole", "many"])
def test_whatever_there_is_can_be_drawn(case, cone):
    sky_map = cone
    if case == "no map, no target":
        sky_map, made = None, lists(None)
    elif case == "position":
        sky_map, made = None, lists(None, Position(200.0, 5.0, 0.1))
    elif case == "wide":
        sky_map = cone_map(0.5, 40.0, 40.0, 0.9)
        made = lists(sky_map)
    elif case == "pole":
        sky_map = cone_map(10.0, -89.0, 4.0, 0.9)
        made = lists(sky_map)
    elif case == "many":
        made = [
            replace(each, observatory=f"{each.observatory} {n}")
            for n in range(3)
            for each in lists(cone)
        ]
    plot = sky_plot(sky_map, made, MARCH, case)
    assert drawn(plot).std() > 5.0


def test_mollweide_leads_back_and_keeps_areas():
    ra, dec = spread(2000)
    x, y = mollweide(ra, dec)
    back_ra, back_dec = mollweide_places(x, y)
    assert back_dec == pytest.approx(dec, abs=1e-6)
    assert ((back_ra - ra + 180.0) % 360.0 - 180.0) * np.cos(np.radians(dec)) == pytest.approx(
        np.zeros(ra.size), abs=1e-6
    )
    # Places spread evenly over the sky are spread evenly over the ellipse.
    assert (np.hypot(x / 2.0, y) < 1.0).mean() == pytest.approx(0.5, abs=0.04)
    assert np.isnan(mollweide_places(np.array([2.9]), np.array([0.1]))[0]).all()
    assert mollweide(170.0, 0.0)[0] > 0.0, "east is to the left"


def test_the_tangent_plane_leads_back():
    plane = TangentPlane(359.0, -88.0)
    random = np.random.default_rng(1)
    east, north = random.uniform(-20, 20, 100), random.uniform(-20, 20, 100)
    x, y = plane.project(*plane.places(east, north))
    assert x == pytest.approx(east)
    assert y == pytest.approx(north)
    assert np.isnan(plane.project(0.0, 60.0)).all()
