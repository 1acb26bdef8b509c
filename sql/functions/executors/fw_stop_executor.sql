create or replace function public.fw_stop_executor(p_executor_id uuid) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  update public.fw_executors set stopped_at = public.fw_now(), wants_work = false where id = p_executor_id
$$;
comment on function public.fw_stop_executor(uuid) is
  'Says that an executor has stopped: it claims nothing more. Batches that it still holds keep their leases until these run out.';
