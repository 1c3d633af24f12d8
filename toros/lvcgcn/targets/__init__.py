"""Target lists: what each observatory looks at in its coming night, and when.

Pure functions: a sky map, a ranking, a site and a moment in, a list out. See the page "How target
lists are made" of the documentation.
"""

from toros.lvcgcn.targets.formats import as_assignments, as_csv, as_json
from toros.lvcgcn.targets.listing import make_list
from toros.lvcgcn.targets.stored import csv_of, list_from_json
from toros.lvcgcn.targets.target_list import (
    ComingNight,
    LeftOut,
    Limits,
    ListedTarget,
    TargetList,
)

__all__ = [
    "ComingNight",
    "LeftOut",
    "Limits",
    "ListedTarget",
    "TargetList",
    "as_assignments",
    "as_csv",
    "as_json",
    "csv_of",
    "list_from_json",
    "make_list",
]
