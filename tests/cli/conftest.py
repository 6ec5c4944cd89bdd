"""Fixtures of the tests of the command line."""

from __future__ import annotations

import pytest

from tests.cli.terminal import Terminal
from tests.worker.place import Place, place

__all__ = ["place"]


@pytest.fixture
def terminal(place: Place) -> Terminal:
    """A terminal on an empty queue."""
    return Terminal(place)
