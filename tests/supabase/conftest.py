"""Fixtures of the tests of the Supabase side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from headless.adapters.supabase_client import SupabaseConnection, connect
from headless.adapters.supabase_queue import SupabaseQueue
from headless.adapters.supabase_storage import SupabaseStorage
from tests.supabase.callers import Caller
from tests.supabase.fixtures import supabase_stack
from tests.supabase.stack import Stack
from tests.supabase.wire import Opener

__all__ = ["supabase_stack"]

ALICE = "a11ce000-0000-4000-8000-000000000001"
BOB = "b0b00000-0000-4000-8000-000000000002"


@dataclass(frozen=True)
class People:
    """Everyone who may knock: two users, a worker with its own token, the service, and nobody."""

    alice: Caller
    bob: Caller
    worker: Caller
    service: Caller
    nobody: Caller


@pytest.fixture
def people(supabase_stack: Stack) -> Iterator[People]:
    keys = supabase_stack.keys
    with ExitStack() as open_callers:

        def caller(token: str | None, api_key: str | None = None) -> Caller:
            return open_callers.enter_context(Caller(supabase_stack, token, api_key=api_key))

        yield People(
            alice=caller(keys.user(ALICE)),
            bob=caller(keys.user(BOB)),
            worker=caller(keys.worker()),
            service=caller(None, keys.secret),
            nobody=caller(None),
        )


@pytest.fixture
def service_queue(supabase_stack: Stack) -> Iterator[SupabaseQueue]:
    """The queue with a secret key."""
    queue = SupabaseQueue(connect(supabase_stack.url, supabase_stack.keys.secret))
    yield queue
    queue.close()


@pytest.fixture
def alices_queue(supabase_stack: Stack) -> Iterator[SupabaseQueue]:
    """The queue with a user's own access token."""
    keys = supabase_stack.keys
    queue = SupabaseQueue(connect(supabase_stack.url, keys.user(ALICE), anon_key=keys.publishable))
    yield queue
    queue.close()


@pytest.fixture
def workers_queue(supabase_stack: Stack) -> Iterator[SupabaseQueue]:
    """The queue with a token of gpu_worker."""
    keys = supabase_stack.keys
    queue = SupabaseQueue(connect(supabase_stack.url, keys.worker(), anon_key=keys.publishable))
    yield queue
    queue.close()


def no_sleep(_: float) -> None:
    """Retries need not wait here."""


@pytest.fixture
def open_storage(supabase_stack: Stack) -> Iterator[Opener]:
    """Storage over a given transport; each one is like a restarted process."""
    opened: list[SupabaseConnection] = []

    def open_one(transport: httpx.BaseTransport | None = None, token: str | None = None) -> SupabaseStorage:
        keys = supabase_stack.keys
        connection = connect(
            supabase_stack.url, token or keys.secret, anon_key=keys.publishable, transport=transport
        )
        opened.append(connection)
        return SupabaseStorage(connection, sleep=no_sleep)

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    """A file of three chunks of a resumable upload, the last one short; no chunk equals another."""
    path = tmp_path / "movie.mp4"
    path.write_bytes(b"".join(bytes([number]) * 1_000_000 for number in range(13)))
    return path
