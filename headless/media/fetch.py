"""Fetching an input by URL: guarded, limited, and whole or not at all."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin

import httpcore
import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from headless.clock import SystemClock
from headless.errors import BadInput, InputUnavailable, Unsafe
from headless.media.guard import (
    FetchPolicy,
    Location,
    Resolver,
    Target,
    parse_url,
    redact_url,
    resolve,
    system_resolver,
)
from headless.media.http_answers import TransientError, judge_status
from headless.media.pinned import PinnedBackend, TimeBudget
from headless.media.whole_file import whole_file
from headless.ports import Clock

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = (
    (b"User-Agent", b"headless-video-worker"),
    (b"Accept", b"*/*"),
    (b"Accept-Encoding", b"identity"),
    (b"Connection", b"close"),
)


@dataclass(frozen=True)
class FetchLimits:
    """Limits of one download, redirects and retries together. Seconds, bytes."""

    max_bytes: int = 64 * 1024 * 1024
    total_seconds: float = 300.0
    connect_seconds: float = 10.0
    read_seconds: float = 20.0
    attempts: int = 4
    backoff_seconds: float = 0.5
    max_retry_after_seconds: float = 30.0


@dataclass(frozen=True)
class Fetched:
    """A file that arrived whole: SHA-256 in hex, size in bytes, the server's content type (may be empty)."""

    path: Path
    sha256: str
    size: int
    content_type: str


def fetch_url(
    url: str,
    destination: Path,
    *,
    policy: FetchPolicy,
    limits: FetchLimits,
    check: Callable[[], None],
    field: str = "url",
    resolver: Resolver = system_resolver,
    clock: Clock | None = None,
) -> Fetched:
    """Download `url` to `destination`, which exists afterwards only if all of it arrived.

    `field` is what messages call the input (`start_image`). `check` is called at least every half second
    while the server is silent, and between chunks; what it raises ends the download.

    Each hop is resolved once, checked, and connected to at the checked address. A failure of the network, a
    429 or a 5xx is retried with jitter, honouring Retry-After; every retry starts from the first byte.

    Raises `Unsafe` (guard, certificate), `BadInput` (not there, too large, empty), `InputUnavailable`
    (no answer, refused, too slow, cut short), `DiskFull`.
    """
    location = parse_url(url, field)
    shown = f"{field}: {redact_url(url)}"
    budget = TimeBudget(limits.total_seconds, clock or SystemClock(), check, shown)
    hop = _Hop(policy, limits, resolver, budget, field, ssl_context(policy))
    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(limits.attempts),
        wait=_Wait(limits, shown),
        sleep=budget.pause,
        reraise=True,
    )
    try:
        return retrying(_fetch_once, location, destination, hop)
    except TransientError as error:
        raise InputUnavailable(
            f"{shown} could not be fetched ({error}, {limits.attempts} attempts)"
        ) from error


def ssl_context(policy: FetchPolicy) -> ssl.SSLContext:
    """Certificates and host names are always verified; the environment has no say in it."""
    context = httpx.create_ssl_context(trust_env=False)
    if policy.ca_file is not None:
        context.load_verify_locations(cafile=policy.ca_file)
    return context


@dataclass(frozen=True)
class _Hop:
    """What every request of one download shares."""

    policy: FetchPolicy
    limits: FetchLimits
    resolver: Resolver
    budget: TimeBudget
    field: str
    ssl_context: ssl.SSLContext


class _Wait:
    """The server's Retry-After, or an exponential pause with full jitter."""

    def __init__(self, limits: FetchLimits, shown: str) -> None:
        self._shown = shown
        self._limit = limits.max_retry_after_seconds
        self._backoff = wait_random_exponential(multiplier=limits.backoff_seconds, max=self._limit)

    def __call__(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        asked = error.retry_after if isinstance(error, TransientError) else None
        if asked is None:
            return self._backoff(state)
        if asked > self._limit:
            raise InputUnavailable(
                f"{self._shown} is not available ({error}); the server asks to wait {asked:g} s, "
                f"longer than the {self._limit:g} s that a download waits"
            )
        return asked


def _fetch_once(location: Location, destination: Path, hop: _Hop) -> Fetched:
    """Follow redirects by hand, each through the guard, to the answer that carries the file."""
    for _ in range(hop.policy.max_redirects + 1):
        answer = _request(resolve(location, hop.policy, hop.resolver, hop.field), destination, hop)
        if isinstance(answer, Fetched):
            return answer
        location = _redirected(location, answer, hop.field)
    raise Unsafe(
        f"{hop.field}: more than {hop.policy.max_redirects} redirects, the last to {location.authority}"
    )


def _redirected(location: Location, address: str, field: str) -> Location:
    target = parse_url(urljoin(location.url, address), field)
    if location.scheme == "https" and target.scheme == "http":
        raise Unsafe(f"{field}: {location.host} redirects from https to http, to {target.authority}; refused")
    return target


def _request(target: Target, destination: Path, hop: _Hop) -> Fetched | str:
    """One request. The address that a redirect names, or the file."""
    limits, place = hop.limits, target.location
    seconds = {"connect": limits.connect_seconds, "read": limits.read_seconds, "write": limits.read_seconds}
    try:
        with (
            httpcore.ConnectionPool(
                ssl_context=hop.ssl_context,
                max_connections=1,
                network_backend=PinnedBackend(target.addresses, hop.budget),
            ) as pool,
            pool.stream(
                "GET",
                httpcore.URL(scheme=place.scheme, host=place.host, port=place.port, target=place.target),
                headers=[(b"Host", place.authority.encode("ascii")), *_HEADERS],
                extensions={"timeout": seconds},
            ) as response,
        ):
            return _answer(response, place, destination, hop)
    except httpcore.TimeoutException as error:
        raise TransientError(f"{place.authority} did not answer in time") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        if _is_certificate_error(error):
            raise Unsafe(f"{hop.field}: the certificate of {place.host} is not valid: {error}") from error
        raise TransientError(
            f"the connection to {place.authority} failed: {error or type(error).__name__}"
        ) from error


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _answer(response: httpcore.Response, place: Location, destination: Path, hop: _Hop) -> Fetched | str:
    headers = {key.lower(): value.decode("latin-1").strip() for key, value in response.headers}
    shown = f"{hop.field}: {redact_url(place.url)}"
    if response.status in _REDIRECTS and b"location" in headers:
        return headers[b"location"]
    if response.status != HTTPStatus.OK:
        judge_status(shown, response.status, headers.get(b"retry-after"), _start_of_body(response))
    encoding = headers.get(b"content-encoding", "").lower()
    if encoding not in ("identity", ""):
        raise BadInput(f"{shown} is sent compressed ({encoding[:40]}), unasked; serve the file as it is")
    declared = headers.get(b"content-length", "0")
    if declared.isdecimal() and int(declared) > hop.limits.max_bytes:
        raise BadInput(f"{shown} has {declared} bytes; at most {hop.limits.max_bytes} are legal")
    with whole_file(destination) as partial, partial.open("xb") as file:
        sha256, size = _receive(response, file, shown, hop)
    content_type = headers.get(b"content-type", "").partition(";")[0].strip().lower()[:100]
    return Fetched(destination, sha256, size, content_type)


def _start_of_body(response: httpcore.Response) -> bytes:
    """At most a few kilobytes, for services that put the real status into the body."""
    for chunk in response.iter_stream():
        return chunk[:4096]
    return b""


def _receive(response: httpcore.Response, file: BinaryIO, shown: str, hop: _Hop) -> tuple[str, int]:
    """The bytes as they come, counted. (SHA-256 in hex, size)."""
    digest, size = hashlib.sha256(), 0
    for chunk in response.iter_stream():
        hop.budget.left()
        size += len(chunk)
        if size > hop.limits.max_bytes:
            raise BadInput(f"{shown} is larger than {hop.limits.max_bytes} bytes, the most that is legal")
        file.write(chunk)
        digest.update(chunk)
    if size == 0:
        raise BadInput(f"{shown} is empty")
    return digest.hexdigest(), size
