"""What the dome says of itself, with the age of each word."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from toros.devices.protocols import Dome, ShutterState
from toros.dome.hands import Crew, Poller
from toros.errors import DeviceNotConnected, TorosError

T = TypeVar("T")

FRESH_S = 3.0
"""What the dome said longer ago than this is not known any more [s]."""

_SHUTTER_PERIOD_S = 0.2
_BODY_PERIOD_S = 0.3


class Body(NamedTuple):
    """What the dome says besides its shutter; None for what it does not tell.

    Attributes
    ----------
    connected : bool
    azimuth : float or None
        Where the slit looks, north 0, east 90 [deg].
    at_park, slewing : bool or None
    """

    connected: bool
    azimuth: float | None = None
    at_park: bool | None = None
    slewing: bool | None = None


class Watch:
    """Asks the dome all the time: the shutter in one thread, the rest in another.

    Parameters
    ----------
    dome : Dome
    crew : Crew
    hurry : float
        What its periods are divided by: in a rehearsal the dome moves faster.
    """

    def __init__(self, dome: Dome, crew: Crew, hurry: float = 1.0) -> None:
        self._dome = dome
        self._now = crew.now
        self.shutter: Poller[ShutterState] = crew.poller(
            f"{dome.name}: shutter", self._ask_shutter, _SHUTTER_PERIOD_S / hurry
        )
        self.body: Poller[Body] = crew.poller(dome.name, self._ask, _BODY_PERIOD_S / hurry)

    def start(self) -> None:
        """Begin to ask."""
        self.shutter.start()
        self.body.start()

    def stop(self) -> None:
        """Ask no more."""
        self.shutter.stop()
        self.body.stop()

    def shutter_now(self) -> ShutterState | None:
        """Return what the shutter has just said; None when that is not known."""
        return self.shutter.fresh(self._now(), FRESH_S)

    def _ask_shutter(self) -> ShutterState:
        try:
            return self._dome.shutter()
        except DeviceNotConnected:
            self._dome.connect()
            return self._dome.shutter()

    def _ask(self) -> Body:
        dome = self._dome
        if not dome.connected():
            dome.connect()
        return Body(
            connected=True,
            azimuth=_told(dome.azimuth),
            at_park=_told(dome.at_park),
            slewing=_told(dome.slewing),
        )


def _told(ask: Callable[[], T]) -> T | None:
    """Ask for one thing; what a dome does not tell is not known, the rest may be."""
    try:
        return ask()
    except DeviceNotConnected:
        raise
    except TorosError:
        return None
