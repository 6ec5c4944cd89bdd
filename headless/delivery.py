"""From the outbox to storage and queue: upload, complete, keep copies."""

from __future__ import annotations

import contextlib

import structlog

from headless.errors import DiskFull, LeaseLost
from headless.job import JobServices
from headless.job_listener import JobListener
from headless.outbox import Parcel
from headless.persistence import persistently
from headless.publish import RESULT_FILE, Publisher
from headless.row_limit import within_row
from headless.task import CompleteAnswer

DELIVERY_LIMIT = 3600.0
"""Seconds for which a finished result is offered to a storage or queue that does not answer."""

log = structlog.get_logger(__name__)


def deliver(parcel: Parcel, services: JobServices, listener: JobListener) -> None:
    """Upload the files of a parcel, complete its task, keep copies, and forget the parcel.

    Raises `LeaseLost` if the task is somebody else's by now, an `Interruption` of the listener between files,
    and `StorageUnavailable` or `QueueUnavailable` after an hour of trying.
    """
    s, claim = services, parcel.claim
    publisher = Publisher(s.storage, claim.output_prefix, parcel.folder, listener)

    def upload() -> None:
        listener.check()
        files = publisher.upload()
        publisher.upload_result(parcel.result | {"files": files})
        timings = parcel.result["timings"] | {"uploading": listener.timings["uploading"]}
        parcel.amend(files=files, timings=timings)

    def complete() -> CompleteAnswer:
        # A lost lease may mean that an earlier process was killed after this very call: the queue knows.
        with contextlib.suppress(LeaseLost):
            listener.check()
        video = parcel.result["files"]["video"]
        report = parcel.report | {"timings": parcel.result["timings"]}
        result = within_row(parcel.result, f"{claim.output_prefix}/{RESULT_FILE}")
        return s.queue.complete(claim.task_id, claim.attempt, video["key"], video["sha256"], result, report)

    if "files" not in parcel.result:
        persistently("the upload", upload, s.clock, DELIVERY_LIMIT)
    if persistently("the completion", complete, s.clock, DELIVERY_LIMIT) is CompleteAnswer.LOST:
        raise LeaseLost("Another worker owns the task now; this result was not published.")
    if s.output_dir is not None:
        try:
            publisher.keep_copies(s.output_dir, claim.task_id, parcel.result)
        except (OSError, DiskFull) as error:
            log.error("the task is published, but its copies could not be kept", why=str(error))
    parcel.discard()
