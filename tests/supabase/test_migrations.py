"""The migrations apply twice, to a project like hosted ones and to plain PostgreSQL; what they grant."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supabase.cluster import MIGRATIONS, Cluster
from tests.supabase.stack import Stack, shared_stack
from tests.supabase.tools import Tools

WORKER_CALLS = {
    "claim_task_v1",
    "renew_lease_v1",
    "checkpoint_segment_v1",
    "complete_task_v1",
    "fail_task_v1",
    "release_task_v1",
}
USER_CALLS = {"enqueue_task_v1", "cancel_task_v1", "retry_task_v1"}
TABLES = {"tasks", "task_attempts", "task_segments", "task_outputs", "workers"}
VIEWS = {"task_status_v1", "queue_depth_v1"}
ROLES = ("anon", "authenticated", "service_role", "gpu_worker")


@pytest.fixture
def plain_cluster() -> Iterator[Cluster]:
    """A PostgreSQL whose superuser is called postgres, as everywhere but on hosted Supabase."""
    folder = Path(tempfile.mkdtemp(prefix="supabase-"))
    cluster = Cluster(Tools.find(), folder, superuser="postgres")
    yield cluster
    cluster.stop()
    shutil.rmtree(folder)


def contents(cluster: Cluster, database: str) -> list[tuple[object, ...]]:
    """Every function, table, policy and grant that the migrations make."""
    with cluster.connect(database) as connection:
        return [
            *connection.execute(
                "select proname, pg_get_function_identity_arguments(p.oid), "
                "array(select unnest(proacl)::text order by 1) from pg_proc p "
                "join pg_namespace n on n.oid = pronamespace where nspname in ('public', 'gpu_queue') "
                "order by 1, 2"
            ).fetchall(),
            *connection.execute(
                "select nspname, relname, relkind, "
                "array(select unnest(relacl)::text order by 1) from pg_class c "
                "join pg_namespace n on n.oid = relnamespace where nspname in ('public', 'gpu_queue') "
                "order by 1, 2"
            ).fetchall(),
            *connection.execute(
                "select tablename, policyname, cmd, roles::text, qual, with_check from pg_policies "
                "order by 1, 2"
            ).fetchall(),
            *connection.execute(
                "select tgname, tgrelid::regclass::text from pg_trigger where not tgisinternal order by 1"
            ).fetchall(),
        ]


def test_migrations_may_be_applied_twice(supabase_stack: Stack) -> None:
    cluster = supabase_stack.cluster
    with cluster.another_database() as database:
        before = contents(cluster, database)
        cluster.migrate(database)
        assert contents(cluster, database) == before


def test_plain_postgresql_will_do(plain_cluster: Cluster) -> None:
    plain_cluster.create_database("plain")
    plain_cluster.migrate("plain")
    plain_cluster.migrate("plain")
    with plain_cluster.connect("plain") as connection:
        row = connection.execute("select public.enqueue_task_v1('{}')").fetchone()
        assert row is not None
        claimed = connection.execute("select public.claim_task_v1('w', 'c') ->> 'task_id'").fetchone()
        assert claimed == (str(row[0]),)


def test_a_table_that_frontends_already_use_is_kept(supabase_stack: Stack) -> None:
    """An older project has a tasks table of its own, with rows."""
    cluster = supabase_stack.cluster
    cluster.create_database("older")
    with cluster.connect("older", "postgres") as connection:
        connection.execute(
            "create table public.tasks (id uuid primary key default gen_random_uuid(),"
            " task_type text not null, params jsonb not null, status text not null default 'Queued',"
            " dependant_on uuid[],"
            " output_location text, project_id uuid, worker_id text, attempts integer not null default 0,"
            " error_message text, created_at timestamptz not null default now(),"
            " updated_at timestamptz not null default now(), generation_started_at timestamptz,"
            " generation_processed_at timestamptz, idempotency_key text)"
        )
        connection.execute(
            "insert into public.tasks (task_type, params) values ('generate', '{\"model\": \"m\"}')"
        )
        cluster.migrate("older")
        assert connection.execute("select model, owner, priority from public.tasks").fetchall() == [
            ("m", "service", 0)
        ]
        claimed = connection.execute("select public.claim_task_v1('w', 'c') ->> 'task_type'").fetchone()
        assert claimed == ("generate",)
    with cluster.connect() as connection:
        connection.execute("drop database older with (force)")


def test_no_extension_is_needed(supabase_stack: Stack) -> None:
    assert supabase_stack.sql("select extname from pg_extension") == [("plpgsql",)]
    assert "create extension" not in "".join(path.read_text().lower() for path in MIGRATIONS.glob("*.sql"))


def test_every_table_has_row_level_security(supabase_stack: Stack) -> None:
    rows = supabase_stack.sql(
        "select relname, relrowsecurity from pg_class where relnamespace = 'public'::regnamespace "
        "and relkind = 'r'"
    )
    assert dict(rows) == dict.fromkeys(TABLES, True)


def test_both_views_check_rights_as_their_caller(supabase_stack: Stack) -> None:
    rows = supabase_stack.sql(
        "select relname, reloptions::text from pg_class where relnamespace = 'public'::regnamespace "
        "and relkind = 'v'"
    )
    assert dict(rows) == dict.fromkeys(VIEWS, "{security_invoker=true}")


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_call_exactly_its_functions(supabase_stack: Stack, role: str) -> None:
    allowed = {
        "anon": set(),
        "gpu_worker": WORKER_CALLS,
        "authenticated": WORKER_CALLS | USER_CALLS,
        "service_role": WORKER_CALLS | USER_CALLS,
    }[role]
    rows = supabase_stack.sql(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace "
        "and has_function_privilege(%s, oid, 'execute')",
        role,
    )
    assert {name for (name,) in rows} == allowed


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_touch_exactly_its_tables(supabase_stack: Stack, role: str) -> None:
    reading = {(name, "SELECT") for name in TABLES | VIEWS}
    allowed = {
        "anon": set(),
        "gpu_worker": set(),
        "authenticated": reading,
        "service_role": reading | {(t, right) for t in TABLES for right in ("INSERT", "UPDATE", "DELETE")},
    }[role]
    rows = supabase_stack.sql(
        "select relname, p.privilege from pg_class, unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', "
        "'TRUNCATE', 'REFERENCES', 'TRIGGER']) p(privilege) where relnamespace = 'public'::regnamespace "
        "and relkind in ('r', 'v') and has_table_privilege(%s, oid, p.privilege)",
        role,
    )
    assert set(rows) == allowed


def test_users_may_write_exactly_these_columns(supabase_stack: Stack) -> None:
    rows = supabase_stack.sql(
        "select column_name, privilege_type from information_schema.column_privileges "
        "where grantee = 'authenticated' and table_schema = 'public' and privilege_type <> 'SELECT'"
    )
    writable = {
        *("user_id", "task_type", "params", "project_id", "dependant_on"),
        *("idempotency_key", "priority", "status"),
    }
    assert set(rows) == {(name, "INSERT") for name in writable}


def test_every_function_with_its_owners_rights_has_a_fixed_search_path(supabase_stack: Stack) -> None:
    rows = supabase_stack.sql(
        "select proname, proconfig from pg_proc p join pg_namespace n on n.oid = pronamespace "
        "where nspname in ('public', 'gpu_queue')"
    )
    assert len(rows) > 25
    for name, settings in rows:
        assert 'search_path=""' in (settings or []), name


def test_the_worker_role_can_neither_log_in_nor_inherit(supabase_stack: Stack) -> None:
    assert supabase_stack.sql(
        "select rolcanlogin, rolinherit, rolbypassrls, rolsuper from pg_roles where rolname = 'gpu_worker'"
    ) == [(False, False, False, False)]


def test_tasks_are_told_to_realtime(supabase_stack: Stack) -> None:
    assert supabase_stack.sql(
        "select tablename from pg_publication_tables where pubname = 'supabase_realtime'"
    ) == [("tasks",)]


def test_a_missing_server_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tests.supabase.tools.REPOSITORY", tmp_path)
    with pytest.raises(RuntimeError, match="scripts/test-services"):
        Tools.find()


def test_one_project_serves_all_tests_of_a_process(supabase_stack: Stack) -> None:
    assert shared_stack() is supabase_stack
