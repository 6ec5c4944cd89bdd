-- Chains of clips: what a task continues, also through dependant_on, and segments that any later task finds again.

-- As before, but dependant_on keeps its order: the last task in it that left latents is the one to continue.
create or replace function gpu_queue.count_parents() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  parent record;
  known uuid[] := '{}';
begin
  new.dependant_on := array(
    select given.id from unnest(new.dependant_on) with ordinality as given (id, place)
    where given.id is not null group by given.id order by min(given.place));
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

-- The task that another one continues: the one that continue_from or extend_from names; else the last of
-- dependant_on that left latents, or the last of all when none did. Only of the same owner, and only what its
-- worker needs. Workers may not look at tasks.
create or replace function gpu_queue.describe_continued(p_task public.tasks) returns jsonb
language plpgsql stable set search_path = '' set enable_seqscan = off
as $$
declare
  latents_at constant text[] := '{files,latents,key}';
  name text;
  continued public.tasks;
begin
  select n into name
  from unnest(array[p_task.params ->> 'continue_from', p_task.params ->> 'extend_from'])
    with ordinality as named (n, place)
  where n ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
  order by place limit 1;
  if name is not null then
    select t.* into continued from public.tasks t where t.id = name::uuid;
  else
    select t.* into continued
    from unnest(p_task.dependant_on) with ordinality as parent (id, place)
    join public.tasks t on t.id = parent.id
    where t.owner = p_task.owner
    order by coalesce(jsonb_typeof(t.result #> latents_at) = 'string', false) desc, parent.place desc limit 1;
  end if;
  if continued.id is null or continued.owner <> p_task.owner then
    return null;
  end if;
  return jsonb_build_object(
    'task_id', continued.id,
    'status', continued.status,
    'latents', case when jsonb_typeof(continued.result #> latents_at) = 'string'
      then continued.result #>> latents_at end,
    'video', continued.output_location);
end
$$;

-- A checkpoint lies in the attempt's own folder, or is a segment of the task's owner, named by what went into it.
create or replace function gpu_queue.require_checkpoint_object(p_task public.tasks, p_object text) returns void
language plpgsql immutable set search_path = ''
as $$
begin
  if p_object ~ '^segments/[^/]+/[0-9a-f]{64}[.]safetensors$' and split_part(p_object, '/', 2) = p_task.owner then
    return;
  end if;
  perform gpu_queue.require_own_object(p_task, p_object);
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
  perform gpu_queue.require_checkpoint_object(task, p_object);
  insert into public.task_segments as s (task_id, index, input_hash, object_key, attempt)
  values (p_task_id, p_index, p_input_hash, p_object, p_attempt)
  on conflict (task_id, index) do update
  set input_hash = excluded.input_hash, object_key = excluded.object_key, attempt = excluded.attempt,
      created_at = now();
  return 'ok';
end
$$;

-- Whether a key names a segment of an owner for whom the caller works: somebody runs a task of that owner now,
-- and a user's own worker works for that user alone.
create or replace function gpu_queue.adds_segment(p_key text) returns boolean
language plpgsql stable security definer set search_path = ''
as $$
declare
  scope text := gpu_queue.scope();
  named_owner text := split_part(p_key, '/', 2);
begin
  return p_key ~ '^segments/[^/]+/[0-9a-f]{64}[.]safetensors$'
    and (scope is null or named_owner = scope)
    and exists (select from public.tasks t where t.status = 'In Progress' and t.owner = named_owner);
end
$$;

create or replace function gpu_queue.works_for(p_key text) returns boolean
language sql stable security definer set search_path = ''
as $$
  select split_part(p_key, '/', 1) in ('inputs', 'outputs', 'segments') and exists (
    select from public.tasks t where t.status = 'In Progress' and t.owner = split_part(p_key, '/', 2))
$$;

revoke execute on function
  gpu_queue.count_parents(), gpu_queue.describe_continued(public.tasks),
  gpu_queue.require_checkpoint_object(public.tasks, text), gpu_queue.adds_segment(text),
  gpu_queue.checkpoint(uuid, bigint, integer, text, text), gpu_queue.works_for(text)
from public, anon, authenticated, service_role, gpu_worker;
grant execute on function gpu_queue.adds_segment(text) to authenticated, gpu_worker;
grant execute on function gpu_queue.works_for(text) to gpu_worker;

drop policy if exists "videos: users read their own files" on storage.objects;
create policy "videos: users read their own files" on storage.objects for select to authenticated
  using (bucket_id = 'videos' and split_part(name, '/', 1) in ('inputs', 'outputs', 'segments')
    and split_part(name, '/', 2) = (select auth.uid())::text);

drop policy if exists "videos: a user's worker adds segments of that user" on storage.objects;
create policy "videos: a user's worker adds segments of that user" on storage.objects
  for insert to authenticated
  with check (bucket_id = 'videos' and gpu_queue.adds_segment(name));

drop policy if exists "videos: a worker adds segments of owners it works for" on storage.objects;
create policy "videos: a worker adds segments of owners it works for" on storage.objects
  for insert to gpu_worker
  with check (bucket_id = 'videos' and gpu_queue.adds_segment(name));

notify pgrst, 'reload schema';
