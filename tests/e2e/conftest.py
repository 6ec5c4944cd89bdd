"""Fixtures of the tests of whole workers."""

from __future__ import annotations

from tests.worker.place import place

__all__ = ["place"]
