"""Fixtures for whoever tests against Supabase; imported by the conftest files that need them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supabase.harnesses import SupabaseQueueHarness, SupabaseStorageHarness
from tests.supabase.stack import Stack, shared_stack


@pytest.fixture
def supabase_stack() -> Stack:
    """A project without tasks and files."""
    stack = shared_stack()
    stack.reset()
    return stack


@pytest.fixture
def supabase_queue_harness() -> Iterator[SupabaseQueueHarness]:
    """The queue over PostgREST."""
    harness = SupabaseQueueHarness(shared_stack())
    yield harness
    harness.close()


@pytest.fixture
def supabase_storage_harness(tmp_path: Path) -> Iterator[SupabaseStorageHarness]:
    """The bucket over the stand-in for the storage server."""
    harness = SupabaseStorageHarness(shared_stack(), tmp_path)
    yield harness
    harness.close()
