create or replace function public.fw_dlq_purge(p_older_than interval default '30 days') returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_purged bigint;
begin
  if p_older_than is null or p_older_than < interval '0' then
    raise invalid_parameter_value using
      message = format('the age %s is not an age', coalesce(p_older_than::text, 'NULL')),
      hint = 'Pass an interval of 0 or more; nothing was purged.';
  end if;
  delete from pgmq.q_workflow_dlq d where d.enqueued_at < public.fw_now() - least(p_older_than, interval '1000 years');
  get diagnostics v_purged = row_count;
  return v_purged;
end
$$;
comment on function public.fw_dlq_purge(interval) is
  'Discards dead letters older than this, for good. Returns how many. Their executions stay, as failed and discarded.';
