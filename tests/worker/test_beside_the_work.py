"""What goes on beside the work may fail without harm to it, and never without a line in the log."""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from headless.adapters.local_storage import LocalStorage
from headless.checkpoints import Checkpoints
from headless.errors import StorageUnavailable
from headless.ports import StoredObject
from headless.previews import Previews
from tests.worker.fake_clock import FakeClock
from tests.worker.signalling_queue import PATIENCE, SignallingQueue


class FailingStorage(LocalStorage):
    """Storage that never stores."""

    def __init__(self, root: Path, error: Exception) -> None:
        super().__init__(root)
        self._error = error
        self.asked = threading.Event()

    def put(self, key: str, source: Path, content_type: str) -> StoredObject:
        self.asked.set()
        raise self._error


ERRORS = [StorageUnavailable("down"), OSError("no such device"), RuntimeError("a bug")]


def _told(lines: list[MutableMapping[str, Any]], event: str, error: Exception) -> None:
    (line,) = [line for line in lines if line["event"] == event]
    assert line.get("exc_info") is error or line["error"] == str(error)


@pytest.mark.parametrize("error", ERRORS)
def test_a_preview_that_cannot_be_stored_is_told(tmp_path: Path, error: Exception) -> None:
    shown: list[str] = []
    storage = FailingStorage(tmp_path / "files", error)
    with capture_logs() as lines, Previews(storage, FakeClock(), tmp_path, "outputs/a", shown.append) as one:
        one.offer(1, lambda: np.zeros((8, 8, 3), np.uint8))
        assert storage.asked.wait(PATIENCE)
    _told(lines, "preview not published", error)
    assert shown == []
    assert list(tmp_path.glob("preview*")) == []


@pytest.mark.parametrize("error", ERRORS)
def test_a_checkpoint_that_cannot_be_stored_is_told(tmp_path: Path, error: Exception) -> None:
    clock = FakeClock()
    queue = SignallingQueue(clock)
    claim = queue.claimed()
    storage = FailingStorage(tmp_path / "files", error)
    with capture_logs() as lines, Checkpoints(queue, storage, claim, tmp_path) as checkpoints:
        checkpoints.record(0, "hash", lambda path: path.touch())
    queue.close()
    _told(lines, "checkpoint not kept", error)
