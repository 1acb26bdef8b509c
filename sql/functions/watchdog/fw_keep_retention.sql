create or replace procedure public.fw_keep_retention(p_budget interval default '1 hour')
language plpgsql
as $$
declare
  v_timeout constant bigint := (select s.setting::bigint from pg_catalog.pg_settings s where s.name operator(pg_catalog.=) 'statement_timeout');
  -- The whole CALL is one statement to a statement_timeout.
  v_until constant timestamptz := pg_catalog.clock_timestamp() operator(pg_catalog.+) least(greatest(p_budget, interval '0'), interval '1 day',
    case when v_timeout operator(pg_catalog.>) 0 then pg_catalog.make_interval(secs => v_timeout operator(pg_catalog./) 1250.0) else p_budget end);
  -- An executor runs the job in a transaction of its own, and runs it again at once where there is more to do.
  v_in_rounds constant boolean := public.fw_job_driver() operator(pg_catalog.!~~) 'executor %';
  v_has_more boolean;
begin
  loop
    perform public.fw_apply_retention(least(interval '1 second', v_until operator(pg_catalog.-) pg_catalog.clock_timestamp()));
    select j.has_more into v_has_more from public.fw_jobs j where j.name operator(pg_catalog.=) 'fw-retention';
    exit when not v_has_more or not v_in_rounds or pg_catalog.clock_timestamp() operator(pg_catalog.>) v_until;
    commit;
  end loop;
end
$$;
comment on procedure public.fw_keep_retention(interval) is
  'What the job fw-retention runs: fw_apply_retention again and again, each time in a transaction of its own, until there is no more to delete or p_budget (or most of the statement_timeout) is over. In a transaction block only fw_apply_retention can be called.';
