create or replace function public.fw_offer_batches(p_room integer default 500) returns setof uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_next record;
  v_workflows constant text[] := public.fw_live_workflows();
begin
  -- A second time when what was visible could not run: it has been settled, so some may be claimed now.
  for v_try in 1..2 loop
    v_next := public.fw_next_organizations('', p_room, true);
    exit when cardinality(v_next.organizations) = 0 or cardinality(v_workflows) = 0;
    return query
      with offered as materialized (
        select distinct c.batch_id from public.fw_claim_organizations(null, v_workflows, v_workflows, v_next.organizations, v_next.floors, p_room, true) c
      ), told as materialized (
        select o.batch_id, pg_notify('fw_batch', to_json(o.batch_id)::text) from offered o
      )
      select t.batch_id from told t;
    exit when found;
  end loop;
end
$$;
comment on function public.fw_offer_batches(integer) is
  'Claims batches for waiting work on behalf of no executor in particular and NOTIFYs their ids on fw_batch; the first executor that calls fw_take_batch gets one. Claims nothing while no executor lives. Returns the batch ids.';
