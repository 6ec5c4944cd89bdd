"""Connections that can only go to checked addresses, watched by a time budget."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpcore

from headless.errors import InputUnavailable
from headless.ports import Clock

_SLICE_SECONDS = 0.5
"""How long a silent server may keep a cancellation waiting."""

SocketOptions = Iterable[
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
]


@dataclass
class TimeBudget:
    """The seconds that one input may take, all attempts, redirects and pauses together.

    `check` is the caller's interruption point: it raises to stop, and is called often.
    """

    seconds: float
    clock: Clock
    check: Callable[[], None]
    what: str
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        self._end = self.clock.monotonic() + self.seconds

    def left(self) -> float:
        """Seconds left, above zero. `InputUnavailable` where there are none; whatever `check` raises."""
        self.check()
        left = self._end - self.clock.monotonic()
        if left <= 0:
            raise InputUnavailable(
                f"{self.what} took longer than {self.seconds:g} s; the download was given up"
            )
        return left

    def pause(self, seconds: float) -> None:
        """Wait, listening for an interruption. Fails at once where the wait would outlast the budget."""
        if seconds >= self.left():
            raise InputUnavailable(
                f"{self.what} is not available now; a retry in {seconds:.1f} s would exceed the limit of "
                f"{self.seconds:g} s for a download"
            )
        end = self.clock.monotonic() + seconds
        while (rest := end - self.clock.monotonic()) > 0:
            self.left()
            self.clock.sleep(min(rest, _SLICE_SECONDS))


class PinnedBackend(httpcore.NetworkBackend):
    """Opens connections to `addresses` alone, whatever host it is asked for: a name is never looked up again.

    The host name still decides the Host header, SNI and the certificate check, which lie above.
    """

    def __init__(self, addresses: Iterable[str], budget: TimeBudget) -> None:
        self._addresses = tuple(addresses)
        self._budget = budget
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the base class's signature; the pin replaces the host
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        """Try each address in turn; the last failure is raised where none answers."""
        failure: Exception = httpcore.ConnectError("no address to connect to")
        for address in self._addresses:
            limit = _least(timeout, self._budget.left())
            try:
                stream = self._backend.connect_tcp(address, port, limit, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _WatchedStream(stream, self._budget)
        raise failure


class _WatchedStream(httpcore.NetworkStream):
    """A stream whose every wait ends with the budget, and in which an interruption is heard."""

    def __init__(self, stream: httpcore.NetworkStream, budget: TimeBudget) -> None:
        self._stream = stream
        self._budget = budget

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        waited = 0.0
        while True:
            limit = _least(None if timeout is None else timeout - waited, self._budget.left(), _SLICE_SECONDS)
            try:
                return self._stream.read(max_bytes, limit)
            except httpcore.ReadTimeout:
                waited += limit
                if timeout is not None and waited >= timeout:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _least(timeout, self._budget.left()))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        limit = _least(timeout, self._budget.left())
        return _WatchedStream(self._stream.start_tls(ssl_context, server_hostname, limit), self._budget)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _least(*limits: float | None) -> float:
    return min(limit for limit in limits if limit is not None)
