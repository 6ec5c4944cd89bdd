"""Fixtures of the tests of whole workers."""

from __future__ import annotations

from tests.supabase.fixtures import supabase_stack
from tests.worker.place import place
from tests.worker.process_state import process_state

__all__ = ["place", "process_state", "supabase_stack"]
