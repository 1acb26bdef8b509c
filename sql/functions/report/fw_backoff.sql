create or replace function public.fw_backoff(p_workflow text, p_attempt integer) returns interval
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  -- The exponent is capped so that no policy can overflow.
  select make_interval(secs => random() * least(
    coalesce(w.backoff_max_ms, 300000),
    coalesce(w.backoff_initial_ms, 1000) * power(coalesce(w.backoff_factor, 2), least(greatest(p_attempt, 1) - 1, 60))) / 1000)
  from (values (p_workflow)) as wanted (name)
  left join public.fw_workflows w using (name)
$$;
comment on function public.fw_backoff(text, integer) is
  'How long to wait after a failed attempt (1-based) of a workflow: exponential by its policy, capped, with full jitter.';
