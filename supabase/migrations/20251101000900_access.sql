-- Who may do what. Nothing is left to defaults: they differ between projects and change over time.

do $$
declare
  relation text;
begin
  foreach relation in array array['tasks', 'task_attempts', 'task_segments', 'task_outputs', 'workers'] loop
    execute format('alter table public.%I enable row level security', relation);
  end loop;
end
$$;

revoke all on public.tasks, public.task_attempts, public.task_segments, public.task_outputs, public.workers,
  public.task_status_v1, public.queue_depth_v1
from public, anon, authenticated, service_role, gpu_worker;

grant select, insert, update, delete
  on public.tasks, public.task_attempts, public.task_segments, public.task_outputs, public.workers
  to service_role;
grant select on public.task_status_v1, public.queue_depth_v1 to service_role, authenticated;
grant select on public.tasks, public.task_attempts, public.task_segments, public.task_outputs, public.workers
  to authenticated;
grant insert (user_id, task_type, params, project_id, dependant_on, idempotency_key, priority, status)
  on public.tasks to authenticated;

-- Read by a policy, so readable by those whom it binds.
create or replace function gpu_queue.user_priority_limit() returns integer
language sql stable security definer set search_path = ''
as $$ select s.user_priority_limit from gpu_queue.settings s $$;

drop policy if exists "users see their own tasks" on public.tasks;
create policy "users see their own tasks" on public.tasks for select to authenticated
  using (user_id = (select auth.uid()));

drop policy if exists "users queue tasks for themselves" on public.tasks;
create policy "users queue tasks for themselves" on public.tasks for insert to authenticated
  with check (user_id = (select auth.uid()) and status = 'Queued'
    and priority <= (select gpu_queue.user_priority_limit()));

drop policy if exists "users see the attempts at their tasks" on public.task_attempts;
create policy "users see the attempts at their tasks" on public.task_attempts for select to authenticated
  using (exists (select from public.tasks t where t.id = task_id and t.user_id = (select auth.uid())));

drop policy if exists "users see the segments of their tasks" on public.task_segments;
create policy "users see the segments of their tasks" on public.task_segments for select to authenticated
  using (exists (select from public.tasks t where t.id = task_id and t.user_id = (select auth.uid())));

drop policy if exists "users see the outputs of their tasks" on public.task_outputs;
create policy "users see the outputs of their tasks" on public.task_outputs for select to authenticated
  using (exists (select from public.tasks t where t.id = task_id and t.user_id = (select auth.uid())));

drop policy if exists "users see their own workers" on public.workers;
create policy "users see their own workers" on public.workers for select to authenticated
  using (owner = (select auth.uid())::text);

revoke execute on all functions in schema gpu_queue from public, anon, authenticated, service_role, gpu_worker;
grant execute on function gpu_queue.user_priority_limit(), gpu_queue.queue_position(bigint, bigint)
  to authenticated, service_role;

revoke execute on function
  public.claim_task_v1(text, text, jsonb),
  public.renew_lease_v1(uuid, bigint, jsonb),
  public.checkpoint_segment_v1(uuid, bigint, integer, text, text),
  public.complete_task_v1(uuid, bigint, text, text, jsonb, jsonb),
  public.fail_task_v1(uuid, bigint, text, text, boolean, jsonb),
  public.release_task_v1(uuid, bigint, text, double precision, jsonb),
  public.enqueue_task_v1(jsonb, text, integer, uuid[], text, uuid, double precision, uuid, uuid),
  public.cancel_task_v1(uuid),
  public.retry_task_v1(uuid, uuid)
from public, anon, authenticated, service_role, gpu_worker;

grant execute on function
  public.claim_task_v1(text, text, jsonb),
  public.renew_lease_v1(uuid, bigint, jsonb),
  public.checkpoint_segment_v1(uuid, bigint, integer, text, text),
  public.complete_task_v1(uuid, bigint, text, text, jsonb, jsonb),
  public.fail_task_v1(uuid, bigint, text, text, boolean, jsonb),
  public.release_task_v1(uuid, bigint, text, double precision, jsonb)
to service_role, gpu_worker, authenticated;

grant execute on function
  public.enqueue_task_v1(jsonb, text, integer, uuid[], text, uuid, double precision, uuid, uuid),
  public.cancel_task_v1(uuid),
  public.retry_task_v1(uuid, uuid)
to service_role, authenticated;
