"""From a notice and its sky map to each observatory's target list.

Pure: what is to be done with the lists is the robot's affair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from toros.config.alerts import Galaxies
from toros.lvcgcn.galaxies.catalogue import Catalogue
from toros.lvcgcn.notices.notice import Notice
from toros.lvcgcn.observatories import Observatory
from toros.lvcgcn.ranking import Ranking, Selection, rank
from toros.lvcgcn.skymaps.credible import credible_area, credible_volume, distance
from toros.lvcgcn.skymaps.sky_map import SkyMap
from toros.lvcgcn.targets import TargetList, make_list


@dataclass(frozen=True)
class Answer:
    """What a notice leads to.

    Parameters
    ----------
    lists : tuple of TargetList
        One for each observatory.
    sky_map : SkyMap or None
    ranking : Ranking or None
        None where there is no sky map.
    region : mapping
        What a report says of the sky map's region; empty where there is no sky map.
    """

    lists: tuple[TargetList, ...]
    sky_map: SkyMap | None = None
    ranking: Ranking | None = None
    region: Mapping[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Return what a report says of the region, the galaxies and each list, fit to travel.

        Returns
        -------
        dict
            area_50_deg2, area_90_deg2, volume_90_mpc3, distance_mpc, distance_error_mpc (None
            where the map has no distance), galaxies, weight, and `lists`: by observatory its
            night, number of targets and probabilities.
        """
        return {
            **self.region,
            "galaxies": 0 if self.ranking is None else self.ranking.considered,
            "weight": None if self.ranking is None else self.ranking.weight,
            "lists": {each.observatory: _of_list(each) for each in self.lists},
        }


def answer(
    notice: Notice,
    sky_map: SkyMap | None,
    catalogue: Catalogue,
    observatories: Sequence[Observatory],
    galaxies: Galaxies,
    count: int,
    now: datetime,
) -> Answer:
    """Rank the galaxies of a sky map, and make the list of each observatory.

    Parameters
    ----------
    notice : Notice
    sky_map : SkyMap or None
        Of the notice, or of its error circle; None where it tells no place.
    catalogue : Catalogue
    observatories : sequence of Observatory
    galaxies : Galaxies
        Which galaxies, and how they are weighted.
    count : int
        Length of a list.
    now : datetime, UTC
        The lists are for the night that is running or comes next.
    """
    if sky_map is None:
        return Answer(())
    with ThreadPoolExecutor(1) as pool:  # the region's volume takes as long as some lists
        region = pool.submit(_of_region, sky_map)
        ranking = rank(sky_map, catalogue, selection(galaxies))
        lists = tuple(
            make_list(
                each.site,
                each.name,
                each.limits,
                now,
                count=count,
                event=notice.event,
                sky_map=sky_map,
                ranking=ranking,
                position=notice.position,
                level=galaxies.credible_level,
            )
            for each in observatories
        )
    return Answer(lists, sky_map, ranking, region.result())


def withdrawal(notice: Notice, observatories: Sequence[Observatory], now: datetime) -> Answer:
    """Make an empty list for each observatory."""
    why = "the event is retracted" if notice.is_retraction else "the notice tells no place"
    empty = (
        make_list(each.site, each.name, each.limits, now, count=0, event=notice.event)
        for each in observatories
    )
    return Answer(tuple(replace(made, reason=why) for made in empty))


def selection(galaxies: Galaxies) -> Selection:
    """Return what the ranking takes of the settings."""
    return Selection(
        credible_level=galaxies.credible_level,
        distance_max_mpc=galaxies.distance_max_mpc,
        apparent_magnitude_max=galaxies.apparent_magnitude_max,
        absolute_magnitude_max=galaxies.absolute_magnitude_max,
        weight=galaxies.weight,
    )


def _of_region(sky_map: SkyMap) -> Mapping[str, Any]:
    found: dict[str, Any] = {
        "area_50_deg2": credible_area(sky_map, 0.5),
        "area_90_deg2": credible_area(sky_map, 0.9),
        "volume_90_mpc3": None,
        "distance_mpc": None,
        "distance_error_mpc": None,
    }
    told = distance(sky_map)
    if told is not None:
        found["distance_mpc"], found["distance_error_mpc"] = told
        found["volume_90_mpc3"] = credible_volume(sky_map, 0.9)
    return found


def _of_list(made: TargetList) -> dict[str, Any]:
    return {
        "night": made.night.date.isoformat(),
        "reason": made.reason,
        "targets": len(made.targets),
        "listed_probability": made.listed_probability,
        "reachable_probability": made.reachable_probability,
    }
