"""Which Alpaca servers answer on the local network, and which devices they have.

References
----------
ASCOM Alpaca API Reference, section 4 (discovery: UDP port 32227) and the management API.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import ifaddr

from toros.devices.alpaca.line import TROUBLE, Line, Server
from toros.devices.alpaca.replies import error_of_status, shown
from toros.errors import DeviceError, DeviceNonsense, DeviceTimeout, DeviceUnreachable

PORT = 32227
QUESTION = b"alpacadiscovery1"
_MOST_SERVERS = 256
_REPLY_LIMIT = 1 << 20


@dataclass(frozen=True)
class FoundDevice:
    """A device that a server says it has."""

    name: str
    device_type: str
    """Alpaca's name of its kind, as the server writes it."""
    number: int
    unique_id: str


@dataclass(frozen=True)
class FoundServer:
    """A server that answered."""

    address: str
    """``host:port``"""
    name: str = ""
    devices: tuple[FoundDevice, ...] = ()
    problem: str | None = None
    """Why it does not tell of its devices; None where it does."""


def find_servers(
    timeout_s: float = 2.0, targets: Iterable[str] | None = None, port: int = PORT
) -> list[str]:
    """Ask all local networks (IPv4) for Alpaca servers.

    Parameters
    ----------
    timeout_s : float
        How long answers are awaited [s]; the question is sent twice, for packets get lost.
    targets : iterable of str, optional
        Where the question is sent; by default to each network's broadcast address.
    port : int
        UDP port that servers listen on.

    Returns
    -------
    list of str
        The servers' addresses, ``host:port``, sorted.
    """
    places = list(targets if targets is not None else broadcast_addresses())
    found: set[str] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asking.bind(("", 0))
        begun = time.monotonic()
        for end in (begun + timeout_s / 2, begun + timeout_s):
            for place in places:
                # An interface without a cable refuses; the others are asked all the same.
                with contextlib.suppress(OSError):
                    asking.sendto(QUESTION, (place, port))
            while (left := end - time.monotonic()) > 0 and len(found) < _MOST_SERVERS:
                asking.settimeout(left)
                try:
                    answer, (host, _) = asking.recvfrom(1024)
                except OSError:
                    continue  # nothing came, or an ICMP refusal of an earlier question
                server_port = _port_of(answer)
                if server_port is not None:
                    found.add(f"{host}:{server_port}")
    # This machine's own servers answer at all of its addresses: loopback is enough.
    double = {place for ip in _own_addresses() for place in found if place.startswith(f"{ip}:")}
    return sorted(p for p in found if p not in double or f"127.0.0.1:{_port(p)}" not in found)


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def _own_addresses() -> set[str]:
    every = (ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips)
    return {ip for ip in every if isinstance(ip, str) and ip != "127.0.0.1"}


def broadcast_addresses() -> list[str]:
    """List the IPv4 broadcast addresses of this machine's networks, and loopback."""
    places = {"127.0.0.1"}
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            if isinstance(ip.ip, str):
                network = ipaddress.IPv4Network(f"{ip.ip}/{ip.network_prefix}", strict=False)
                if not (network.is_loopback or network.is_link_local):
                    places.add(str(network.broadcast_address))
    return sorted(places)


def describe_servers(addresses: Iterable[str], timeout_s: float = 2.0) -> list[FoundServer]:
    """Ask servers, all at once, for their name and their devices.

    Parameters
    ----------
    addresses : iterable of str
        ``host:port``
    timeout_s : float
        How long each may take for all [s].
    """
    every = list(addresses)
    with ThreadPoolExecutor(max_workers=max(1, min(len(every), 32))) as pool:
        return list(pool.map(lambda address: describe_server(address, timeout_s), every))


def describe_server(address: str, timeout_s: float = 2.0) -> FoundServer:
    """Ask a server for its name and its devices; what it does not tell is its `problem`."""
    deadline = time.monotonic() + timeout_s
    try:
        devices = _devices(address, _ask(address, "configureddevices", deadline))
    except DeviceError as error:
        return FoundServer(address, problem=error.message)
    name = ""
    # A server without a name is still one that can be used.
    with contextlib.suppress(DeviceError):
        said = _ask(address, "description", deadline)
        name = shown(said.get("ServerName") or "") if isinstance(said, dict) else ""
    return FoundServer(address, name, devices)


def _port_of(answer: bytes) -> int | None:
    """Read a server's answer; None where it is none."""
    try:
        port = json.loads(answer)["AlpacaPort"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    is_port = isinstance(port, int) and not isinstance(port, bool) and 1 <= port <= 65535
    return port if is_port else None


def _ask(address: str, what: str, deadline: float) -> Any:
    call = f"server {address}: {what}"
    line = Line(deadline)
    try:
        with Server(address).exchange(line, "GET", f"/management/v1/{what}") as reply:
            body = reply.read(_REPLY_LIMIT)
            if error := error_of_status(call, reply.status, body[:400].decode("utf-8", "replace")):
                raise error
        return json.loads(body)["Value"]
    except TimeoutError:
        raise DeviceTimeout(f"{call}: not answered in time") from None
    except (TypeError, KeyError, RecursionError, json.JSONDecodeError, UnicodeDecodeError):
        raise DeviceNonsense(f"{call}: the answer is none of Alpaca's") from None
    except TROUBLE as error:
        raise DeviceUnreachable(f"{call}: no answer ({shown(str(error))})") from None


def _devices(address: str, listed: Any) -> tuple[FoundDevice, ...]:
    if not isinstance(listed, list):
        raise DeviceNonsense(f"server {address}: configureddevices: expected a list of devices")
    found = []
    for item in listed:
        fields = item if isinstance(item, dict) else {}
        kind, number = fields.get("DeviceType"), fields.get("DeviceNumber")
        if not isinstance(kind, str) or isinstance(number, bool) or not isinstance(number, int):
            raise DeviceNonsense(f"server {address}: configureddevices: {shown(item)} is none")
        name = shown(str(fields.get("DeviceName") or ""))
        found.append(FoundDevice(name, shown(kind), number, shown(str(fields.get("UniqueID", "")))))
    return tuple(sorted(found, key=lambda device: (device.device_type.lower(), device.number)))
