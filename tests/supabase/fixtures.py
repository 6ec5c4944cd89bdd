"""Fixtures for whoever tests against Supabase; imported by the conftest files that need them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.supabase.harnesses import SupabaseQueueHarness
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
