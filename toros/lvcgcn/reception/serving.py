"""A VOEvent broker for one subscriber, for rehearsals."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Self

from toros.clock import REAL
from toros.errors import NoticeRefused, ServiceUnreachable, WaitTimeout
from toros.lvcgcn.reception.connection import Connection, Unusable
from toros.lvcgcn.reception.replay import Archived
from toros.lvcgcn.reception.transport import Packet, message, read_packet, with_length

IDENTITY = "ivo://toros/replay"
_ALIVE_S = 30.0
_ANSWER_S = 60.0
_LOOPBACK = "127.0.0.1"


def _voevent(notice: Archived) -> Packet:
    packet = read_packet(notice.raw)
    if packet.kind != "voevent":
        raise NoticeRefused(
            f"{notice.path} is no VOEvent, and VTP carries nothing else; send it by --kafka, "
            "--folder or --front-desk"
        )
    return packet


def check_voevents(notices: Sequence[Archived]) -> None:
    """Check that all notices can be sent, before anybody waits for a subscriber.

    Raises
    ------
    NoticeRefused
        One is no VOEvent.
    """
    for notice in notices:
        _voevent(notice)


class VtpSender:
    """Is a VOEvent broker for one subscriber, on this machine.

    Parameters
    ----------
    port : int
        0 for one that is free.
    wait_s : float
        How long to wait for a subscriber [s].

    Raises
    ------
    ServiceUnreachable
        The port is not free.
    """

    def __init__(self, port: int, wait_s: float) -> None:
        self._wait_s = wait_s
        try:
            self._listener = socket.create_server((_LOOPBACK, port))
        except OSError as error:
            raise ServiceUnreachable(f"{_LOOPBACK}:{port}: {error.strerror}") from error
        self.place = f"{_LOOPBACK}:{self._listener.getsockname()[1]}"
        self._peer: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._peer is not None:
            self._peer.close()
        self._listener.close()

    def pause(self, seconds: float) -> None:
        """Wait before the next notice; the subscriber is told that we are alive."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            time.sleep(min(_ALIVE_S, left_s))
            if self._peer is not None and left_s > _ALIVE_S:
                try:
                    self._peer.send(message("iamalive", IDENTITY, REAL.now()))
                except OSError:
                    self._peer = None

    def send(self, notice: Archived) -> str:
        """Send a notice and wait until it is acknowledged; to the next subscriber if need be."""
        packet = _voevent(notice)
        deadline = time.monotonic() + _ANSWER_S
        while True:
            peer = self.await_subscriber()
            try:
                peer.send(with_length(notice.raw))
                if not packet.identity:
                    return "sent; without an ivorn it is never acknowledged"
                return self._await_answer(peer, packet.identity, deadline)
            except (OSError, Unusable) as error:
                peer.close()
                self._peer = None
                if time.monotonic() > deadline:
                    raise ServiceUnreachable(f"{self.place}: the subscriber: {error}") from error

    def await_subscriber(self) -> Connection:
        """Return the subscriber; wait for one if there is none.

        Raises
        ------
        WaitTimeout
        """
        if self._peer is None:
            self._listener.settimeout(self._wait_s)
            try:
                self._peer = Connection(self._listener.accept()[0])
            except TimeoutError:
                raise WaitTimeout(
                    f"{self.place}: no subscriber came within {self._wait_s:g} s; is the robot "
                    "running, with this address among its Lvcgcn / VTP?"
                ) from None
        return self._peer

    def _await_answer(self, peer: Connection, ivorn: str, deadline: float) -> str:
        while time.monotonic() < deadline:
            raw = peer.receive()
            if raw is None:
                continue
            answer = read_packet(raw)
            if answer.kind in ("ack", "nak") and answer.identity == ivorn:
                return "acknowledged" if answer.kind == "ack" else "refused by the subscriber"
        raise WaitTimeout(
            f"{self.place}: {ivorn} was not acknowledged within {_ANSWER_S:g} s; the subscriber's "
            "log tells why"
        )
