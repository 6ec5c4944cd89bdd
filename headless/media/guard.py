"""The fetch guard: which URLs a task may name, and which address a download is then pinned to."""

from __future__ import annotations

import dataclasses
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, quote, urlsplit

import idna

from headless.errors import BadInput, InputUnavailable, Unsafe, UsageError
from headless.media.addresses import parse_address, why_refused

Resolver = Callable[[str, int], Sequence[str]]
"""Host name and port to addresses, in the order in which to try them; `OSError` where there are none."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_URL_LENGTH = 8192
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
_INTERNAL_SUFFIXES = (
    "localhost", "local", "internal", "intranet", "lan", "home", "corp", "localdomain", "home.arpa",
)  # fmt: skip


@dataclass(frozen=True)
class FetchPolicy:
    """What downloads may reach.

    `allowed_hosts` holds `host` (every port of it) or `host:port` entries, such as `storage.internal` or
    `127.0.0.1:54321`; IPv6 with a port is `[::1]:54321`. They are exempt from the rules on addresses and
    ports, from nothing else. `ca_file` adds certificate authorities (PEM), for a storage with its own.
    A malformed entry raises `UsageError`.
    """

    allowed_hosts: tuple[str, ...] = ()
    ports: frozenset[int] = frozenset({80, 443})
    max_redirects: int = 5
    ca_file: Path | None = None
    _allowed: frozenset[tuple[str, int | None]] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", frozenset(map(_parse_allowed_host, self.allowed_hosts)))

    def allows(self, host: str, port: int) -> bool:
        """Whether an operator exempted this host, at this port, from the rules on addresses and ports."""
        return (host, None) in self._allowed or (host, port) in self._allowed


@dataclass(frozen=True)
class Location:
    """A URL in its parts: `host` normalised and without brackets, `target` the path and the query.

    The target may hold the token of a signed URL, so it is kept out of the representation.
    """

    scheme: str
    host: str
    port: int
    target: str = dataclasses.field(repr=False)

    @property
    def authority(self) -> str:
        """`host`, or `host:port` where the port is not the scheme's own; the value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL again, query included: not for messages."""
        return f"{self.scheme}://{self.authority}{self.target}"


@dataclass(frozen=True)
class Target:
    """A location and the checked addresses that a connection to it must go to."""

    location: Location
    addresses: tuple[str, ...]


def redact_url(url: str) -> str:
    """A URL that may be shown: no user name, password, query or fragment, at most 200 characters."""
    text = re.split(r"[?#]", url, maxsplit=1)[0]
    scheme, separator, rest = text.partition("://")
    if separator:
        authority, slash, path = rest.partition("/")
        text = scheme + separator + authority.rpartition("@")[2] + slash + path
    else:
        text = text.rpartition("@")[2]
    if text[:5].lower() == "data:":
        text = "data:"
    shown = "".join(letter if letter.isprintable() else "�" for letter in text[:200])
    return shown + ("…" if len(text) < len(url) or len(text) > 200 else "")


def parse_url(url: str, field: str = "url") -> Location:
    """Take an http(s) URL apart, strictly. `field` is what messages call it.

    `Unsafe`: another scheme, a user name or password, or characters that parsers disagree about.
    `BadInput`: not a URL.
    """
    scheme = _scheme(url, field)
    if len(url) > _MAX_URL_LENGTH:
        raise BadInput(f"{field}: the URL has {len(url)} characters; at most {_MAX_URL_LENGTH} are legal")
    if _FORBIDDEN.search(url):
        raise Unsafe(f"{field}: {redact_url(url)} contains a control character or a backslash")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadInput(f"{field}: {redact_url(url)} is not a valid URL ({error})") from error
    if "@" in parts.netloc:
        raise Unsafe(f"{field}: {redact_url(url)} carries a user name or password; remove it")
    host = _normal_host(parts.hostname or "", field)
    return Location(scheme, host, port if port is not None else _DEFAULT_PORTS[scheme], _target(parts))


def resolve(location: Location, policy: FetchPolicy, resolver: Resolver, field: str = "url") -> Target:
    """Look the host up once and check every address it has.

    `Unsafe` where the port or any address is not allowed, naming the host and how an operator allows it;
    `InputUnavailable` where the name does not resolve.
    """
    exempt = policy.allows(location.host, location.port)
    literal = parse_address(location.host)
    if not exempt:
        _check_port_and_name(location, policy, field, is_name=literal is None)
    addresses = [str(literal)] if literal is not None else _look_up(location, resolver, field)
    for address in addresses if not exempt else ():
        kind = why_refused(ip_address(address))
        if kind is not None:
            found = f"is {kind}" if literal is not None else f"resolves to {address}, {kind}"
            raise Unsafe(f"{field}: the host {location.host} {found}{_how_to_allow(location)}")
    return Target(location, tuple(addresses))


def system_resolver(host: str, port: int) -> list[str]:
    """Every address that the machine's resolver knows for a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _scheme(url: str, field: str) -> str:
    match = _SCHEME.match(url)
    if match is None:
        raise BadInput(f"{field}: {redact_url(url)!r} is not a URL; it must start with https:// or http://")
    scheme = match[1].lower()
    if scheme not in _DEFAULT_PORTS:
        raise Unsafe(f"{field}: {scheme[:20]}: URLs are not fetched; only https:// and http:// are legal")
    if not url[match.end() :].startswith("//"):
        raise BadInput(f"{field}: {redact_url(url)!r} is not a URL; {scheme}: must be followed by //")
    return scheme


def _normal_host(host: str, field: str) -> str:
    """Lower case, without the trailing dot, international names as IDNA A-labels, IPv4 in dotted decimal."""
    try:
        if not host.isascii():
            host = idna.encode(host, uts46=True).decode("ascii")
        host = host.lower().removesuffix(".")
        address = parse_address(host)
    except ValueError as error:
        raise Unsafe(f"{field}: {host[:100]!r} is not a valid host ({error})") from error
    if address is not None:
        return str(address)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise BadInput(f"{field}: {host[:100]!r} is not a valid host name")
    return host


def _target(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    return path + ("?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]") if parts.query else "")


def _check_port_and_name(location: Location, policy: FetchPolicy, field: str, *, is_name: bool) -> None:
    if location.port not in policy.ports:
        legal = " and ".join(map(str, sorted(policy.ports)))
        raise Unsafe(
            f"{field}: port {location.port} of {location.host} is not allowed (legal: {legal})"
            f"{_how_to_allow(location)}"
        )
    host = location.host
    internal = "." not in host or any(host.endswith("." + suffix) for suffix in _INTERNAL_SUFFIXES)
    if is_name and internal:
        raise Unsafe(f"{field}: {host} is a name of a local network{_how_to_allow(location)}")


def _look_up(location: Location, resolver: Resolver, field: str) -> list[str]:
    try:
        addresses = list(resolver(location.host, location.port))
    except (OSError, UnicodeError) as error:
        raise InputUnavailable(f"{field}: the host {location.host} does not resolve ({error})") from error
    if not addresses:
        raise InputUnavailable(f"{field}: the host {location.host} has no address")
    return addresses


def _how_to_allow(location: Location) -> str:
    host = f"[{location.host}]" if ":" in location.host else location.host
    return f"; an operator can permit it with --allow-hosts {host}:{location.port}"


def _parse_allowed_host(entry: str) -> tuple[str, int | None]:
    text = entry.strip()
    bare_ipv6 = text.count(":") > 1 and not text.startswith("[")
    try:
        parts = urlsplit(f"//[{text}]" if bare_ipv6 else f"//{text}")
        if (parts.netloc != text and not bare_ipv6) or "@" in text or _FORBIDDEN.search(text):
            raise ValueError("it must be a host, or a host and a port")
        return _normal_host(parts.hostname or "", "--allow-hosts"), parts.port
    except (ValueError, Unsafe, BadInput) as error:
        raise UsageError(
            f"--allow-hosts: {entry!r} is not legal ({error}); write host or host:port, "
            "such as 127.0.0.1:54321"
        ) from error
