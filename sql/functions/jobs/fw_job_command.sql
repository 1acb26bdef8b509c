create or replace function public.fw_job_command(p_name text) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  -- What stands in sql/cron. The column command of fw_jobs shows it and is never executed.
  select case p_name
    when 'process-workflow-queue' then 'select public.fw_worker_tick()'
    when 'workflow-timeout-watchdog' then 'select public.fw_check_deadlines()'
    when 'fw-dlq-threshold-check' then 'select public.fw_check_dlq_threshold()'
    when 'fw-dlq-auto-discard' then 'select public.fw_auto_discard_dlq()'
    when 'fw-retention' then 'call public.fw_keep_retention()'
  end
$$;
comment on function public.fw_job_command(text) is
  'Internal: the statement that a job of sql/cron is, for pg_cron and for executors of older versions; NULL for a name that is no job.';
