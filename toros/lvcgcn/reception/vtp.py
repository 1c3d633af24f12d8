"""Notices by the VOEvent Transport Protocol, from any broker.

pygcn's `listen` acknowledges a notice before its handler has run, runs the handler in the loop
that also answers iamalive, ends a connection for one packet that is no XML, and reserves as much
memory as a packet says it has. It can be told none of this otherwise, so the loop is written
here; pygcn and comet are its counterparts in the tests.
"""

from __future__ import annotations

import logging
import threading
import time

from toros.clock import Clock
from toros.config.alerts import Vtp
from toros.lvcgcn.reception.connection import LIMIT_BYTES, Connection, Unusable, connect
from toros.lvcgcn.reception.keeping import Keep, Keeper
from toros.lvcgcn.reception.transport import IDENTITY, message, read_packet
from toros.lvcgcn.reception.vital_signs import VitalSigns

log = logging.getLogger(__name__)

_TICK_S = 1.0
_FIRST_DELAY_S, _LAST_DELAY_S = 1.0, 60.0
# A connection that lasted so long was a good one: the next attempt need not wait.
_LASTING_S = 5.0


class VtpReceiver:
    """Listens to one broker; archives before it acknowledges.

    A thread reads and answers iamalive and authenticate at once, another one archives and
    acknowledges. Whatever is no message of the protocol is archived too, and not acknowledged:
    it is refused where notices are read.

    Parameters
    ----------
    settings : Vtp
    keep : callable
        Archives; what it raises delays the acknowledgement until it has worked.
    clock : Clock
    limit_bytes : int
        A longer packet ends the connection, which is then made anew.
    first_delay_s, last_delay_s : float
        The pause before the second attempt to connect, and the longest there is [s].
    """

    def __init__(
        self,
        settings: Vtp,
        keep: Keep,
        clock: Clock,
        *,
        limit_bytes: int = LIMIT_BYTES,
        first_delay_s: float = _FIRST_DELAY_S,
        last_delay_s: float = _LAST_DELAY_S,
    ) -> None:
        self.settings = settings
        self._source = f"vtp-{settings.name}"
        self._signs = VitalSigns(f"VTP {settings.name}", settings.silence_s, clock, log)
        self._keeper = Keeper(self._signs, keep)
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._delays_s = (first_delay_s, last_delay_s)
        self._stopping = threading.Event()
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name=self._source, daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._keeper.start()
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Listen no more; archive and acknowledge what has come, as far as there is time."""
        deadline = time.monotonic() + timeout_s
        self._stopping.set()
        lost = self._keeper.stop(timeout_s)
        if self._connection is not None:
            self._connection.close()
        self._thread.join(max(0.1, deadline - time.monotonic()))
        if lost:
            log.error(
                "%s: %d notices were neither archived nor acknowledged and are lost with this "
                "process, unless the broker sends them again",
                self._signs.name, lost,
            )  # fmt: skip

    def state(self) -> dict[str, object]:
        """Return what the status shows."""
        return {**self._signs.state(), "to_archive": self._keeper.waiting}

    def _run(self) -> None:
        delay_s = self._delays_s[0]
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                self._listen()
            except (OSError, Unusable) as error:
                if self._stopping.is_set():
                    return
                self._signs.worry("connection", f"{self.settings.address}: {error}")
            except Exception:  # the next connection may be better
                log.exception("%s: a defect ended the connection", self._signs.name)
            finally:
                self._signs.connected = False
            if time.monotonic() - begun > _LASTING_S:
                delay_s = self._delays_s[0]
            self._pause(delay_s)
            delay_s = min(2 * delay_s, self._delays_s[1])

    def _pause(self, delay_s: float) -> None:
        until = time.monotonic() + delay_s
        while not self._stopping.wait(min(_TICK_S, max(0.0, until - time.monotonic()))):
            self._signs.check()
            if time.monotonic() >= until:
                return

    def _listen(self) -> None:
        """Connect and take packets until the connection fails."""
        with connect(self.settings.address, self._limit_bytes) as connection:
            self._connection = connection
            self._signs.connected = True
            log.info("%s: connected to %s", self._signs.name, self.settings.address)
            heard = time.monotonic()
            while not self._stopping.is_set():
                if not self._keeper.has_room:
                    self._stopping.wait(_TICK_S)
                    heard = time.monotonic()
                    continue
                raw = connection.receive()
                self._signs.check()
                if raw is not None:
                    heard = time.monotonic()
                    self._take(raw, connection)
                elif time.monotonic() - heard > self.settings.silence_s:
                    raise Unusable(f"nothing came for {self.settings.silence_s:g} s")

    def _take(self, raw: bytes, connection: Connection) -> None:
        self._signs.over("connection")
        packet = read_packet(raw)
        if packet.kind in ("iamalive", "authenticate"):
            self._signs.heartbeat()
            connection.send(message(packet.kind, packet.identity, self._clock.now(), IDENTITY))
        elif packet.kind in ("ack", "nak") or not raw:
            log.debug("%s: a packet that wants nothing: %s", self._signs.name, packet.kind)
        else:
            self._signs.message()
            if packet.kind != "voevent":
                log.warning("%s: %d bytes that are no VOEvent", self._signs.name, len(raw))
            ivorn = packet.identity if packet.kind == "voevent" else ""
            self._keeper.put(raw, self._source, lambda: self._acknowledge(ivorn, connection))

    def _acknowledge(self, ivorn: str, connection: Connection) -> None:
        if not ivorn:
            return
        try:
            connection.send(message("ack", ivorn, self._clock.now(), IDENTITY))
        except OSError as error:
            log.info("%s: %s is archived, not acknowledged: %s", self._signs.name, ivorn, error)
