"""The queue in a Supabase project. Every write is a call of one of its SQL functions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Any, Final, Protocol, TypeAlias

import httpx
import tenacity
from postgrest import SyncSelectRequestBuilder
from postgrest.exceptions import APIError

from headless import keys
from headless.adapters.stored_values import (
    check_delay,
    check_name,
    check_new_task,
    clean_text,
    encode_params,
    encode_result,
    storable_report,
)
from headless.adapters.supabase_client import SupabaseConnection
from headless.adapters.supabase_refusals import NotInstalledError
from headless.adapters.supabase_rows import VIEW_COLUMNS, claim_from, view_from
from headless.errors import BadParams, QueueUnavailable
from headless.task import (
    CancelAnswer,
    Capability,
    Claim,
    CompleteAnswer,
    FencedAnswer,
    Json,
    NewTask,
    Progress,
    RenewAnswer,
    Report,
    TaskStatus,
    TaskView,
)

Rows: TypeAlias = list[Mapping[str, Any]]

_PAGE: Final = 1000
_INT64: Final = 2**63


class _Request(Protocol):
    """A call that supabase-py has prepared."""

    def execute(self) -> Any:
        """Send it."""


class SupabaseQueue:
    """`headless.ports.TaskQueue` over PostgREST.

    A call that is not answered is repeated a few times, which is safe: claims carry their `claim_id`, new
    rows their id, and everything else its attempt. `user_id` queues on behalf of a user, which takes a
    secret key. Raises `QueueUnavailable` when the project does not answer, `UsageError` when it refuses
    the key or the migrations are missing.
    """

    def __init__(
        self,
        connection: SupabaseConnection,
        *,
        user_id: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection = connection
        self._user_id = user_id
        self._seen = False
        """Whether it ever answered: a function that is missing then is one that PostgREST looks for anew."""
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(QueueUnavailable),
            wait=tenacity.wait_random_exponential(multiplier=0.25, max=4),
            stop=tenacity.stop_after_attempt(6) | tenacity.stop_after_delay(30),
            sleep=sleep,
            reraise=True,
        )

    @property
    def owner(self) -> str:
        """Under whose name this caller's inputs lie."""
        return self._user_id or self._connection.owner

    def claim(self, worker_id: str, claim_id: str, capability: Capability) -> Claim | None:
        """Take one task, or none. A spent `claim_id`, or another worker's, answers none."""
        check_name("worker_id", worker_id)
        check_name("claim_id", claim_id)
        about = {"loaded_model": capability.loaded_model, "description": dict(capability.description)}
        encode_result(about)
        answer = self._rpc(
            "claim_task_v1", dict | None, worker_id=worker_id, claim_id=claim_id, capability=about
        )
        return None if answer is None else claim_from(answer)

    def renew(self, task_id: str, attempt: int, progress: Progress) -> RenewAnswer:
        """Prolong the lease and report progress; `CANCEL` prolongs too, so that there is time to stop."""
        answer = self._fenced("renew_lease_v1", task_id, attempt, progress=progress.as_json())
        return RenewAnswer(answer)

    def checkpoint(
        self, task_id: str, attempt: int, index: int, input_hash: str, object_key: str
    ) -> FencedAnswer:
        """Record a finished segment; one with the same index is replaced."""
        keys.safe_key(object_key)
        check_name("input_hash", input_hash)
        if index < 0:
            raise BadParams(f"the segment index is {index}; it must be 0 or more")
        answer = self._fenced(
            "checkpoint_segment_v1", task_id, attempt, index=index, input_hash=input_hash, object=object_key
        )
        return FencedAnswer(answer)

    def complete(
        self,
        task_id: str,
        attempt: int,
        object_key: str,
        sha256: str,
        result: Mapping[str, Json],
        report: Report = None,
    ) -> CompleteAnswer:
        """Publish the output and finish the task; a cancellation that came first wins and answers `LOST`."""
        keys.safe_key(object_key)
        encode_result(result)
        answer = self._fenced(
            "complete_task_v1",
            task_id,
            attempt,
            object=object_key,
            sha256=sha256,
            result=dict(result),
            report=storable_report(report),
        )
        return CompleteAnswer(answer)

    def fail(
        self,
        task_id: str,
        attempt: int,
        error_class: str,
        message: str,
        retry: bool,
        report: Report = None,
    ) -> FencedAnswer:
        """Fail the attempt; the class `CANCELLED`, or a requested cancellation, makes the task Cancelled."""
        answer = self._fenced(
            "fail_task_v1",
            task_id,
            attempt,
            error_class=clean_text(error_class),
            message=clean_text(message),
            retry=retry,
            report=storable_report(report),
        )
        return FencedAnswer(answer)

    def release(
        self,
        task_id: str,
        attempt: int,
        reason: str,
        delay_seconds: float = 0.0,
        report: Report = None,
    ) -> FencedAnswer:
        """Give the task back, not to be claimed for `delay_seconds`; its attempt is not charged."""
        check_delay("delay_seconds", delay_seconds)
        answer = self._fenced(
            "release_task_v1",
            task_id,
            attempt,
            reason=clean_text(reason),
            delay_seconds=delay_seconds,
            report=storable_report(report),
        )
        return FencedAnswer(answer)

    def enqueue(self, task: NewTask) -> str:
        """Queue a task and return its id; `BadParams` says what cannot be queued."""
        check_new_task(task)
        encode_params(task.params)
        if task.project_id is not None and not _is_uuid(task.project_id):
            raise BadParams(f"project_id is {task.project_id!r}; on Supabase it must be a UUID")
        for parent in task.dependant_on:
            if not _is_uuid(parent):
                raise BadParams(f"dependant_on names {parent!r}, which is not a task of this queue")
        answer = self._rpc(
            "enqueue_task_v1",
            str,
            id=str(uuid.uuid4()),
            user_id=self._user_id,
            params=task.params,
            task_type=task.task_type,
            priority=task.priority,
            dependant_on=list(task.dependant_on),
            idempotency_key=task.idempotency_key,
            project_id=task.project_id,
            run_after_seconds=task.run_after_seconds,
        )
        return str(answer)

    def cancel(self, task_id: str) -> CancelAnswer:
        """Cancel a task that nobody runs at once, or ask the worker of a running one to stop."""
        if not _is_uuid(task_id):
            return CancelAnswer.UNKNOWN
        return CancelAnswer(self._rpc("cancel_task_v1", str, task_id=task_id))

    def retry(self, task_id: str) -> str | None:
        """Queue a copy of a finished task; every call makes one more."""
        if not _is_uuid(task_id):
            return None
        answer = self._rpc("retry_task_v1", str | None, task_id=task_id, id=str(uuid.uuid4()))
        return None if answer is None else str(answer)

    def get(self, task_id: str) -> TaskView | None:
        """One task, or `None`."""
        if not _is_uuid(task_id):
            return None
        query = self._connection.client.table("task_status_v1").select(VIEW_COLUMNS).eq("id", task_id)
        rows = self._rows(query)
        return view_from(rows[0]) if rows else None

    def list(self, status: TaskStatus | None = None, limit: int = 50) -> list[TaskView]:
        """Tasks, newest first; `limit` is 1 or more."""
        if limit < 1:
            raise BadParams(f"limit is {limit}; it must be 1 or more")
        views: list[TaskView] = []
        while len(views) < limit:
            wanted = min(_PAGE, limit - len(views))
            rows = self._page(status, len(views), wanted)
            views.extend(view_from(row) for row in rows)
            if len(rows) < wanted:
                break
        return views

    def queued(self) -> int:
        """How many tasks wait for a worker: queued ones, and those whose lease expired."""
        (row,) = self._rows(self._connection.client.table("queue_depth_v1").select("waiting"))
        return int(row["waiting"])

    def close(self) -> None:
        """Let go of the connections."""
        self._connection.close()

    def _page(self, status: TaskStatus | None, offset: int, count: int) -> Rows:
        query = self._connection.client.table("task_status_v1").select(VIEW_COLUMNS)
        if status is not None:
            query = query.eq("status", status.value)
        query = query.order("created_at", desc=True).order("sequence", desc=True)
        return self._rows(query.range(offset, offset + count - 1))

    def _rows(self, query: SyncSelectRequestBuilder) -> Rows:
        rows: Rows = self._retrying(self._answer, query, list)
        return rows

    def _fenced(self, function: str, task_id: str, attempt: int, **arguments: Any) -> str:
        """A call of an attempt's owner; an id or number that cannot exist is lost without asking."""
        if not _is_uuid(task_id) or not 0 < attempt < _INT64:
            return FencedAnswer.LOST.value
        return str(self._rpc(function, str, task_id=task_id, attempt=attempt, **arguments))

    def _rpc(self, function: str, kind: type | UnionType, /, **arguments: Any) -> Any:
        return self._retrying(self._answer, self._connection.client.rpc(function, arguments), kind)

    def _answer(self, request: _Request, kind: type | UnionType) -> Any:
        try:
            data = _answer(request, kind)
        except NotInstalledError as error:
            if not self._seen:
                raise
            raise QueueUnavailable(f"the queue was there before: {error.message}") from error
        self._seen = True
        return data


def _answer(request: _Request, kind: type | UnionType) -> Any:
    """Send, and check that the answer is of this kind. The HTTP client's hook raises refusals before."""
    try:
        data = request.execute().data
    except httpx.HTTPError as error:
        raise QueueUnavailable(f"the queue does not answer: {type(error).__name__}") from error
    except (APIError, ValueError) as error:
        raise QueueUnavailable("something that is no queue answers under this URL") from error
    if not isinstance(data, kind):
        raise QueueUnavailable("something that is no queue answers under this URL")
    return data


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
