"""Every error the worker raises on purpose, whose fault it is, and whether a retry helps.

    HeadlessError
    ├── TaskError              the task's fault; fails at once, never retried
    │   ├── BadParams          a parameter is unknown, malformed or out of range
    │   ├── BadInput           an input file is not what it should be
    │   ├── Unsafe             an input reaches for what a task may not touch
    │   └── BadOutput          the generated video failed its checks
    ├── RetryableError         somebody else's fault; a retry helps
    │   ├── InputUnavailable   an input could not be fetched now
    │   ├── QueueUnavailable   the queue did not answer
    │   └── StorageUnavailable the storage did not answer
    ├── MachineError           this worker's fault; the task is released, its attempt not charged
    │   ├── DiskFull           no room for inputs or outputs
    │   ├── ModelMissing       a weight file is absent or damaged
    │   ├── OutOfMemory        every memory plan was tried
    │   ├── DeviceSick         the accelerator no longer computes
    │   └── RankLost           another process of this worker has died
    ├── Interruption           nobody's fault; the run stops where it is
    │   ├── Cancelled          the user cancelled
    │   ├── LeaseLost          another worker owns the task now
    │   └── Draining           the worker was asked to stop
    ├── UsageError             the command line or the environment is wrong; exit status 2
    └── InternalError          a defect of this program, met during a run; tried again

`error_class` is the code that reaches the task's row and the logs; the message says what to do.
"""

from __future__ import annotations

from typing import ClassVar


class HeadlessError(Exception):
    """Root of the tree."""

    error_class: ClassVar[str] = "INTERNAL"

    @property
    def message(self) -> str:
        """The sentence shown to the user."""
        return str(self)


class TaskError(HeadlessError):
    """The task itself is wrong; running it again gives the same answer."""


class BadParams(TaskError):
    """A parameter is unknown, malformed or out of range."""

    error_class = "BAD_PARAMS"


class BadInput(TaskError):
    """An input file is not what it should be."""

    error_class = "BAD_INPUT"


class Unsafe(TaskError):
    """An input reaches for something that a task may not touch."""

    error_class = "UNSAFE"


class BadOutput(TaskError):
    """The generated video failed its checks."""

    error_class = "BAD_OUTPUT"


class RetryableError(HeadlessError):
    """Something outside failed; a later attempt may succeed."""


class InputUnavailable(RetryableError):
    """An input could not be fetched now."""

    error_class = "INPUT_UNAVAILABLE"


class QueueUnavailable(RetryableError):
    """The queue did not answer."""

    error_class = "QUEUE_UNAVAILABLE"


class StorageUnavailable(RetryableError):
    """The storage did not answer."""

    error_class = "STORAGE_UNAVAILABLE"


class MachineError(HeadlessError):
    """This worker cannot run the task; another one may. The attempt is not charged."""


class DiskFull(MachineError):
    """There is no room for inputs or outputs."""

    error_class = "DISK_FULL"


class ModelMissing(MachineError):
    """A weight file is absent or damaged on this machine."""

    error_class = "MODEL_MISSING"


class OutOfMemory(MachineError):
    """Every memory plan was tried and none fits."""

    error_class = "OUT_OF_MEMORY"


class DeviceSick(MachineError):
    """The accelerator no longer computes."""

    error_class = "DEVICE_SICK"


class RankLost(MachineError):
    """Another process of this worker, started by torchrun, has died or no longer answers."""

    error_class = "RANK_LOST"


class Interruption(HeadlessError):
    """The run stops where it is; nothing failed."""


class Cancelled(Interruption):
    """The user cancelled the task."""

    error_class = "CANCELLED"


class LeaseLost(Interruption):
    """Another worker owns the task now."""

    error_class = "LEASE_LOST"


class Draining(Interruption):
    """The worker was asked to stop."""

    error_class = "DRAINING"


class UsageError(HeadlessError):
    """The command line or the environment is wrong."""

    error_class = "USAGE"


class InternalError(HeadlessError):
    """A defect of this program, met during a run. The log holds the traceback."""
