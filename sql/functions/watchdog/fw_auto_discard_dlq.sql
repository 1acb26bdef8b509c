create or replace function public.fw_auto_discard_dlq() returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job constant timestamptz := public.fw_job_started('fw-dlq-auto-discard');
  v_age interval;
  v_discarded bigint;
begin
  if v_job is null then
    return 0;
  end if;
  select c.dlq_retention into v_age from public.fw_worker_config c;
  v_discarded := public.fw_dlq_purge(v_age);
  if v_discarded > 0 then
    perform public.fw_give_notices('dlq_discarded', array[null::uuid], array[null::uuid],
      array[format('%s dead letters older than %s were discarded', v_discarded, v_age)]);
  end if;
  perform public.fw_job_done('fw-dlq-auto-discard', v_job);
  return v_discarded;
end
$$;
comment on function public.fw_auto_discard_dlq() is
  'Discards dead letters older than dlq_retention (fw_worker_config), with a notice. Returns how many.';
