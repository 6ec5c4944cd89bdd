"""Fixtures of the tests of the quality meters and of the output checks."""

from __future__ import annotations

import pytest

from headless.quality.thresholds import Thresholds, load_thresholds
from tests.worker.place import place
from tests.worker.process_state import process_state

__all__ = ["limits", "place", "process_state"]


@pytest.fixture(scope="session")
def limits() -> Thresholds:
    """The limits that ship."""
    return load_thresholds()
