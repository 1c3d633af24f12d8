"""A robot's reception in a process of its own, for the tests that kill it.

``python -m tests.system.receiver FOLDER SETTINGS``: archives in FOLDER what the alert robot's
SETTINGS (JSON) name, and tells its state, a line of JSON each 0.2 s.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from toros import clock
from toros.config.alerts import Lvcgcn
from toros.lvcgcn.reception import Archive, Reception

LIFE_S = 120.0


def main() -> None:
    """Receive until killed, for two minutes at the most."""
    settings = Lvcgcn.model_validate(json.loads(sys.argv[2]))
    reception = Reception(
        settings, Archive(Path(sys.argv[1]), clock.REAL), clock.REAL, lambda: None
    )
    reception.start()
    deadline = time.monotonic() + LIFE_S
    while time.monotonic() < deadline:
        print(json.dumps(reception.state()), flush=True)
        time.sleep(0.2)


if __name__ == "__main__":
    main()
