-- Roles and the private schema. Every file of this folder may be applied twice.
-- The roles anon, authenticated, service_role and authenticator are Supabase's own.

do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'gpu_worker') then
    create role gpu_worker nologin noinherit;
  end if;
  if exists (select from pg_catalog.pg_roles where rolname = 'authenticator') then
    grant gpu_worker to authenticator;
  end if;
end
$$;

comment on role gpu_worker is 'A GPU worker with a token of its own: six functions, and the files of the tasks it holds.';

-- Not in the list of exposed schemas: PostgREST never serves what lies here.
create schema if not exists gpu_queue;
revoke all on schema gpu_queue from public;
grant usage on schema gpu_queue to authenticated, service_role, gpu_worker;
grant usage on schema public to authenticated, service_role, gpu_worker;

create table if not exists gpu_queue.settings (
  only_row boolean primary key default true check (only_row),
  lease_seconds double precision not null default 60 check (lease_seconds between 0.5 and 3600),
  affinity_seconds double precision not null default 60 check (affinity_seconds between 0 and 3600),
  user_priority_limit integer not null default 10
);
comment on table gpu_queue.settings is 'One row. Changed in the SQL editor; the next call of a worker reads it.';
insert into gpu_queue.settings default values on conflict do nothing;
alter table gpu_queue.settings enable row level security;
revoke all on gpu_queue.settings from public, anon, authenticated, service_role, gpu_worker;

-- Whose tasks the caller may touch: null means all of them, otherwise an owner.
-- The role is what PostgREST sets from a verified token; inside a definer's function it is still the caller's.
create or replace function gpu_queue.scope() returns text
language plpgsql stable set search_path = ''
as $$
declare
  caller name := coalesce(nullif(current_setting('role', true), 'none'), session_user);
begin
  if caller = 'authenticated' then
    if auth.uid() is null then
      raise insufficient_privilege using message = 'the token names no user';
    end if;
    return auth.uid()::text;
  end if;
  if caller in ('service_role', 'gpu_worker') or pg_has_role(caller, current_user, 'member') then
    return null;
  end if;
  raise insufficient_privilege using message = format('the role %s may not use the queue', caller);
end
$$;
revoke execute on function gpu_queue.scope() from public;
