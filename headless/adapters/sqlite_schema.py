"""The tables of the local queue. Times are seconds since 1970; `sequence` is the order of queueing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

APPLICATION_ID: Final = 0x48564951
SCHEMA_VERSION: Final = 3

SCHEMA: Final = """
CREATE TABLE tasks (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL,
    task_type TEXT NOT NULL,
    params TEXT NOT NULL,
    model TEXT,
    status TEXT NOT NULL DEFAULT 'Queued'
        CHECK (status IN ('Queued', 'In Progress', 'Complete', 'Failed', 'Cancelled')),
    priority INTEGER NOT NULL DEFAULT 0,
    waiting_on INTEGER NOT NULL DEFAULT 0 CHECK (waiting_on >= 0),
    project_id TEXT,
    idempotency_key TEXT,
    origin_id TEXT,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    run_after REAL NOT NULL,
    fence INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    retry_count INTEGER NOT NULL DEFAULT 0,
    crash_count INTEGER NOT NULL DEFAULT 0,
    worker_id TEXT,
    claim_id TEXT,
    lease_expires_at REAL,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    phase TEXT,
    progress TEXT NOT NULL DEFAULT '{}',
    preview_location TEXT,
    output_location TEXT,
    result TEXT,
    error_class TEXT,
    error_message TEXT,
    quarantined_at REAL,
    generation_started_at REAL,
    generation_processed_at REAL,
    CHECK ((status = 'In Progress') = (lease_expires_at IS NOT NULL)),
    CHECK ((status = 'Complete') = (output_location IS NOT NULL))
) STRICT;

CREATE INDEX tasks_claimable ON tasks (priority, user_id, sequence, run_after)
    WHERE status = 'Queued' AND waiting_on = 0;
CREATE INDEX tasks_claimable_by_model ON tasks (priority, user_id, model, sequence, run_after)
    WHERE status = 'Queued' AND waiting_on = 0;
CREATE INDEX tasks_in_line ON tasks (priority DESC, sequence) WHERE status = 'Queued';
CREATE INDEX tasks_running ON tasks (user_id, lease_expires_at) WHERE status = 'In Progress';
CREATE INDEX tasks_by_status ON tasks (status, sequence);
CREATE INDEX tasks_by_origin ON tasks (origin_id) WHERE origin_id IS NOT NULL;
CREATE UNIQUE INDEX tasks_once ON tasks (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE task_dependencies (
    task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    parent_id TEXT NOT NULL REFERENCES tasks (id),
    position INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (task_id, parent_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_dependencies_by_parent ON task_dependencies (parent_id);

CREATE TABLE task_attempts (
    task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    fence INTEGER NOT NULL,
    claim_id TEXT NOT NULL UNIQUE,
    worker_id TEXT NOT NULL,
    worker_description TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,
    outcome TEXT NOT NULL DEFAULT 'running' CHECK (outcome IN
        ('running', 'completed', 'failed', 'retried', 'released', 'crashed', 'cancelled')),
    error_class TEXT,
    message TEXT,
    result TEXT,
    report TEXT,
    PRIMARY KEY (task_id, fence)
) STRICT;

CREATE TABLE task_segments (
    task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    segment INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    input_hash TEXT NOT NULL,
    object_key TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (task_id, segment)
) STRICT;

CREATE TABLE task_outputs (
    task_id TEXT PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    fence INTEGER NOT NULL,
    object_key TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    created_at REAL NOT NULL
) STRICT;

CREATE TABLE workers (
    id TEXT PRIMARY KEY,
    loaded_model TEXT,
    description TEXT NOT NULL,
    first_seen_at REAL NOT NULL,
    last_seen_at REAL NOT NULL
) STRICT;

CREATE VIEW task_view AS
SELECT t.*, CASE WHEN t.status = 'Queued' THEN
    (SELECT count(*) FROM tasks q WHERE q.status = 'Queued' AND q.priority > t.priority) +
    (SELECT count(*) FROM tasks q
     WHERE q.status = 'Queued' AND q.priority = t.priority AND q.sequence <= t.sequence)
END AS queue_position
FROM tasks t;
"""

UPGRADES: Final[Mapping[int, str]] = MappingProxyType(
    {2: "ALTER TABLE task_dependencies ADD COLUMN position INTEGER NOT NULL DEFAULT 0;"}
)
"""Schema version -> what makes the next one of it, in a file that holds tasks already."""
