-- What the owner of an attempt may do. Every call carries the attempt number; 'lost' is an answer, not an error.

create or replace function gpu_queue.renew(p_task_id uuid, p_attempt bigint, p_progress jsonb) returns text
language plpgsql volatile set search_path = ''
as $$
declare
  scope text := gpu_queue.scope();
  cancelled boolean;
begin
  update public.tasks t
  set lease_expires_at = now() + gpu_queue.lease(),
      phase = coalesce(p_progress ->> 'phase', t.phase),
      progress = coalesce(p_progress, t.progress),
      progressed_at = case when p_progress <> t.progress then now() else t.progressed_at end,
      preview_location = coalesce(p_progress ->> 'preview', t.preview_location)
  where t.id = p_task_id and t.fence = p_attempt and t.status = 'In Progress'
    and (scope is null or t.owner = scope)
  returning t.cancel_requested into cancelled;
  if not found then
    return 'lost';
  end if;
  return case when cancelled then 'cancel' else 'ok' end;
end
$$;

-- Refuses a key outside the attempt's own folder: nobody publishes what another attempt wrote.
create or replace function gpu_queue.require_own_object(p_task public.tasks, p_object text) returns void
language plpgsql immutable set search_path = ''
as $$
declare
  folder text := concat_ws('/', 'outputs', p_task.owner, p_task.id, p_task.fence) || '/';
begin
  if p_object is null or not starts_with(p_object, folder) then
    raise invalid_parameter_value using message = format('object: must lie under %s', folder);
  end if;
end
$$;

create or replace function gpu_queue.checkpoint(
  p_task_id uuid, p_attempt bigint, p_index integer, p_input_hash text, p_object text
) returns text
language plpgsql volatile set search_path = ''
as $$
declare
  task public.tasks;
begin
  select h.* into task from gpu_queue.lock_held(p_task_id, p_attempt) h;
  if not found then
    return 'lost';
  end if;
  perform gpu_queue.require_own_object(task, p_object);
  insert into public.task_segments as s (task_id, index, input_hash, object_key, attempt)
  values (p_task_id, p_index, p_input_hash, p_object, p_attempt)
  on conflict (task_id, index) do update
  set input_hash = excluded.input_hash, object_key = excluded.object_key, attempt = excluded.attempt,
      created_at = now();
  return 'ok';
end
$$;

create or replace function gpu_queue.published(p_task_id uuid, p_attempt bigint, p_object text, p_sha256 text)
returns boolean
language plpgsql stable set search_path = ''
as $$
declare
  scope text := gpu_queue.scope();
begin
  return exists (
    select from public.task_outputs o join public.tasks t on t.id = o.task_id
    where o.task_id = p_task_id and o.attempt = p_attempt and o.object_key = p_object
      and o.sha256 = p_sha256 and (scope is null or t.owner = scope));
end
$$;

create or replace function gpu_queue.complete(
  p_task_id uuid, p_attempt bigint, p_object text, p_sha256 text, p_result jsonb, p_report jsonb
) returns text
language plpgsql volatile set search_path = ''
as $$
declare
  task public.tasks;
begin
  select h.* into task from gpu_queue.lock_held(p_task_id, p_attempt) h;
  if not found then
    return case when gpu_queue.published(p_task_id, p_attempt, p_object, p_sha256)
      then 'already' else 'lost' end;
  end if;
  perform gpu_queue.require_own_object(task, p_object);
  if task.cancel_requested then
    perform gpu_queue.end_attempt(task, 'cancelled', null, null, p_report);
    perform gpu_queue.settle_cancelled(p_task_id, 'Cancelled while it was running.');
    return 'lost';
  end if;
  with done as (
    update public.tasks t
    set status = 'Complete', output_location = p_object, result = p_result, generation_processed_at = now(),
        lease_expires_at = null, claim_id = null, phase = null, error_class = null, error_message = null
    where t.id = p_task_id
    returning t.id
  )
  insert into public.task_outputs (task_id, attempt, object_key, sha256)
  select done.id, p_attempt, p_object, p_sha256 from done;
  perform gpu_queue.end_attempt(task, 'completed', null, null, p_report, p_result);
  return 'done';
end
$$;

create or replace function gpu_queue.fail(
  p_task_id uuid, p_attempt bigint, p_error_class text, p_message text, p_retry boolean, p_report jsonb
) returns text
language plpgsql volatile set search_path = ''
as $$
declare
  task public.tasks;
  wait_seconds double precision;
begin
  select h.* into task from gpu_queue.lock_held(p_task_id, p_attempt) h;
  if not found then
    return 'lost';
  end if;
  if task.cancel_requested or p_error_class = 'CANCELLED' then
    perform gpu_queue.end_attempt(task, 'cancelled', p_error_class, p_message, p_report);
    perform gpu_queue.settle_cancelled(p_task_id, 'Cancelled while it was running.');
  elsif p_retry and task.retry_count < 3 then
    wait_seconds := 5 * power(4, task.retry_count) * (1 + random() / 2);
    perform gpu_queue.end_attempt(task, 'retried', p_error_class, p_message, p_report);
    perform gpu_queue.requeue(p_task_id, wait_seconds, p_error_class, p_message);
    update public.tasks t set retry_count = t.retry_count + 1 where t.id = p_task_id;
  else
    perform gpu_queue.end_attempt(task, 'failed', p_error_class, p_message, p_report);
    update public.tasks t
    set status = 'Failed', error_class = p_error_class, error_message = p_message, lease_expires_at = null,
        claim_id = null, phase = null
    where t.id = p_task_id;
  end if;
  return 'ok';
end
$$;

create or replace function gpu_queue.release(
  p_task_id uuid, p_attempt bigint, p_reason text, p_delay_seconds double precision, p_report jsonb
) returns text
language plpgsql volatile set search_path = ''
as $$
declare
  task public.tasks;
begin
  if p_delay_seconds is null or p_delay_seconds not between 0 and 31536000 then
    raise invalid_parameter_value using message = 'delay_seconds: must lie between 0 and 31536000';
  end if;
  select h.* into task from gpu_queue.lock_held(p_task_id, p_attempt) h;
  if not found then
    return 'lost';
  end if;
  if task.cancel_requested then
    perform gpu_queue.end_attempt(task, 'cancelled', null, p_reason, p_report);
    perform gpu_queue.settle_cancelled(p_task_id, 'Cancelled while it was running.');
  else
    perform gpu_queue.end_attempt(task, 'released', null, p_reason, p_report);
    perform gpu_queue.requeue(p_task_id, p_delay_seconds, null, p_reason);
    update public.tasks t set attempts = t.attempts - 1 where t.id = p_task_id;
  end if;
  return 'ok';
end
$$;

create or replace function public.renew_lease_v1(task_id uuid, attempt bigint, progress jsonb default null)
returns text
language sql volatile security definer set search_path = ''
as $$ select gpu_queue.renew(task_id, attempt, progress) $$;

create or replace function public.checkpoint_segment_v1(
  task_id uuid, attempt bigint, index integer, input_hash text, object text
) returns text
language sql volatile security definer set search_path = ''
as $$ select gpu_queue.checkpoint(task_id, attempt, index, input_hash, object) $$;

-- Beside the functions below they would make every call ambiguous.
drop function if exists
  public.complete_task_v1(uuid, bigint, text, text, jsonb),
  public.fail_task_v1(uuid, bigint, text, text, boolean),
  public.release_task_v1(uuid, bigint, text, double precision);

create or replace function public.complete_task_v1(
  task_id uuid, attempt bigint, object text, sha256 text, result jsonb default '{}', report jsonb default null
) returns text
language sql volatile security definer set search_path = ''
as $$ select gpu_queue.complete(task_id, attempt, object, sha256, result, report) $$;

create or replace function public.fail_task_v1(
  task_id uuid, attempt bigint, error_class text, message text, retry boolean default false,
  report jsonb default null
) returns text
language sql volatile security definer set search_path = ''
as $$ select gpu_queue.fail(task_id, attempt, error_class, message, retry, report) $$;

create or replace function public.release_task_v1(
  task_id uuid, attempt bigint, reason text, delay_seconds double precision default 0,
  report jsonb default null
) returns text
language sql volatile security definer set search_path = ''
as $$ select gpu_queue.release(task_id, attempt, reason, delay_seconds, report) $$;
