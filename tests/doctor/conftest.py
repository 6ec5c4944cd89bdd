"""Fixtures of the tests of `doctor`."""

from __future__ import annotations

import pytest

from tests.supabase.fixtures import supabase_stack
from tests.worker.place import place
from tests.worker.process_state import process_state

__all__ = ["place", "process_state", "supabase_stack"]


@pytest.fixture(autouse=True)
def _restored(process_state: None) -> None:
    """Commands set up logging."""
