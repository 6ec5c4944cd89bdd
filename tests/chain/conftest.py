"""Fixtures of the tests of chains."""

from __future__ import annotations

from tests.worker.place import place

__all__ = ["place"]
