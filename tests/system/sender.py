"""A process with an outbox, for the tests that kill it: posts messages and sends them."""

from __future__ import annotations

import sys
import time

from toros import clock
from toros.database.messages import Messages, NewMessage
from toros.database.session import Database
from toros.frontdesk.outbox import Outbox, front_desks, web

TIMEOUT_S = 60.0


def main() -> None:
    """Post ``count`` messages to the front desk at ``address`` and wait for their delivery."""
    database_url, address, folder, count = sys.argv[1:]
    messages = Messages(Database(database_url), "telescope", clock.REAL)
    carriers = {"front_desk": front_desks("telescope", lambda _: address), "web": web("telescope")}
    outbox = Outbox(messages, carriers, first_delay_s=0.1, last_delay_s=0.5)
    for number in range(int(count)):
        content = {"url": folder}
        outbox.post(
            NewMessage("front_desk", "preprocessor", f"m-{number}", "calibrate_file_batch", content)
        )
    outbox.start()
    deadline = time.monotonic() + TIMEOUT_S
    while messages.counts()["delivered"] < int(count):
        if time.monotonic() > deadline:
            sys.exit("not delivered in time")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
