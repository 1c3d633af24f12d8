"""What is done before the first notice comes, so that it does not wait for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from toros.clock import Clock
from toros.errors import TorosError
from toros.lvcgcn.catalogues import CatalogueInUse
from toros.lvcgcn.observatories import Observatory
from toros.lvcgcn.ranking import Selection, rank
from toros.lvcgcn.skymaps.cones import cone_map
from toros.lvcgcn.targets import make_list

log = logging.getLogger(__name__)


def warm_up(
    catalogue: CatalogueInUse, observatories: Sequence[Observatory], ticking: Clock
) -> None:
    """Open the catalogue and make a list of nothing for each observatory.

    Libraries compute their tables at their first use, and the catalogue's pages come from the
    disk. A catalogue that cannot be used is an error in the log now rather than at the first
    notice.
    """
    try:
        opened = catalogue.newest()
        sky_map = cone_map(0.0, 0.0, 3.0, 0.9)
        ranking = rank(sky_map, opened, Selection())
        for each in observatories:
            make_list(
                each.site, each.name, each.limits, ticking.now(), count=1, event="warm-up",
                sky_map=sky_map, ranking=ranking,
            )  # fmt: skip
    except TorosError as error:
        log.error("no galaxies can be ranked: %s", error.message)
