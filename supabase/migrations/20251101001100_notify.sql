-- Realtime where it is there (it only shortens the wait), and PostgREST's knowledge of what was added.

do $$
begin
  if exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime')
    and not exists (select from pg_catalog.pg_publication_tables
      where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = 'tasks')
  then
    alter publication supabase_realtime add table public.tasks;
  end if;
exception when insufficient_privilege then
  raise warning 'tasks was not added to realtime: %', sqlerrm;
end
$$;

notify pgrst, 'reload schema';
