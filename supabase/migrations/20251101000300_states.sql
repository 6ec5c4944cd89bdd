-- Rules that hold whoever writes: final states stay final; dependencies are counted, and fail together.

-- Parameters that no worker could read are refused at the door. Not a check constraint: those are tried again
-- with every update, and a running task is updated every few seconds.
create or replace function gpu_queue.check_params() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if octet_length(new.params::text) > 2097152 then
    raise check_violation using message = format(
      'params take %s bytes; at most 2097152 are accepted', octet_length(new.params::text));
  elsif jsonb_path_exists(new.params, 'strict $.**{101}') then
    raise check_violation using message = 'params are nested more than 100 levels deep; flatten them';
  elsif jsonb_path_exists(new.params, 'strict $.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))') then
    raise check_violation using message = 'params hold a number beyond 1e308, which most programs cannot read';
  end if;
  return new;
end
$$;

-- Counts the parents that a new task waits for. They stay locked until the insert commits, so a parent that
-- is finishing at this moment is either seen as finished here or sees the new task there.
-- A definer's function, because a user may read parents but not lock them.
create or replace function gpu_queue.count_parents() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  parent record;
  known uuid[] := '{}';
begin
  new.dependant_on := array(select distinct d from unnest(new.dependant_on) d where d is not null order by d);
  new.waiting_for := 0;
  if new.dependant_on = '{}' then
    return new;
  end if;
  for parent in
    select t.id, t.status from public.tasks t
    where t.id = any (new.dependant_on) and t.owner = coalesce(new.user_id::text, 'service')
    order by t.id for share
  loop
    known := known || parent.id;
    if parent.status in ('Failed', 'Cancelled') then
      raise check_violation using message = format(
        'dependant_on names %s, which is %s and will never be Complete; retry that task and name its copy',
        parent.id, parent.status);
    elsif parent.status <> 'Complete' then
      new.waiting_for := new.waiting_for + 1;
    end if;
  end loop;
  if not known @> new.dependant_on then
    raise foreign_key_violation using message = format(
      'dependant_on names %s, which is not a task of this queue; queue that task first and use its id',
      (select d from unnest(new.dependant_on) d where d <> all (known) limit 1));
  end if;
  return new;
end
$$;

-- Fails every task that waits, directly or through others, for one that will never be Complete.
-- Level by level: each level is locked before the next is looked up, so a task that is being added is not missed.
create or replace function gpu_queue.fail_dependants(p_root uuid, p_reason text) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  ended uuid[] := array[p_root];
begin
  while cardinality(ended) > 0 loop
    with doomed as materialized (
      select t.id from public.tasks t
      where t.status = 'Queued' and t.waiting_for > 0 and t.dependant_on && ended
      order by t.id for update
    ), failed as (
      update public.tasks t
      set status = 'Failed', error_class = 'DEPENDENCY_FAILED',
          error_message = format('Task %s, which this one needs, %s', p_root, p_reason)
      from doomed where t.id = doomed.id
      returning t.id
    )
    select coalesce(array_agg(failed.id), '{}') into ended from failed;
  end loop;
end
$$;

create or replace function gpu_queue.why_ended(p_task public.tasks) returns text
language sql immutable set search_path = ''
as $$
  select left(concat_ws(': ', 'is ' || p_task.status, p_task.error_message), 500)
$$;

create or replace function gpu_queue.release_dependants() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if new.status = 'Complete' then
    with freed as materialized (
      select t.id from public.tasks t
      where t.status = 'Queued' and t.waiting_for > 0 and t.dependant_on @> array[new.id]
      order by t.id for update
    )
    update public.tasks t set waiting_for = t.waiting_for - 1 from freed where t.id = freed.id;
  else
    perform gpu_queue.fail_dependants(new.id, gpu_queue.why_ended(new));
  end if;
  return null;
end
$$;

create or replace function gpu_queue.fail_dependants_of_deleted() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform gpu_queue.fail_dependants(old.id, 'was deleted');
  return null;
end
$$;

create or replace function gpu_queue.guard_final_states() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if old.status in ('Complete', 'Failed', 'Cancelled') and new.status <> old.status then
    raise check_violation using message =
      format('status: task %s is %s, and a final state never changes', old.id, old.status);
  end if;
  new.updated_at := now();
  return new;
end
$$;

revoke execute on function
  gpu_queue.check_params(), gpu_queue.count_parents(), gpu_queue.fail_dependants(uuid, text),
  gpu_queue.why_ended(public.tasks), gpu_queue.release_dependants(), gpu_queue.fail_dependants_of_deleted(), gpu_queue.guard_final_states()
from public;

create or replace trigger tasks_check_params before insert or update of params on public.tasks
  for each row execute function gpu_queue.check_params();

create or replace trigger tasks_count_parents before insert on public.tasks
  for each row when (new.status = 'Queued') execute function gpu_queue.count_parents();

create or replace trigger tasks_guard_final_states before update on public.tasks
  for each row execute function gpu_queue.guard_final_states();

create or replace trigger tasks_release_dependants after update of status on public.tasks
  for each row
  when (old.status in ('Queued', 'In Progress') and new.status in ('Complete', 'Failed', 'Cancelled')
    and new.error_class is distinct from 'DEPENDENCY_FAILED')
  execute function gpu_queue.release_dependants();

create or replace trigger tasks_fail_dependants_of_deleted after delete on public.tasks
  for each row when (old.status <> 'Complete') execute function gpu_queue.fail_dependants_of_deleted();
