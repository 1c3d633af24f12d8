"""Draws an event's sky plot, in a process of its own.

To draw takes seconds, and the next notice must not wait for them. As
``python -m toros.lvcgcn.picture FOLDER`` it reads an event's folder (`toros.lvcgcn.files`)
and writes sky.png and sky.svg there.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

from toros import clock, store
from toros.lvcgcn.files import EVENT, PICTURE_PNG, PICTURE_SVG, SKY_MAP, read_json
from toros.lvcgcn.notices import Position
from toros.lvcgcn.skymaps.cones import cone_map
from toros.lvcgcn.skymaps.limits import MapLimits
from toros.lvcgcn.skymaps.reading import read_sky_map
from toros.lvcgcn.targets.stored import list_from_json

log = logging.getLogger(__name__)

_DEADLINE_S = 180.0
_NICENESS = 10
# The robot has read the map already, within the limits of the settings.
_UNLIMITED = MapLimits(2**40, 2**40, 2**40, 600.0, 2**40)


class Pictures:
    """Has pictures drawn, one after another, in the background.

    The newest wish comes first, and of an event only its newest: after a storm of notices the
    picture that matters is not the last one.
    """

    def __init__(self) -> None:
        self._wanted: dict[Path, Path] = {}
        self._change = threading.Condition()
        self._is_stopping = False
        self._drawing = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="pictures", daemon=True)

    def start(self) -> None:
        """Begin to draw."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Begin no further picture, and wait for the one under way."""
        with self._change:
            self._is_stopping = True
            self._change.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def want(self, folder: Path) -> None:
        """Have the picture of an event's folder drawn some time."""
        with self._change:
            self._wanted.pop(folder.parent, None)
            self._wanted[folder.parent] = folder
            self._change.notify_all()

    def of(self, folder: Path) -> Path | None:
        """Return a folder's picture, drawn now if it is not there; None where that fails."""
        path = folder / PICTURE_PNG
        with self._drawing:
            if path.is_file() or self._draw(folder):
                return path
        return None

    def _work(self) -> None:
        while True:
            with self._change:
                while not (self._wanted or self._is_stopping):
                    self._change.wait(60.0)
                if self._is_stopping:
                    return
                _, folder = self._wanted.popitem()
            self.of(folder)

    def _draw(self, folder: Path) -> bool:
        # The process ends when nobody holds the other end of its stdin any more.
        ours, held = os.pipe()
        try:
            done = subprocess.run(
                [sys.executable, "-m", "toros.lvcgcn.picture", str(folder)],
                stdin=ours,
                capture_output=True,
                text=True,
                timeout=_DEADLINE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("no picture of %s: %s", folder, error)
            return False
        finally:
            os.close(ours)
            os.close(held)
        if done.returncode != 0:
            log.warning("no picture of %s: %s", folder, done.stderr.strip()[-1000:])
        return done.returncode == 0


def draw(folder: Path) -> None:
    """Draw the picture of an event's folder.

    Raises
    ------
    DiskFull, StorageFailed, SkyMapRefused
    """
    from toros.lvcgcn.targets.plot import as_png, as_svg, sky_plot

    event = read_json(folder / EVENT)
    facts, position = event["notice"], event["notice"]["position"]
    content = folder / SKY_MAP
    if content.is_file():
        sky_map = read_sky_map(content.read_bytes(), _UNLIMITED)
    elif position is not None:
        place = Position(**position)
        sky_map = cone_map(place.ra_deg, place.dec_deg, place.radius_deg, place.containment)
    else:
        sky_map = None
    lists = [list_from_json(read_json(path)) for path in sorted(folder.glob("targets-*.json"))]
    made = lists[0].made if lists else clock.from_iso(facts["issued"])
    picture = sky_plot(sky_map, lists, made, f"{facts['event']} {facts['kind']}")
    store.write_whole(folder / PICTURE_SVG, as_svg(picture))
    store.write_whole(folder / PICTURE_PNG, as_png(picture))  # the last: where it is, all is


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    os.nice(_NICENESS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    draw(Path(sys.argv[1]))
