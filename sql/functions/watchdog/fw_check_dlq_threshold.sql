create or replace function public.fw_check_dlq_threshold() returns table (organization_id uuid, dead_letters bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  c_again constant interval := '1 hour';
  v_job constant timestamptz := public.fw_job_started('fw-dlq-threshold-check');
  v_depth integer;
  v_organizations uuid[];
  v_counts bigint[];
begin
  if v_job is null then
    return;
  end if;
  select c.dlq_alert_depth into v_depth from public.fw_worker_config c;
  select array_agg(d.organization_id), array_agg(d.total) into v_organizations, v_counts
  from (select d.organization_id, count(*) as total from public.fw_dlq d group by d.organization_id having count(*) >= v_depth) d
  where not exists (
    select from public.fw_notices n
    where n.kind = 'dlq_threshold' and n.organization_id is not distinct from d.organization_id and n.created_at > public.fw_now() - c_again);
  if v_organizations is not null then
    perform public.fw_give_notices('dlq_threshold', v_organizations, array_fill(null::uuid, array[cardinality(v_organizations)]),
      array(select format('%s dead letters wait; the alert is set to %s', total, v_depth) from unnest(v_counts) as total));
    return query select * from unnest(v_organizations, v_counts);
  end if;
  perform public.fw_job_done('fw-dlq-threshold-check', v_job);
end
$$;
comment on function public.fw_check_dlq_threshold() is
  'Gives a notice for each organization with dlq_alert_depth dead letters or more (fw_worker_config), again after an hour at the earliest. Returns those it gave one for.';
