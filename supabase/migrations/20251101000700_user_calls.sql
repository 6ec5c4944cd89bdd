-- What a user, or a server on a user's behalf, may do with tasks.

-- For whom a call queues: a user for nobody but themselves, a trusted caller for anyone.
create or replace function gpu_queue.require_user(p_user_id uuid, p_priority integer) returns uuid
language plpgsql stable set search_path = ''
as $$
declare
  scope text := gpu_queue.scope();
  ceiling integer := (select s.user_priority_limit from gpu_queue.settings s);
begin
  if scope is null then
    return p_user_id;
  end if;
  if p_user_id::text <> scope then
    raise insufficient_privilege using message = 'user_id: must be your own';
  end if;
  if p_priority > ceiling then
    raise check_violation using message = format('priority is %s; at most %s is allowed', p_priority, ceiling);
  end if;
  return scope::uuid;
end
$$;

-- A repeated id or idempotency key of the same owner answers the first task's id.
create or replace function gpu_queue.enqueue(p_task public.tasks) returns uuid
language plpgsql volatile set search_path = ''
as $$
declare
  p_owner text := coalesce(p_task.user_id::text, 'service');
  first_id uuid;
begin
  select t.id into first_id from public.tasks t
  where t.owner = p_owner and (t.id = p_task.id or t.idempotency_key = p_task.idempotency_key);
  if found then
    return first_id;
  end if;
  insert into public.tasks (id, user_id, task_type, params, priority, dependant_on, idempotency_key,
    project_id, run_after, origin_id)
  values (p_task.id, p_task.user_id, p_task.task_type, p_task.params, p_task.priority, p_task.dependant_on,
    p_task.idempotency_key, p_task.project_id, p_task.run_after, p_task.origin_id)
  on conflict do nothing
  returning tasks.id into first_id;
  if not found then
    select t.id into strict first_id from public.tasks t
    where t.owner = p_owner and (t.id = p_task.id or t.idempotency_key = p_task.idempotency_key);
  end if;
  return first_id;
end
$$;

create or replace function public.enqueue_task_v1(
  params jsonb, task_type text default 'generate', priority integer default 0,
  dependant_on uuid[] default '{}', idempotency_key text default null, project_id uuid default null,
  run_after_seconds double precision default 0, user_id uuid default null, id uuid default null
) returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_variable
declare
  task public.tasks;
begin
  if run_after_seconds is null or run_after_seconds not between 0 and 31536000 then
    raise invalid_parameter_value using message = 'run_after_seconds: must lie between 0 and 31536000';
  end if;
  task.id := coalesce(id, gen_random_uuid());
  task.user_id := gpu_queue.require_user(user_id, priority);
  task.task_type := task_type;
  task.params := params;
  task.priority := priority;
  task.dependant_on := dependant_on;
  task.idempotency_key := idempotency_key;
  task.project_id := project_id;
  task.run_after := now() + make_interval(secs => run_after_seconds);
  return gpu_queue.enqueue(task);
end
$$;

create or replace function public.cancel_task_v1(task_id uuid) returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  scope text := gpu_queue.scope();
  task public.tasks;
begin
  select t.* into task from public.tasks t
  where t.id = cancel_task_v1.task_id and (scope is null or t.owner = scope)
  for update;
  if not found then
    return 'unknown';
  elsif task.status = 'Cancelled' then
    return 'cancelled';
  elsif task.status in ('Complete', 'Failed') then
    return 'final';
  elsif task.status = 'Queued' then
    perform gpu_queue.settle_cancelled(task.id, 'Cancelled before it started.');
    return 'cancelled';
  end if;
  update public.tasks t set cancel_requested = true where t.id = task.id returning t.* into task;
  if task.lease_expires_at > now() then
    return 'requested';
  end if;
  perform gpu_queue.bury_attempt(task);
  return 'cancelled';
end
$$;

-- The task itself, or the newest of its copies that can still be Complete.
create or replace function gpu_queue.usable_copy(p_parent uuid) returns uuid
language plpgsql stable set search_path = ''
as $$
declare
  copy uuid;
begin
  with recursive copies as (
    select p_parent as id
    union
    select t.id from public.tasks t join copies on t.origin_id = copies.id
  )
  select t.id into copy from public.tasks t join copies on copies.id = t.id
  where t.status not in ('Failed', 'Cancelled')
  order by (t.id = p_parent) desc, t.sequence desc
  limit 1;
  if not found then
    raise check_violation using message = format(
      'this task needs the output of task %s, which has none; retry %s first', p_parent, p_parent);
  end if;
  return copy;
end
$$;

-- Final states stay final: a retry queues a copy, which names its origin.
create or replace function public.retry_task_v1(task_id uuid, id uuid default null) returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  scope text := gpu_queue.scope();
  task public.tasks;
begin
  select t.* into task from public.tasks t
  where t.id = retry_task_v1.task_id and t.status in ('Complete', 'Failed', 'Cancelled')
    and (scope is null or t.owner = scope);
  if not found then
    return null;
  end if;
  task.origin_id := task.id;
  task.id := coalesce(retry_task_v1.id, gen_random_uuid());
  task.idempotency_key := null;
  task.run_after := now();
  task.dependant_on := array(select gpu_queue.usable_copy(d) from unnest(task.dependant_on) d);
  return gpu_queue.enqueue(task);
end
$$;
