"""An HTTP proxy between a driver and an Alpaca server that injects faults.

It forwards everything until it is given faults, at run time, from Python or over
HTTP at its own address::

    POST   /faults     add a fault: {"fault": "hang", "calls": "PUT dome/*/closeshutter"}
    PUT    /faults     put a list of faults in the place of all
    GET    /faults     list the faults in force
    DELETE /faults     take all away; /faults/3 takes that of id 3 away
    GET    /calls      list the calls seen; ?calls=PUT+dome/*/closeshutter only those
    DELETE /calls      forget the calls seen

Of several faults that a call fits, the one that was added first strikes. Each call
goes to the server over a connection of its own, and is never sent twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from toros.errors import ConfigurationError, ServiceUnreachable
from toros.simulation.device_faults import Fault, parse_fault, parse_faults
from toros.simulation.exchange import Call, Exchange
from toros.simulation.http_relay import HEAD_LIMIT, Head, NotHttp, read_head, read_request_body
from toros.simulation.http_relay import reset as reset_connection
from toros.simulation.striking import Armed, Faults, matches

log = logging.getLogger(__name__)

CALLS_KEPT = 50_000
_THREAD_TIMEOUT_S = 10.0
_LOOK_S, _GRACE_S = 0.5, 1.0  # how often it is asked whether a client stays; what servers get
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

T = TypeVar("T")


class FaultProxy:
    """A proxy in a thread of its own; use it in a with statement, or `start` and `stop` it.

    Parameters
    ----------
    server : str
        Host and port of the Alpaca server, such as ``127.0.0.1:11111``.
    listen : str
        Host and port to listen at; port 0 takes a free one.
    observe : callable, optional
        Called with a `Call` when a fault strikes it and again when it has ended, in the
        proxy's thread: it must return at once.

    Raises
    ------
    ConfigurationError
        An address is none.
    """

    def __init__(
        self,
        server: str,
        listen: str = "127.0.0.1:0",
        observe: Callable[[Call], None] | None = None,
    ) -> None:
        self.server = split_address(server)
        self._listen = split_address(listen)
        self._observe = observe or (lambda call: None)
        self._faults = Faults()
        self._calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self._call_count = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="fault-proxy", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()

    # ---- starting and stopping ----

    def start(self) -> Self:
        """Listen; returns when connections are accepted.

        Raises
        ------
        ServiceUnreachable
            The address cannot be listened at.
        """
        self._thread.start()
        try:
            self._in_loop(self._bind())
        except OSError as error:
            self.stop()
            host, port = self._listen
            raise ServiceUnreachable(f"cannot listen at {host}:{port}: {error.strerror}") from error
        return self

    def stop(self) -> None:
        """End every connection, held ones too, and stop listening."""
        if not self._thread.is_alive():
            return
        self._in_loop(self._end_connections())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_THREAD_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Host and port that it listens at."""
        host, port = self._sockname[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    # ---- faults and calls, from any thread ----

    def fault(self, kind: str, calls: str, **options: Any) -> int:
        """Add a fault, such as ``fault("hang", "PUT dome/*/closeshutter", count=1)``.

        Returns
        -------
        int
            Its id.

        Raises
        ------
        ConfigurationError
            There is no such fault, or an option is wrong.
        """
        return self.add(parse_fault({"fault": kind, "calls": calls, **options}))

    def add(self, fault: Fault) -> int:
        """Add a fault; return its id."""
        return self._in_loop(self._async(lambda: self._faults.add(fault)))

    def clear(self, fault_id: int | None = None) -> None:
        """Take one fault away, or all; calls that they hold are let go."""
        self._in_loop(self._async(lambda: self._faults.clear(fault_id)))

    def faults(self) -> list[dict[str, Any]]:
        """List the faults in force, and how often each has struck."""
        return self._in_loop(self._async(self._faults.to_list))

    def calls(self, pattern: str = "*") -> list[dict[str, Any]]:
        """List the last calls that were seen and fit a pattern, oldest first."""
        return self._in_loop(self._async(lambda: self._list_calls(pattern)))

    def forget_calls(self) -> None:
        """Forget the calls seen so far."""
        self._in_loop(self._async(self._calls.clear))

    def _in_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_THREAD_TIMEOUT_S)

    @staticmethod
    async def _async(function: Callable[[], T]) -> T:
        return function()

    def _list_calls(self, pattern: str) -> list[dict[str, Any]]:
        return [call.to_dict() for call in self._calls if matches(pattern, call)]

    # ---- the loop's thread ----

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _bind(self) -> None:
        host, port = self._listen
        self._listener = await asyncio.start_server(self._accept, host, port, limit=HEAD_LIMIT)
        self._sockname = self._listener.sockets[0].getsockname()

    async def _end_connections(self) -> None:
        if hasattr(self, "_listener"):
            self._listener.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._serve_one(reader, writer):
                pass
        except NotHttp as error:
            log.warning("a client is not understood: %s", error)
            writer.write(_BAD_REQUEST)
        except OSError:
            pass  # the client has gone
        except asyncio.CancelledError:  # the proxy ends, and this task with it
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; False when the connection serves for no other."""
        head = await read_head(reader)
        if head is None:
            return False
        if "100-continue" in head.get("Expect").lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await read_request_body(reader, head)
        call = Call.of_request(head, body)
        host, port = self.server
        request = head.replaced("Host", f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        exchange = Exchange(call, request, body, self.server, reader, writer)
        if call.path.split("/")[0] in ("faults", "calls"):
            await self._control(exchange, head, body)
            return exchange.keep
        self._call_count += 1
        call.number = self._call_count
        self._calls.append(call)
        try:
            await self._while_client_stays(exchange, reader)
        except (OSError, NotHttp) as error:
            call.outcome = f"broken off: {error}"
            reset_connection(writer)
            return False
        finally:
            call.ended_s = time.monotonic()
            self._tell(call)
        return exchange.keep

    async def _while_client_stays(self, exchange: Exchange, reader: asyncio.StreamReader) -> None:
        """Carry a call out; a server that does not answer is given up when the client leaves.

        A night of repeated calls to a frozen server would use up all connections else.
        """
        call = exchange.call
        work = asyncio.ensure_future(self._carry_out(exchange, self._faults.striking(call)))
        try:
            while not (await asyncio.wait((work,), timeout=_LOOK_S))[0]:
                asked_s = call.forwarded_s
                waited = asked_s is not None and time.monotonic() - asked_s > _GRACE_S
                if waited and reader.at_eof():
                    raise ConnectionResetError("the client left before the server answered")
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _carry_out(self, exchange: Exchange, armed: Armed | None) -> None:
        if armed is None:
            await exchange.relay(await exchange.forward())
        else:
            exchange.call.fault = armed.fault.fault
            self._tell(exchange.call)
            await armed.fault.act(exchange, armed.memory)

    def _tell(self, call: Call) -> None:
        try:
            self._observe(call)
        except Exception:
            log.exception("the proxy's observer failed; the proxy goes on")

    # ---- its own address ----

    async def _control(self, exchange: Exchange, head: Head, body: bytes) -> None:
        try:
            answer = self._controlled(head, body)
            status = HTTPStatus.OK
        except (ConfigurationError, ValueError) as error:
            answer, status = {"error": str(error)}, HTTPStatus.BAD_REQUEST
        await exchange.answer(status, json.dumps(answer).encode())

    def _controlled(self, head: Head, body: bytes) -> Any:
        if head.get("Origin"):
            raise ValueError("requests from web pages are refused")
        target = urlsplit(head.target)
        subject, _, fault_id = target.path.strip("/").partition("/")
        match (head.verb, subject, fault_id):
            case ("GET", "faults", ""):
                return self._faults.to_list()
            case ("POST", "faults", ""):
                return {"id": self._faults.add(parse_fault(json.loads(body)))}
            case ("PUT", "faults", ""):
                faults = parse_faults(json.loads(body))
                self._faults.clear()
                return {"ids": [self._faults.add(fault) for fault in faults]}
            case ("DELETE", "faults", _):
                return {"cleared": self._faults.clear(int(fault_id) if fault_id else None)}
            case ("GET", "calls", ""):
                return self._list_calls(parse_qs(target.query).get("calls", ["*"])[0])
            case ("DELETE", "calls", ""):
                self._calls.clear()
                return {}
        raise ValueError(f"{head.verb} {target.path}: nothing is done with that here")


def split_address(address: str) -> tuple[str, int]:
    """Read host and port, such as ``127.0.0.1:11111``.

    Raises
    ------
    ConfigurationError
    """
    host, _, port = address.rpartition(":")
    with contextlib.suppress(ValueError):
        if host and 0 <= int(port) <= 65535:
            return host.removeprefix("[").removesuffix("]"), int(port)
    raise ConfigurationError(f"{address!r} is no host and port, such as 127.0.0.1:11111")
