create or replace function public.fw_job_done(p_name text, p_started_at timestamptz) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  update public.fw_jobs j set last_started_at = p_started_at, last_duration = clock_timestamp() - p_started_at, last_driver = public.fw_job_driver()
  where j.name = p_name
$$;
comment on function public.fw_job_done(text, timestamptz) is 'Internal: records when a job ran, how long it took and who ran it.';
