create or replace function public.fw_register_executor(p_name text, p_workflows jsonb, p_api_version integer default 3) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id constant uuid := public.fw_uuid();
  v_longest integer;
begin
  perform public.fw_check_workflows(p_workflows);
  if p_api_version is null then
    raise null_value_not_allowed using
      message = 'p_api_version must not be NULL', detail = 'No executor was registered.',
      hint = 'Pass the version of the SQL API that the executor speaks; fw_api_version() has that of this database.';
  end if;
  select c.executor_name_limit into v_longest from public.fw_worker_config c;
  if length(p_name) > v_longest then
    perform public.fw_refuse('executor_name_limit', 'the name of the executor', length(p_name), v_longest, 'characters');
  end if;
  insert into public.fw_workflows as w
    (name, max_attempts, backoff_initial_ms, backoff_factor, backoff_max_ms, timeout_minutes, on_timeout, warn_percent, compensate_on_timeout)
  select distinct on (item.name) item.name, coalesce(item.max_attempts, 5), coalesce(item.backoff_initial_ms, 1000),
    coalesce(item.backoff_factor, 2), coalesce(item.backoff_max_ms, 300000),
    -- An executor of an older version says nothing of these: what a newer one has said stays.
    coalesce(item.timeout_minutes, known.timeout_minutes, 60), coalesce(item.on_timeout, known.on_timeout, 'fail'),
    coalesce(item.warn_percent, known.warn_percent, 80), coalesce(item.compensate_on_timeout, known.compensate_on_timeout, true)
  from jsonb_to_recordset(p_workflows) as item
    (name text, max_attempts integer, backoff_initial_ms bigint, backoff_factor double precision, backoff_max_ms bigint,
     timeout_minutes integer, on_timeout text, warn_percent integer, compensate_on_timeout boolean)
  left join public.fw_workflows known on known.name = item.name
  order by item.name
  on conflict (name) do update set
    max_attempts = excluded.max_attempts, backoff_initial_ms = excluded.backoff_initial_ms,
    backoff_factor = excluded.backoff_factor, backoff_max_ms = excluded.backoff_max_ms,
    timeout_minutes = excluded.timeout_minutes, on_timeout = excluded.on_timeout, warn_percent = excluded.warn_percent,
    compensate_on_timeout = excluded.compensate_on_timeout,
    registered_at = public.fw_now();

  delete from public.fw_executors x
  where x.last_seen_at < public.fw_now() - interval '1 day'
    and not exists (select from public.fw_worker_runs r where r.executor_id = x.id and r.finished_at is null);
  -- It does not want work before its first claim, for it may not listen yet: a batch that a tick offered to it now would
  -- stay hidden until the next tick.
  insert into public.fw_executors (id, name, workflows, is_paused, api_version)
  values (v_id, coalesce(p_name, ''), array(select distinct item ->> 'name' from jsonb_array_elements(p_workflows) as item order by 1),
    public.fw_is_paused(), p_api_version);
  return v_id;
end
$$;
comment on function public.fw_register_executor(text, jsonb, integer) is
  'Makes an executor known and returns its id for every later call. p_workflows is a JSON array of {"name", "max_attempts", "backoff_initial_ms", "backoff_factor", "backoff_max_ms", "timeout_minutes", "on_timeout", "warn_percent", "compensate_on_timeout"}; what is left out is 5, 1000, 2, 300000; the last four stay as they were, at first 60, fail, 80, true. p_api_version is the version of the SQL API that it speaks: to those of version 3 a claim hands over recorded steps.';
