"""Which addresses a message may go to. An admin names a host; what it resolves to may be something of our own.

A name can also resolve to another address a moment later. So it is resolved once, and the address that was checked here
is the one that is connected to.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

import msgspec

# The registry calls these global, and yet they lead to other addresses: translation to IPv4, tunnels, relays.
EMBEDDING = (
    ip_network("::/96"),  # IPv4-compatible
    ip_network("::ffff:0:0/96"),  # IPv4-mapped
    ip_network("64:ff9b::/96"),  # NAT64
    ip_network("64:ff9b:1::/48"),  # NAT64 of one's own
    ip_network("2001::/32"),  # Teredo
    ip_network("2002::/16"),  # 6to4
    ip_network("192.88.99.0/24"),  # the relay of 6to4
)
# Not all of what the registry reserves is known to each release of Python.
RESERVED = tuple(map(ip_network, ("192.0.0.0/24", "2001::/23", "3fff::/20")))
UNICAST = ip_network("2000::/3")
"""The only part of IPv6 that is given out for public use."""
# Services of clouds at public addresses, for machines inside alone.
METADATA = (ip_address("168.63.129.16"),)

HTTPS_PORT = 443
LOOPBACK = "127.0.0.1"
NONE = "none"


class ForbiddenError(Exception):
    """A message may not go there. The text names the host, and never the path: that may be a key."""


class Place(msgspec.Struct, frozen=True):
    """Where a request goes."""

    host: str
    port: int
    target: str
    """The path and the query."""
    encrypted: bool = True

    @property
    def authority(self) -> str:
        """The host as the header Host has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == HTTPS_PORT and self.encrypted else f"{host}:{self.port}"


def read_place(url: str, loopback: frozenset[str]) -> Place:
    """Read an address: https, or one of the servers on this machine that are let through without."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ForbiddenError("the secret's url is no address") from None
    target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    if not target.isascii() or not target.isprintable() or " " in target:
        raise ForbiddenError("the secret's url has characters that an address must escape")
    if parts.scheme == "http" and f"{host}:{port}" in loopback:
        return Place(host, port or 0, target, encrypted=False)
    if parts.scheme != "https" or not host or parts.username is not None or parts.password is not None:
        raise ForbiddenError("the secret's url is no https address without a user")
    try:
        name = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        raise ForbiddenError("the secret's url names no host that can exist") from None
    return Place(name, port or HTTPS_PORT, target)


def choose_addresses(host: str, resolved: Sequence[str]) -> tuple[str, ...]:
    """Return the addresses to connect to, IPv4 first; raise ForbiddenError if any of them is not a public one.

    A name with a public and a private address is refused as a whole: chance would decide where its messages go.
    """
    addresses = [ip_address(each.partition("%")[0]) for each in dict.fromkeys(resolved)]
    for each in addresses:
        if why := why_forbidden(each):
            raise ForbiddenError(f"{host} is at {each}: {why}")
    return tuple(str(each) for each in sorted(addresses, key=lambda each: each.version))


def why_forbidden(address: IPv4Address | IPv6Address) -> str:
    """Say why no message may go to an address; nothing if it may."""
    if any(address in network for network in EMBEDDING if network.version == address.version):
        return "the address stands for another one"
    if address.is_link_local:
        return "a link-local address, where metadata services are"
    if address.is_loopback:
        return "a loopback address"
    if address.is_multicast:
        return "a multicast address"
    if address in METADATA:
        return "a metadata service"
    reserved = any(address in network for network in RESERVED if network.version == address.version)
    if not address.is_global or address.is_reserved or reserved or (address.version == 6 and address not in UNICAST):
        return "a private or reserved address"
    return ""


def read_loopback(text: str) -> frozenset[str]:
    """Read which servers on this machine are let through: `none`, or texts like 127.0.0.1:8080, with commas between.

    Only a local stack's override names any. No template does, and no value lets any other address through.
    """
    if text == NONE:
        return frozenset()
    named = frozenset(text.split(","))
    for each in named:
        host, _, port = each.partition(":")
        if host != LOOPBACK or not port.isascii() or not port.isdigit():
            raise ValueError(f"{each!r} is no server on this machine")
    return named
