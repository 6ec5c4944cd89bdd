"""Fixtures of the tests of what the worker does beside its engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.overhead.worker import Worker


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """A worker with an empty queue."""
    made = Worker(tmp_path)
    yield made
    made.queue.close()
