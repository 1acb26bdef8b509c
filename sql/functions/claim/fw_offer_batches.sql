create or replace function public.fw_offer_batches(p_room integer default 500) returns setof uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  c_most_tries constant integer := 10;
  c_most_room constant integer := 1000000;
  v_next record;
  v_workflows constant text[] := public.fw_live_workflows();
  v_after text;
begin
  perform public.fw_check_count('p_room', p_room);
  p_room := least(p_room, c_most_room);
  -- What is offered is hidden from claims, so nothing is offered unless somebody has room to take it.
  if public.fw_is_paused() or not exists (select from public.fw_waiting_executors) then
    return;
  end if;
  -- Each call goes on after the organization that the one before ended with.
  select j.cursor into v_after from public.fw_jobs j where j.name = 'process-workflow-queue' for no key update;
  -- Again when what was visible could not run: it has been settled, so some may be claimed now; and while a walk has found nothing
  -- and did not come round.
  for v_try in 1..c_most_tries loop
    v_next := public.fw_next_organizations(coalesce(v_after, ''), p_room, true);
    v_after := v_next.cursor;
    continue when cardinality(v_next.organizations) = 0 and not v_next.is_all;
    exit when cardinality(v_next.organizations) = 0;
    return query
      with offered as materialized (
        select distinct c.batch_id from public.fw_claim_apart(null, v_workflows, v_workflows, v_next.organizations, v_next.floors, p_room, false) c
      ), told as materialized (
        select o.batch_id, pg_notify('fw_batch', to_json(o.batch_id)::text) from offered o
      )
      select t.batch_id from told t;
    exit when found;
  end loop;
  update public.fw_jobs j set cursor = v_after where j.name = 'process-workflow-queue' and j.cursor is distinct from v_after;
end
$$;
comment on function public.fw_offer_batches(integer) is
  'Claims batches for waiting work on behalf of no executor in particular, a batch for each organization in turn up to p_room executions, and NOTIFYs their ids on fw_batch; the first executor that calls fw_take_batch gets one. Claims nothing while no living executor has room. Returns the batch ids.';
