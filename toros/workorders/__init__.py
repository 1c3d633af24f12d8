"""What travels: the work order's envelope, and each daemon's requests as typed classes."""

from toros.workorders.desk import CancelOrder, Describe, ListOrders, Status
from toros.workorders.dome import CloseDome, DomeStatus, OpenDome, ParkPosition, SetAzim
from toros.workorders.envelope import SERVICES, WorkOrder
from toros.workorders.lvcgcn import ProcessAlert
from toros.workorders.parsing import parse
from toros.workorders.preprocessor import CalibrateFileBatch, RestartFileBatch, ResumeFileBatch
from toros.workorders.requests import COMMON, REQUESTS
from toros.workorders.telescope import Observation

__all__ = [
    "COMMON",
    "REQUESTS",
    "SERVICES",
    "CalibrateFileBatch",
    "CancelOrder",
    "CloseDome",
    "Describe",
    "DomeStatus",
    "ListOrders",
    "Observation",
    "OpenDome",
    "ParkPosition",
    "ProcessAlert",
    "RestartFileBatch",
    "ResumeFileBatch",
    "SetAzim",
    "Status",
    "WorkOrder",
    "parse",
]
