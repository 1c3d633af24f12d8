"""What the simulated hardware is like: sizes, speeds, places."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from toros.errors import ConfigurationError
from toros.simulation.bandpasses import BANDPASSES

FILE_NAME = "world.json"


@dataclass(frozen=True)
class WorldSettings:
    """The hardware's numbers; those that ``world.json`` in the world's folder does not give hold.

    Attributes
    ----------
    seed : int
        What stars, noise and small errors are drawn from.
    dome_turns : bool
        False for a roll-off roof or a clamshell, which sees the whole sky when open.
    dome_speed_deg_s, shutter_s, dome_park_deg : float
        Speed of the azimuth, travel time of the shutter, azimuth of the park position.
    slit_half_width_deg : float
        How far the slit's azimuth may be from the mount's for the mount to see the sky.
    mount_speed_deg_s, settle_s : float
        Speed of each axis, time to settle after a slew.
    mount_park_deg : (float, float)
        Altitude and azimuth of the park position [deg].
    pointing_offset_arcsec : (float, float)
        What the mount is off by until it is synced, to the east and to the north.
    pointing_error_arcsec : float
        What each slew is off by on top of it, 1 sigma of each axis.
    shape : (int, int)
        (ny, nx) of the sensor [pixel].
    pixel_scale_arcsec, rotation_deg : float
        As in `toros.simulation.Optics`.
    readout_s, download_s : float
        After each exposure.
    cooling_s, cooling_reach_c : float
        Time constant of the sensor's temperature; how far below the air it can be cooled.
    filters : tuple of str
        By position; of `toros.simulation.bandpasses.BANDPASSES`.
    filter_step_s : float
        For each position that the wheel turns.
    focuser_max, focuser_best, focuser_first : int
        Outermost position, position of the focus, position at first [steps].
    focuser_speed, blur_arcsec_step : float
        In steps/s; width that each step out of focus adds (in quadrature).
    cover_s, lamp_warm_s : float
        Travel time of the mirror cover, warming of the lamp.
    lamp_e_s : float
        Light of the lamp at full brightness in one pixel behind the V filter [electron/s].
    faintest_v_mag : float
        Stars are drawn down to it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    seed: int = 1
    dome_turns: bool = True
    dome_speed_deg_s: float = 3.0
    shutter_s: float = 30.0
    dome_park_deg: float = 0.0
    slit_half_width_deg: float = 8.0
    mount_speed_deg_s: float = 4.0
    settle_s: float = 3.0
    mount_park_deg: tuple[float, float] = (20.0, 0.0)
    pointing_offset_arcsec: tuple[float, float] = (20.0, -12.0)
    pointing_error_arcsec: float = 2.0
    shape: tuple[int, int] = (256, 256)
    pixel_scale_arcsec: float = 1.2
    rotation_deg: float = 0.0
    readout_s: float = 2.0
    download_s: float = 1.0
    cooling_s: float = 60.0
    cooling_reach_c: float = 45.0
    filters: tuple[str, ...] = ("B", "V", "R", "I")
    filter_step_s: float = 1.0
    focuser_max: int = 10_000
    focuser_best: int = 5_000
    focuser_first: int = 5_040
    focuser_speed: float = 250.0
    blur_arcsec_step: float = 0.015
    cover_s: float = 8.0
    lamp_warm_s: float = 3.0
    lamp_e_s: float = 20_000.0
    faintest_v_mag: float = 19.0

    def __post_init__(self) -> None:
        positive = (
            "dome_speed_deg_s", "shutter_s", "mount_speed_deg_s", "pixel_scale_arcsec",
            "cooling_s", "filter_step_s", "focuser_speed", "cover_s",
        )  # fmt: skip
        for name in positive:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be above 0")
        unknown = sorted(set(self.filters) - set(BANDPASSES))
        if unknown or not self.filters:
            known = ", ".join(BANDPASSES)
            raise ValueError(f"filters is {list(self.filters)}; the simulated sky knows {known}")


_ADAPTER = TypeAdapter(WorldSettings)


def load(folder: Path) -> WorldSettings:
    """Read the hardware's numbers of a world's folder; the defaults where there is no file.

    Raises
    ------
    ConfigurationError
        ``world.json`` cannot be read or is wrong.
    """
    path = folder / FILE_NAME
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return WorldSettings()
    except (OSError, ValidationError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def save(folder: Path, settings: WorldSettings) -> None:
    """Write the hardware's numbers into a world's folder, before any device is used."""
    (folder / FILE_NAME).write_bytes(_ADAPTER.dump_json(settings, indent=2))
