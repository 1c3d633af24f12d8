"""The scheduler: pure functions from targets, a site and a night to a plan.

See the page "How the scheduler decides" of the documentation.
"""

from toros.telescope.scheduling.explaining import explain, observable_until
from toros.telescope.scheduling.export import plan_csv, plan_dict, plan_text
from toros.telescope.scheduling.planning import (
    ITERATIONS,
    Entry,
    LeftOut,
    Plan,
    next_target,
    plan,
)
from toros.telescope.scheduling.priority import Appraisal, appraise
from toros.telescope.scheduling.targets import (
    URGENT,
    Constraints,
    SlewModel,
    Target,
    duration_of,
    interrupts,
)

__all__ = [
    "ITERATIONS",
    "URGENT",
    "Appraisal",
    "Constraints",
    "Entry",
    "LeftOut",
    "Plan",
    "SlewModel",
    "Target",
    "appraise",
    "duration_of",
    "explain",
    "interrupts",
    "next_target",
    "observable_until",
    "plan",
    "plan_csv",
    "plan_dict",
    "plan_text",
]
