-- One private bucket: inputs/<owner>/... and outputs/<owner>/<task>/<attempt>/...
-- There is no policy for update or delete: what is stored is never overwritten.

insert into storage.buckets (id, name, public) values ('videos', 'videos', false)
on conflict (id) do update set public = false;

-- Whether a key lies in the folder of the attempt that owns its task now, and the caller may work on that task.
create or replace function gpu_queue.holds_attempt(p_key text) returns boolean
language plpgsql stable security definer set search_path = ''
as $$
declare
  part text[] := string_to_array(p_key, '/');
  scope text := gpu_queue.scope();
begin
  return cardinality(part) >= 5 and part[1] = 'outputs' and exists (
    select from public.tasks t
    where t.status = 'In Progress' and t.owner = part[2] and t.id::text = part[3] and t.fence::text = part[4]
      and (scope is null or t.owner = scope));
end
$$;

-- Whether a worker may read the files of the owner named in a key: while it may hold a task of that owner.
create or replace function gpu_queue.works_for(p_key text) returns boolean
language sql stable security definer set search_path = ''
as $$
  select split_part(p_key, '/', 1) in ('inputs', 'outputs') and exists (
    select from public.tasks t where t.status = 'In Progress' and t.owner = split_part(p_key, '/', 2))
$$;

revoke execute on function gpu_queue.holds_attempt(text), gpu_queue.works_for(text)
  from public, anon, authenticated, service_role, gpu_worker;
grant execute on function gpu_queue.holds_attempt(text) to authenticated, gpu_worker;
grant execute on function gpu_queue.works_for(text) to gpu_worker;

-- The tables of storage belong to another role, which may have kept the right to grant.
do $$
begin
  grant usage on schema storage to gpu_worker;
  grant select on storage.buckets to gpu_worker;
  grant select, insert on storage.objects to gpu_worker;
exception when insufficient_privilege then
  null;
end
$$;
do $$
begin
  if not has_table_privilege('gpu_worker', 'storage.objects', 'insert') then
    raise warning 'gpu_worker may not write to storage: workers with its tokens cannot upload, use a secret key';
  end if;
end
$$;

drop policy if exists "videos: users read their own files" on storage.objects;
create policy "videos: users read their own files" on storage.objects for select to authenticated
  using (bucket_id = 'videos' and split_part(name, '/', 1) in ('inputs', 'outputs')
    and split_part(name, '/', 2) = (select auth.uid())::text);

drop policy if exists "videos: users add their own inputs" on storage.objects;
create policy "videos: users add their own inputs" on storage.objects for insert to authenticated
  with check (bucket_id = 'videos' and split_part(name, '/', 1) = 'inputs'
    and split_part(name, '/', 2) = (select auth.uid())::text);

drop policy if exists "videos: a user's worker adds outputs of the attempt it holds" on storage.objects;
create policy "videos: a user's worker adds outputs of the attempt it holds" on storage.objects
  for insert to authenticated
  with check (bucket_id = 'videos' and gpu_queue.holds_attempt(name));

drop policy if exists "videos: a worker adds outputs of the attempt it holds" on storage.objects;
create policy "videos: a worker adds outputs of the attempt it holds" on storage.objects
  for insert to gpu_worker
  with check (bucket_id = 'videos' and gpu_queue.holds_attempt(name));

drop policy if exists "videos: a worker reads files of owners it works for" on storage.objects;
create policy "videos: a worker reads files of owners it works for" on storage.objects
  for select to gpu_worker
  using (bucket_id = 'videos' and gpu_queue.works_for(name));
