"""Where notices come in: archived and flushed to the disk before their sender is told.

Receivers archive, and nothing else: reading, ranking and relaying happen elsewhere, from the
archive, so that none of it delays a heartbeat, an acknowledgement or the next notice.
"""

from toros.lvcgcn.reception.archive import Archive, Kept
from toros.lvcgcn.reception.reception import Receiver, Reception

__all__ = ["Archive", "Kept", "Receiver", "Reception"]
