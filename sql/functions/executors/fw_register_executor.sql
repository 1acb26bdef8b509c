create or replace function public.fw_register_executor(p_name text, p_workflows jsonb) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id constant uuid := public.fw_uuid();
begin
  if p_workflows is null or jsonb_typeof(p_workflows) <> 'array' or jsonb_array_length(p_workflows) = 0 then
    raise invalid_parameter_value using
      message = 'an executor must register at least one workflow',
      hint = 'Pass a JSON array of {"name", "max_attempts", "backoff_initial_ms", "backoff_factor", "backoff_max_ms"}.';
  end if;
  if exists (
    select from jsonb_to_recordset(p_workflows) as item
      (name text, max_attempts numeric, backoff_initial_ms numeric, backoff_factor numeric, backoff_max_ms numeric)
    where item.name is null or length(item.name) not between 1 and 200
      or item.max_attempts not between 1 and 100 or item.backoff_factor not between 1 and 100
      or item.backoff_initial_ms not between 0 and 1e12 or item.backoff_max_ms not between 0 and 1e13
  ) then
    raise invalid_parameter_value using
      message = 'a workflow has a name or a retry policy out of range',
      detail = 'Allowed are names of 1 to 200 characters, max_attempts 1 to 100, backoff_factor 1 to 100, times of 0 or more.',
      hint = 'No executor was registered.';
  end if;
  insert into public.fw_workflows as w (name, max_attempts, backoff_initial_ms, backoff_factor, backoff_max_ms)
  select distinct on (item.name) item.name, coalesce(item.max_attempts, 5), coalesce(item.backoff_initial_ms, 1000),
    coalesce(item.backoff_factor, 2), coalesce(item.backoff_max_ms, 300000)
  from jsonb_to_recordset(p_workflows) as item
    (name text, max_attempts integer, backoff_initial_ms bigint, backoff_factor double precision, backoff_max_ms bigint)
  order by item.name
  on conflict (name) do update set
    max_attempts = excluded.max_attempts, backoff_initial_ms = excluded.backoff_initial_ms,
    backoff_factor = excluded.backoff_factor, backoff_max_ms = excluded.backoff_max_ms, registered_at = now();

  delete from public.fw_executors x
  where x.last_seen_at < now() - interval '1 day'
    and not exists (select from public.fw_worker_runs r where r.executor_id = x.id and r.finished_at is null);
  insert into public.fw_executors (id, name, workflows)
  values (v_id, coalesce(p_name, ''), array(select distinct item ->> 'name' from jsonb_array_elements(p_workflows) as item order by 1));
  return v_id;
end
$$;
comment on function public.fw_register_executor(text, jsonb) is
  'Makes an executor known and returns its id for every later call. p_workflows is a JSON array of {"name", "max_attempts", "backoff_initial_ms", "backoff_factor", "backoff_max_ms"}; what is left out is 5, 1000, 2, 300000.';
