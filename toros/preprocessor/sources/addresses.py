"""Which addresses of the network may be reached.

The networks are written out here, after IANA's registries of special-purpose
addresses, because the answers of `ipaddress` changed between patch releases
of Python.

References
----------
IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190);
RFC 4291 (IPv6), RFC 6052 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import NamedTuple

from toros.errors import SourceForbidden
from toros.preprocessor.sources.rules import SourceRules

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Cloud machines hand out their credentials here; no frame ever comes from there.
_METADATA = ("169.254.169.254/32", "fd00:ec2::254/128")
_PRIVATE = {
    "127.0.0.0/8": "this machine",
    "::1/128": "this machine",
    "10.0.0.0/8": "a private network",
    "172.16.0.0/12": "a private network",
    "192.168.0.0/16": "a private network",
    "fc00::/7": "a private network",
    "100.64.0.0/10": "a provider's private network",
    "169.254.0.0/16": "link-local",
    "fe80::/10": "link-local",
}
_NEVER = {
    "0.0.0.0/8": "unspecified",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "for documentation",
    "192.88.99.0/24": "a 6to4 relay",
    "198.18.0.0/15": "for benchmarks",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "::/128": "unspecified",
    "::ffff:0:0/96": "an IPv4 address inside IPv6",
    "64:ff9b::/96": "an IPv4 address behind NAT64",
    "64:ff9b:1::/48": "an IPv4 address behind NAT64",
    "2001::/23": "reserved (Teredo and others)",
    "2001:db8::/32": "for documentation",
    "2002::/16": "an IPv4 address inside 6to4",
    "3fff::/20": "for documentation",
    "ff00::/8": "multicast",
}


def _networks(table: dict[str, str]) -> list[tuple[IPNetwork, str]]:
    return [(ipaddress.ip_network(text), reason) for text, reason in table.items()]


_PRIVATE_NETWORKS = _networks(_PRIVATE)
_FORBIDDEN_NETWORKS = _networks(dict.fromkeys(_METADATA, "a cloud's metadata") | _NEVER)
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")  # the only global unicast space given out so far


def forbidden_address(address: IPAddress, *, private_addresses: bool) -> str | None:
    """Say what an address is, if it may not be reached; None: it may.

    Parameters
    ----------
    address : IPv4Address or IPv6Address
    private_addresses : bool
        Whether this machine and private networks may be reached. Forms that hide
        an IPv4 address in an IPv6 one, multicast, reserved and documentation
        addresses and the metadata services of clouds never may.
    """
    for network, reason in _FORBIDDEN_NETWORKS:
        if address in network:
            return reason
    for network, reason in _PRIVATE_NETWORKS:
        if address in network:
            return None if private_addresses else reason
    if address.version == 6 and address not in _GLOBAL_IPV6:
        return "reserved"
    return None


class Endpoint(NamedTuple):
    """An address that a socket can be connected to."""

    family: int
    address: tuple[str, int] | tuple[str, int, int, int]


Resolver = Callable[[str, int], list[Endpoint]]


def resolve(host: str, port: int) -> list[Endpoint]:
    """Ask the operating system for all addresses of a host.

    Raises
    ------
    OSError
        It does not know the host, or cannot tell now.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(Endpoint(entry[0], entry[4]) for entry in found))  # type: ignore[arg-type]


def check_host(host: str, rules: SourceRules) -> None:
    """Refuse a host that is not among the configured ones.

    Raises
    ------
    SourceForbidden
    """
    allowed = {name.lower().strip("[].") for name in rules.hosts}
    if allowed and host not in allowed:
        raise SourceForbidden(
            f"host {host} is not among Preprocessor / Sources / Hosts: {', '.join(sorted(allowed))}"
        )


def check_endpoints(host: str, endpoints: list[Endpoint], rules: SourceRules) -> None:
    """Refuse a host if any of its addresses may not be reached.

    Any, not all: a name with one public and one private address is a way to get
    at the private one.

    Raises
    ------
    SourceForbidden
    """
    for endpoint in endpoints:
        text = endpoint.address[0].partition("%")[0]  # without the zone of fe80::1%eth0
        reason = forbidden_address(
            ipaddress.ip_address(text), private_addresses=rules.private_addresses
        )
        if reason is not None:
            hint = (
                "; Preprocessor / Sources / Private Addresses would allow it"
                if reason in _PRIVATE.values()
                else ""
            )
            raise SourceForbidden(f"host {host} has the address {text} ({reason}){hint}")
