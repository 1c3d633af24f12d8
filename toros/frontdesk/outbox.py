"""The outbox: messages to others arrive at least once, in order, whatever is down meanwhile.

A message is recorded in the database before it is sent, and sent until the
recipient has taken or refused it. It bears an id, by which the recipient knows a
repetition: a front desk returns its stored receipt. To send costs the caller
nothing; a recipient that is down delays no other one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from toros.client import FrontDesk
from toros.database.messages import Channel, Messages, NewMessage, WaitingMessage
from toros.errors import (
    AuthenticationFailed,
    Busy,
    DatabaseUnavailable,
    DiskFull,
    InternalError,
    MalformedMessage,
    OrderConflict,
    PermissionDenied,
    ServiceUnreachable,
    TooManyAttempts,
    TooManyConnections,
    TooSlow,
    TorosError,
)
from toros.notify.web import post_json

log = logging.getLogger(__name__)

Carrier = Callable[[NewMessage], Mapping[str, Any] | None]
"""Takes a message to its recipient and returns the receipt, or raises a TorosError."""

# What says nothing of the message itself: it may be taken the next time.
AWAY = (
    AuthenticationFailed,
    Busy,
    InternalError,
    MalformedMessage,
    PermissionDenied,
    ServiceUnreachable,
    TooManyAttempts,
    TooManyConnections,
    TooSlow,
)
_FIRST_DELAY_S = 2.0
_LAST_DELAY_S = 300.0
_POLL_S = 5.0
_UNRECORDED_LIMIT = 10_000
# After some minutes of trying a person should know; then again about every day.
_TOLD_AT = 8
# A defect of the recipient that stays must not hold up all that comes after.
_DEFECT_ATTEMPTS = 20
_TOLD_AGAIN = 300


class Outbox:
    """Sends the messages of one daemon.

    Deadlines and pauses here are of real time, also in a rehearsal.

    Parameters
    ----------
    messages : Messages
    carriers : mapping of str to callable
        How a message travels, by its channel: see `front_desks` and `web`.
    first_delay_s, last_delay_s : float
        The pause before a message is sent a second time, and the longest there is [s].
    """

    def __init__(
        self,
        messages: Messages,
        carriers: Mapping[Channel, Carrier],
        *,
        first_delay_s: float = _FIRST_DELAY_S,
        last_delay_s: float = _LAST_DELAY_S,
    ) -> None:
        self.messages = messages
        self.carriers = carriers
        self.first_delay_s = first_delay_s
        self.last_delay_s = last_delay_s
        self._unrecorded: deque[NewMessage] = deque()
        self._due: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        self._under_way: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin to send; what an earlier process left waiting comes first."""
        self._thread.start()

    def stop(self, timeout_s: float = 12.0) -> None:
        """Begin no more sending and wait for what is under way; the rest stays recorded."""
        deadline = time.monotonic() + timeout_s
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        while self._under_way and time.monotonic() < deadline:
            time.sleep(0.02)
        with suppress(DatabaseUnavailable, DiskFull):
            self._record()
        for message in self._unrecorded:
            log.error(
                "lost: %s %r to %s was never recorded, since the database was away",
                message.request,
                message.message_id,
                message.recipient,
            )

    def post(self, message: NewMessage) -> None:
        """Have a message sent, once however often it is posted. It does not wait for anybody.

        While the database is away the message is kept in memory until it can be recorded.
        What must not be lost even then is recorded together with what it tells of
        (`Messages.add`, then `wake`), or is posted anew at the next start.

        Raises
        ------
        OrderConflict
            The id was used for something else.
        """
        with self._lock:
            is_away = bool(self._unrecorded) or self.messages.database.trouble is not None
            if is_away:
                self._remember(message)
        if not is_away:
            try:
                self.messages.post(message)
            except (DatabaseUnavailable, DiskFull):
                with self._lock:
                    self._remember(message)
        self.wake()

    def _remember(self, message: NewMessage) -> None:
        if message in self._unrecorded:
            return
        if len(self._unrecorded) >= _UNRECORDED_LIMIT:
            lost = self._unrecorded.popleft()
            log.error("lost: %s %r, since too many wait", lost.request, lost.message_id)
        self._unrecorded.append(message)

    def wake(self) -> None:
        """Look at once whether there is something to send."""
        self._wake.set()

    def try_now(self) -> None:
        """Send everything that waits at once, whatever pause it is in."""
        with self._lock:
            self._due.clear()
        self.wake()

    def state(self) -> dict[str, Any]:
        """Tell what is under way, without the database."""
        with self._lock:
            return {
                "sending_to": sorted(recipient for _, recipient in self._under_way),
                "in_trouble": len(self._failures),
                "unrecorded": len(self._unrecorded),
            }

    def _work(self) -> None:
        while not self._stopping.is_set():
            pause_s = _POLL_S
            try:
                self._record()
                pause_s = self._send_heads()
            except (DatabaseUnavailable, DiskFull) as error:
                log.debug("messages wait for the database: %s", error.message)
            except Exception:  # later messages are to be sent all the same
                log.exception("a defect in the outbox")
            self._wake.wait(pause_s)
            self._wake.clear()

    def _record(self) -> None:
        """Record what was posted while the database was away."""
        while self._unrecorded:
            message = self._unrecorded[0]
            try:
                self.messages.post(message)
            except OrderConflict as error:
                log.error("not sent: %s", error.message)
            with self._lock:
                self._unrecorded.popleft()

    def _send_heads(self) -> float:
        """Send the oldest message of each recipient that is due; return when to look again."""
        pause_s = _POLL_S
        with self._lock:
            # What ends while the heads are read is still among them.
            busy = set(self._under_way)
        for head in self.messages.heads():
            recipient = (head.message.channel, head.message.recipient)
            with self._lock:
                due_s = self._due.get(head.row, 0.0) - time.monotonic()
                if recipient in busy or self._stopping.is_set():
                    continue
                if due_s > 0:
                    pause_s = min(pause_s, due_s)
                    continue
                self._under_way.add(recipient)
            # A thread for each: to be sent takes up to the timeout of a recipient that hangs.
            try:
                threading.Thread(
                    target=self._send, args=(head, recipient), name="outbox-send", daemon=True
                ).start()
            except RuntimeError as error:  # no memory, or too many threads: the next look is soon
                log.error("%s waits: %s", head.message.message_id, error)
                with self._lock:
                    self._under_way.discard(recipient)
        return pause_s

    def _send(self, head: WaitingMessage, recipient: tuple[str, str]) -> None:
        try:
            self._deliver(head)
        except (DatabaseUnavailable, DiskFull) as error:
            # It may have arrived: sent again, it is known by its id.
            self._put_off(head)
            log.debug("message %s: its end is not recorded: %s", head.row, error.message)
        except Exception:  # a message that meets a defect must not hold up the recipient's next
            self._put_off(head)
            log.exception("a defect in sending %s", head.message.message_id)
        finally:
            with self._lock:
                self._under_way.discard(recipient)
            self.wake()

    def _deliver(self, head: WaitingMessage) -> None:
        message = head.message
        try:
            receipt = self.carriers[message.channel](message)
        except AWAY as error:
            delay_s = self._put_off(head)
            if type(error) is InternalError and self._failures[head.row] >= _DEFECT_ATTEMPTS:
                self._refused(head, error)
                return
            self._tell_away(head, error)
            moment = datetime.now(UTC) + timedelta(seconds=delay_s)
            self.messages.failed(head.row, error.message, moment)
        except TorosError as error:
            self._refused(head, error)
        else:
            self.messages.delivered(head.row, receipt)
            self._forget(head)
            log.info("%s %r told to %s", message.request, message.message_id, message.recipient)

    def _refused(self, head: WaitingMessage, error: TorosError) -> None:
        log.error(
            "%s %r is refused by %s: [%d] %s",
            head.message.request,
            head.message.message_id,
            head.message.recipient,
            error.code,
            error.message,
        )
        self.messages.refused(head.row, f"[{error.code}] {error.message}")
        self._forget(head)

    def _put_off(self, head: WaitingMessage) -> float:
        with self._lock:
            failures = self._failures.get(head.row, 0) + 1
            self._failures[head.row] = failures
            delay_s = min(self.first_delay_s * 2.0 ** min(failures - 1, 30), self.last_delay_s)
            self._due[head.row] = time.monotonic() + delay_s
            return delay_s

    def _forget(self, head: WaitingMessage) -> None:
        with self._lock:
            self._due.pop(head.row, None)
            self._failures.pop(head.row, None)

    def _tell_away(self, head: WaitingMessage, error: TorosError) -> None:
        failures = self._failures[head.row]
        level = logging.WARNING if failures == 1 else logging.DEBUG
        if failures == _TOLD_AT or failures % _TOLD_AGAIN == 0:
            level = logging.ERROR
        log.log(
            level,
            "%s %r has not reached %s after %d attempts and is sent again: %s",
            head.message.request,
            head.message.message_id,
            head.message.recipient,
            failures,
            error.message,
        )


def front_desks(
    sender: str,
    address_of: Callable[[str], str],
    user: str | None = None,
    password: str | None = None,
    timeout_s: float = 10.0,
) -> Carrier:
    """Return the carrier of work orders to front desks.

    Parameters
    ----------
    sender : str
        Named as the orders' user where front desks have no users.
    address_of : callable
        Returns the address of a daemon by its name; asked at each sending, so that a message
        follows a daemon that has moved. A recipient with ``://`` is an address already.
    user, password : str, optional
        To log in with.
    timeout_s : float
        How long a call may take [s].
    """

    def carry(message: NewMessage) -> Mapping[str, Any]:
        recipient = message.recipient
        address = recipient if "://" in recipient else address_of(recipient)
        order = {
            "user": sender,
            **message.content,
            "request": message.request,
            "id": message.message_id,
        }
        return FrontDesk(address, user, password, timeout_s).send(order)

    return carry


def web(sender: str, timeout_s: float = 10.0) -> Carrier:
    """Return the carrier of messages to web addresses: {id, sender, message, …}.

    Parameters
    ----------
    sender : str
    timeout_s : float
        Of each step of the exchange [s].
    """

    def carry(message: NewMessage) -> Mapping[str, Any]:
        content = {
            **message.content,
            "id": message.message_id,
            "sender": sender,
            "message": message.request,
        }
        return {"http": post_json(message.recipient, content, message.message_id, timeout_s)}

    return carry
