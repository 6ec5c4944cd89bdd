-- The queue's tables. `tasks` begins with the columns that existing frontends read and write.

create table if not exists public.tasks (
  id uuid primary key default gen_random_uuid(),
  task_type text not null default 'generate',
  params jsonb,
  status text not null default 'Queued',
  dependant_on uuid[],
  output_location text,
  project_id uuid,
  worker_id text,
  attempts integer not null default 0,
  error_message text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  generation_started_at timestamptz,
  generation_processed_at timestamptz,
  idempotency_key text
);

alter table public.tasks
  add column if not exists user_id uuid default auth.uid(),
  add column if not exists priority integer not null default 0,
  add column if not exists run_after timestamptz not null default now(),
  add column if not exists phase text,
  add column if not exists progress jsonb not null default '{}',
  add column if not exists progressed_at timestamptz,
  add column if not exists lease_expires_at timestamptz,
  add column if not exists claim_id text,
  add column if not exists fence bigint not null default 0,
  add column if not exists cancel_requested boolean not null default false,
  add column if not exists error_class text,
  add column if not exists retry_count integer not null default 0,
  add column if not exists crash_count integer not null default 0,
  add column if not exists quarantined_at timestamptz,
  add column if not exists preview_location text,
  add column if not exists result jsonb,
  add column if not exists origin_id uuid,
  add column if not exists waiting_for integer not null default 0,
  add column if not exists sequence bigint generated always as identity,
  add column if not exists owner text collate "C"
    generated always as (coalesce(user_id::text, 'service')) stored,
  add column if not exists model text
    generated always as
      (left(coalesce(params ->> 'model', params ->> 'model_name', params ->> 'model_type'), 200)) stored;

comment on column public.tasks.fence is 'Attempt number: rises with every claim and never repeats.';
comment on column public.tasks.attempts is 'Charged attempts: a claim adds one, a release takes it back.';
comment on column public.tasks.waiting_for is 'How many tasks of dependant_on are not Complete yet.';
comment on column public.tasks.run_after is 'Not claimed before.';
comment on column public.tasks.sequence is 'The order of queueing; breaks ties between rows of one insert.';
comment on column public.tasks.origin_id is 'The finished task that this one copies.';
comment on column public.tasks.progressed_at is 'When the progress last changed; a renewal alone does not touch it.';

alter table public.tasks
  drop constraint if exists tasks_status_known,
  add constraint tasks_status_known
    check (status in ('Queued', 'In Progress', 'Complete', 'Failed', 'Cancelled')),
  drop constraint if exists tasks_type_length,
  add constraint tasks_type_length check (char_length(task_type) between 1 and 100),
  drop constraint if exists tasks_idempotency_key_length,
  add constraint tasks_idempotency_key_length check (char_length(idempotency_key) between 1 and 200),
  drop constraint if exists tasks_dependant_on_at_most_100,
  add constraint tasks_dependant_on_at_most_100 check (cardinality(dependant_on) <= 100);

-- Rows change often and die young: vacuum early, leave room for updates in place.
alter table public.tasks set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_analyze_scale_factor = 0.02);

-- Each index fits one step of a claim, and is of no use to the other steps: a plan has no choice to get wrong.
create index if not exists tasks_claimable on public.tasks (priority, owner, sequence, run_after)
  where status = 'Queued' and waiting_for = 0;
create index if not exists tasks_claimable_by_model on public.tasks (model, priority, owner, sequence, run_after)
  where status = 'Queued' and waiting_for = 0;
create index if not exists tasks_position on public.tasks ((priority::bigint), sequence) where status = 'Queued';
create index if not exists tasks_running on public.tasks (lease_expires_at, owner) where status = 'In Progress';
create index if not exists tasks_waiting on public.tasks using gin (dependant_on)
  where status = 'Queued' and waiting_for > 0;
create index if not exists tasks_copies on public.tasks (origin_id) where origin_id is not null;
create index if not exists tasks_by_user on public.tasks (user_id, created_at desc);
create index if not exists tasks_by_age on public.tasks (created_at desc);
create unique index if not exists tasks_idempotency on public.tasks (owner, idempotency_key);

create table if not exists public.task_attempts (
  task_id uuid not null references public.tasks (id) on delete cascade,
  attempt bigint not null,
  worker_id text not null,
  claim_id text not null unique,
  capability jsonb not null default '{}',
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  outcome text not null default 'running'
    check (outcome in ('running', 'completed', 'failed', 'retried', 'released', 'crashed', 'cancelled')),
  error_class text,
  message text,
  result jsonb,
  report jsonb,
  primary key (task_id, attempt)
);
alter table public.task_attempts add column if not exists report jsonb;
comment on table public.task_attempts is 'One row per claim: who, with what, and how it ended.';
comment on column public.task_attempts.report is
  'What the worker told at the end; of a crashed attempt, what its last renewal told.';

create table if not exists public.task_segments (
  task_id uuid not null references public.tasks (id) on delete cascade,
  index integer not null check (index >= 0),
  input_hash text not null,
  object_key text not null,
  attempt bigint not null,
  created_at timestamptz not null default now(),
  primary key (task_id, index)
);
comment on table public.task_segments is 'Finished segments: a later attempt starts after them.';

create table if not exists public.task_outputs (
  task_id uuid primary key references public.tasks (id) on delete cascade,
  attempt bigint not null,
  object_key text not null,
  sha256 text not null,
  created_at timestamptz not null default now()
);
comment on table public.task_outputs is 'At most one published output per task: the primary key says so.';

create table if not exists public.workers (
  owner text collate "C" not null,
  worker_id text not null,
  loaded_model text,
  capability jsonb not null default '{}',
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  primary key (owner, worker_id)
);
comment on table public.workers is 'Workers as they last asked for a task; owner is "service" or a user''s id.';
