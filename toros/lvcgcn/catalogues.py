"""Which galaxy catalogue is in use: the newest build, or the packaged one while there is none."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from toros.clock import Clock
from toros.errors import CatalogueRefused
from toros.lvcgcn.galaxies import versions
from toros.lvcgcn.galaxies.catalogue import Catalogue
from toros.lvcgcn.galaxies.packaged import packaged

log = logging.getLogger(__name__)


class CatalogueInUse:
    """Opens a catalogue once, and another one as soon as it has taken its place.

    Parameters
    ----------
    folder : Path
        Where `toros catalog build` puts its catalogues.
    packaged_folder : Path
        Where the packaged catalogue is made at its first use.
    clock : Clock
    """

    def __init__(self, folder: Path, packaged_folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._packaged_folder = packaged_folder
        self._clock = clock
        self._lock = threading.Lock()
        self._open: Catalogue | None = None
        self._refused: Path | None = None

    def tell(self) -> dict[str, Any]:
        """Tell which catalogue is in use, fit to travel; None for each while none is open."""
        opened = self._open
        if opened is None:
            return {"source": None, "galaxies": None}
        return {"source": opened.facts["source"]["name"], "galaxies": len(opened)}

    def newest(self) -> Catalogue:
        """Return the catalogue to be used now; microseconds while it is the same.

        A build that cannot be opened is an error in the log; the one before stays in use, or the
        packaged one.

        Raises
        ------
        CatalogueRefused
            The packaged one cannot be made.
        """
        with self._lock:
            version = versions.current(self._folder)
            if self._open is not None and version in (self._open.version, self._refused):
                return self._open
            if version is None:
                if self._open is None:
                    self._open = packaged(self._packaged_folder, self._clock.now())
                return self._open
            try:
                self._open = Catalogue.open(self._folder)
            except CatalogueRefused as error:
                if self._open is None:
                    self._open = packaged(self._packaged_folder, self._clock.now())
                used = self._open.facts["source"]["name"]
                log.error("%s; the galaxies of %s are ranked instead", error.message, used)
                self._refused = version
                return self._open
            log.info("galaxy catalogue %s: %d galaxies", self._open.version, len(self._open))
            self._open.warm()
            return self._open
