create or replace function public.fw_job_started(p_name text) returns timestamptz
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from public.fw_jobs j where j.name = p_name for no key update skip locked;
  if found then
    return clock_timestamp();
  end if;
  if not exists (select from public.fw_jobs j where j.name = p_name) then
    raise exception using errcode = 'FW007',
      message = format('there is no job %L in fw_jobs', p_name), hint = 'Run fw migrate: it puts the jobs of sql/cron there.';
  end if;
  raise notice 'job % is at work already: this run does nothing', p_name;
  return null;
end
$$;
comment on function public.fw_job_started(text) is
  'Internal: locks a job to the end of the transaction, so that it never overlaps itself. Returns the time of its start, or NULL when it is at work already.';
