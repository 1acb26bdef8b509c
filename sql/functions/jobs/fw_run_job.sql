create or replace function public.fw_run_job(p_name text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  case p_name
    when 'process-workflow-queue' then perform public.fw_worker_tick();
    when 'workflow-timeout-watchdog' then perform public.fw_check_deadlines();
    when 'fw-dlq-threshold-check' then perform public.fw_check_dlq_threshold();
    when 'fw-dlq-auto-discard' then perform public.fw_auto_discard_dlq();
    when 'fw-retention' then perform public.fw_apply_retention();
    else
      raise undefined_object using
        message = format('there is no job %L', left(p_name, 100)),
        detail = 'Nothing was run. A row of fw_jobs does not make a job.',
        hint = 'select name, purpose from fw_jobs lists the jobs.';
  end case;
end
$$;
comment on function public.fw_run_job(text) is
  'Runs one of the jobs of sql/cron, by its name, as executors do where pg_cron does not. An error for any other name.';
