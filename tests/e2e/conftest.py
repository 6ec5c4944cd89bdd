"""Fixtures of the tests of whole workers."""

from __future__ import annotations

from tests.supabase.fixtures import supabase_stack
from tests.worker.place import place

__all__ = ["place", "supabase_stack"]
