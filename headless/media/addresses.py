"""Which network addresses a task may reach: only those on the public internet."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address

_REFUSED_IPV4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "an address of a carrier's private network"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "a cloud platform's own address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.88.99.0/24", "a reserved address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
)

_REFUSED_IPV6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), kind)
    for network, kind in (
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),
        ("ff00::/8", "a multicast address"),
        ("2001::/32", "a Teredo tunnel address"),
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "a documentation address"),
        ("3fff::/20", "a documentation address"),
    )
)

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_NUMERIC_LABEL = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)


def why_refused(address: IPAddress) -> str | None:
    """What is wrong with an address ("a loopback address"), or `None` where it is public.

    An IPv6 address that carries an IPv4 one (mapped, NAT64, 6to4) is judged by what it carries. Blocks
    follow the IANA special-purpose address registries (RFC 6890), spelled out here because the answers of
    `ipaddress` change between Python releases.
    """
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _REFUSED_IPV4 if address in network), None)
    carried = _carried_ipv4(address)
    if carried is not None:
        return why_refused(carried)
    for network, kind in _REFUSED_IPV6:
        if address in network:
            return kind
    return None if address in _GLOBAL_UNICAST else "a reserved address"


def _carried_ipv4(address: IPv6Address) -> IPv4Address | None:
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return None


def parse_address(host: str) -> IPAddress | None:
    """The address that a host spells out, or `None` where it is a name.

    IPv6 comes without brackets. IPv4 is read as `inet_aton` and browsers do: one to four parts, each
    decimal, octal (`0177`) or hexadecimal (`0x7f`), the last part filling the rest. A host whose last label
    is a number is never a name; where it is no address either, `ValueError` is raised.
    """
    if ":" in host:
        if "%" in host:
            raise ValueError("an address with a zone belongs to a local network")
        return IPv6Address(host)
    labels = host.split(".")
    if not _NUMERIC_LABEL.fullmatch(labels[-1]):
        return None
    if len(labels) > 4:
        raise ValueError("too many parts for an IPv4 address")
    *leading, last = (_number(label) for label in labels)
    if any(part > 255 for part in leading) or last >= 256 ** (4 - len(leading)):
        raise ValueError("a part of the IPv4 address is too large")
    return IPv4Address(sum(part << (24 - 8 * index) for index, part in enumerate(leading)) + last)


def _number(label: str) -> int:
    if not _NUMERIC_LABEL.fullmatch(label):
        raise ValueError("a part of the IPv4 address is not a number")
    if label[:2].lower() == "0x":
        return int(label[2:] or "0", 16)
    return int(label, 8 if label.startswith("0") else 10)
