"""A wire between the storage adapter and the server, on which requests can be seen and disturbed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx

from headless.adapters.supabase_storage import SupabaseStorage

KEY = "outputs/service/task/1/movie.mp4"

Disturbance = Callable[[httpx.Request], httpx.Response | None]
Opener = Callable[..., SupabaseStorage]


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Wire(httpx.BaseTransport):
    """Records every request; `disturb` may answer it, or raise, in the server's place."""

    def __init__(self, disturb: Disturbance | None = None) -> None:
        self.seen: list[str] = []
        self.headers: list[httpx.Headers] = []
        self.disturb = disturb or (lambda request: None)
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        offset = request.headers.get("Upload-Offset", "")
        self.seen.append(f"{request.method} {offset}".strip())
        self.headers.append(request.headers)
        return self.disturb(request) or self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


def cut_after(patches: int) -> Disturbance:
    """The network is gone for good after so many chunks."""
    count = 0

    def disturb(request: httpx.Request) -> None:
        nonlocal count
        count += request.method == "PATCH"
        if count > patches:
            raise httpx.ConnectError("the network is gone")

    return disturb


def first_time(method: str, answer: Callable[[], httpx.Response]) -> Disturbance:
    """Answers the first request of a method in the server's place."""
    left = [answer]

    def disturb(request: httpx.Request) -> httpx.Response | None:
        return left.pop()() if request.method == method and left else None

    return disturb
