-- What a user sees. Both views check rights as the caller: row level security decides which rows they hold.

-- A definer's function, because a place in the queue counts the tasks of others too.
create or replace function gpu_queue.queue_position(p_priority bigint, p_sequence bigint) returns bigint
language sql stable security definer set search_path = ''
as $$
  select
    (select count(*) from public.tasks t where t.status = 'Queued' and t.priority::bigint > p_priority)
    + (select count(*) from public.tasks t
       where t.status = 'Queued' and t.priority::bigint = p_priority and t.sequence <= p_sequence)
$$;

drop view if exists public.task_status_v1;
create view public.task_status_v1 with (security_invoker = true) as
select
  t.id, t.task_type, t.status, t.params, t.project_id, t.user_id, t.priority, t.dependant_on,
  case when t.status = 'Queued' then gpu_queue.queue_position(t.priority, t.sequence) end as queue_position,
  t.waiting_for, t.phase, t.progress, t.progressed_at,
  t.status = 'In Progress' and t.progress @> '{"stalled": true}' as stalled, t.attempts, t.retry_count, t.crash_count,
  t.quarantined_at, t.worker_id, t.cancel_requested, t.error_class, t.error_message, t.output_location,
  t.preview_location, t.result, t.origin_id, t.idempotency_key, t.run_after, t.created_at, t.updated_at,
  t.generation_started_at, t.generation_processed_at, t.sequence
from public.tasks t;
comment on view public.task_status_v1 is
  'Tasks with their place in the queue: 1 is the first among all queued tasks, null when not queued.';

drop view if exists public.queue_depth_v1;
create view public.queue_depth_v1 with (security_invoker = true) as
select
  count(*) filter (where t.status = 'Queued' or t.lease_expires_at <= now()) as waiting,
  count(*) filter (where t.status = 'Queued' and t.waiting_for = 0 and t.run_after <= now()) as due,
  count(*) filter (where t.status = 'Queued' and t.waiting_for > 0) as waiting_for_others,
  count(*) filter (where t.status = 'Queued' and t.run_after > now()) as delayed,
  count(*) filter (where t.lease_expires_at > now()) as running,
  count(*) filter (where t.lease_expires_at <= now()) as expired,
  extract(epoch from now() - min(t.created_at) filter (where t.status = 'Queued')) as oldest_wait_seconds
from public.tasks t
where t.status in ('Queued', 'In Progress');
comment on view public.queue_depth_v1 is 'How long the queue is, of the tasks that the caller may see.';
