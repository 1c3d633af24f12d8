"""Which requests belong to which daemon."""

from __future__ import annotations

from toros.workorders import desk, dome, lvcgcn, preprocessor, telescope
from toros.workorders.envelope import WorkOrder

COMMON: tuple[type[WorkOrder], ...] = (
    desk.Describe,
    desk.Status,
    desk.ListOrders,
    desk.CancelOrder,
)
"""What every daemon answers."""

REQUESTS: dict[str, tuple[type[WorkOrder], ...]] = {
    "preprocessor": (
        preprocessor.CalibrateFileBatch,
        preprocessor.ResumeFileBatch,
        preprocessor.RestartFileBatch,
    ),
    "telescope": (
        telescope.Observation,
        telescope.ReceiveTargets,
        telescope.WithdrawTargets,
        telescope.ScheduleNight,
        telescope.GetPlan,
        telescope.Explain,
        telescope.PrepareNight,
        telescope.OpenNight,
        telescope.CloseNight,
        telescope.Point,
        telescope.TakeImages,
        telescope.TakeCalibrationFrames,
        telescope.StoreImages,
        telescope.AcceptFrames,
        telescope.TelescopeOpenDome,
        telescope.TelescopeCloseDome,
        telescope.Abort,
        telescope.TelescopeSetMode,
        telescope.TelescopeAcknowledge,
    ),
    "dome": (
        dome.DomeStatus,
        dome.OpenDome,
        dome.CloseDome,
        dome.StopDome,
        dome.SetAzim,
        dome.SetCoordinates,
        dome.ParkPosition,
        dome.SyncAzim,
        dome.Lease,
        dome.SetMode,
        dome.Acknowledge,
    ),
    "lvcgcn": (
        lvcgcn.ProcessAlert,
        lvcgcn.ListEvents,
        lvcgcn.GetEvent,
        lvcgcn.GetTargets,
        lvcgcn.RetractEvent,
        lvcgcn.ReportTarget,
    ),
}
"""Each daemon's own requests."""


def names(request: type[WorkOrder]) -> tuple[str, ...]:
    """Return every name under which a request is taken."""
    return (request.request, *request.aliases)


def of_service(service: str) -> dict[str, type[WorkOrder]]:
    """Return the requests that a daemon answers, by name."""
    return {name: cls for cls in (*COMMON, *REQUESTS[service]) for name in names(cls)}


def owner_of(name: str) -> str | None:
    """Return the daemon that a request belongs to, None if no daemon knows it."""
    for service, requests in REQUESTS.items():
        if any(name in names(cls) for cls in requests):
            return service
    return None
