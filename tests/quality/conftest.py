"""Fixtures of the tests of the quality meters and of the output checks."""

from __future__ import annotations

import pytest

from headless.quality.thresholds import Thresholds, load_thresholds
from tests.worker.place import place

__all__ = ["limits", "place"]


@pytest.fixture(scope="session")
def limits() -> Thresholds:
    """The limits that ship."""
    return load_thresholds()
