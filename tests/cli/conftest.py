"""Fixtures of the tests of the command line."""

from __future__ import annotations

import pytest

from tests.cli.terminal import Terminal
from tests.worker.place import Place, place
from tests.worker.process_state import process_state

__all__ = ["place", "process_state"]


@pytest.fixture(autouse=True)
def _restored(process_state: None) -> None:
    """Commands set up logging."""


@pytest.fixture
def terminal(place: Place) -> Terminal:
    """A terminal on an empty queue."""
    return Terminal(place)
