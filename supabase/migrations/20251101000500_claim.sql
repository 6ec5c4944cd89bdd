-- The claim: one task or nothing, in an order that is fair and keeps models loaded.

-- The highest priority below p_below at which a task is due or was left behind by a vanished worker.
-- '~' sorts after every owner. Sorting is off, and every search asks for an order: only one index has it.
create or replace function gpu_queue.best_priority(p_owner text, p_below bigint) returns integer
language plpgsql stable set search_path = ''
  set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_incremental_sort = off
as $$
declare
  level bigint := p_below;
begin
  loop
    select t.priority into level from public.tasks t
    where t.status = 'Queued' and t.waiting_for = 0 and t.priority < level
    order by t.priority desc limit 1;
    exit when level is null or (
      select true from public.tasks t
      where t.status = 'Queued' and t.waiting_for = 0 and t.priority = level::integer and t.run_after <= now()
        and t.owner >= coalesce(p_owner, '') and t.owner <= coalesce(p_owner, '~')
      order by t.owner, t.sequence limit 1);
  end loop;
  return greatest(level, (
    select max(t.priority) from public.tasks t
    where t.status = 'In Progress' and t.lease_expires_at <= now() and t.priority < p_below
      and (p_owner is null or t.owner = p_owner)));
end
$$;

-- Locks the best task of one priority, queued or left behind, and returns its id. Order: the loaded model
-- (until a task has waited for p_affinity), then the owner with the fewest running tasks, then age.
-- Owners are found by jumping through the index and only the first p_window tasks of each are compared, plus
-- as many for the loaded model: ten thousand tasks of one owner cost no more than ten. Locked rows are
-- skipped: when all that are compared are locked this finds nothing, and the caller widens the window.
-- The settings keep the plan on the one index that has the order which a search asks for, whatever the
-- statistics say about a queue that has just filled.
create or replace function gpu_queue.lock_best(
  p_owner text, p_priority integer, p_model text, p_affinity interval, p_window integer
) returns uuid
language plpgsql volatile set search_path = ''
  set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_incremental_sort = off
  set plan_cache_mode = force_generic_plan
as $$
declare
  found_id uuid;
begin
  with recursive owners as (
    (select t.owner from public.tasks t
     where t.status = 'Queued' and t.waiting_for = 0 and t.priority = p_priority
       and t.owner >= coalesce(p_owner, '') and t.owner <= coalesce(p_owner, '~')
     order by t.owner, t.sequence limit 1)
    union all
    select next.owner
    from owners cross join lateral (
      select t.owner from public.tasks t
      where t.status = 'Queued' and t.waiting_for = 0 and t.priority = p_priority
        and t.owner > owners.owner and t.owner <= coalesce(p_owner, '~')
      order by t.owner, t.sequence limit 1
    ) next
  ), candidates as (
    select oldest.*
    from owners cross join lateral (
      select t.id, t.owner, t.model, t.created_at, t.sequence from public.tasks t
      where t.status = 'Queued' and t.waiting_for = 0 and t.priority = p_priority
        and t.owner = owners.owner and t.run_after <= now()
      order by t.sequence limit p_window
    ) oldest
    union
    select warm.*
    from owners cross join lateral (
      select t.id, t.owner, t.model, t.created_at, t.sequence from public.tasks t
      where t.status = 'Queued' and t.waiting_for = 0 and t.priority = p_priority
        and t.owner = owners.owner and t.model = p_model and t.run_after <= now()
      order by t.sequence limit p_window
    ) warm
    union
    select t.id, t.owner, t.model, t.created_at, t.sequence from public.tasks t
    where t.status = 'In Progress' and t.lease_expires_at <= now() and t.priority = p_priority
      and (p_owner is null or t.owner = p_owner)
  ), running as materialized (
    select t.owner, count(*) as tasks from public.tasks t
    where t.status = 'In Progress' and t.lease_expires_at > now()
    group by t.owner
  ), ranked as materialized (
    select c.id
    from candidates c left join running r on r.owner = c.owner
    order by (p_model is not null and c.model is distinct from p_model and c.created_at > now() - p_affinity),
      coalesce(r.tasks, 0), c.sequence
  ), picked as materialized (
    select locked.id
    from ranked cross join lateral (
      select t.id from public.tasks t
      where t.id = ranked.id and (
        (t.status = 'Queued' and t.waiting_for = 0 and t.run_after <= now())
        or (t.status = 'In Progress' and t.lease_expires_at <= now()))
      order by t.id limit 1
      for update skip locked
    ) locked
    limit 1
  )
  select picked.id into found_id from picked;
  return found_id;
end
$$;

create or replace function gpu_queue.lease() returns interval
language sql stable set search_path = ''
as $$ select make_interval(secs => s.lease_seconds) from gpu_queue.settings s $$;

-- The task that another one continues from: only of the same owner, and only what its worker needs. Workers
-- may not look at tasks.
create or replace function gpu_queue.describe_continued(p_task public.tasks) returns jsonb
language plpgsql stable set search_path = '' set enable_seqscan = off
as $$
declare
  name text := p_task.params ->> 'continue_from';
  continued public.tasks;
begin
  if name is null or name !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
    return null;
  end if;
  select t.* into continued from public.tasks t where t.id = name::uuid;
  if not found or continued.owner <> p_task.owner then
    return null;
  end if;
  return jsonb_build_object(
    'status', continued.status, 'latents', continued.result #>> '{files,latents,key}');
end
$$;

-- What a worker is told about the task it holds.
create or replace function gpu_queue.describe_claim(p_task public.tasks) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object(
    'task_id', p_task.id,
    'attempt', p_task.fence,
    'task_type', p_task.task_type,
    'params', p_task.params,
    'owner', p_task.owner,
    'project_id', p_task.project_id,
    'lease_seconds', extract(epoch from gpu_queue.lease()),
    'input_prefix', concat_ws('/', 'inputs', p_task.owner),
    'continued', gpu_queue.describe_continued(p_task),
    'output_prefix', concat_ws('/', 'outputs', p_task.owner, p_task.id, p_task.fence),
    'checkpoints', coalesce((
      select jsonb_agg(jsonb_build_object(
        'index', s.index, 'input_hash', s.input_hash, 'object_key', s.object_key) order by s.index)
      from public.task_segments s where s.task_id = p_task.id), '[]'))
$$;

create or replace function gpu_queue.hand_over(
  p_task_id uuid, p_worker_id text, p_claim_id text, p_capability jsonb
) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  task public.tasks;
begin
  update public.tasks t
  set status = 'In Progress', worker_id = p_worker_id, claim_id = p_claim_id,
      fence = t.fence + 1, attempts = t.attempts + 1, lease_expires_at = now() + gpu_queue.lease(),
      generation_started_at = now(), phase = 'claimed', progress = '{}', progressed_at = now(),
      error_class = null, error_message = null
  where t.id = p_task_id
  returning t.* into task;
  insert into public.task_attempts (task_id, attempt, worker_id, claim_id, capability)
  values (task.id, task.fence, p_worker_id, p_claim_id, p_capability);
  return gpu_queue.describe_claim(task);
end
$$;

-- Notes that a worker is alive, at most every five seconds where nothing about it changed.
create or replace function gpu_queue.note_worker(p_owner text, p_worker_id text, p_capability jsonb) returns void
language sql volatile set search_path = ''
as $$
  insert into public.workers as w (owner, worker_id, loaded_model, capability)
  values (p_owner, p_worker_id, p_capability ->> 'loaded_model', p_capability)
  on conflict (owner, worker_id) do update
  set loaded_model = excluded.loaded_model, capability = excluded.capability, last_seen_at = now()
  where w.last_seen_at < now() - interval '5 seconds' or w.capability <> excluded.capability
$$;

-- The answer to a claim that was made before: the same task while that attempt owns it, otherwise nothing.
create or replace function gpu_queue.repeat_claim(p_scope text, p_worker_id text, p_attempt public.task_attempts)
returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  task public.tasks;
begin
  update public.tasks t set lease_expires_at = now() + gpu_queue.lease()
  where t.id = p_attempt.task_id and t.fence = p_attempt.attempt and t.status = 'In Progress'
    and t.worker_id = p_worker_id and (p_scope is null or t.owner = p_scope)
  returning t.* into task;
  if not found then
    return null;
  end if;
  return gpu_queue.describe_claim(task);
end
$$;

-- Settles what vanished workers left behind after a cancellation: nobody needs to run it first.
create or replace function gpu_queue.settle_abandoned(p_scope text) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  task public.tasks;
begin
  for task in
    select t.* from public.tasks t
    where t.status = 'In Progress' and t.lease_expires_at <= now() and t.cancel_requested
      and (p_scope is null or t.owner = p_scope)
    for update skip locked
  loop
    perform gpu_queue.bury_attempt(task);
  end loop;
end
$$;

-- Locks the next task that may be handed out; poison that is met on the way goes into quarantine.
create or replace function gpu_queue.lock_next(p_scope text, p_model text) returns uuid
language plpgsql volatile set search_path = ''
as $$
declare
  affinity interval;
  best bigint := 2147483648;
  task public.tasks;
  found_id uuid;
begin
  select make_interval(secs => s.affinity_seconds) into affinity from gpu_queue.settings s;
  loop
    best := gpu_queue.best_priority(p_scope, best);
    exit when best is null;
    loop
      found_id := coalesce(
        gpu_queue.lock_best(p_scope, best::integer, p_model, affinity, 2),
        gpu_queue.lock_best(p_scope, best::integer, p_model, affinity, 64));
      exit when found_id is null;
      select t.* into strict task from public.tasks t where t.id = found_id;
      if task.status = 'Queued' or gpu_queue.bury_attempt(task) then
        return found_id;
      end if;
    end loop;
  end loop;
  return null;
end
$$;

create or replace function gpu_queue.claim(p_worker_id text, p_claim_id text, p_capability jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  scope text := gpu_queue.scope();
  capability jsonb := coalesce(p_capability, '{}');
  earlier public.task_attempts;
  task_id uuid;
begin
  perform gpu_queue.require_text('worker_id', p_worker_id, 200);
  perform gpu_queue.require_text('claim_id', p_claim_id, 200);
  -- Two copies of one claim, in flight together, must not take two tasks.
  perform pg_advisory_xact_lock(hashtextextended(p_claim_id, 0));
  select a.* into earlier from public.task_attempts a where a.claim_id = p_claim_id;
  if found then
    return gpu_queue.repeat_claim(scope, p_worker_id, earlier);
  end if;
  perform gpu_queue.note_worker(coalesce(scope, 'service'), p_worker_id, capability);
  perform gpu_queue.settle_abandoned(scope);
  task_id := gpu_queue.lock_next(scope, capability ->> 'loaded_model');
  if task_id is null then
    return null;
  end if;
  return gpu_queue.hand_over(task_id, p_worker_id, p_claim_id, capability);
end
$$;

create or replace function public.claim_task_v1(worker_id text, claim_id text, capability jsonb default '{}')
returns jsonb
language sql volatile security definer set search_path = '' set jit = off
as $$ select gpu_queue.claim(worker_id, claim_id, capability) $$;
