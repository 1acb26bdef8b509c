create or replace function public.fw_finish_failed(p_execution_ids uuid[], p_errors text[], p_categories text[], p_compensating jsonb[])
returns table (execution_id uuid, batch_id uuid)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_statuses public.fw_execution_status[];
  v_letters boolean[];      -- whether it is dead-lettered
  v_errors text[];
  v_status public.fw_execution_status;
  v_items integer[];
begin
  select array_agg(i.status order by i.item), array_agg(coalesce((i.compensating ->> 'dead_letter')::boolean, i.status <> 'cancelled') order by i.item),
    array_agg(case when i.compensating is null or i.is_told then i.error else public.fw_undone_text(i.id, i.error) end order by i.item)
  into v_statuses, v_letters, v_errors
  from (
    select i.*, coalesce(i.compensating ->> 'status', 'failed')::public.fw_execution_status as status,
      -- An executor of an older version says it itself.
      starts_with(i.error, i.compensating ->> 'error')
        and substr(i.error, length(i.compensating ->> 'error') + 1) ~ '; (not )?compensated: ' as is_told
    from unnest(p_execution_ids, p_errors, p_compensating) with ordinality as i (id, error, compensating, item)
  ) i;
  for v_status in select distinct status from unnest(v_statuses, v_letters) as i (status, has_letter) where i.has_letter loop
    v_items := array(select i.item from unnest(v_statuses, v_letters) with ordinality as i (status, has_letter, item) where i.status = v_status and i.has_letter);
    return query select d.execution_id, d.batch_id from public.fw_dead_letter(
      array(select p_execution_ids[item] from unnest(v_items) as item), array(select v_errors[item] from unnest(v_items) as item),
      array(select p_categories[item] from unnest(v_items) as item), v_status) d;
  end loop;
  v_items := array(select i.item from unnest(v_letters) with ordinality as i (has_letter, item) where not i.has_letter);
  if cardinality(v_items) > 0 then
    return query select c.execution_id, c.batch_id from public.fw_close_executions(
      array(select p_execution_ids[item] from unnest(v_items) as item), array(select v_statuses[item] from unnest(v_items) as item),
      array(select v_errors[item] from unnest(v_items) as item), array(select p_categories[item] from unnest(v_items) as item)) c;
  end if;
  perform public.fw_tell_parents(p_execution_ids);
end
$$;
comment on function public.fw_finish_failed(uuid[], text[], text[], jsonb[]) is
  'Internal: ends executions for good that have nothing more to undo, a place in each array for each: its error, category, and what was decided when it was turned back (NULL when it was not: it ends as failed, dead-lettered). The error of one that was turned back says what was compensated and what was not. The caller holds the locks of fw_lock_with_parents.';
