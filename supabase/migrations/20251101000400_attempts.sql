-- Small steps that the claim and the calls of an owner share.

create or replace function gpu_queue.require_text(p_name text, p_value text, p_limit integer) returns void
language plpgsql immutable set search_path = ''
as $$
begin
  if coalesce(p_value, '') = '' or char_length(p_value) > p_limit then
    raise invalid_parameter_value using message = format('%s: must have 1 to %s characters', p_name, p_limit);
  end if;
end
$$;

-- The task, locked, while this attempt owns it; no row otherwise. An expired lease still counts as owned
-- until another worker takes the task over.
create or replace function gpu_queue.lock_held(p_task_id uuid, p_attempt bigint) returns setof public.tasks
language plpgsql volatile set search_path = ''
as $$
declare
  scope text := gpu_queue.scope();
begin
  return query
    select t.* from public.tasks t
    where t.id = p_task_id and t.fence = p_attempt and t.status = 'In Progress'
      and (scope is null or t.owner = scope)
    for update;
end
$$;

drop function if exists gpu_queue.end_attempt(public.tasks, text, text, text, jsonb);
create or replace function gpu_queue.end_attempt(
  p_task public.tasks, p_outcome text, p_error_class text, p_message text, p_report jsonb,
  p_result jsonb default null
) returns void
language sql volatile set search_path = ''
as $$
  update public.task_attempts a
  set outcome = p_outcome, error_class = p_error_class, message = p_message, result = p_result,
      report = p_report, finished_at = now()
  where a.task_id = p_task.id and a.attempt = p_task.fence
$$;

create or replace function gpu_queue.settle_cancelled(p_task_id uuid, p_message text) returns void
language sql volatile set search_path = ''
as $$
  update public.tasks t
  set status = 'Cancelled', lease_expires_at = null, claim_id = null, cancel_requested = false, phase = null,
      error_class = 'CANCELLED', error_message = p_message
  where t.id = p_task_id
$$;

-- Back into the queue, for anyone.
create or replace function gpu_queue.requeue(
  p_task_id uuid, p_delay_seconds double precision, p_error_class text, p_message text
) returns void
language sql volatile set search_path = ''
as $$
  update public.tasks t
  set status = 'Queued', worker_id = null, claim_id = null, lease_expires_at = null, cancel_requested = false,
      phase = null, progress = '{}', generation_started_at = null, error_class = p_error_class,
      error_message = p_message, run_after = now() + make_interval(secs => p_delay_seconds)
  where t.id = p_task_id
$$;

-- Ends the attempt of a worker that let its lease expire. True: the task may be handed to another worker.
-- A task that only waited for the engine, or had left it, is a bystander of its worker's end: that worker is
-- not counted against it, the crash is.
create or replace function gpu_queue.bury_attempt(p_task public.tasks) returns boolean
language plpgsql volatile set search_path = ''
as $$
declare
  report jsonb := jsonb_build_object('last_progress', p_task.progress);
  crashes integer;
  crashed_on integer;
begin
  if p_task.phase in ('checking', 'uploading') or p_task.progress ->> 'waiting' = 'true' then
    perform gpu_queue.end_attempt(p_task, 'crashed', 'BYSTANDER',
      'The worker vanished while its engine was not at this task.', report);
  else
    perform gpu_queue.end_attempt(p_task, 'crashed', null, null, report);
  end if;
  update public.tasks t set crash_count = t.crash_count + 1 where t.id = p_task.id;
  if p_task.cancel_requested then
    perform gpu_queue.settle_cancelled(p_task.id, 'Cancelled; its worker had vanished.');
    return false;
  end if;
  select count(*), count(distinct a.worker_id) filter (where a.error_class is null) into crashes, crashed_on
  from public.task_attempts a where a.task_id = p_task.id and a.outcome = 'crashed';
  if crashed_on < 2 and crashes < 5 then
    return true;
  end if;
  update public.tasks t
  set status = 'Failed', error_class = 'QUARANTINED', quarantined_at = now(), lease_expires_at = null,
      claim_id = null, phase = null,
      error_message = format('In quarantine: %s attempts ended in a crash or a lost worker, on %s worker(s). '
        'Look at the workers'' logs, then retry the task.', crashes, crashed_on)
  where t.id = p_task.id;
  return false;
end
$$;
