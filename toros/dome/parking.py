"""Parking when the dome closes: beside the closing, and never in its way."""

from __future__ import annotations

import logging

from toros.config.enclosure import Dome as Settings
from toros.devices.protocols import Mount
from toros.dome.closing import Closing
from toros.dome.hands import Crew, Reading
from toros.dome.motion import Motion, Turn
from toros.errors import DomeBusy, NotSupported, TorosError

log = logging.getLogger(__name__)

_POLL_S = 0.3
_AGAIN_S = 5.0
_ATTEMPTS = 3


class MountPark:
    """Parks the mount when that is wanted, again and again until the mount says so.

    Then it is left alone: it may be needed with the dome closed.

    Parameters
    ----------
    mount : Mount
    crew : Crew
    """

    def __init__(self, mount: Mount, crew: Crew) -> None:
        self.parked: Reading[bool] | None = None
        self.trouble: str | None = None
        self.wanted_s: float | None = None
        self._mount = mount
        self._now = crew.now
        self._hand = crew.hand("mount-park")
        self._not_before_s = 0.0
        self._commanded_s: float | None = None
        self._told = ""

    def want(self) -> None:
        """Park it."""
        if self.wanted_s is None:
            self._commanded_s = None
            self.wanted_s = self._now()

    def leave(self) -> None:
        """Leave it alone from now on."""
        self.wanted_s = None

    @property
    def wanted(self) -> bool:
        """Whether it is being parked."""
        return self.wanted_s is not None

    def parked_since(self, began_s: float) -> bool:
        """Tell whether the mount has said that it is parked, asked after `began_s` [s]."""
        parked = self.parked
        return parked is not None and parked.value and parked.began_s >= began_s

    def pursue(self, now_s: float) -> None:
        """Begin what is due; at once."""
        if self.wanted and self._hand.free and now_s >= self._not_before_s:
            self._not_before_s = now_s + _POLL_S
            self._hand.begin("park the mount", self._step)

    def _step(self) -> None:
        try:
            self._ask_and_command()
            self.trouble, self._told = None, ""
        except Exception as error:  # noqa: BLE001  (parking goes on; told below)
            self._complain(error)

    def _ask_and_command(self) -> None:
        began_s, wanted_s = self._now(), self.wanted_s
        if not self._mount.connected():
            self._mount.connect()
        parked = self._mount.at_park()
        self.parked = Reading(parked, began_s, self._now())
        commanded_s = self._commanded_s
        again = commanded_s is None or began_s - commanded_s >= _AGAIN_S
        if parked:
            self._commanded_s = None
            if self.wanted_s == wanted_s:
                self.wanted_s = None
        elif again and not (commanded_s is not None and self._mount.slewing()) and self.wanted:
            self._commanded_s = began_s
            self._mount.park()

    def _complain(self, error: Exception) -> None:
        expected = isinstance(error, TorosError)
        self.trouble = str(error) if expected else f"{type(error).__name__}: {error}"
        if self.trouble != self._told:
            log.warning(
                "the mount is not parked: %s", self.trouble, exc_info=None if expected else error
            )
        self._told = self.trouble


class DomePark:
    """Turns the dome to its park position beside a closing: a few attempts.

    Parameters
    ----------
    motion : Motion
    """

    def __init__(self, motion: Motion) -> None:
        self._motion = motion
        self._attempts = 0
        self._not_before_s = 0.0

    @property
    def wanted(self) -> bool:
        """Whether it is to be parked."""
        return self._attempts > 0

    def want(self) -> None:
        """Park it from now on."""
        self._attempts = _ATTEMPTS
        self._not_before_s = 0.0

    def leave(self) -> None:
        """Leave it where it is."""
        self._attempts = 0

    def pursue(self, ended: Turn | None, now_s: float) -> None:
        """Begin what is due; `ended` is the turn that has just ended."""
        if ended is not None and ended.target == "park":
            over = ended.error is None or isinstance(ended.error, NotSupported)
            self._attempts = 0 if over else self._attempts - 1
            self._not_before_s = now_s + _AGAIN_S
        if not self.wanted or self._motion.current is not None or now_s < self._not_before_s:
            return
        try:
            self._motion.begin("park", now_s)
        except DomeBusy:  # a command hangs; it is tried when that comes back
            self._not_before_s = now_s + 1.0


class Parks:
    """What is parked beside a closing: the dome's azimuth, and the mount if there is one.

    Parameters
    ----------
    settings : Dome
    mount : Mount or None
    motion : Motion
    crew : Crew
    """

    def __init__(self, settings: Settings, mount: Mount | None, motion: Motion, crew: Crew) -> None:
        self._settings = settings
        self._now = crew.now
        self._mount = MountPark(mount, crew) if mount is not None else None
        self._dome = DomePark(motion)

    def want(self) -> None:
        """Park both from now on."""
        self._dome.want()
        if self._mount is not None:
            self._mount.want()

    def leave(self) -> None:
        """Leave the dome where it is, and the mount, too."""
        self._dome.leave()
        if self._mount is not None:
            self._mount.leave()

    @property
    def turns(self) -> bool:
        """Whether the dome is to be turned to its park position yet."""
        return self._dome.wanted

    @property
    def roof_waits(self) -> bool:
        """Whether the roof closes only over a parked mount, as far as that can be helped."""
        return self._settings.enclosure == "roll-off" and self._mount is not None

    def roof_may_move(self, closing: Closing | None) -> bool:
        """Tell whether the roof may close: a roll-off roof waits for the mount, bounded."""
        if not self.roof_waits or self._mount is None:
            return True
        if closing is None:
            return False
        if closing.sent_s is not None or self._mount.parked_since(closing.began_s):
            return True
        self._mount.want()
        over = self._now() - closing.waits_s >= self._settings.park_timeout_s
        return over and self._settings.on_park_timeout == "close"

    def pursue_dome(self, ended: Turn | None, now_s: float) -> None:
        """Turn the dome to its park position if that is due; `ended` has just ended."""
        self._dome.pursue(ended, now_s)

    def pursue_mount(self, closing: Closing | None, now_s: float) -> None:
        """Park the mount; one that does not is left alone when the closing does not need it."""
        mount = self._mount
        if mount is None or mount.wanted_s is None:
            return
        if closing is None and now_s - mount.wanted_s > self._settings.park_timeout_s:
            mount.leave()
            log.error("the dome is closed, but the mount did not park: %s", mount.trouble)
        mount.pursue(now_s)
