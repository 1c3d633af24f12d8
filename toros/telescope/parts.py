"""The parts of a telescope that its night works with."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import Any

from toros.clock import Clock
from toros.config import Settings
from toros.errors import DeviceError
from toros.telescope.backlog import Backlog
from toros.telescope.calibrating import Calibrator
from toros.telescope.camera_work import CameraWork
from toros.telescope.control import Control
from toros.telescope.cooling import Cooling
from toros.telescope.dome_link import Roof
from toros.telescope.exposures import ExposureStore
from toros.telescope.focusing import Focusing
from toros.telescope.hardware import Hardware
from toros.telescope.memory import Memory
from toros.telescope.observing import Observer
from toros.telescope.planner import Planner
from toros.telescope.record import NightRecord
from toros.telescope.replanning import Replanning
from toros.telescope.target_queue import TargetQueue
from toros.telescope.telling import Telling

log = logging.getLogger(__name__)


@dataclass
class Parts:
    """Everything that a night needs, made once by the daemon."""

    settings: Settings
    clock: Clock
    planner: Planner
    hardware: Hardware
    camera: CameraWork
    control: Control
    dome: Roof
    observer: Observer
    calibrator: Calibrator
    focusing: Focusing
    targets: TargetQueue
    replanning: Replanning
    record: NightRecord
    telling: Telling
    backlog: Backlog
    store: ExposureStore
    memory: Memory
    cooling: Cooling
    ready: threading.Event = field(default_factory=threading.Event)
    """Set once the database can be used."""

    def is_settled(self) -> bool:
        """Tell whether all exposures are written and all is recorded."""
        return self.store.settle(0.0) and self.backlog.behind == 0

    def make_ready(self) -> None:
        """Set the camera up as the configuration says.

        Raises
        ------
        DeviceError
        """
        telescope, camera = self.settings.telescope, self.hardware.camera
        self.hardware.attempt("setting the binning", lambda: camera.set_binning(telescope.binning))
        self.cooling.begin()

    def connect_anew(self) -> None:
        """Let the devices go and take them up again; the second rung of the ladder."""
        for device in self.hardware.devices.all():
            try:
                device.disconnect()
                device.connect()
            except DeviceError as error:
                log.warning("connecting %s anew: %s", device.name, error.message)

    def may_cut(self) -> bool:
        """Whether a running exposure is cut for a target that may not wait."""
        return self.settings.telescope.planning.on_alert == "cut"

    def pointing(self) -> tuple[float, float] | None:
        """Return where the telescope tracks, ICRS [deg]; None at rest."""
        place = self.observer.place
        return None if place is None else (place.ra_deg, place.dec_deg)

    def summary(self) -> dict[str, Any]:
        """Tell in numbers what the night has come to."""
        lights = self.camera.count("light")
        return {
            "frames": self.camera.frames,
            "lights": lights,
            "filters": [name for name in self.camera.filters() if name],
            "exposures_folder": str(self.store.folder / self.record.date),
        }
