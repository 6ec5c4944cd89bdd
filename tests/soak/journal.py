"""A witness inside the database: every publication, and whatever happens to one afterwards, is written down.

The rows of the queue show how things stand in the end. A result that was published, taken back and published
again would look like one; in the journal it is two.
"""

from __future__ import annotations

from typing import Final

SQLITE_JOURNAL: Final = (
    "CREATE TABLE IF NOT EXISTS soak_journal (task_id TEXT, event TEXT, attempt INTEGER, object_key TEXT)",
    """
    CREATE TRIGGER IF NOT EXISTS soak_published AFTER INSERT ON task_outputs BEGIN
        INSERT INTO soak_journal VALUES (new.task_id, 'published', new.fence, new.object_key);
    END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS soak_changed AFTER UPDATE ON task_outputs BEGIN
        INSERT INTO soak_journal VALUES (new.task_id, 'output changed', new.fence, new.object_key);
    END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS soak_removed AFTER DELETE ON task_outputs BEGIN
        INSERT INTO soak_journal VALUES (old.task_id, 'output removed', old.fence, old.object_key);
    END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS soak_undone AFTER UPDATE ON tasks
    WHEN old.status IN ('Complete', 'Failed', 'Cancelled')
        AND (new.status <> old.status OR new.output_location IS NOT old.output_location)
    BEGIN
        INSERT INTO soak_journal VALUES (new.id, 'final state left', new.fence, new.output_location);
    END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS soak_deleted AFTER DELETE ON tasks BEGIN
        INSERT INTO soak_journal VALUES (old.id, 'task deleted', old.fence, old.output_location);
    END
    """,
)

SUPABASE_JOURNAL: Final = """
create schema soak;
create table soak.journal (task_id uuid not null, event text not null, attempt bigint, object_key text);

create function soak.note_output() returns trigger language plpgsql security definer set search_path = ''
as $$
begin
  if tg_op = 'DELETE' then
    insert into soak.journal values (old.task_id, 'output removed', old.attempt, old.object_key);
  else
    insert into soak.journal values (new.task_id,
      case tg_op when 'INSERT' then 'published' else 'output changed' end, new.attempt, new.object_key);
  end if;
  return null;
end
$$;

create function soak.note_task() returns trigger language plpgsql security definer set search_path = ''
as $$
begin
  if tg_op = 'DELETE' then
    insert into soak.journal values (old.id, 'task deleted', old.fence, old.output_location);
  else
    insert into soak.journal values (new.id, 'final state left', new.fence, new.output_location);
  end if;
  return null;
end
$$;

create trigger soak_outputs after insert or update or delete on public.task_outputs
  for each row execute function soak.note_output();
create trigger soak_undone after update on public.tasks for each row
  when (old.status in ('Complete', 'Failed', 'Cancelled')
    and (new.status <> old.status or new.output_location is distinct from old.output_location))
  execute function soak.note_task();
create trigger soak_deleted after delete on public.tasks for each row execute function soak.note_task();
"""
