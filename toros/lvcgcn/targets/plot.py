"""The sky of an event in one picture: its region, the targets, who can reach what, the moon.

Drawn on figures of their own, without pyplot's state, so that any thread or process may; the same
input gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from toros.lvcgcn.skymaps.credible import credible_level_at, credible_tiles, probability_at
from toros.lvcgcn.skymaps.places import centres_of
from toros.lvcgcn.targets.projections import (
    ROOT2,
    TangentPlane,
    mollweide,
    mollweide_places,
)
from toros.lvcgcn.targets.target_list import ListedTarget, TargetList
from toros.lvcgcn.targets.visibility import Visibility
from toros.sky.earth import unit
from toros.sky.observability import LocalSky
from toros.sky.site import Array, Site

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from toros.lvcgcn.skymaps.sky_map import SkyMap

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#8c6d1f")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_RING: dict[str, Any] = {
    "marker": "o", "ms": 16.0, "mfc": "none", "mec": "black", "mew": 1.4, "zorder": 5,
}  # fmt: skip
_SHADES = "OrRd"
_LEVELS = (0.5, 0.9)
_LINE = "#444444"
EVENT_RING = "where the event is"
_WIDEST_ZOOM_DEG = 25.0
_NUMBERED = 12
_LINE_INCHES = 0.22
_LEGEND_LINES = 6
_SIZE = (13.0, 8.6)
_FLAT_SIZE = (15.5, 6.4)
_DPI = 110.0


def sky_plot(
    sky_map: SkyMap | None, lists: Sequence[TargetList], now: datetime, title: str
) -> Figure:
    """Draw an event's sky.

    Parameters
    ----------
    sky_map : SkyMap or None
        Its density in colour, with the borders of its 50 % and 90 % credible regions.
    lists : sequence of TargetList
        Of each the targets, numbered as they rank, and the border of the sky that is within the
        observatory's limits at some time of its coming night.
    now : datetime, UTC
        For which sun and moon are drawn.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
        For `as_png` and `as_svg`.
    """
    from matplotlib.figure import Figure

    plane, radius = _zoom(sky_map, lists)
    figure = Figure(figsize=_SIZE if plane else _FLAT_SIZE, layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.55, 1.0), height_ratios=(1.0, 1.12))
    if plane is None:
        whole: Any = figure.add_subplot(grid[:, 0])
    else:
        whole = figure.add_subplot(grid[0, 0])
        _draw_part(figure.add_subplot(grid[1, 0]), sky_map, lists, plane, radius)
    _draw_whole(whole, sky_map, lists, now, numbered=plane is None)
    if plane is not None:  # what is small would be lost in all the sky
        whole.plot(*mollweide(plane.ra_deg, plane.dec_deg), ls="", label=EVENT_RING, **_RING)
    aside: Any = figure.add_subplot(grid[:, 1])
    aside.axis("off")
    _write(aside, lists)
    handles = _legend(lists, sky_map)
    if plane is not None:
        handles.append(_handle(EVENT_RING, ls="", **_RING))
    if plane is None:
        whole.legend(
            handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), fontsize=8,
            frameon=False, ncols=4,
        )  # fmt: skip
    else:
        aside.legend(handles=handles, loc="lower left", fontsize=8, frameon=False, ncols=2)
    figure.suptitle(_printable(title, 100), fontsize=12, parse_math=False)
    return figure


def as_png(figure: Figure) -> bytes:
    """Return a figure as PNG, the same bytes for the same figure."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI, metadata={"Software": None})
    return out.getvalue()


def as_svg(figure: Figure) -> bytes:
    """Return a figure as SVG, the same bytes for the same figure."""
    import matplotlib

    out = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "toros"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


# ---- the two maps --------------------------------------------------------------------------------


def _draw_whole(
    axes: Any, sky_map: SkyMap | None, lists: Sequence[TargetList], now: datetime, numbered: bool
) -> None:
    """Draw all the sky."""
    from matplotlib.patches import Ellipse

    axes.set_aspect("equal")
    axes.axis("off")
    axes.set(xlim=(-2.95, 2.95), ylim=(-1.55, 1.55))
    x, y = np.meshgrid(np.linspace(-2 * ROOT2, 2 * ROOT2, 901), np.linspace(-ROOT2, ROOT2, 451))
    ra, dec = mollweide_places(x, y)
    extent = (-2 * ROOT2, 2 * ROOT2, -ROOT2, ROOT2)
    if sky_map is not None:
        _shade(axes, sky_map, x, y, ra, dec, extent)
    _graticule(axes)
    axes.add_patch(Ellipse((0, 0), 4 * ROOT2, 2 * ROOT2, fill=False, color=_LINE, lw=1.0))
    few = np.meshgrid(np.linspace(-2 * ROOT2, 2 * ROOT2, 361), np.linspace(-ROOT2, ROOT2, 181))
    seen = mollweide_places(0.9999 * few[0], 0.9999 * few[1])
    for number, each in enumerate(lists):
        _draw_reach(axes, each, *few, *seen, _colour(number))
    numbers: Numbers = set()
    for number, each in enumerate(lists):
        places = [(t.ra_deg, t.dec_deg) for t in each.targets]
        where = mollweide(*np.array(places).T) if places else (np.empty(0), np.empty(0))
        _mark(axes, each, where, number, 5.0 if numbered else 3.5, numbers if numbered else None)
    _draw_sun_and_moon(axes, lists[0].site if lists else Site(0.0, 0.0), now)


def _draw_part(
    axes: Any,
    sky_map: SkyMap | None,
    lists: Sequence[TargetList],
    plane: TangentPlane,
    radius: float,
) -> None:
    """Draw the part of the sky that the region is in."""
    side = np.degrees(np.tan(np.radians(radius)))
    east, north = np.meshgrid(np.linspace(-side, side, 501), np.linspace(-side, side, 501))
    if sky_map is not None:
        _shade(axes, sky_map, east, north, *plane.places(east, north), (-side, side, -side, side))
    few = np.meshgrid(np.linspace(-side, side, 161), np.linspace(-side, side, 161))
    numbers: Numbers = set()
    for number, each in enumerate(lists):
        _draw_reach(axes, each, *few, *plane.places(*few), _colour(number))
        for target in each.targets:
            if target.kind != "galaxy":
                _outline(axes, plane, target, each, _colour(number))
        places = [(t.ra_deg, t.dec_deg) for t in each.targets]
        where = plane.project(*np.array(places).T) if places else (np.empty(0), np.empty(0))
        _mark(axes, each, where, number, 6.0, numbers)
    axes.set(xlim=(side, -side), ylim=(-side, side), aspect="equal")
    axes.set_xlabel(f"deg to the east of RA {plane.ra_deg:.3f} deg")
    axes.set_ylabel(f"deg to the north of Dec {plane.dec_deg:+.3f} deg")
    axes.tick_params(labelsize=8)
    axes.grid(color="#bbbbbb", lw=0.4)


def _shade(
    axes: Any, sky_map: SkyMap, x: Array, y: Array, ra: Array, dec: Array, extent: Any
) -> None:
    """Draw a map's density, and the borders of its credible regions."""
    known = np.isfinite(ra)
    density, level = np.full(ra.shape, np.nan), np.ones(ra.shape)
    density[known] = probability_at(sky_map, ra[known], dec[known])
    level[known] = credible_level_at(sky_map, ra[known], dec[known])
    # Contours would be drawn along the edge of the sky.
    level[~known] = np.nan
    top = float(sky_map.density_sr.max())
    # imshow takes the first row as the lowest, and keeps SVG small: it is one picture there.
    axes.imshow(
        density, origin="lower", extent=extent, cmap=_SHADES, vmin=0.0, vmax=top,
        interpolation="nearest", alpha=np.where(known & (level < 0.999), 1.0, 0.0), zorder=0,
    )  # fmt: skip
    for border, width in zip(_LEVELS, (1.6, 0.8), strict=True):
        if np.nanmin(level) < border < np.nanmax(level):
            axes.contour(x, y, level, levels=[border], colors="black", linewidths=width, zorder=2)


def _graticule(axes: Any) -> None:
    style = {"color": "#cccccc", "lw": 0.5, "zorder": 1}
    for dec in range(-60, 61, 30):
        ra = np.linspace(0.001, 359.999, 181)
        axes.plot(*mollweide(ra, np.full(ra.shape, dec)), **style)
        x, y = (float(v) for v in mollweide(0.001, dec))
        label = f"{dec:+d}" if dec else "0"
        axes.text(x + 0.06, y, label, fontsize=7, ha="left", va="center", color=_LINE)
    for hour in range(0, 24, 3):
        dec_line = np.linspace(-89.99, 89.99, 91)
        if hour:
            axes.plot(*mollweide(np.full(dec_line.shape, hour * 15.0), dec_line), **style)
            x, y = (float(v) for v in mollweide(hour * 15.0, 0.0))
            axes.text(x, y - 0.03, f"{hour} h", fontsize=7, ha="center", va="top", color=_LINE)


def _draw_reach(
    axes: Any, each: TargetList, x: Array, y: Array, ra: Array, dec: Array, colour: str
) -> None:
    """Draw the border of what an observatory can reach in its night."""
    night = each.night
    if night.dark_from is None or night.dark_until is None:
        return
    from scipy.ndimage import gaussian_filter

    known = np.isfinite(ra)
    seen = np.zeros(ra.shape)
    visibility = Visibility(each.site, each.limits, (night.dark_from, night.dark_until))
    seen[known] = visibility.reachable(ra[known], dec[known])
    # What is outside the ellipse has no weight in the mean of neighbours.
    weight = gaussian_filter(known.astype(float), 1.0)
    smooth = gaussian_filter(seen, 1.0) / np.maximum(weight, 1e-6)
    smooth[~known] = np.nan
    if np.nanmin(smooth) < 0.5 < np.nanmax(smooth):
        axes.contour(
            x, y, smooth, levels=[0.5], colors=[colour], linewidths=1.3, linestyles="--", zorder=3
        )


Numbers = set[tuple[str, int]]
"""Which targets have been numbered, and with what."""


def _mark(
    axes: Any,
    each: TargetList,
    where: tuple[Array, Array],
    number: int,
    size: float,
    numbers: Numbers | None,
) -> None:
    """Mark the targets of a list, and number the first of them, unless another list has."""
    from matplotlib.patheffects import withStroke

    colour, marker = _colour(number), _MARKERS[number % len(_MARKERS)]
    axes.plot(*where, ls="", marker=marker, ms=size, mfc="none", mec=colour, mew=1.0, zorder=4)
    if numbers is None:
        return
    # Several observatories' numbers stand around the target, not on each other.
    shift = ((5, 4), (-5, 4), (5, -9), (-5, -9))[number % 4]
    for target, x, y in list(zip(each.targets, *where, strict=True))[:_NUMBERED]:
        if np.isfinite(x) and (target.name, target.rank) not in numbers:
            numbers.add((target.name, target.rank))
            axes.annotate(
                str(target.rank), (x, y), shift, textcoords="offset points", fontsize=7.5,
                color=colour, ha="left" if shift[0] > 0 else "right", annotation_clip=True,
                zorder=5, path_effects=[withStroke(linewidth=2.0, foreground="white")],
            )  # fmt: skip


def _outline(
    axes: Any, plane: TangentPlane, target: ListedTarget, each: TargetList, colour: str
) -> None:
    """Draw the field of view at a target."""
    limits = each.limits
    half_x, half_y = limits.field_width_deg / 2.0, limits.field_height_deg / 2.0
    around = TangentPlane(target.ra_deg, target.dec_deg)
    sides = [np.degrees(np.tan(np.radians(half))) for half in (half_x, half_y)]
    east = np.array([-1.0, 1.0, 1.0, -1.0, -1.0]) * sides[0]
    north = np.array([-1.0, -1.0, 1.0, 1.0, -1.0]) * sides[1]
    axes.plot(*plane.project(*around.places(east, north)), color=colour, lw=0.7, zorder=3)


def _draw_sun_and_moon(axes: Any, site: Site, now: datetime) -> None:
    sky = LocalSky(site, now)
    for vector, colour, label in (
        (sky.earth.sun[0], "#f0c000", "sun"),
        (sky.earth.moon[0], "#b0b0b0", f"moon {sky.moon_illumination[0]:.0%}"),
    ):
        ra = np.degrees(np.arctan2(vector[1], vector[0]))
        x, y = (float(v) for v in mollweide(ra, np.degrees(np.arcsin(vector[2]))))
        axes.plot(x, y, marker="o", ms=11, mfc=colour, mec=_LINE, mew=0.8, zorder=6)
        axes.annotate(label, (x, y), (0, -8), textcoords="offset points", fontsize=7, ha="center",
                      va="top", zorder=6)  # fmt: skip


# ---- what stands beside them ---------------------------------------------------------------------


def _write(axes: Any, lists: Sequence[TargetList]) -> None:
    """Write each list's night and first targets."""
    space = float(axes.figure.get_figheight()) / _LINE_INCHES - _LEGEND_LINES
    room = int(np.clip(space / max(len(lists), 1) - 4.0, 2, _NUMBERED))
    lines: list[tuple[str, str]] = []
    for number, each in enumerate(lists):
        lines += [(line, _colour(number)) for line in _lines_of(each, room)]
        lines.append(("", "black"))
    step = min(1.0, space / max(len(lines), 1)) * _LINE_INCHES / axes.figure.get_figheight()
    for row, (line, colour) in enumerate(lines):
        axes.text(
            0.0, 1.0 - step * row, line, transform=axes.transAxes, fontsize=7.5, va="top",
            family="monospace", color=colour, parse_math=False,
        )  # fmt: skip


def _lines_of(each: TargetList, room: int) -> list[str]:
    night = each.night
    head = f"{_printable(each.observatory, 24)}: night of {night.date}"
    if night.dark_from is None or night.dark_until is None:
        return [head, *_folded(night.reason, 58)]
    span = f"{night.dark_from:%H:%M}-{night.dark_until:%H:%M} UTC"
    lines = [
        f"{head}, dark {span}",
        f"reachable {each.reachable_probability:.1%}, {len(each.targets)} "
        f"target{'s' * (len(each.targets) != 1)} with "
        f"{each.listed_probability:.1%}",
    ]
    if not each.targets:
        return [*lines, *_folded(each.reason, 58)]
    lines += [
        f"{t.rank:3d} {_printable(t.name, 24):24s} {t.probability:6.2%} {t.best_time:%H:%M} "
        f"X={t.airmass:.2f}"
        for t in each.targets[:room]
    ]
    if len(each.targets) > room:
        lines.append(f"    and {len(each.targets) - room} more")
    return lines


def _printable(text: str, most: int) -> str:
    """Return the beginning of a text without signs that would break an SVG."""
    return "".join(sign if sign.isprintable() else " " for sign in text[:most])


def _folded(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width)


def _legend(lists: Sequence[TargetList], sky_map: SkyMap | None) -> list[Any]:
    from matplotlib.lines import Line2D

    handles = []
    if sky_map is not None:
        handles = [
            Line2D([], [], color="black", lw=width, label=f"{level:.0%} credible region")
            for level, width in zip(_LEVELS, (1.6, 0.8), strict=True)
        ]
    for number, each in enumerate(lists):
        handles.append(
            Line2D(
                [], [], color=_colour(number), ls="--" if each.night.dark_from else "",
                marker=_MARKERS[number % len(_MARKERS)], mfc="none",
                label=f"{_printable(each.observatory, 24)}: targets, reach",
            )
        )  # fmt: skip
    return handles


def _handle(label: str, **style: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **style)


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _zoom(sky_map: SkyMap | None, lists: Sequence[TargetList]) -> tuple[TangentPlane | None, float]:
    """Return the part of the sky to draw by itself, and its radius [deg]; None if it is large."""
    ra, dec, weight = _weights(sky_map, lists)
    if not ra.size:
        return None, 0.0
    places = unit(ra, dec)
    middle = weight @ places
    length = float(np.linalg.norm(middle))
    if length <= 1e-6:
        return None, 0.0
    cosine = np.clip(places @ middle / length, -1.0, 1.0)
    widest = max(
        (max(e.limits.field_width_deg, e.limits.field_height_deg) for e in lists), default=0.0
    )
    radius = float(np.degrees(np.arccos(cosine.min()))) * 1.15 + 0.6 * widest
    if radius > _WIDEST_ZOOM_DEG:
        return None, 0.0
    ra_deg = float(np.degrees(np.arctan2(middle[1], middle[0]))) % 360.0
    dec_deg = float(np.degrees(np.arcsin(middle[2] / length)))
    return TangentPlane(ra_deg, dec_deg), max(radius, 0.05)


def _weights(sky_map: SkyMap | None, lists: Sequence[TargetList]) -> tuple[Array, Array, Array]:
    """Return places of the region and their weights; without a map, the targets."""
    if sky_map is not None:
        some = credible_tiles(sky_map, _LEVELS[-1])
        ra, dec = centres_of(sky_map.order[some], sky_map.index[some])
        return ra, dec, sky_map.probability[some]
    targets = [target for each in lists for target in each.targets]
    ra, dec = (np.array([getattr(t, name) for t in targets]) for name in ("ra_deg", "dec_deg"))
    return ra, dec, np.ones(len(targets))
