"""The sky map that a notice is answered by."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from toros.config.alerts import SkyMaps
from toros.errors import SkyMapRefused, SkyMapUnreachable
from toros.lvcgcn.notices.notice import Notice, SkyMapSource
from toros.lvcgcn.skymaps.cones import cone_map
from toros.lvcgcn.skymaps.fetching import fetch
from toros.lvcgcn.skymaps.limits import MapLimits
from toros.lvcgcn.skymaps.reading import read_sky_map
from toros.lvcgcn.skymaps.sky_map import SkyMap

log = logging.getLogger(__name__)

# Each may wait for its server as long as it has time; other notices need threads meanwhile.
_FETCHED_AT_A_TIME = 4
# Each may need half a gigabyte.
_READ_AT_A_TIME = 2


def is_fetched(notice: Notice) -> bool:
    """Whether a sky map of a notice is to be fetched from elsewhere."""
    return any(each and each.url for each in (notice.combined_sky_map, notice.sky_map))


@dataclass(frozen=True, eq=False)
class Found:
    """Where a notice's event may be.

    Parameters
    ----------
    content : bytes or None
        Of the sky map's file; None for the map of an error circle.
    sky_map : SkyMap or None
        None where the notice tells no place.
    note : str
        Which better map could not be used, and why.
    """

    content: bytes | None = None
    sky_map: SkyMap | None = None
    note: str = ""


NO_MAP = Found()


class Maps:
    """Fetches and reads sky maps.

    Parameters
    ----------
    settings : SkyMaps
        Where they may come from, and how large they may be.
    """

    def __init__(self, settings: SkyMaps) -> None:
        self._addresses = settings.addresses
        self._limits = MapLimits(
            bytes=int(settings.size_limit_mb * 1e6),
            inflated_bytes=int(settings.inflated_limit_mb * 1e6),
            pixels=int(settings.pixel_limit_millions * 1e6),
            seconds=settings.timeout_s,
        )
        self._fetching = threading.BoundedSemaphore(_FETCHED_AT_A_TIME)
        self._reading = threading.BoundedSemaphore(_READ_AT_A_TIME)

    def of(self, notice: Notice) -> Found:
        """Return a notice's sky map, and its file's content where it has one.

        The map that is combined with an external coincidence comes before the event's own, and
        a map before an error circle; what cannot be used or had gives way to the next.

        Raises
        ------
        SkyMapRefused
            The only map is broken, or beyond a limit.
        SkyMapUnreachable
            The only map cannot be had now, or as many as may be are being fetched.
        """
        if not is_fetched(notice):
            return self._best(notice)
        if not self._fetching.acquire(blocking=False):
            raise SkyMapUnreachable(
                f"{notice.event} {notice.kind}: {_FETCHED_AT_A_TIME} other sky maps are being "
                "fetched"
            )
        try:
            return self._best(notice)
        finally:
            self._fetching.release()

    def _best(self, notice: Notice) -> Found:
        failure: SkyMapRefused | SkyMapUnreachable | None = None
        note = ""
        for source in (notice.combined_sky_map, notice.sky_map):
            if source is None:
                continue
            try:
                content = self._content(source)
                with self._reading:
                    return Found(content, read_sky_map(content, self._limits), note)
            except (SkyMapRefused, SkyMapUnreachable) as error:
                log.warning("%s %s: %s", notice.event, notice.kind, error.message)
                note = f"the event's own sky map serves instead: {error.message}"
                # One that may be had later decides: the notice waits for it.
                if failure is None or isinstance(error, SkyMapUnreachable):
                    failure = error
        place = notice.position
        if place is not None:
            circle = cone_map(place.ra_deg, place.dec_deg, place.radius_deg, place.containment)
            if failure is not None:
                note = f"the error circle serves instead of the sky map: {failure.message}"
            return Found(None, circle, note)
        if failure is not None:
            raise failure
        return NO_MAP

    def _content(self, source: SkyMapSource) -> bytes:
        if source.content is not None:
            return source.content
        assert source.url is not None
        return fetch(source.url, self._addresses, self._limits, timeout_s=self._limits.seconds)
