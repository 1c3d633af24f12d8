"""A simulated observatory whose hardware lives in a folder.

`World` is the observatory, its methods give the devices, set weather and faults, and tell what
really happened. `toros.simulation.observatory.verdicts` judges that.
"""

from toros.simulation.observatory.settings import WorldSettings
from toros.simulation.observatory.stars import stars_near
from toros.simulation.observatory.truth import ARRIVED, Motion, TruthEvent
from toros.simulation.observatory.world import World

__all__ = ["ARRIVED", "Motion", "TruthEvent", "World", "WorldSettings", "stars_near"]
