"""Which task a worker gets: priority, then warmth, then fairness, then age.

Tasks whose lease expired stand in the same line as queued ones.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Final

from headless import keys
from headless.adapters.sqlite_continued import continued
from headless.adapters.sqlite_settle import end_crashed
from headless.task import Checkpoint, Claim

AFFINITY_SECONDS: Final = 60.0
SEEN_EVERY_SECONDS: Final = 10.0

# INDEXED BY: without statistics SQLite would read every queued row instead.
_ABANDONED: Final = """
SELECT * FROM tasks INDEXED BY tasks_running
WHERE status = 'In Progress' AND lease_expires_at <= :now AND cancel_requested
"""

_HIGHEST_PRIORITY: Final = """
SELECT max(priority) FROM (
    SELECT * FROM (
        SELECT priority FROM tasks INDEXED BY tasks_claimable
        WHERE status = 'Queued' AND waiting_on = 0 AND run_after <= :now ORDER BY priority DESC LIMIT 1)
    UNION ALL
    SELECT priority FROM tasks INDEXED BY tasks_running
    WHERE status = 'In Progress' AND lease_expires_at <= :now)
"""

# The oldest due task of each owner, and the oldest for the loaded model, found through the indexes:
# the cost grows with the number of owners, not with the length of the queue.
_BEST: Final = """
WITH RECURSIVE owners(user_id) AS (
    SELECT min(user_id) FROM tasks INDEXED BY tasks_claimable
    WHERE status = 'Queued' AND waiting_on = 0 AND priority = :priority
    UNION ALL
    SELECT (SELECT min(t.user_id) FROM tasks t
            WHERE t.status = 'Queued' AND t.waiting_on = 0 AND t.priority = :priority
              AND t.user_id > owners.user_id)
    FROM owners WHERE owners.user_id IS NOT NULL
),
candidates(sequence) AS (
    SELECT (SELECT t.sequence FROM tasks t
            WHERE t.status = 'Queued' AND t.waiting_on = 0 AND t.priority = :priority
              AND t.user_id = owners.user_id AND t.run_after <= :now
            ORDER BY t.sequence LIMIT 1) FROM owners
    UNION
    SELECT (SELECT t.sequence FROM tasks t
            WHERE t.status = 'Queued' AND t.waiting_on = 0 AND t.priority = :priority
              AND t.user_id = owners.user_id AND t.model = :model AND t.run_after <= :now
            ORDER BY t.sequence LIMIT 1) FROM owners
    UNION
    SELECT sequence FROM tasks INDEXED BY tasks_running
    WHERE status = 'In Progress' AND lease_expires_at <= :now AND priority = :priority
)
SELECT t.* FROM tasks t JOIN candidates USING (sequence)
ORDER BY
    :model IS NOT NULL AND t.model IS NOT :model AND :now - t.created_at < :affinity,
    (SELECT count(*) FROM tasks r
     WHERE r.user_id = t.user_id AND r.status = 'In Progress' AND r.lease_expires_at > :now),
    t.sequence
LIMIT 1
"""

_REPEAT: Final = """
UPDATE tasks SET lease_expires_at = :expires
WHERE id = :id AND fence = :fence AND worker_id = :worker AND status = 'In Progress' RETURNING *
"""

_START: Final = """
UPDATE tasks SET status = 'In Progress', fence = fence + 1, attempts = attempts + 1, worker_id = :worker,
    claim_id = :claim, lease_expires_at = :expires, phase = 'claimed', progress = '{}',
    error_class = NULL, error_message = NULL, generation_started_at = :now, updated_at = :now
WHERE sequence = :sequence RETURNING *
"""

_REGISTER: Final = """
INSERT INTO workers (id, loaded_model, description, first_seen_at, last_seen_at)
VALUES (:id, :model, :description, :now, :now)
ON CONFLICT (id) DO UPDATE SET loaded_model = excluded.loaded_model, description = excluded.description,
    last_seen_at = excluded.last_seen_at
WHERE excluded.last_seen_at >= last_seen_at + :every OR excluded.loaded_model IS NOT loaded_model
    OR excluded.description IS NOT description
"""


@dataclass(frozen=True)
class Bid:
    """One call of a worker for work, at `now` (seconds since 1970)."""

    worker_id: str
    claim_id: str
    loaded_model: str | None
    description: str
    now: float
    lease_seconds: float


def claim(db: sqlite3.Connection, bid: Bid) -> Claim | None:
    """Take the best task, or answer a repeated bid as before. The caller holds the write transaction."""
    _register(db, bid)
    earlier = db.execute("SELECT * FROM task_attempts WHERE claim_id = ?", (bid.claim_id,)).fetchone()
    if earlier is not None:
        return _repeat(db, bid, earlier)
    for row in db.execute(_ABANDONED, {"now": bid.now}).fetchall():
        end_crashed(db, bid.now, row)
    while (row := _best(db, bid)) is not None:
        if row["status"] == "Queued" or not end_crashed(db, bid.now, row):
            return _start(db, bid, row)
    return None


def _best(db: sqlite3.Connection, bid: Bid) -> sqlite3.Row | None:
    (priority,) = db.execute(_HIGHEST_PRIORITY, {"now": bid.now}).fetchone()
    if priority is None:
        return None
    where = {
        "now": bid.now,
        "priority": priority,
        "model": bid.loaded_model,
        "affinity": AFFINITY_SECONDS,
    }
    row: sqlite3.Row = db.execute(_BEST, where).fetchone()
    return row


def _repeat(db: sqlite3.Connection, bid: Bid, earlier: sqlite3.Row) -> Claim | None:
    """The answer to the first call was lost: the same task and attempt, if they are still this worker's."""
    row = db.execute(
        _REPEAT,
        {
            "expires": bid.now + bid.lease_seconds,
            "id": earlier["task_id"],
            "fence": earlier["fence"],
            "worker": bid.worker_id,
        },
    ).fetchone()
    return None if row is None else _as_claim(db, bid, row)


def _start(db: sqlite3.Connection, bid: Bid, task: sqlite3.Row) -> Claim:
    row = db.execute(
        _START,
        {
            "worker": bid.worker_id,
            "claim": bid.claim_id,
            "expires": bid.now + bid.lease_seconds,
            "now": bid.now,
            "sequence": task["sequence"],
        },
    ).fetchone()
    db.execute(
        "INSERT INTO task_attempts (task_id, fence, claim_id, worker_id, worker_description, started_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (row["id"], row["fence"], bid.claim_id, bid.worker_id, bid.description, bid.now),
    )
    return _as_claim(db, bid, row)


def _as_claim(db: sqlite3.Connection, bid: Bid, row: sqlite3.Row) -> Claim:
    segments = db.execute(
        "SELECT segment, input_hash, object_key FROM task_segments WHERE task_id = ? ORDER BY segment",
        (row["id"],),
    )
    params = json.loads(row["params"])
    return Claim(
        task_id=row["id"],
        attempt=row["fence"],
        task_type=row["task_type"],
        params=params,
        owner=row["user_id"],
        lease_seconds=bid.lease_seconds,
        output_prefix=keys.output_prefix(row["user_id"], row["id"], row["fence"]),
        project_id=row["project_id"],
        checkpoints=tuple(Checkpoint(*segment) for segment in segments),
        continued=continued(db, row, params),
    )


def _register(db: sqlite3.Connection, bid: Bid) -> None:
    """Idle workers ask often; their row is written only when it says something new."""
    db.execute(
        _REGISTER,
        {
            "id": bid.worker_id,
            "model": bid.loaded_model,
            "description": bid.description,
            "now": bid.now,
            "every": SEEN_EVERY_SECONDS,
        },
    )
