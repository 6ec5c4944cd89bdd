"""Which end of a run becomes which answer to the queue."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from headless.errors import (
    BadInput,
    BadOutput,
    BadParams,
    Cancelled,
    DeviceSick,
    DiskFull,
    Draining,
    HeadlessError,
    InputUnavailable,
    InternalError,
    LeaseLost,
    ModelMissing,
    OutOfMemory,
    QueueUnavailable,
    StorageUnavailable,
    Unsafe,
    UsageError,
)
from headless.settle import Outcome, settle, translate
from headless.task import TaskStatus
from models.definition import UnknownModel
from models.lora_files import BadLora, LoraMissing, UnsafeLora
from tests.worker.fake_clock import FakeClock
from tests.worker.signalling_queue import SignallingQueue
from wan2gp_patch.errors import ConditioningError


@pytest.fixture
def queue() -> Iterator[SignallingQueue]:
    made = SignallingQueue(FakeClock())
    yield made
    made.close()


@pytest.mark.parametrize(
    ("error", "outcome", "status", "charged"),
    [
        (BadParams("steps"), Outcome.FAILED, TaskStatus.FAILED, 1),
        (BadInput("image"), Outcome.FAILED, TaskStatus.FAILED, 1),
        (Unsafe("host"), Outcome.FAILED, TaskStatus.FAILED, 1),
        (BadOutput("black"), Outcome.FAILED, TaskStatus.FAILED, 1),
        (UsageError("storage is not writable"), Outcome.UNFIT, TaskStatus.QUEUED, 0),
        (InputUnavailable("503"), Outcome.RETRY, TaskStatus.QUEUED, 1),
        (StorageUnavailable("503"), Outcome.RETRY, TaskStatus.QUEUED, 1),
        (InternalError("bug"), Outcome.RETRY, TaskStatus.QUEUED, 1),
        (DiskFull("full"), Outcome.UNFIT, TaskStatus.QUEUED, 0),
        (ModelMissing("vae"), Outcome.UNFIT, TaskStatus.QUEUED, 0),
        (OutOfMemory("24 GB"), Outcome.UNFIT, TaskStatus.QUEUED, 0),
        (DeviceSick("Xid"), Outcome.UNFIT, TaskStatus.QUEUED, 0),
        (Draining("stop"), Outcome.RELEASED, TaskStatus.QUEUED, 0),
        (Cancelled("stop"), Outcome.CANCELLED, TaskStatus.CANCELLED, 1),
        (LeaseLost("gone"), Outcome.LOST, TaskStatus.IN_PROGRESS, 1),
    ],
)
def test_every_error_has_its_end(
    queue: SignallingQueue, error: HeadlessError, outcome: Outcome, status: TaskStatus, charged: int
) -> None:
    claim = queue.claimed()
    assert settle(queue, claim, error).outcome is outcome
    view = queue.get(claim.task_id)
    assert view is not None
    assert (view.status, view.attempts) == (status, charged)
    if outcome not in (Outcome.LOST, Outcome.CANCELLED):
        assert error.message in (view.error_message or "")


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/x"), DiskFull),
        (OSError(errno.EDQUOT, "Quota exceeded"), DiskFull),
        (OSError(errno.EACCES, "Permission denied"), InternalError),
        (ConditioningError("num_frames is 2"), BadParams),
        (UnknownModel("no such model"), BadParams),
        (LoraMissing("The LoRA 'a' is not there"), BadParams),
        (BadLora("The LoRA 'a' cannot be loaded"), BadParams),
        (UnsafeLora("The LoRA 'a' is a link"), Unsafe),
        (ZeroDivisionError("division by zero"), InternalError),
        (QueueUnavailable("down"), QueueUnavailable),
    ],
)
def test_every_exception_finds_its_place_in_the_tree(error: Exception, known: type[HeadlessError]) -> None:
    assert type(translate(error)) is known
    assert str(error).split("[")[0].strip() in translate(error).message or known is DiskFull
