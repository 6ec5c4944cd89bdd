"""A network that loses answers: the server has done its work, and the caller never hears of it."""

from __future__ import annotations

from collections.abc import Callable

import httpx

Judge = Callable[[httpx.Request], bool]


class LosingTransport(httpx.BaseTransport):
    """Delivers every request, and drops the answers to those that `lose` picks."""

    def __init__(self, lose: Judge) -> None:
        self.lost: list[str] = []
        self._lose = lose
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        lose = self._lose(request)
        response = self._inner.handle_request(request)
        if not lose:
            return response
        response.read()
        response.close()
        self.lost.append(f"{request.method} {request.url.path.rsplit('/', 1)[-1]}")
        raise httpx.ReadError("the answer was lost", request=request)

    def close(self) -> None:
        self._inner.close()


def once_each() -> Judge:
    """Picks the first request to every method and path."""
    seen: set[tuple[str, str]] = set()

    def lose(request: httpx.Request) -> bool:
        kind = (request.method, request.url.path)
        first = kind not in seen
        seen.add(kind)
        return first

    return lose
