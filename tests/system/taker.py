"""A process that stores exposures until it is killed, for the tests that kill it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.unit.telescope.observing import frame, known
from toros import clock
from toros.database.exposures import TakenExposures
from toros.database.session import Database
from toros.telescope.exposures import ExposureStore


def main() -> None:
    """Store exposures below a folder, as fast as it goes."""
    database_url, folder = sys.argv[1:]
    taken = TakenExposures(Database(database_url), clock.REAL)
    exposures = ExposureStore(Path(folder), taken, reserve_bytes=0)
    exposures.start()
    for number in range(10_000):
        exposures.store(frame(number % 1000, (400, 500)), known(order_id=f"o-{number}"))


if __name__ == "__main__":
    main()
