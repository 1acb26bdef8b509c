create or replace function public.fw_offered_batches(p_batch_ids uuid[]) returns setof uuid
language sql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
  select r.id from unnest(p_batch_ids) as i (id) join public.fw_worker_runs r on r.id = any (array[i.id])
  where r.executor_id is null and r.taken_at is null and r.finished_at is null and r.lease_expires_at > public.fw_now()
$$;
comment on function public.fw_offered_batches(uuid[]) is
  'Which of these batches are offered to everyone and not taken yet. Executors ask for many that they have heard of at once, for anybody can send a NOTIFY.';
