"""The file of the local queue: created on first use, never damaged, its troubles told in plain words."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from headless.adapters.sqlite_queue import SqliteQueue
from headless.errors import DiskFull, QueueUnavailable, UsageError
from headless.task import NewTask


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


def test_the_file_and_its_folders_are_created_on_first_use(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "my queue?.db"
    queue = SqliteQueue(path)
    queue.enqueue(NewTask({}))
    assert stat.S_ISREG(path.stat().st_mode)
    queue.close()
    assert [entry.name for entry in path.parent.iterdir()] == ["my queue?.db"]


def test_tasks_outlive_the_process(path: Path) -> None:
    queue = SqliteQueue(path)
    task = queue.enqueue(NewTask({"prompt": "a cat"}))
    queue.close()
    again = SqliteQueue(str(path))
    seen = again.get(task)
    again.close()
    assert seen is not None
    assert seen.params == {"prompt": "a cat"}


def test_an_empty_file_is_adopted(path: Path) -> None:
    path.touch()
    queue = SqliteQueue(path)
    assert queue.queued() == 0
    queue.close()


def test_a_power_cut_forgets_nothing(path: Path) -> None:
    queue = SqliteQueue(path)
    with queue.file.snapshot() as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert db.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    queue.close()


def test_a_relative_path_does_not_follow_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    queue = SqliteQueue("queue.db")
    assert queue.file.path == str(tmp_path / "queue.db")
    queue.close()


def test_another_programs_database_is_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE tasks (id)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"queue\.db is a database of another program"):
        SqliteQueue(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    SqliteQueue(path).close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(UsageError, match="schema version 99"):
        SqliteQueue(path)


def made_older(path: Path) -> None:
    """Take away what schema version 3 added."""
    connection = sqlite3.connect(path)
    connection.executescript("ALTER TABLE task_dependencies DROP COLUMN position; PRAGMA user_version = 2;")
    connection.close()


def test_a_queue_of_the_version_before_is_upgraded_with_its_tasks(path: Path) -> None:
    older = SqliteQueue(path)
    parent = older.enqueue(NewTask({}))
    child = older.enqueue(NewTask({}, dependant_on=(parent,)))
    older.close()
    made_older(path)
    for _ in range(2):
        queue = SqliteQueue(path)
        assert [task.id for task in queue.list()] == [child, parent]
        with queue.file.snapshot() as db:
            rows = db.execute("SELECT task_id, parent_id, position FROM task_dependencies").fetchall()
            assert [tuple(row) for row in rows] == [(child, parent, 0)]
        queue.close()


def test_an_upgraded_queue_has_the_tables_of_a_new_one(path: Path, tmp_path: Path) -> None:
    def columns(file: Path) -> list[tuple[object, ...]]:
        queue = SqliteQueue(file)
        with queue.file.snapshot() as db:
            found = [tuple(row) for row in db.execute("PRAGMA table_xinfo(task_dependencies)")]
        queue.close()
        return found

    new = columns(tmp_path / "new.db")
    columns(path)
    connection = sqlite3.connect(path)
    connection.executescript("ALTER TABLE task_dependencies DROP COLUMN position; PRAGMA user_version = 2;")
    connection.close()
    assert sorted(columns(path)) == sorted(new)


def test_a_text_file_is_no_queue(path: Path) -> None:
    path.write_text("once upon a time " * 200)
    with pytest.raises(UsageError, match=r"queue\.db is not a queue"):
        SqliteQueue(path)


@pytest.mark.parametrize("first_damaged", [100, 8192, 65536])
def test_a_damaged_file_is_named(path: Path, first_damaged: int) -> None:
    queue = SqliteQueue(path)
    for _ in range(50):
        queue.enqueue(NewTask({"prompt": "x" * 500}))
    queue.close()
    content = bytearray(path.read_bytes())
    content[first_damaged:] = b"\xa5" * (len(content) - first_damaged)
    path.write_bytes(content)

    def use() -> None:
        with closing(SqliteQueue(path)) as damaged:
            damaged.list()

    with pytest.raises(UsageError, match=r"queue\.db is not a queue.*damaged"):
        use()


def test_a_file_without_its_tables_is_named(path: Path) -> None:
    SqliteQueue(path).close()
    vandal = sqlite3.connect(path)
    vandal.executescript("DROP VIEW task_view; DROP TABLE workers")
    vandal.close()
    queue = SqliteQueue(path)
    with pytest.raises(UsageError, match=r"queue\.db does not understand"):
        queue.get("task")
    queue.close()


def test_a_folder_is_no_queue(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        SqliteQueue(tmp_path)


def test_a_file_in_the_way_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file"):
        SqliteQueue(tmp_path / "file" / "queue.db")


def test_an_orphaned_log_is_not_replayed_into_a_new_file(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(b"frames of a lost database")
    with pytest.raises(UsageError, match="-wal"):
        SqliteQueue(path)
    assert not path.exists()


def test_a_path_that_cannot_be_opened_is_named(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere" / "queue.db")
    with pytest.raises(UsageError, match=r"queue\.db cannot be opened"):
        SqliteQueue(path)


def test_a_busy_file_is_unavailable_for_now(path: Path) -> None:
    queue, other = SqliteQueue(path, busy_seconds=0.0), SqliteQueue(path)
    with (
        other.file.transaction(),
        pytest.raises(QueueUnavailable, match=r"queue\.db did not answer.*try again"),
    ):
        queue.enqueue(NewTask({}))
    assert queue.enqueue(NewTask({}))
    queue.close()
    other.close()


def test_readers_do_not_wait_for_a_writer(path: Path) -> None:
    queue, other = SqliteQueue(path, busy_seconds=0.0), SqliteQueue(path)
    task = queue.enqueue(NewTask({}))
    with other.file.transaction():
        assert queue.get(task) is not None
        assert queue.queued() == 1
    queue.close()
    other.close()


def test_a_full_disk_is_told_and_recovered_from(path: Path) -> None:
    queue = SqliteQueue(path)
    task = queue.enqueue(NewTask({}))
    with queue.file.snapshot() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFull, match=r"no room for the queue .*queue\.db"):
        queue.enqueue(NewTask({"prompt": "x" * 100_000}))
    assert [seen.id for seen in queue.list()] == [task]
    with queue.file.snapshot() as db:
        db.execute("PRAGMA max_page_count = 1000000")
    assert queue.enqueue(NewTask({"prompt": "x" * 100_000}))
    queue.close()


def test_an_error_of_ours_is_not_dressed_up(path: Path) -> None:
    queue = SqliteQueue(path)
    task = queue.enqueue(NewTask({}))

    def break_the_schema() -> None:
        with queue.file.transaction() as db:
            db.execute("DELETE FROM tasks")
            db.execute("INSERT INTO task_outputs VALUES ('no such task', 1, 'key', 'sha', 0)")

    with pytest.raises(sqlite3.IntegrityError):
        break_the_schema()
    assert queue.get(task) is not None
    queue.close()


def test_a_closed_queue_says_so(path: Path) -> None:
    queue = SqliteQueue(path)
    queue.close()
    queue.close()
    with pytest.raises(QueueUnavailable, match="closed"):
        queue.queued()


@pytest.mark.parametrize("lease", [0.0, -1.0, float("nan")])
def test_a_lease_needs_time(path: Path, lease: float) -> None:
    with pytest.raises(UsageError, match="lease_seconds"):
        SqliteQueue(path, lease_seconds=lease)
